/*---
description = "One row per person, message and business day on which something happened to the message."
grain = ["customer_id", "message_id", "day"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
message_id = { type = "text", doc = "The message; events without one are left out.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
is_sent = { type = "boolean", doc = "It was sent that day.", checks = ["not_null"] }
is_delivered = { type = "boolean", doc = "It was delivered that day.", checks = ["not_null"] }
is_engaged = { type = "boolean", doc = "It was opened, clicked or answered that day.", checks = ["not_null"] }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with events as (

    select customer_id, message_id, day, kind
    from stg_interactions
    where
        kind in ('message_sent', 'message_delivered', 'message_opened', 'message_clicked', 'message_replied')
        and message_id is not null
        and day <= $period_end

)

select
    customer_id,
    message_id,
    day,
    bool_or(kind = 'message_sent') as is_sent,
    bool_or(kind = 'message_delivered') as is_delivered,
    bool_or(kind in ('message_opened', 'message_clicked', 'message_replied')) as is_engaged
from events
group by customer_id, message_id, day
order by customer_id, message_id, day
