/*---
description = "Who was there, who came back, who was lost: one row per grain, basis, base and period from the first purchase's to the as-of date's."
grain = ["grain", "basis", "base", "period_start"]
features = ["F001", "F002", "F003", "F004", "F005", "F006", "F007", "F008", "F009", "F019", "F034", "F097"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "What counts as active: purchases (order), own interactions since the first purchase (interaction), or either (any).", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
base = { type = "text", doc = "period: active in the period; window: active in the active_days before its start and before its end; contract: a live subscription on the day before its first day and on its last (or on the as-of date), whoever has one, the same for every basis; such rows exist only in a project with subscriptions.", one_of = ["period", "window", "contract"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
is_left_censored = { type = "boolean", doc = "Whether the period began within censor_days of the data's start. Then customers_new, customers_reactivated, return_rate, the textbook formula and repeat_purchase_rate are distorted; retention_rate is not.", checks = ["not_null"] }
customers_start = { type = "int64", doc = "S: customers of the period before. NULL for base window until active_days of data have passed.", unit = "count", checks = ["non_negative"] }
customers_end = { type = "int64", doc = "E: customers of this period.", unit = "count", checks = ["not_null", "non_negative"] }
customers_new = { type = "int64", doc = "N: those of customers_end whose first active day, or for base contract whose first subscription's start, lies in the period.", unit = "count", checks = ["not_null", "non_negative"] }
customers_retained = { type = "int64", doc = "In customers_start and in customers_end.", unit = "count", checks = ["non_negative"] }
customers_reactivated = { type = "int64", doc = "customers_end minus customers_new minus customers_retained.", unit = "count", checks = ["non_negative"] }
customers_lost = { type = "int64", doc = "customers_start minus customers_retained.", unit = "count", checks = ["non_negative"] }
lost_returned_to_date = { type = "int64", doc = "Those of customers_lost who have been active again since, up to the as-of date; for base contract, who have had a subscription again.", unit = "count", checks = ["non_negative"] }
retention_rate = { type = "float64", doc = "customers_retained / customers_start.", unit = "fraction", checks = ["fraction"] }
retention_rate_formula = { type = "float64", doc = "The textbook formula (customers_end - customers_new) / customers_start; reactivated customers can push it above 1.", unit = "fraction", checks = ["non_negative"] }
return_rate = { type = "float64", doc = "(customers_end - customers_new) / customers_end.", unit = "fraction", checks = ["fraction"] }
churn_rate = { type = "float64", doc = "1 - retention_rate.", unit = "fraction", checks = ["fraction"] }
retention_rate_change = { type = "float64", doc = "Difference from the period before; NULL when either is incomplete or has no value.", unit = "fraction" }
retention_rate_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
return_rate_change = { type = "float64", doc = "Difference from the period before.", unit = "fraction" }
return_rate_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
churn_rate_change = { type = "float64", doc = "Difference from the period before.", unit = "fraction" }
churn_rate_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }
customers_to_date = { type = "int64", doc = "Customers by the period's end, or by the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
repeat_customers_to_date = { type = "int64", doc = "Those of them with two purchases or more by then.", unit = "count", checks = ["not_null", "non_negative"] }
repeat_purchase_rate = { type = "float64", doc = "repeat_customers_to_date / customers_to_date.", unit = "fraction", checks = ["fraction"] }
orders = { type = "int64", doc = "Purchases in the period, for every basis and base alike.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the period. A refund lowers the period of its order, whenever it was given.", unit = "currency", checks = ["not_null", "non_negative"] }
average_order_value = { type = "decimal(18,4)", doc = "revenue / orders.", unit = "currency", checks = ["positive"] }
repeat_revenue_share = { type = "float64", doc = "Share of revenue from purchases that are not their customer's first.", unit = "fraction", checks = ["fraction"] }

[checks]
sets_add_up = "select * from this where customers_retained + customers_reactivated + customers_new <> customers_end or lost_returned_to_date > customers_lost"
---*/
with has_contracts as (

    select count(*) > 0 as is_true from contract_counts

),

