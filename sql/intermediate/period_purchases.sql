/*---
description = "One row per grain and period of the project: purchases in it and customers to date."
grain = ["grain", "period_number"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_number = { type = "int64", doc = "The period.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases in the period.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Their net revenue.", unit = "currency", checks = ["not_null", "non_negative"] }
repeat_revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases that are not their customer's first.", unit = "currency", checks = ["not_null", "non_negative"] }
gross_profit_to_date = { type = "decimal(28,4)", doc = "Gross profit of all lines sold by the period's end, or by the as-of date, whose cost is known; NULL without one.", unit = "currency" }
customers_to_date = { type = "int64", doc = "Customers by the period's end, or by the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
repeat_customers_to_date = { type = "int64", doc = "Those of them with two purchases or more by then.", unit = "count", checks = ["not_null", "non_negative"] }
---*/
with by_period as (

    select
        periods.grain,
        periods.period_number,
        sum(days.orders) as orders,
        sum(days.revenue) as revenue,
        sum(days.repeat_revenue) as repeat_revenue,
        sum(days.gross_profit) as gross_profit,
        sum(days.first_time_customers) as first_time_customers,
        sum(days.second_time_customers) as second_time_customers
    from daily_purchases as days
    inner join calendar_periods as periods on periods.day = days.day
    group by periods.grain, periods.period_number

),

dense as (

    select
        periods.grain,
        periods.period_number,
        coalesce(by_period.orders, 0) as orders,
        coalesce(by_period.revenue, 0) as revenue,
        coalesce(by_period.repeat_revenue, 0) as repeat_revenue,
        by_period.gross_profit,
        coalesce(by_period.first_time_customers, 0) as first_time_customers,
        coalesce(by_period.second_time_customers, 0) as second_time_customers
    from project_periods as periods
    left join by_period
        on by_period.grain = periods.grain and by_period.period_number = periods.period_number

)

select
    grain,
    period_number,
    orders,
    revenue,
    repeat_revenue,
    sum(gross_profit) over (
        partition by grain order by period_number
        rows between unbounded preceding and current row
    ) as gross_profit_to_date,
    sum(first_time_customers) over (
        partition by grain order by period_number
        rows between unbounded preceding and current row
    ) as customers_to_date,
    sum(second_time_customers) over (
        partition by grain order by period_number
        rows between unbounded preceding and current row
    ) as repeat_customers_to_date
from dense
order by grain, period_number
