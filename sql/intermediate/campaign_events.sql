/*---
description = "One row per message event (sent, delivered, opened, clicked, replied) and holdout assignment of a campaign, up to the as-of date."
grain = ["event_id"]
partition = "month"

[columns]
event_id = { type = "text", doc = "The event.", checks = ["not_null"] }
campaign_id = { type = "text", doc = "Its campaign: the event's own, else that of another event of the same message in this month or the one before.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
kind = { type = "text", doc = "What happened.", one_of = ["message_sent", "message_delivered", "message_opened", "message_clicked", "message_replied", "holdout_assigned"], checks = ["not_null"] }
channel = { type = "text", doc = "Channel of the event, else of the message." }
message_id = { type = "text", doc = "The message." }
occurred_at = { type = "timestamp", doc = "Moment of the event, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of occurred_at.", checks = ["not_null"] }
hour = { type = "int32", doc = "Local hour of occurred_at.", unit = "hour 0-23", checks = ["not_null"] }

[checks]
no_future_days = "select * from this where day > $period_end"
no_campaign_event_is_lost = """
select event_id from stg_interactions
where
    kind in ('message_sent', 'message_delivered', 'message_opened', 'message_clicked', 'message_replied', 'holdout_assigned')
    and campaign_id is not null
    and day <= $period_end
except
select event_id from this"""
---*/
with before as (

    select message_id, campaign_id, channel from campaign_events where message_id is not null

),

events as (

    select event_id, campaign_id, customer_id, kind, channel, message_id, occurred_at, day, hour
    from stg_interactions
    where
        kind in ('message_sent', 'message_delivered', 'message_opened', 'message_clicked', 'message_replied', 'holdout_assigned')
        and (campaign_id is not null or message_id is not null)
        and day <= $period_end

),

-- Mail programs and SMS gateways often report no more than the message.
incomplete as (

    select distinct message_id
    from events
    where message_id is not null and (campaign_id is null or channel is null)

),

messages as (

    select message_id, campaign_id, channel from before
    union all
    select message_id, campaign_id, channel from events

),

-- Names of their own: DataFusion 55 pushes the filter below into the join by the columns' names.
found as (

    select messages.message_id, min(messages.campaign_id) as found_campaign_id, min(messages.channel) as found_channel
    from incomplete
    inner join messages on messages.message_id = incomplete.message_id
    group by messages.message_id

),

completed as (

    select
        events.event_id,
        coalesce(events.campaign_id, found.found_campaign_id) as campaign_id,
        events.customer_id,
        events.kind,
        coalesce(events.channel, found.found_channel) as channel,
        events.message_id,
        events.occurred_at,
        events.day,
        events.hour
    from found
    right join events on events.message_id = found.message_id

)

select * from completed
where campaign_id is not null
order by event_id
