/*---
description = "One row per product and month: what its lines come to."
grain = ["product_id"]
partition = "month"
[columns]
product_id = { type = "text", doc = "The product." }
lines = { type = "int64", doc = "Order lines.", checks = ["positive"] }
amount = { type = "decimal(28,4)", doc = "Their sum.", unit = "currency" }
---*/
select product_id, count(*) as lines, sum(line_amount) as amount
from stg_order_items
where day <= $period_end
group by product_id
order by product_id
