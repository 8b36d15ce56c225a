/*---
description = "People whose first order of any status came in the month, on a day on which they bought nothing that counts: cancelled, refunded or unpaid orders before any purchase."
grain = ["customer_id"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "Who ordered.", checks = ["not_null"] }
first_order_on = { type = "date", doc = "Day of the first order.", checks = ["not_null"] }
---*/
with this_month as (

    select customer_id, min(day) as first_order_on, sum(order_rows) as order_rows
    from customer_days
    where order_rows > 0 and day <= $period_end
    group by customer_id

)

select this_month.customer_id, this_month.first_order_on
from this_month
inner join customer_months as people on people.customer_id = this_month.customer_id
where
    people.order_rows = this_month.order_rows
    and coalesce(people.first_purchase_on > this_month.first_order_on, true)
order by customer_id
