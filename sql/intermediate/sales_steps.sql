/*---
description = "One row per demonstration and quote."
grain = ["event_id"]
partition = "month"

[columns]
event_id = { type = "text", doc = "The interaction.", checks = ["not_null"] }
customer_id = { type = "text", doc = "To whom.", checks = ["not_null"] }
kind = { type = "text", doc = "demo or quote.", one_of = ["demo", "quote"], checks = ["not_null"] }
occurred_at = { type = "timestamp", doc = "When, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of occurred_at.", checks = ["not_null"] }
value = { type = "decimal(18,4)", doc = "A quote's sum; NULL where the source doesn't say.", unit = "currency" }
is_customer = { type = "boolean", doc = "Whether they had bought on an earlier day.", checks = ["not_null"] }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with steps as (

    select event_id, customer_id, kind, occurred_at, day, value
    from stg_interactions
    where kind in ('demo', 'quote') and day <= $period_end

),

customers as (

    select customer_id, first_purchase_on from customer_months where first_purchase_on is not null

)

select
    steps.event_id,
    steps.customer_id,
    steps.kind,
    steps.occurred_at,
    steps.day,
    steps.value,
    coalesce(customers.first_purchase_on < steps.day, false) as is_customer
from steps
left join customers on customers.customer_id = steps.customer_id
order by event_id
