/*---
description = "When and where people react to our messages: one row per person, business day, local hour and channel with an opening, click or answer."
grain = ["customer_id", "day", "hour", "channel"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
hour = { type = "int32", doc = "Local hour, 0 to 23.", unit = "hour" }
channel = { type = "text", doc = "Channel of the message; NULL when the source does not say." }
reads = { type = "int64", doc = "Openings and clicks.", unit = "count", checks = ["not_null", "non_negative"] }
answers = { type = "int64", doc = "Openings, clicks and answers.", unit = "count", checks = ["not_null", "positive"] }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with responses as (

    select customer_id, day, hour, channel, kind
    from stg_interactions
    where kind in ('message_opened', 'message_clicked', 'message_replied') and day <= $period_end

)

select
    customer_id,
    day,
    hour,
    channel,
    count(*) filter (where kind <> 'message_replied') as reads,
    count(*) as answers
from responses
group by customer_id, day, hour, channel
order by customer_id, day, hour, channel
