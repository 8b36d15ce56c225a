/*---
description = "One row per type of reward: how often it was granted and redeemed, what it cost, and what the customers did in the reward_days after against before."
grain = ["reward_type"]
features = ["F078", "F080"]

[columns]
reward_type = { type = "text", doc = "Type of the reward: the topic of its events, else their subject; unknown without either.", checks = ["not_null"] }
granted = { type = "int64", doc = "Rewards granted; NULL for all while the data hold none.", unit = "count", checks = ["non_negative"] }
redeemed = { type = "int64", doc = "Rewards redeemed; NULL for all while the data hold none.", unit = "count", checks = ["non_negative"] }
redeem_rate = { type = "float64", doc = "redeemed / granted. Above 1 where rewards were granted before the data begin.", unit = "fraction", checks = ["non_negative"] }
cost = { type = "decimal(28,4)", doc = "Sum of the redemptions' values; NULL when none says one.", unit = "currency", checks = ["non_negative"] }
mature_redemptions = { type = "int64", doc = "Redemptions at least reward_days old: what the rest of the row is about.", unit = "count", checks = ["not_null", "non_negative"] }
visits_before = { type = "float64", doc = "Mean number of days with a purchase or own activity in the reward_days before a redemption; its own day is in neither half.", unit = "days", checks = ["non_negative"] }
visits_after = { type = "float64", doc = "The same of the reward_days after.", unit = "days", checks = ["non_negative"] }
visit_uplift = { type = "float64", doc = "visits_after / visits_before - 1. Observational: nobody was kept back, and who redeems has often just been unusually active, so part of any change is a return to the mean.", unit = "fraction" }
spend_before = { type = "decimal(28,4)", doc = "Mean net revenue of the reward_days before.", unit = "currency", checks = ["non_negative"] }
spend_after = { type = "decimal(28,4)", doc = "Mean net revenue of the reward_days after.", unit = "currency", checks = ["non_negative"] }
spend_uplift = { type = "float64", doc = "spend_after / spend_before - 1. Observational, as visit_uplift.", unit = "fraction" }
customers = { type = "int64", doc = "Distinct customers with a mature redemption.", unit = "count", checks = ["not_null", "non_negative"] }
customers_retained = { type = "int64", doc = "Those of them who bought in the reward_days after one.", unit = "count", checks = ["not_null", "non_negative"] }
cost_per_retained = { type = "decimal(28,4)", doc = "Cost of the mature redemptions / customers_retained.", unit = "currency", checks = ["non_negative"] }

[checks]
no_redemption_is_lost = """
select sum(mature_redemptions) from this
having coalesce(sum(mature_redemptions), 0) <> (
    select count(*) from reward_events
    where kind = 'reward_redeemed' and day <= $as_of - cast($reward_days as int)
)"""
sets_fit = "select * from this where mature_redemptions > redeemed or customers_retained > customers or customers > mature_redemptions"
---*/
with events as (

    select * from reward_events

),

outcomes as (

    select * from reward_outcomes

),

-- A kind that nobody ever made is a missing source.
known as (

    select
        count(*) filter (where kind = 'reward_granted') > 0 as grants,
        count(*) filter (where kind = 'reward_redeemed') > 0 as redemptions
    from events

),

counted as (

    select
        reward_type,
        count(*) filter (where kind = 'reward_granted') as granted,
        count(*) filter (where kind = 'reward_redeemed') as redeemed,
        sum(cost) filter (where kind = 'reward_redeemed') as cost
    from events
    group by reward_type

),

compared as (

    select
        reward_type,
        count(*) as redemptions,
        sum(visits_before) as visits_before,
        sum(visits_after) as visits_after,
        sum(spend_before) as spend_before,
        sum(spend_after) as spend_after,
        sum(cost) as cost
    from outcomes
    group by reward_type

),

customers as (

    select reward_type, customer_id, sum(orders_after) as orders_after
    from outcomes
    group by reward_type, customer_id

),

retained as (

    select
        reward_type,
        count(*) as customers,
        count(*) filter (where orders_after > 0) as customers_retained
    from customers
    group by reward_type

)

select
    counted.reward_type,
    case when known.grants then counted.granted end as granted,
    case when known.redemptions then counted.redeemed end as redeemed,
    case when known.redemptions then cast(counted.redeemed as double) / nullif(counted.granted, 0) end as redeem_rate,
    counted.cost,
    coalesce(compared.redemptions, 0) as mature_redemptions,
    cast(compared.visits_before as double) / compared.redemptions as visits_before,
    cast(compared.visits_after as double) / compared.redemptions as visits_after,
    cast(compared.visits_after as double) / nullif(compared.visits_before, 0) - 1 as visit_uplift,
    round(cast(compared.spend_before as decimal(38, 8)) / compared.redemptions, 4) as spend_before,
    round(cast(compared.spend_after as decimal(38, 8)) / compared.redemptions, 4) as spend_after,
    cast(compared.spend_after as double) / nullif(cast(compared.spend_before as double), 0) - 1 as spend_uplift,
    coalesce(retained.customers, 0) as customers,
    coalesce(retained.customers_retained, 0) as customers_retained,
    round(cast(compared.cost as decimal(38, 8)) / nullif(retained.customers_retained, 0), 4) as cost_per_retained
from counted
left join compared on compared.reward_type = counted.reward_type
left join retained on retained.reward_type = counted.reward_type
cross join known
order by counted.reward_type
