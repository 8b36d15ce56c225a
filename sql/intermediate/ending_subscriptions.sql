/*---
description = "One row per customer with a subscription that began by the month's end, or by the as-of date in the open month: the part of the subscriptions that the month's signs of churn need, so that a change elsewhere changes nothing here."
grain = ["customer_id"]
partition = "month"

[reads]
stg_subscriptions = "reference"

[columns]
customer_id = { type = "text", doc = "The subscriber.", checks = ["not_null"] }
is_ending = { type = "boolean", doc = "Whether one that is live then ends within ending_days and none of the same customer's is live on the day after its end.", checks = ["not_null"] }
---*/
with subscriptions as (

    select customer_id, starts_on, ends_on
    from stg_subscriptions

),

begun as (

    select
        customer_id,
        ends_on,
        ends_on + 1 as day_after,
        coalesce(ends_on >= $period_end and ends_on <= $period_end + cast($ending_days as int), false) as ends_soon
    from subscriptions
    where starts_on <= $period_end

),

followed as (

    select distinct begun.customer_id, begun.ends_on
    from begun
    inner join subscriptions on subscriptions.customer_id = begun.customer_id
    where
        begun.ends_soon
        and subscriptions.starts_on <= begun.day_after
        and (subscriptions.ends_on is null or subscriptions.ends_on >= begun.day_after)

)

select
    begun.customer_id,
    bool_or(begun.ends_soon and followed.customer_id is null) as is_ending
from begun
left join followed on followed.customer_id = begun.customer_id and followed.ends_on = begun.ends_on
group by begun.customer_id
order by begun.customer_id
