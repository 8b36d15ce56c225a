/*---
description = "One row per customer as of the date."
grain = ["customer_id"]
[reads]
state = "latest"
[columns]
customer_id = { type = "text", doc = "The customer." }
orders = { type = "int64", doc = "Purchases to date." }
revenue = { type = "decimal(28,4)", doc = "Net revenue to date.", unit = "currency" }
[checks]
nobody_is_that_rich = "select * from this where revenue > 1000000"
---*/
select customer_id, orders, revenue from state order by customer_id
