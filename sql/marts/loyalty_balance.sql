/*---
description = "One row per person with loyalty points or rewards: what was earned, spent and is left as of the as-of date, beside the person's class."
grain = ["customer_id"]
features = ["F077", "F079"]

[reads]
customer_months = "latest"
ranking_by_month = "latest"

[columns]
customer_id = { type = "text", doc = "The customer, or a lead with points.", checks = ["not_null"] }
points_earned = { type = "decimal(28,4)", doc = "Points of points_earned to date; NULL for all while the data hold no points.", unit = "points" }
points_spent = { type = "decimal(28,4)", doc = "Points of points_spent to date.", unit = "points" }
points_balance = { type = "decimal(28,4)", doc = "points_earned minus points_spent. Below 0 where points were earned before the data begin.", unit = "points" }
rewards_granted = { type = "int64", doc = "Rewards granted to date; NULL for all while the data hold none.", unit = "count", checks = ["non_negative"] }
rewards_redeemed = { type = "int64", doc = "Rewards redeemed to date; NULL for all while the data hold none.", unit = "count", checks = ["non_negative"] }
is_active = { type = "boolean", doc = "Whether the customer bought or was active in the active_days up to the as-of date; NULL for a lead." }
last_activity_on = { type = "date", doc = "Latest purchase or activity." }
tier = { type = "text", doc = "The customer's class (customer_ranking); NULL for a lead." }
tier_en = { type = "text", doc = "tier in English." }
tier_fa = { type = "text", doc = "tier in Persian." }

[checks]
balances_add_up = "select customer_id from this where points_balance <> points_earned - points_spent"

[warnings]
spent_more_than_earned = """
select customer_id, points_earned, points_spent
from this
where points_balance < 0
order by customer_id"""
---*/
with people as (

    select
        customer_id,
        first_purchase_on,
        greatest(last_purchase_on, last_own_activity_on) as last_activity_on,
        points_earned,
        points_spent,
        rewards_granted,
        rewards_redeemed
    from customer_months
    where points_earned <> 0 or points_spent <> 0 or rewards_granted > 0 or rewards_redeemed > 0

),

-- A kind that nobody ever made is a missing source.
known as (

    select
        count(*) filter (where points_earned <> 0 or points_spent <> 0) > 0 as points,
        count(*) filter (where rewards_granted > 0) > 0 as grants,
        count(*) filter (where rewards_redeemed > 0) > 0 as redemptions
    from people

),

classes as (

    select ranking.customer_id, ranking.class, labels.label_en, labels.label_fa
    from ranking_by_month as ranking
    left join labels on labels.code = ranking.class and labels."group" = 'class'

)

select
    people.customer_id,
    case when known.points then people.points_earned end as points_earned,
    case when known.points then people.points_spent end as points_spent,
    case when known.points then people.points_earned - people.points_spent end as points_balance,
    case when known.grants then people.rewards_granted end as rewards_granted,
    case when known.redemptions then people.rewards_redeemed end as rewards_redeemed,
    case
        when people.first_purchase_on is not null then people.last_activity_on > $as_of - cast($active_days as int)
    end as is_active,
    people.last_activity_on,
    classes.class as tier,
    coalesce(classes.label_en, classes.class) as tier_en,
    coalesce(classes.label_fa, classes.class) as tier_fa
from people
left join classes on classes.customer_id = people.customer_id
cross join known
order by people.customer_id
