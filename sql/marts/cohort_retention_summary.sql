/*---
description = "One row per grain, basis and period index with a complete cell: the mean over cohorts, weighted by their size."
grain = ["grain", "basis", "period_index"]
features = ["F010"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "What counts as active.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
period_index = { type = "int64", doc = "Periods since the cohort's own, which is 0.", unit = "count", checks = ["not_null", "non_negative"] }
cohorts = { type = "int64", doc = "Cohorts with a complete cell at this index.", unit = "count", checks = ["not_null", "positive"] }
customers = { type = "int64", doc = "Customers of those cohorts.", unit = "count", checks = ["not_null", "positive"] }
active = { type = "int64", doc = "Those of them active in the cells' periods.", unit = "count", checks = ["not_null", "non_negative"] }
retention_rate = { type = "float64", doc = "active / customers.", unit = "fraction", checks = ["not_null", "fraction"] }
rolling_retention_rate = { type = "float64", doc = "Share of customers active in the cells' periods or any later one, up to the as-of date.", unit = "fraction", checks = ["not_null", "fraction"] }
cohorts_uncensored = { type = "int64", doc = "cohorts without the left-censored ones.", unit = "count", checks = ["not_null", "non_negative"] }
customers_uncensored = { type = "int64", doc = "customers without the left-censored cohorts.", unit = "count", checks = ["not_null", "non_negative"] }
active_uncensored = { type = "int64", doc = "active without the left-censored cohorts.", unit = "count", checks = ["not_null", "non_negative"] }
retention_rate_uncensored = { type = "float64", doc = "active_uncensored / customers_uncensored; NULL in a data set's first year.", unit = "fraction", checks = ["fraction"] }
rolling_retention_rate_uncensored = { type = "float64", doc = "rolling_retention_rate without the left-censored cohorts.", unit = "fraction", checks = ["fraction"] }
---*/
with cells as (

    select
        grain,
        basis,
        period_index,
        cohort_size,
        active,
        rolling_active,
        case when is_left_censored then 0 else 1 end as is_uncensored
    from cohort_retention
    where is_complete

),

sums as (

    select
        grain,
        basis,
        period_index,
        count(*) as cohorts,
        sum(cohort_size) as customers,
        sum(active) as active,
        sum(rolling_active) as rolling_active,
        sum(is_uncensored) as cohorts_uncensored,
        sum(cohort_size * is_uncensored) as customers_uncensored,
        sum(active * is_uncensored) as active_uncensored,
        sum(rolling_active * is_uncensored) as rolling_active_uncensored
    from cells
    group by grain, basis, period_index

)

select
    grain,
    basis,
    period_index,
    cohorts,
    customers,
    active,
    cast(active as double) / customers as retention_rate,
    cast(rolling_active as double) / customers as rolling_retention_rate,
    cohorts_uncensored,
    customers_uncensored,
    active_uncensored,
    cast(active_uncensored as double) / nullif(customers_uncensored, 0) as retention_rate_uncensored,
    cast(rolling_active_uncensored as double) / nullif(customers_uncensored, 0) as rolling_retention_rate_uncensored
from sums
order by grain, basis, period_index
