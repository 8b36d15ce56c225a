/*---
description = "The fold: one row per person whom we ever called or sent a quote, with the last day of that as of the month's end, or as of the as-of date in the open month."
grain = ["customer_id"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
last_call_on = { type = "date", doc = "Last business day with a call by us or a quote.", checks = ["not_null"] }

[checks]
no_future_days = "select * from this where last_call_on > $period_end"
nobody_is_lost = "select customer_id from last_calls except select customer_id from this"
---*/
with before as (

    select * from last_calls

),

month as (

    select customer_id, max(day) as last_call_on
    from customer_days
    where day <= $period_end and (calls_out > 0 or quotes > 0)
    group by customer_id

)

select
    coalesce(month.customer_id, before.customer_id) as customer_id,
    coalesce(month.last_call_on, before.last_call_on) as last_call_on
from before
full join month on month.customer_id = before.customer_id
order by customer_id
