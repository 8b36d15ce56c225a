/*---
description = "One row per referral."
grain = ["event_id"]
partition = "month"

[columns]
event_id = { type = "text", doc = "The referral.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who referred.", checks = ["not_null"] }
referred_customer_id = { type = "text", doc = "Whom; NULL where the source doesn't say, and for whoever referred himself." }
occurred_at = { type = "timestamp", doc = "When, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of occurred_at.", checks = ["not_null"] }
is_satisfied = { type = "boolean", doc = "Whether whoever referred was satisfied, as of the month's end: gave 9 or more in the latest NPS survey not older than nps_days, or without such an answer 4 or more in the latest CSAT survey not older than that. NULL without either." }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with referrals as (

    select event_id, customer_id, nullif(referred_customer_id, customer_id) as referred_customer_id, occurred_at, day
    from stg_interactions
    where kind = 'referral' and day <= $period_end

),

people as (

    select
        customer_id,
        coalesce(
            case when $period_end - nps_on <= $nps_days then nps_score >= 9 end,
            case when $period_end - csat_on <= $nps_days then csat_score >= 4 end
        ) as is_satisfied
    from customer_months

)

select
    referrals.event_id,
    referrals.customer_id,
    referrals.referred_customer_id,
    referrals.occurred_at,
    referrals.day,
    people.is_satisfied
from referrals
left join people on people.customer_id = referrals.customer_id
order by event_id
