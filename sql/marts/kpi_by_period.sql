/*---
description = "One row per grain and period: the figures a manager asks for, on the project's headline basis and base, with their changes."
grain = ["grain", "period_start"]
features = ["F003", "F004", "F005", "F007", "F008", "F009", "F011", "F013", "F020", "F021"]

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
clv = { type = "decimal(28,4)", doc = "Customer lifetime value so far: gross profit to date of the lines whose cost is known / customers to date. NULL without costs: waits for order_items with unit_cost, or products.", unit = "currency" }
clv_change = { type = "decimal(28,4)", doc = "Difference from the period before; NULL when either is incomplete or has no value.", unit = "currency" }
clv_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before.", unit = "currency" }
nps = { type = "float64", doc = "Net Promoter Score of nps_by_period, -1 to 1. NULL without answers: waits for interactions of kind survey_nps.", unit = "fraction" }
nps_change = { type = "float64", doc = "Difference from the period before.", unit = "fraction" }
nps_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
repeat_purchase_rate = { type = "float64", doc = "Customers with two purchases or more / customers, to date.", unit = "fraction", checks = ["fraction"] }
repeat_purchase_rate_change = { type = "float64", doc = "Difference from the period before; NULL when either is incomplete or has no value.", unit = "fraction" }
repeat_purchase_rate_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
crc = { type = "decimal(28,4)", doc = "Retention spend per retained customer, of costs_by_period. NULL without spend: waits for the source campaigns.", unit = "currency" }
crc_change = { type = "decimal(28,4)", doc = "Difference from the period before.", unit = "currency" }
crc_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before.", unit = "currency" }
cac = { type = "decimal(28,4)", doc = "Acquisition spend per new customer, of costs_by_period. NULL without spend: waits for the source campaigns.", unit = "currency" }
cac_change = { type = "decimal(28,4)", doc = "Difference from the period before.", unit = "currency" }
cac_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before.", unit = "currency" }
orders = { type = "int64", doc = "Purchases in the period.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the period.", unit = "currency", checks = ["not_null", "non_negative"] }
average_order_value = { type = "decimal(18,4)", doc = "revenue / orders.", unit = "currency", checks = ["positive"] }
---*/
with retention as (

    select * from retention_by_period where basis = $kpi_basis and base = $kpi_base

),

periods as (

    select grain, period_start, period_number, last_year_number from project_periods

),

purchases as (

    select
        grain,
        period_number,
        cast(round(gross_profit_to_date / nullif(customers_to_date, 0), 4) as decimal(28, 4)) as clv
    from period_purchases

),

surveys as (

    select grain, period_start, nps, nps_change, nps_change_last_year from nps_by_period

),

costs as (

    select
        grain,
        period_start,
        crc,
        crc_change,
        crc_change_last_year,
        cac,
        cac_change,
        cac_change_last_year
    from costs_by_period

),

headline as (

    select
        retention.*,
        periods.period_number,
        periods.last_year_number,
        purchases.clv
    from retention
    inner join periods on periods.grain = retention.grain and periods.period_start = retention.period_start
    left join purchases on purchases.grain = periods.grain and purchases.period_number = periods.period_number

),

complete as (

    select grain, period_number, repeat_purchase_rate, clv
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
    headline.clv,
    case when headline.is_complete then headline.clv - previous.clv end as clv_change,
    case when headline.is_complete then headline.clv - last_year.clv end as clv_change_last_year,
    surveys.nps,
    surveys.nps_change,
    surveys.nps_change_last_year,
    headline.repeat_purchase_rate,
    case when headline.is_complete then headline.repeat_purchase_rate - previous.repeat_purchase_rate end
        as repeat_purchase_rate_change,
    case when headline.is_complete then headline.repeat_purchase_rate - last_year.repeat_purchase_rate end
        as repeat_purchase_rate_change_last_year,
    costs.crc,
    costs.crc_change,
    costs.crc_change_last_year,
    costs.cac,
    costs.cac_change,
    costs.cac_change_last_year,
    headline.orders,
    headline.revenue,
    headline.average_order_value
from headline
left join complete as previous
    on previous.grain = headline.grain and previous.period_number = headline.period_number - 1
left join complete as last_year
    on last_year.grain = headline.grain and last_year.period_number = headline.last_year_number
left join surveys on surveys.grain = headline.grain and surveys.period_start = headline.period_start
left join costs on costs.grain = headline.grain and costs.period_start = headline.period_start
order by grain, period_start
