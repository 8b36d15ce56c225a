/*---
description = "One row per campaign that the month needs: one with events or declared orders in it, or whose outcome window overlaps it. So a new campaign changes no month before its start."
grain = ["campaign_id"]
partition = "month"

[reads]
stg_campaigns = "reference"

[columns]
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
channel = { type = "text", doc = "Channel of the campaign." }
starts_on = { type = "date", doc = "Its first day." }
window_ends_on = { type = "date", doc = "Last day of its outcome window: effect_days from starts_on." }
---*/
with mentioned as (

    -- A name of its own: DataFusion 55 pushes the filter below into the join by the columns' names.
    select campaign_id as mentioned_id from campaign_events
    union
    select campaign_id as mentioned_id from stg_orders where campaign_id is not null

),

campaigns as (

    select campaign_id, channel, starts_on, starts_on + cast($effect_days as int) - 1 as window_ends_on from stg_campaigns

)

select campaigns.campaign_id, campaigns.channel, campaigns.starts_on, campaigns.window_ends_on
from campaigns
left join mentioned on mentioned.mentioned_id = campaigns.campaign_id
where
    mentioned.mentioned_id is not null
    or (campaigns.starts_on <= $period_end and campaigns.window_ends_on >= $period_start)
order by campaigns.campaign_id
