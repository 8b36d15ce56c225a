/*---
description = "One row per grain, basis, cohort and period index up to the as-of date's, zeros included: how many of a cohort were active, and what it brought."
grain = ["grain", "basis", "cohort_start", "period_index"]
features = ["F004", "F009", "F010"]

[reads]
activity_state = "latest"

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "What counts as active, for the cohort and for the cell.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
cohort_start = { type = "date", doc = "First day of the period in which the customers were first active.", checks = ["not_null"] }
cohort_label = { type = "text", doc = "Label of that period.", checks = ["not_null"] }
period_index = { type = "int64", doc = "Periods since the cohort's own, which is 0.", unit = "count", checks = ["not_null", "non_negative"] }
period_start = { type = "date", doc = "First day of the cell's period.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the cell's period ended by the as-of date.", checks = ["not_null"] }
is_left_censored = { type = "boolean", doc = "Whether the cohort began within censor_days of the data's start: it is full of customers who bought before the data begins.", checks = ["not_null"] }
cohort_size = { type = "int64", doc = "Customers of the cohort.", unit = "count", checks = ["not_null", "positive"] }
active = { type = "int64", doc = "Those of them active in exactly this period.", unit = "count", checks = ["not_null", "non_negative"] }
rolling_active = { type = "int64", doc = "Those of them active in this period or any later one, up to the as-of date; can only rise.", unit = "count", checks = ["not_null", "non_negative"] }
retention_rate = { type = "float64", doc = "active / cohort_size.", unit = "fraction", checks = ["not_null", "fraction"] }
rolling_retention_rate = { type = "float64", doc = "rolling_active / cohort_size.", unit = "fraction", checks = ["not_null", "fraction"] }
orders = { type = "int64", doc = "Purchases of the cohort in the period.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Their net revenue.", unit = "currency", checks = ["not_null", "non_negative"] }
cumulative_revenue_per_customer = { type = "decimal(28,4)", doc = "Revenue of the cohort from index 0 to this one / cohort_size.", unit = "currency", checks = ["not_null", "non_negative"] }

[checks]
own_period_is_whole = "select * from this where period_index = 0 and (active <> cohort_size or rolling_active <> cohort_size)"
rolling_holds_exact = "select * from this where rolling_active < active"
---*/
with counts as (

    select grain, basis, cohort_number, period_number, sum(customers) as active
    from activity_transitions
    group by grain, basis, cohort_number, period_number

),

purchases as (

    select grain, basis, cohort_number, period_number, sum(orders) as orders, sum(revenue) as revenue
    from cohort_purchases
    group by grain, basis, cohort_number, period_number

),

cohorts as (

    select
        counts.grain,
        counts.basis,
        counts.cohort_number,
        counts.active as cohort_size,
        periods.period_start as cohort_start,
        periods.period_label as cohort_label,
        periods.is_left_censored
    from counts
    inner join project_periods as periods
        on periods.grain = counts.grain and periods.period_number = counts.cohort_number
    where counts.period_number = counts.cohort_number

),

-- Few pairs of days stand for all customers.
lives as (

    select basis, first_active_on, last_active_on, count(*) as customers
    from activity_state
    group by basis, first_active_on, last_active_on

),

last_seen as (

    select
        firsts.grain,
        lives.basis,
        firsts.period_number as cohort_number,
        lasts.period_number,
        sum(lives.customers) as customers
    from lives
    inner join calendar_periods as firsts on firsts.day = lives.first_active_on
    inner join calendar_periods as lasts on lasts.day = lives.last_active_on and lasts.grain = firsts.grain
    group by firsts.grain, lives.basis, firsts.period_number, lasts.period_number

),

cells as (

    select
        cohorts.*,
        periods.period_number,
        periods.period_number - cohorts.cohort_number as period_index,
        periods.period_start,
        periods.is_complete,
        coalesce(counts.active, 0) as active,
        coalesce(last_seen.customers, 0) as last_seen,
        coalesce(purchases.orders, 0) as orders,
        coalesce(purchases.revenue, 0) as revenue
    from cohorts
    inner join project_periods as periods
        on periods.grain = cohorts.grain and periods.period_number >= cohorts.cohort_number
    left join counts
        on counts.grain = cohorts.grain
        and counts.basis = cohorts.basis
        and counts.cohort_number = cohorts.cohort_number
        and counts.period_number = periods.period_number
    left join last_seen
        on last_seen.grain = cohorts.grain
        and last_seen.basis = cohorts.basis
        and last_seen.cohort_number = cohorts.cohort_number
        and last_seen.period_number = periods.period_number
    left join purchases
        on purchases.grain = cohorts.grain
        and purchases.basis = cohorts.basis
        and purchases.cohort_number = cohorts.cohort_number
        and purchases.period_number = periods.period_number

),

running as (

    select
        *,
        cohort_size + last_seen - sum(last_seen) over (
            partition by grain, basis, cohort_number order by period_number
            rows between unbounded preceding and current row
        ) as rolling_active,
        sum(revenue) over (
            partition by grain, basis, cohort_number order by period_number
            rows between unbounded preceding and current row
        ) as cumulative_revenue
    from cells

)

select
    grain,
    basis,
    cohort_start,
    cohort_label,
    period_index,
    period_start,
    is_complete,
    is_left_censored,
    cohort_size,
    active,
    rolling_active,
    cast(active as double) / cohort_size as retention_rate,
    cast(rolling_active as double) / cohort_size as rolling_retention_rate,
    orders,
    revenue,
    round(cast(cumulative_revenue as decimal(38, 8)) / cohort_size, 4) as cumulative_revenue_per_customer
from running
order by grain, basis, cohort_start, period_index
