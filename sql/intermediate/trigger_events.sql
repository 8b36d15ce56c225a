/*---
description = "One row per event of the month from which a rule of trigger_rules.csv may count its days: tickets resolved, quotes and demonstrations."
grain = ["event_id"]
partition = "month"

[columns]
event_id = { type = "text", doc = "The event.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
kind = { type = "text", doc = "What happened.", one_of = ["ticket_resolved", "quote", "demo"], checks = ["not_null"] }
occurred_at = { type = "timestamp", doc = "When, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of occurred_at.", checks = ["not_null"] }
subject_id = { type = "text", doc = "The ticket, or what else it is about." }
is_answered = { type = "boolean", doc = "Whether the person answered later in the same month: message_replied, message_clicked, login, call_in or ticket_opened.", checks = ["not_null"] }
watched_until = { type = "date", doc = "Last day on which is_answered looks for an answer: the month's last, or the as-of date in the open month.", checks = ["not_null"] }
---*/
with events as (

    select event_id, customer_id, kind, occurred_at, day, subject_id
    from stg_interactions
    where
        day <= $period_end
        and kind in (
            'ticket_resolved', 'quote', 'demo', 'message_replied', 'message_clicked', 'login', 'call_in', 'ticket_opened'
        )

),

triggers as (

    select * from events where kind in ('ticket_resolved', 'quote', 'demo')

),

answers as (

    select customer_id, occurred_at from events where kind not in ('ticket_resolved', 'quote', 'demo')

),

answered as (

    select distinct triggers.event_id
    from triggers
    inner join answers on answers.customer_id = triggers.customer_id
    where answers.occurred_at > triggers.occurred_at

)

select
    triggers.event_id,
    triggers.customer_id,
    triggers.kind,
    triggers.occurred_at,
    triggers.day,
    triggers.subject_id,
    answered.event_id is not null as is_answered,
    $period_end as watched_until
from triggers
left join answered on answered.event_id = triggers.event_id
order by triggers.event_id
