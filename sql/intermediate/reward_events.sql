/*---
description = "One row per reward granted or redeemed, up to the as-of date; a redemption with what the customer did in the reward_days before it."
grain = ["event_id"]
partition = "month"

[reads]
customer_days = { last = "$reward_days" }

[columns]
event_id = { type = "text", doc = "The event.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
kind = { type = "text", doc = "Granted or redeemed.", one_of = ["reward_granted", "reward_redeemed"], checks = ["not_null"] }
reward_type = { type = "text", doc = "The event's topic, else its subject (the reward); unknown without either.", checks = ["not_null"] }
cost = { type = "decimal(18,4)", doc = "What the reward costs us: the event's value.", unit = "currency" }
visits_before = { type = "int64", doc = "Days with a purchase or own activity in the reward_days before the redemption, its own day left out; NULL for a grant.", unit = "days", checks = ["non_negative"] }
spend_before = { type = "decimal(28,4)", doc = "Net revenue of the same days.", unit = "currency", checks = ["non_negative"] }

[checks]
no_future_days = "select * from this where day > $period_end"
visits_fit = "select * from this where visits_before > $reward_days or (kind = 'reward_redeemed') <> (visits_before is not null)"
---*/
with events as (

    select
        event_id,
        customer_id,
        day,
        kind,
        coalesce(topic, subject_id, 'unknown') as reward_type,
        value as cost
    from stg_interactions
    where kind in ('reward_granted', 'reward_redeemed') and day <= $period_end

),

visits as (

    select customer_id, day, revenue
    from customer_days
    where day <= $period_end and (orders > 0 or activities > 0)

),

before as (

    select events.event_id, count(*) as visits, sum(visits.revenue) as revenue
    from events
    inner join visits on visits.customer_id = events.customer_id
    where
        events.kind = 'reward_redeemed'
        and visits.day < events.day
        and visits.day >= events.day - cast($reward_days as int)
    group by events.event_id

)

select
    events.event_id,
    events.customer_id,
    events.day,
    events.kind,
    events.reward_type,
    events.cost,
    case when events.kind = 'reward_redeemed' then coalesce(before.visits, 0) end as visits_before,
    case when events.kind = 'reward_redeemed' then coalesce(before.revenue, 0) end as spend_before
from events
left join before on before.event_id = events.event_id
order by events.event_id
