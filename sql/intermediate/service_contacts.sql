/*---
description = "One row per support ticket opened and per call made in the month: what a survey can be about."
grain = ["contact_id", "about"]
partition = "month"

[columns]
contact_id = { type = "text", doc = "What the survey's subject_id names: the ticket's subject_id, or the call's event_id.", checks = ["not_null"] }
about = { type = "text", doc = "ticket or call.", one_of = ["ticket", "call"], checks = ["not_null"] }
---*/
with events as (

    select event_id, kind, subject_id
    from stg_interactions
    where kind in ('ticket_opened', 'call_in', 'call_out') and day <= $period_end

),

contacts as (

    select subject_id as contact_id, 'ticket' as about
    from events
    where kind = 'ticket_opened' and subject_id is not null
    union all
    select event_id as contact_id, 'call' as about
    from events
    where kind <> 'ticket_opened'

)

select distinct contact_id, about
from contacts
order by contact_id, about
