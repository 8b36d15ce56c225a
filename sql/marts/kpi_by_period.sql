/*---
description = "One row per grain and period: the figures a manager asks for, on the project's headline basis and base, with their changes."
grain = ["grain", "period_start"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period.", checks = ["not_null"] }
basis = { type = "text", doc = "Headline basis (kpi_basis).", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
base = { type = "text", doc = "Headline base (kpi_base).", one_of = ["period", "window", "contract"], checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
is_left_censored = { type = "boolean", doc = "Whether the period began within censor_days of the data's start.", checks = ["not_null"] }
customers_start = { type = "int64", doc = "Customers at the start.", unit = "count" }
customers_end = { type = "int64", doc = "Customers at the end.", unit = "count" }
customers_new = { type = "int64", doc = "New customers.", unit = "count" }
retention_rate = { type = "float64", doc = "Retained / at the start.", unit = "fraction", checks = ["fraction"] }
retention_rate_change = { type = "float64", doc = "Difference from the period before; NULL when either is incomplete or has no value.", unit = "fraction" }
retention_rate_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
churn_rate = { type = "float64", doc = "1 - retention_rate.", unit = "fraction", checks = ["fraction"] }
churn_rate_change = { type = "float64", doc = "Difference from the period before.", unit = "fraction" }
churn_rate_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
clv = { type = "decimal(28,4)", doc = "Customer lifetime value. NULL: waits for customer_clv, which needs costs (products or order_items.unit_cost).", unit = "currency" }
clv_change = { type = "decimal(28,4)", doc = "Difference from the period before. NULL: waits for customer_clv.", unit = "currency" }
clv_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before. NULL: waits for customer_clv.", unit = "currency" }
nps = { type = "float64", doc = "Net Promoter Score, -1 to 1. NULL: waits for nps_by_period, which needs interactions of kind survey_nps.", unit = "fraction" }
nps_change = { type = "float64", doc = "Difference from the period before. NULL: waits for nps_by_period.", unit = "fraction" }
nps_change_last_year = { type = "float64", doc = "Difference from the same period of the year before. NULL: waits for nps_by_period.", unit = "fraction" }
repeat_purchase_rate = { type = "float64", doc = "Customers with two purchases or more / customers, to date.", unit = "fraction", checks = ["fraction"] }
repeat_purchase_rate_change = { type = "float64", doc = "Difference from the period before; NULL when either is incomplete or has no value.", unit = "fraction" }
repeat_purchase_rate_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
crc = { type = "decimal(28,4)", doc = "Retention spend per retained customer. NULL: waits for costs_by_period, which needs the campaigns source.", unit = "currency" }
crc_change = { type = "decimal(28,4)", doc = "Difference from the period before. NULL: waits for costs_by_period.", unit = "currency" }
crc_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before. NULL: waits for costs_by_period.", unit = "currency" }
cac = { type = "decimal(28,4)", doc = "Acquisition spend per new customer. NULL: waits for costs_by_period, which needs the campaigns source.", unit = "currency" }
cac_change = { type = "decimal(28,4)", doc = "Difference from the period before. NULL: waits for costs_by_period.", unit = "currency" }
cac_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before. NULL: waits for costs_by_period.", unit = "currency" }
orders = { type = "int64", doc = "Purchases in the period.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the period.", unit = "currency", checks = ["not_null", "non_negative"] }
average_order_value = { type = "decimal(18,4)", doc = "revenue / orders.", unit = "currency", checks = ["positive"] }
---*/
with headline as (

    select
        retention.*,
        periods.period_number,
        periods.last_year_number
    from retention_by_period as retention
    inner join project_periods as periods
        on periods.grain = retention.grain and periods.period_start = retention.period_start
    where retention.basis = $kpi_basis and retention.base = $kpi_base

),

complete as (

    select grain, period_number, repeat_purchase_rate
    from headline
    where is_complete

)

select
    headline.grain,
    headline.period_start,
    headline.period_label,
    headline.basis,
    headline.base,
    headline.is_complete,
    headline.is_left_censored,
    headline.customers_start,
    headline.customers_end,
    headline.customers_new,
    headline.retention_rate,
    headline.retention_rate_change,
    headline.retention_rate_change_last_year,
    headline.churn_rate,
    headline.churn_rate_change,
    headline.churn_rate_change_last_year,
    null as clv,
    null as clv_change,
    null as clv_change_last_year,
    null as nps,
    null as nps_change,
    null as nps_change_last_year,
    headline.repeat_purchase_rate,
    case when headline.is_complete then headline.repeat_purchase_rate - previous.repeat_purchase_rate end
        as repeat_purchase_rate_change,
    case when headline.is_complete then headline.repeat_purchase_rate - last_year.repeat_purchase_rate end
        as repeat_purchase_rate_change_last_year,
    null as crc,
    null as crc_change,
    null as crc_change_last_year,
    null as cac,
    null as cac_change,
    null as cac_change_last_year,
    headline.orders,
    headline.revenue,
    headline.average_order_value
from headline
left join complete as previous
    on previous.grain = headline.grain and previous.period_number = headline.period_number - 1
left join complete as last_year
    on last_year.grain = headline.grain and last_year.period_number = headline.last_year_number
order by grain, period_start
