/*---
description = "One row per touch: an event of a campaign after which an order may be its doing, by attribution_windows.csv."
grain = ["event_id"]
partition = "month"

[columns]
event_id = { type = "text", doc = "The touch.", checks = ["not_null"] }
campaign_id = { type = "text", doc = "Its campaign.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who was touched.", checks = ["not_null"] }
kind = { type = "text", doc = "What happened.", checks = ["not_null"] }
channel = { type = "text", doc = "Channel of the event, of the message or of the campaign.", checks = ["not_null"] }
message_id = { type = "text", doc = "The message." }
touched_at = { type = "timestamp", doc = "Moment of the touch, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of touched_at.", checks = ["not_null"] }
window_hours = { type = "int64", doc = "An order counts up to so many hours later.", unit = "hours", checks = ["not_null", "positive"] }
window_ends_on = { type = "date", doc = "Business day of the window's last moment if every day had 24 hours: a day off where clocks change and the window ends near midnight.", checks = ["not_null"] }
tie_order = { type = "int64", doc = "Of touches at one moment the lowest wins.", unit = "position", checks = ["not_null"] }

[checks]
windows_are_known = """
select channel, kind, window_hours from attribution_windows
where
    channel is null
    or kind is null
    or kind not in ('message_sent', 'message_delivered', 'message_opened', 'message_clicked', 'message_replied')
    or window_hours is null
    or window_hours <= 0
    or tie_order is null"""
windows_end_within_attribution_days = "select channel, kind, window_hours from attribution_windows where window_hours > 24 * $attribution_days"
windows_are_there_once = "select channel, kind from attribution_windows group by channel, kind having count(*) > 1"
---*/
with windows as (

    select
        channel,
        kind,
        cast(window_hours as bigint) as window_hours,
        cast(tie_order as bigint) as tie_order
    from attribution_windows

),

events as (

    select
        events.event_id,
        events.campaign_id,
        events.customer_id,
        events.kind,
        coalesce(events.channel, campaigns.channel) as channel,
        events.message_id,
        events.occurred_at,
        events.day,
        events.hour
    from month_campaigns as campaigns
    right join campaign_events as events on events.campaign_id = campaigns.campaign_id

)

select
    events.event_id,
    events.campaign_id,
    events.customer_id,
    events.kind,
    events.channel,
    events.message_id,
    events.occurred_at as touched_at,
    events.day,
    windows.window_hours,
    events.day + cast((events.hour + windows.window_hours) / 24 as int) as window_ends_on,
    windows.tie_order
from windows
inner join events on events.channel = windows.channel and events.kind = windows.kind
order by events.event_id
