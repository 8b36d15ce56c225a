/*---
description = "A fold: per campaign that is not long over and customer whom it reached, kept back or brought an order: when each thing first happened, by the month's end (or the as-of date). Of a campaign that is over, only customers who still do something with it."
grain = ["campaign_id", "customer_id"]
partition = "month"

[columns]
campaign_id = { type = "text", doc = "The campaign. It is over when it reached nobody and brought no order for campaign_idle_days and its outcome window has passed; should it start again, it counts its customers anew.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer or lead. Of a campaign that is over, left out after doing nothing with it for campaign_idle_days.", checks = ["not_null"] }
first_seen_on = { type = "date", doc = "Day of the first event or attributed order.", checks = ["not_null"] }
last_seen_on = { type = "date", doc = "Day of the latest event or attributed order.", checks = ["not_null"] }
last_reached_on = { type = "date", doc = "Latest day with message_sent, message_delivered or holdout_assigned." }
sent_on = { type = "date", doc = "First day with message_sent." }
delivered_on = { type = "date", doc = "First day with message_delivered." }
opened_on = { type = "date", doc = "First day with message_opened." }
clicked_on = { type = "date", doc = "First day with message_clicked." }
held_out_on = { type = "date", doc = "First day with holdout_assigned." }
converted_on = { type = "date", doc = "Day of the first attributed order." }
last_ordered_on = { type = "date", doc = "Day of the latest attributed order." }
stays_until = { type = "date", doc = "Last day of the campaign's outcome window, up to which nobody is left out, so that who is kept back early is there when it begins; may lie after the month. NULL without a start." }

[checks]
no_future_days = """
select * from this
where
    greatest(
        first_seen_on, last_seen_on, last_reached_on, sent_on, delivered_on, opened_on, clicked_on, held_out_on, converted_on,
        last_ordered_on
    ) > $period_end"""
nothing_before_it_is_seen = """
select * from this
where
    least(last_seen_on, last_reached_on, sent_on, delivered_on, opened_on, clicked_on, held_out_on, converted_on, last_ordered_on)
    < first_seen_on"""
nobody_is_lost = """
select campaign_id, customer_id from campaign_events
union
select campaign_id, customer_id from attributed_orders
except
select campaign_id, customer_id from this"""
---*/
with before as (

    select * from campaign_contacts

),

campaigns as (

    select campaign_id, window_ends_on as stays_until from month_campaigns

),

events as (

    select campaign_id, customer_id, kind, day from campaign_events
    union all
    select campaign_id, customer_id, 'order' as kind, day from attributed_orders

),

month as (

    select
        campaign_id,
        customer_id,
        min(day) as first_seen_on,
        max(day) as last_seen_on,
        max(day) filter (where kind in ('message_sent', 'message_delivered', 'holdout_assigned')) as last_reached_on,
        min(day) filter (where kind = 'message_sent') as sent_on,
        min(day) filter (where kind = 'message_delivered') as delivered_on,
        min(day) filter (where kind = 'message_opened') as opened_on,
        min(day) filter (where kind = 'message_clicked') as clicked_on,
        min(day) filter (where kind = 'holdout_assigned') as held_out_on,
        min(day) filter (where kind = 'order') as converted_on,
        max(day) filter (where kind = 'order') as last_ordered_on
    from events
    group by campaign_id, customer_id

),

dated as (

    select month.*, campaigns.stays_until
    from campaigns
    right join month on month.campaign_id = campaigns.campaign_id

),

-- What keeps a campaign going. An opening, a click or a reply keeps only whoever made it (see kept): mail programs open for
-- years, and each opening would keep all whom the campaign ever reached. Who opens what nothing says was sent was reached, too.
uses as (

    select
        campaign_id,
        coalesce(greatest(last_reached_on, last_ordered_on), first_seen_on) as used_on,
        stays_until
    from before
    union all
    select
        campaign_id,
        greatest(last_reached_on, last_ordered_on) as used_on,
        cast(null as date) as stays_until
    from month
    union all
    select
        campaign_id,
        cast(null as date) as used_on,
        stays_until
    from campaigns

),

-- Names of their own: DataFusion 55 pushes filters into joins by the columns' names.
campaign_uses as (

    select
        campaign_id,
        max(used_on) as campaign_used_on,
        max(stays_until) as campaign_stays_until
    from uses
    group by campaign_id

),

-- A window that has yet to begin keeps those who were assigned early: month_campaigns doesn't know their campaign any more.
kept as (

    select before.*
    from campaign_uses
    inner join before on before.campaign_id = campaign_uses.campaign_id
    where
        campaign_uses.campaign_used_on >= $period_start - cast($campaign_idle_days as int)
        or campaign_uses.campaign_stays_until >= $period_start
        or before.last_seen_on >= $period_start - cast($campaign_idle_days as int)

)

select
    coalesce(dated.campaign_id, kept.campaign_id) as campaign_id,
    coalesce(dated.customer_id, kept.customer_id) as customer_id,
    coalesce(kept.first_seen_on, dated.first_seen_on) as first_seen_on,
    coalesce(dated.last_seen_on, kept.last_seen_on) as last_seen_on,
    coalesce(dated.last_reached_on, kept.last_reached_on) as last_reached_on,
    coalesce(kept.sent_on, dated.sent_on) as sent_on,
    coalesce(kept.delivered_on, dated.delivered_on) as delivered_on,
    coalesce(kept.opened_on, dated.opened_on) as opened_on,
    coalesce(kept.clicked_on, dated.clicked_on) as clicked_on,
    coalesce(kept.held_out_on, dated.held_out_on) as held_out_on,
    coalesce(kept.converted_on, dated.converted_on) as converted_on,
    coalesce(dated.last_ordered_on, kept.last_ordered_on) as last_ordered_on,
    coalesce(dated.stays_until, kept.stays_until) as stays_until
from kept
full join dated on dated.campaign_id = kept.campaign_id and dated.customer_id = kept.customer_id
order by campaign_id, customer_id
