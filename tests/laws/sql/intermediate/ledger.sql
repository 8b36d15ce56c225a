/*---
description = "One row per customer and business day with a purchase."
grain = ["customer_id", "day"]
partition = "month"
[columns]
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases.", checks = ["positive"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue.", unit = "currency" }
---*/
select customer_id, day, count(*) as orders, sum(net_amount) as revenue
from stg_orders
where is_purchase and day <= $period_end
group by customer_id, day
order by customer_id, day
