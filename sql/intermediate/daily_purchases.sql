/*---
description = "One row per business day with a purchase."
grain = ["day"]
partition = "month"

[columns]
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases.", unit = "count", checks = ["not_null", "positive"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue.", unit = "currency", checks = ["not_null", "positive"] }
repeat_revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases that are not their customer's first.", unit = "currency", checks = ["not_null", "non_negative"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of the lines whose cost is known; NULL without one.", unit = "currency" }
first_time_customers = { type = "int64", doc = "Customers whose first purchase was on the day.", unit = "count", checks = ["not_null", "non_negative"] }
second_time_customers = { type = "int64", doc = "Customers whose second purchase was on the day.", unit = "count", checks = ["not_null", "non_negative"] }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with purchases as (

    select
        days.customer_id,
        days.day,
        days.orders,
        days.revenue,
        days.gross_profit,
        days.first_order_revenue,
        customers.first_purchase_on = days.day as is_first,
        customers.second_purchase_on = days.day as is_second
    from customer_days as days
    inner join customer_months as customers on customers.customer_id = days.customer_id
    where days.orders > 0 and days.day <= $period_end

)

select
    day,
    sum(orders) as orders,
    sum(revenue) as revenue,
    sum(revenue - case when is_first then first_order_revenue else 0 end) as repeat_revenue,
    sum(gross_profit) as gross_profit,
    count(*) filter (where is_first) as first_time_customers,
    count(*) filter (where is_second) as second_time_customers
from purchases
group by day
order by day
