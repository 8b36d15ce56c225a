/*---
description = "One row per redemption that became reward_days old in the month: what the customer did in the reward_days before and after it."
grain = ["event_id"]
partition = "month"

[reads]
reward_events = { last = "$reward_days" }
customer_days = { last = "$reward_days" }

[columns]
event_id = { type = "text", doc = "The redemption.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of the redemption.", checks = ["not_null"] }
reward_type = { type = "text", doc = "What was redeemed.", checks = ["not_null"] }
cost = { type = "decimal(18,4)", doc = "What it costs us; NULL when unknown.", unit = "currency" }
visits_before = { type = "int64", doc = "Days with a purchase or own activity in the reward_days before.", unit = "days", checks = ["not_null", "non_negative"] }
visits_after = { type = "int64", doc = "The same of the reward_days after.", unit = "days", checks = ["not_null", "non_negative"] }
orders_after = { type = "int64", doc = "Purchases in the reward_days after.", unit = "count", checks = ["not_null", "non_negative"] }
spend_before = { type = "decimal(28,4)", doc = "Net revenue in the reward_days before.", unit = "currency", checks = ["not_null", "non_negative"] }
spend_after = { type = "decimal(28,4)", doc = "Net revenue in the reward_days after.", unit = "currency", checks = ["not_null", "non_negative"] }

[checks]
every_one_is_old_enough = """
select * from this
where day + cast($reward_days as int) > $period_end or day + cast($reward_days as int) < $period_start or visits_after > $reward_days"""
---*/
with redemptions as (

    select *
    from reward_events
    where
        kind = 'reward_redeemed'
        and day + cast($reward_days as int) >= $period_start
        and day + cast($reward_days as int) <= $period_end

),

visits as (

    select customer_id, day, orders, revenue
    from customer_days
    where day <= $period_end and (orders > 0 or activities > 0)

),

after as (

    select
        redemptions.event_id,
        count(*) as visits,
        sum(visits.orders) as orders,
        sum(visits.revenue) as revenue
    from redemptions
    inner join visits on visits.customer_id = redemptions.customer_id
    where visits.day > redemptions.day and visits.day <= redemptions.day + cast($reward_days as int)
    group by redemptions.event_id

)

select
    redemptions.event_id,
    redemptions.customer_id,
    redemptions.day,
    redemptions.reward_type,
    redemptions.cost,
    redemptions.visits_before,
    coalesce(after.visits, 0) as visits_after,
    coalesce(after.orders, 0) as orders_after,
    redemptions.spend_before,
    coalesce(after.revenue, 0) as spend_after
from redemptions
left join after on after.event_id = redemptions.event_id
order by redemptions.event_id
