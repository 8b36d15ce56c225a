/*---
description = "One row per support ticket that was open when the month began or was opened in it: its state at the month's end, or at the as-of date in the open month."
grain = ["ticket_id"]
partition = "month"

[columns]
ticket_id = { type = "text", doc = "The ticket: subject_id of its interactions. Ticket events without one are not here, as nothing could tell whether they were resolved.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month at whose end the row holds.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who opened it.", checks = ["not_null"] }
first_opened_at = { type = "timestamp", doc = "Moment of its first opening, UTC. A ticket opened again in a later month than the one that resolved it counts as a new one.", checks = ["not_null"] }
first_opened_on = { type = "date", doc = "Business day of first_opened_at.", checks = ["not_null"] }
first_replied_at = { type = "timestamp", doc = "Moment of our first reply, UTC; NULL while unanswered. A first reply in a later month than the one that resolved the ticket is not seen." }
last_resolved_at = { type = "timestamp", doc = "Moment of the last resolution, UTC; NULL without one." }
open_since_on = { type = "date", doc = "Day of the earliest opening that no later resolution follows; NULL when resolved. A resolution at the same moment counts as later, for sources that only log days." }

[checks]
nothing_opens_in_the_future = "select * from this where first_opened_on > $period_end or open_since_on > $period_end"
nothing_opens_before_it_exists = "select * from this where open_since_on < first_opened_on"
no_open_ticket_is_lost = """
select before.ticket_id
from tickets as before
left anti join this on this.ticket_id = before.ticket_id
where before.open_since_on is not null"""
---*/
with before as (

    -- What is resolved stays behind, so that the state holds no more than the open tickets.
    select * from tickets where open_since_on is not null

),

events as (

    select subject_id as ticket_id, customer_id, kind, occurred_at, day
    from stg_interactions
    where kind in ('ticket_opened', 'ticket_replied', 'ticket_resolved') and subject_id is not null and day <= $period_end

),

month as (

    select
        ticket_id,
        first_value(customer_id order by occurred_at, customer_id) filter (where kind = 'ticket_opened') as customer_id,
        min(occurred_at) filter (where kind = 'ticket_opened') as first_opened_at,
        min(day) filter (where kind = 'ticket_opened') as first_opened_on,
        min(occurred_at) filter (where kind = 'ticket_replied') as first_replied_at,
        max(occurred_at) filter (where kind = 'ticket_resolved') as last_resolved_at
    from events
    group by ticket_id

),

reopened as (

    select events.ticket_id, min(events.day) as open_since_on
    from events
    inner join month on month.ticket_id = events.ticket_id
    where events.kind = 'ticket_opened' and coalesce(events.occurred_at > month.last_resolved_at, true)
    group by events.ticket_id

)

select
    coalesce(before.ticket_id, month.ticket_id) as ticket_id,
    $period_start as month_start,
    coalesce(before.customer_id, month.customer_id) as customer_id,
    coalesce(before.first_opened_at, month.first_opened_at) as first_opened_at,
    coalesce(before.first_opened_on, month.first_opened_on) as first_opened_on,
    coalesce(before.first_replied_at, month.first_replied_at) as first_replied_at,
    coalesce(month.last_resolved_at, before.last_resolved_at) as last_resolved_at,
    coalesce(case when month.last_resolved_at is null then before.open_since_on end, reopened.open_since_on) as open_since_on
from before
full join month on month.ticket_id = before.ticket_id
left join reopened on reopened.ticket_id = month.ticket_id
where coalesce(before.first_opened_at, month.first_opened_at) is not null
order by ticket_id
