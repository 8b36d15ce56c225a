/*---
description = "One row per customer whose subscription ends soon as of the month's end, or as of the as-of date in the open month, and for whoever was the first to have one by then, which tells that subscriptions are known: the part of them that the month's signs of churn need, so that a change elsewhere changes nothing here."
grain = ["customer_id"]
partition = "month"

[reads]
stg_subscriptions = "reference"

[columns]
customer_id = { type = "text", doc = "The subscriber.", checks = ["not_null"] }
is_ending = { type = "boolean", doc = "Whether one that is live then ends within ending_days and none of the same customer's is live on the day after its end; false for the first subscriber alone.", checks = ["not_null"] }
---*/
with subscriptions as (

    select customer_id, starts_on, ends_on
    from stg_subscriptions

),

ends as (

    select distinct customer_id, ends_on, ends_on + 1 as day_after
    from subscriptions
    where
        starts_on <= $period_end
        and ends_on >= $period_end
        and ends_on <= $period_end + cast($ending_days as int)

),

followed as (

    select ends.customer_id, ends.ends_on
    from ends
    inner join subscriptions on subscriptions.customer_id = ends.customer_id
    where
        subscriptions.starts_on <= ends.day_after
        and (subscriptions.ends_on is null or subscriptions.ends_on >= ends.day_after)

),

first_subscriber as (

    select customer_id
    from subscriptions
    where starts_on <= $period_end
    order by starts_on, customer_id
    limit 1

),

subscribers as (

    select ends.customer_id, true as is_ending
    from ends
    left anti join followed on followed.customer_id = ends.customer_id and followed.ends_on = ends.ends_on
    union all
    select customer_id, false as is_ending from first_subscriber

)

select customer_id, bool_or(is_ending) as is_ending
from subscribers
group by customer_id
order by customer_id
