/*---
description = "Lists of this shop's own: big_spenders, who have spent 500 or more to date."
grain = ["list", "customer_id"]
partition = "month"

[columns]
list = { type = "text", doc = "The list's code.", checks = ["not_null"] }
customer_id = { type = "text", doc = "A customer in it at the month's end, or on the as-of date in the open month.", checks = ["not_null"] }
---*/
with customers as (

    select customer_id, revenue from customer_months where first_purchase_on is not null

)

select 'big_spenders' as list, customer_id
from customers
where revenue >= 500
order by list, customer_id