bases as (

    select basis.code as basis, base.code as base
    from labels as basis
    cross join labels as base
    cross join has_contracts
    where
        basis."group" = 'basis'
        and base."group" = 'base'
        and (base.code <> 'contract' or has_contracts.is_true)

),

frame as (

    select
        periods.*,
        bases.basis,
        bases.base,
        bases.base <> 'window' or periods.is_window_known as is_start_known
    from project_periods as periods
    cross join bases

),

counts as (

    select
        frame.grain,
        frame.basis,
        frame.base,
        frame.period_number,
        frame.last_year_number,
        frame.period_start,
        frame.period_label,
        frame.is_complete,
        frame.is_left_censored,
        case when is_start_known then coalesce(counted.customers_start, 0) end as customers_start,
        coalesce(counted.customers_end, 0) as customers_end,
        coalesce(counted.customers_new, 0) as customers_new,
        case when is_start_known then coalesce(counted.customers_retained, 0) end as customers_retained,
        case when is_start_known then coalesce(counted.lost_returned_to_date, 0) end as lost_returned_to_date
    from frame
    left join period_counts as counted
        on counted.grain = frame.grain
        and counted.basis = frame.basis
        and counted.base = frame.base
        and counted.period_number = frame.period_number

),

rates as (

    select
        *,
        customers_end - customers_new - customers_retained as customers_reactivated,
        customers_start - customers_retained as customers_lost,
        cast(customers_retained as double) / nullif(customers_start, 0) as retention_rate,
        cast(customers_end - customers_new as double) / nullif(customers_start, 0) as retention_rate_formula,
        cast(customers_end - customers_new as double) / nullif(customers_end, 0) as return_rate,
        cast(customers_start - customers_retained as double) / nullif(customers_start, 0) as churn_rate
    from counts

),

complete as (

    select grain, basis, base, period_number, retention_rate, return_rate, churn_rate
    from rates
    where is_complete

)

select
    rates.grain,
    rates.basis,
    rates.base,
    rates.period_start,
    rates.period_label,
    rates.is_complete,
    rates.is_left_censored,
    rates.customers_start,
    rates.customers_end,
    rates.customers_new,
    rates.customers_retained,
    rates.customers_reactivated,
    rates.customers_lost,
    rates.lost_returned_to_date,
    rates.retention_rate,
    rates.retention_rate_formula,
    rates.return_rate,
    rates.churn_rate,
    case when rates.is_complete then rates.retention_rate - previous.retention_rate end as retention_rate_change,
    case when rates.is_complete then rates.retention_rate - last_year.retention_rate end as retention_rate_change_last_year,
    case when rates.is_complete then rates.return_rate - previous.return_rate end as return_rate_change,
    case when rates.is_complete then rates.return_rate - last_year.return_rate end as return_rate_change_last_year,
    case when rates.is_complete then rates.churn_rate - previous.churn_rate end as churn_rate_change,
    case when rates.is_complete then rates.churn_rate - last_year.churn_rate end as churn_rate_change_last_year,
    purchases.customers_to_date,
    purchases.repeat_customers_to_date,
    cast(purchases.repeat_customers_to_date as double) / nullif(purchases.customers_to_date, 0) as repeat_purchase_rate,
    purchases.orders,
    purchases.revenue,
    round(cast(purchases.revenue as decimal(38, 8)) / nullif(purchases.orders, 0), 4) as average_order_value,
    cast(purchases.repeat_revenue as double) / nullif(cast(purchases.revenue as double), 0) as repeat_revenue_share
from rates
inner join period_purchases as purchases
    on purchases.grain = rates.grain and purchases.period_number = rates.period_number
left join complete as previous
    on previous.grain = rates.grain
    and previous.basis = rates.basis
    and previous.base = rates.base
    and previous.period_number = rates.period_number - 1
left join complete as last_year
    on last_year.grain = rates.grain
    and last_year.basis = rates.basis
    and last_year.base = rates.base
    and last_year.period_number = rates.last_year_number
order by grain, basis, base, period_start
