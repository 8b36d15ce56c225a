/*---
description = "One row per support ticket and month in which something happened to it: openings, first reply, last resolution."
grain = ["ticket_id"]
partition = "month"

[reads]
ranking_by_month = { last = "1 day" }

[columns]
ticket_id = { type = "text", doc = "The ticket: subject_id of its interactions. Ticket events without one are not here, as nothing could tell what became of them.", checks = ["not_null"] }
first_opened_at = { type = "timestamp", doc = "Moment of the month's first opening, UTC; NULL when it wasn't opened this month." }
first_opened_on = { type = "date", doc = "Business day of first_opened_at." }
first_opened_hour = { type = "int32", doc = "Local hour of first_opened_at, 0 to 23." }
last_opened_at = { type = "timestamp", doc = "Moment of the month's last opening, UTC." }
first_replied_at = { type = "timestamp", doc = "Moment of our first reply of the month, UTC." }
last_resolved_at = { type = "timestamp", doc = "Moment of the month's last resolution, UTC." }
class = { type = "text", doc = "Ranking class, at the end of the month before, of whoever opened it first this month; NULL for whoever had none." }

[checks]
no_future_days = "select * from this where first_opened_on > $period_end"
---*/
with events as (

    select event_id, subject_id as ticket_id, customer_id, kind, occurred_at, day, hour
    from stg_interactions
    where kind in ('ticket_opened', 'ticket_replied', 'ticket_resolved') and subject_id is not null and day <= $period_end

),

tickets as (

    select
        ticket_id,
        first_value(customer_id order by occurred_at, event_id) filter (where kind = 'ticket_opened') as customer_id,
        min(occurred_at) filter (where kind = 'ticket_opened') as first_opened_at,
        min(day) filter (where kind = 'ticket_opened') as first_opened_on,
        first_value(hour order by occurred_at, event_id) filter (where kind = 'ticket_opened') as first_opened_hour,
        max(occurred_at) filter (where kind = 'ticket_opened') as last_opened_at,
        min(occurred_at) filter (where kind = 'ticket_replied') as first_replied_at,
        max(occurred_at) filter (where kind = 'ticket_resolved') as last_resolved_at
    from events
    group by ticket_id

),

classes as (

    select customer_id, class from ranking_by_month where month_start < $period_start

)

select
    tickets.ticket_id,
    tickets.first_opened_at,
    tickets.first_opened_on,
    tickets.first_opened_hour,
    tickets.last_opened_at,
    tickets.first_replied_at,
    tickets.last_resolved_at,
    classes.class
from classes
right join tickets on tickets.customer_id = classes.customer_id
order by ticket_id
