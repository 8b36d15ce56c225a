/*---
description = "One row per customer: everything up to the month's end."
grain = ["customer_id"]
partition = "month"
[reads]
ledger = { until = "as_of" }
[columns]
customer_id = { type = "text", doc = "The customer." }
orders = { type = "int64", doc = "Purchases to date." }
revenue = { type = "decimal(28,4)", doc = "Net revenue to date.", unit = "currency" }
---*/
with both as (

    select customer_id, orders, revenue from state
    union all
    select customer_id, orders, revenue from ledger

)

select customer_id, sum(orders) as orders, sum(revenue) as revenue
from both
group by customer_id
order by customer_id
