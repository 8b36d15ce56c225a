/*---
description = "One row per person and channel that was subscribed or unsubscribed in the month: how it stood after the month's last change."
grain = ["customer_id", "channel"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
channel = { type = "text", doc = "The channel; all where the event names none, which then holds for every channel.", checks = ["not_null"] }
changed_at = { type = "timestamp", doc = "Moment of the month's last change, UTC.", checks = ["not_null"] }
event_id = { type = "text", doc = "Its event: the greatest id among those of one moment.", checks = ["not_null"] }
is_subscribed = { type = "boolean", doc = "Whether that change was a subscription.", checks = ["not_null"] }
---*/
with changes as (

    select customer_id, coalesce(channel, 'all') as channel, occurred_at, event_id, kind = 'subscribed' as is_subscribed
    from stg_interactions
    where kind in ('subscribed', 'unsubscribed') and day <= $period_end

)

select
    customer_id,
    channel,
    max(occurred_at) as changed_at,
    first_value(event_id order by occurred_at desc, event_id desc) as event_id,
    first_value(is_subscribed order by occurred_at desc, event_id desc) as is_subscribed
from changes
group by customer_id, channel
order by customer_id, channel
