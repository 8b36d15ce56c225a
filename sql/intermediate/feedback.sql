/*---
description = "One row per piece of feedback: survey answers, comments, feature requests and reasons for leaving."
grain = ["event_id"]
partition = "month"

[reads]
service_contacts = { last = "365 days" }

[columns]
event_id = { type = "text", doc = "The interaction.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who gave it, customer or lead.", checks = ["not_null"] }
occurred_at = { type = "timestamp", doc = "When, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of occurred_at.", checks = ["not_null"] }
kind = { type = "text", doc = "Kind of feedback, by feedback_kinds.csv.", checks = ["not_null"] }
topic = { type = "text", doc = "What it is about; where the source gives no topic, the reason, lower-cased. NULL without either." }
reason = { type = "text", doc = "Reason given, lower-cased." }
score = { type = "float64", doc = "Score; a survey's answer outside its scale is no answer and not here." }
about = { type = "text", doc = "ticket or call, where the feedback's subject_id names one of the 365 days before its month, or of the month itself.", one_of = ["ticket", "call"] }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with events as (

    select
        events.event_id,
        events.customer_id,
        events.occurred_at,
        events.day,
        events.kind,
        coalesce(events.topic, lower(events.reason)) as topic,
        lower(events.reason) as reason,
        events.score,
        events.subject_id
    from stg_interactions as events
    inner join feedback_kinds as kinds on kinds.kind = events.kind
    where
        events.day <= $period_end
        and (kinds.min_score is null or (events.score >= kinds.min_score and events.score <= kinds.max_score))

),

-- Should a ticket and a call have one id, the ticket wins.
subjects as (

    select events.event_id, max(contacts.about) as about
    from events
    inner join service_contacts as contacts on contacts.contact_id = events.subject_id
    group by events.event_id

)

select
    events.event_id,
    events.customer_id,
    events.occurred_at,
    events.day,
    events.kind,
    events.topic,
    events.reason,
    events.score,
    subjects.about
from events
left join subjects on subjects.event_id = events.event_id
order by event_id
