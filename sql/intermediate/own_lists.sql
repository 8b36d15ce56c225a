/*---
description = "Lists of the project's own: none as it ships. A project that has some puts a file of this name into the folder of [models] add; they join the others in the mart segments."
grain = ["list", "customer_id"]
partition = "month"

[columns]
list = { type = "text", doc = "The list's code; its wording comes from labels.csv, group list.", checks = ["not_null"] }
customer_id = { type = "text", doc = "A customer in it at the month's end, or on the as-of date in the open month.", checks = ["not_null"] }
---*/
with customers as (

    select customer_id from customer_months where first_purchase_on is not null

)

select 'none' as list, customer_id
from customers
where false
order by list, customer_id
