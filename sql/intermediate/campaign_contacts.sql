/*---
description = "A fold: per campaign that is not long over and customer whom it reached, kept back or brought an order: when each thing first happened, by the month's end (or the as-of date)."
grain = ["campaign_id", "customer_id"]
partition = "month"

[columns]
campaign_id = { type = "text", doc = "The campaign. It is left out when it reached nobody for campaign_idle_days and its outcome window is over; should it start again, it counts its customers anew.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
first_seen_on = { type = "date", doc = "Day of the first event or attributed order.", checks = ["not_null"] }
last_reached_on = { type = "date", doc = "Latest day with message_sent, message_delivered or holdout_assigned." }
sent_on = { type = "date", doc = "First day with message_sent." }
delivered_on = { type = "date", doc = "First day with message_delivered." }
opened_on = { type = "date", doc = "First day with message_opened." }
clicked_on = { type = "date", doc = "First day with message_clicked." }
held_out_on = { type = "date", doc = "First day with holdout_assigned." }
converted_on = { type = "date", doc = "Day of the first attributed order." }

[checks]
no_future_days = """
select * from this
where greatest(first_seen_on, last_reached_on, sent_on, delivered_on, opened_on, clicked_on, held_out_on, converted_on) > $period_end"""
nothing_before_it_is_seen = """
select * from this
where least(last_reached_on, sent_on, delivered_on, opened_on, clicked_on, held_out_on, converted_on) < first_seen_on"""
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
        max(day) filter (where kind in ('message_sent', 'message_delivered', 'holdout_assigned')) as last_reached_on,
        min(day) filter (where kind = 'message_sent') as sent_on,
        min(day) filter (where kind = 'message_delivered') as delivered_on,
        min(day) filter (where kind = 'message_opened') as opened_on,
        min(day) filter (where kind = 'message_clicked') as clicked_on,
        min(day) filter (where kind = 'holdout_assigned') as held_out_on,
        min(day) filter (where kind = 'order') as converted_on
    from events
    group by campaign_id, customer_id

),

-- An opening now and then keeps no campaign alive.
last_reached as (

    select campaign_id, max(coalesce(last_reached_on, first_seen_on)) as day
    from before
    group by campaign_id
    union all
    select campaign_id, max(last_reached_on) as day
    from month
    group by campaign_id

),

alive as (

    select campaign_id from last_reached where day >= $period_start - cast($campaign_idle_days as int)
    union
    select campaign_id from month_campaigns where window_ends_on >= $period_start

),

kept as (

    select before.*
    from alive
    inner join before on before.campaign_id = alive.campaign_id

)

select
    coalesce(month.campaign_id, kept.campaign_id) as campaign_id,
    coalesce(month.customer_id, kept.customer_id) as customer_id,
    coalesce(kept.first_seen_on, month.first_seen_on) as first_seen_on,
    coalesce(month.last_reached_on, kept.last_reached_on) as last_reached_on,
    coalesce(kept.sent_on, month.sent_on) as sent_on,
    coalesce(kept.delivered_on, month.delivered_on) as delivered_on,
    coalesce(kept.opened_on, month.opened_on) as opened_on,
    coalesce(kept.clicked_on, month.clicked_on) as clicked_on,
    coalesce(kept.held_out_on, month.held_out_on) as held_out_on,
    coalesce(kept.converted_on, month.converted_on) as converted_on
from kept
full join month on month.campaign_id = kept.campaign_id and month.customer_id = kept.customer_id
order by campaign_id, customer_id
