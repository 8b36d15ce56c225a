/*---
description = "One row per customer and month."
grain = ["customer_id"]
partition = "month"
[columns]
customer_id = { type = "text", doc = "The customer." }
month_start = { type = "date", doc = "First day of the month." }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the month.", unit = "currency" }
---*/
select customer_id, $period_start as month_start, sum(revenue) as revenue
from ledger
group by customer_id
order by customer_id
