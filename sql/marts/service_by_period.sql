/*---
description = "Support, deliveries and satisfaction: one row per grain and period from the first ticket, promise or answer to the as-of date."
grain = ["grain", "period_start"]
features = ["F012", "F048", "F091", "F093", "F094"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
tickets = { type = "int64", doc = "Tickets by the day of their first ticket_opened. Only those whose interactions name a subject_id. NULL while the data hold none.", unit = "count", checks = ["non_negative"] }
answered = { type = "int64", doc = "Those of them with a ticket_replied by the as-of date. NULL while the data hold no reply.", unit = "count", checks = ["non_negative"] }
unanswered = { type = "int64", doc = "tickets - answered.", unit = "count", checks = ["non_negative"] }
first_response_hours_p50 = { type = "float64", doc = "Median time from a ticket's first opening to its first reply, over answered tickets, interpolated linearly; a reply from before the opening took 0 hours.", unit = "hours", checks = ["non_negative"] }
first_response_hours_p90 = { type = "float64", doc = "Time within which nine tenths of the answered tickets had their first reply, interpolated linearly.", unit = "hours", checks = ["non_negative"] }
sla_due = { type = "int64", doc = "Tickets answered, or unanswered for longer than the response_hours of ranking_classes.csv by the end of the as-of date: those that tell whether the promise was kept. The class is the customer's at the end of the month before the ticket opened, else the lowest.", unit = "count", checks = ["non_negative"] }
sla_met = { type = "int64", doc = "Tickets answered within the response_hours of their class.", unit = "count", checks = ["non_negative"] }
sla_met_rate = { type = "float64", doc = "sla_met / sla_due.", unit = "fraction", checks = ["fraction"] }
resolved = { type = "int64", doc = "Tickets that stand resolved on the as-of date: no later opening follows the last ticket_resolved. NULL while the data hold no resolution.", unit = "count", checks = ["non_negative"] }
unresolved = { type = "int64", doc = "tickets - resolved.", unit = "count", checks = ["non_negative"] }
resolution_hours_p50 = { type = "float64", doc = "Median time from a resolved ticket's first opening to its last resolution, interpolated linearly.", unit = "hours", checks = ["non_negative"] }
resolution_hours_p90 = { type = "float64", doc = "Time within which nine tenths of the resolved tickets were resolved, interpolated linearly.", unit = "hours", checks = ["non_negative"] }
promised_orders = { type = "int64", doc = "Orders whose delivery was promised for a day of the period, up to the as-of date; without those cancelled or refunded before a delivery. NULL while no order says what was promised.", unit = "count", checks = ["non_negative"] }
late_orders = { type = "int64", doc = "Those of them delivered on a later day than promised, or not delivered and promised for a day before the as-of date.", unit = "count", checks = ["non_negative"] }
late_rate = { type = "float64", doc = "late_orders / promised_orders.", unit = "fraction", checks = ["fraction"] }
csat_responses = { type = "int64", doc = "Customers and leads who answered a satisfaction survey (survey_csat, 1 to 5) in the period; of each, the latest answer counts, by occurred_at and event_id. NULL while the data hold no answer.", unit = "count", checks = ["non_negative"] }
csat = { type = "float64", doc = "Share of them who gave 4 or more.", unit = "fraction", checks = ["fraction"] }
csat_mean = { type = "float64", doc = "Their mean score, 1 to 5.", unit = "score", checks = ["positive"] }
ticket_answers = { type = "int64", doc = "Survey answers of the period (NPS or CSAT) about a ticket: their subject_id names one. All answers count. NULL while the data hold no survey.", unit = "count", checks = ["non_negative"] }
ticket_csat = { type = "float64", doc = "Share of 4 or more among the CSAT answers about a ticket.", unit = "fraction", checks = ["fraction"] }
call_answers = { type = "int64", doc = "Survey answers about a call: their subject_id names the event_id of a call_in or call_out. All answers count.", unit = "count", checks = ["non_negative"] }
call_csat = { type = "float64", doc = "Share of 4 or more among the CSAT answers about a call.", unit = "fraction", checks = ["fraction"] }

[checks]
parts_fit = """
select * from this
where
    answered > tickets
    or resolved > tickets
    or sla_due > tickets
    or sla_met > least(sla_due, answered)
    or late_orders > promised_orders"""
---*/
with opened as (

    select
        ticket_id,
        min(first_opened_at) as opened_at,
        min(first_opened_on) as opened_on,
        max(last_opened_at) as last_opened_at,
        min(first_replied_at) as replied_at,
        max(last_resolved_at) as resolved_at,
        first_value(first_opened_hour order by first_opened_at) filter (where first_opened_at is not null) as opened_hour,
        first_value(class order by first_opened_at) filter (where first_opened_at is not null) as class
    from ticket_months
    group by ticket_id

),

lowest_class as (

    select first_value(response_hours order by min_points, class) as response_hours from ranking_classes

),

tickets as (

    select
        opened.opened_on,
        opened.replied_at is not null as is_answered,
        coalesce(opened.resolved_at >= opened.last_opened_at, false) as is_resolved,
        cast(coalesce(classes.response_hours, lowest_class.response_hours) as double) as hours_allowed,
        -- Whole hours to the end of the as-of date, the hour of the opening counted in full.
        cast(cast($as_of - opened.opened_on as bigint) * 24 + 24 - opened.opened_hour as double) as hours_open,
        greatest(cast(cast(opened.replied_at as bigint) - cast(opened.opened_at as bigint) as double) / 3600000000, 0)
            as response_hours,
        case
            when opened.resolved_at >= opened.last_opened_at
                then cast(cast(opened.resolved_at as bigint) - cast(opened.opened_at as bigint) as double) / 3600000000
        end as resolution_hours
    from opened
    left join ranking_classes as classes on classes.class = opened.class
    cross join lowest_class
    where opened.opened_at is not null

),

ticket_counts as (

    select
        periods.grain,
        periods.period_number,
        count(*) as tickets,
        count(*) filter (where is_answered) as answered,
        percentile_cont(0.5) within group (order by case when is_answered then response_hours end) as response_p50,
        percentile_cont(0.9) within group (order by case when is_answered then response_hours end) as response_p90,
        count(*) filter (where is_answered or hours_open > hours_allowed) as sla_due,
        count(*) filter (where is_answered and response_hours <= hours_allowed) as sla_met,
        count(*) filter (where is_resolved) as resolved,
        percentile_cont(0.5) within group (order by resolution_hours) as resolution_p50,
        percentile_cont(0.9) within group (order by resolution_hours) as resolution_p90
    from tickets
    inner join calendar_periods as periods on periods.day = tickets.opened_on
    group by periods.grain, periods.period_number

),

promises as (

    select
        promised_on,
        orders,
        coalesce(
            case when delivered_on <= $as_of then delivered_on > promised_on end,
            promised_on < $as_of
        ) as is_late
    from promised_orders
    where promised_on <= $as_of

),

promise_counts as (

    select
        periods.grain,
        periods.period_number,
        sum(promises.orders) as orders,
        sum(promises.orders) filter (where promises.is_late) as late
    from promises
    inner join calendar_periods as periods on periods.day = promises.promised_on
    group by periods.grain, periods.period_number

),

answers as (

    select event_id, customer_id, occurred_at, day, kind, score, about
    from feedback
    where kind in ('survey_csat', 'survey_nps')

),

-- One window over all answers: a million of them, one per customer, would take many times as long.
csat_neighbours as (

    select
        day,
        score,
        customer_id,
        lead(customer_id) over in_order as next_customer_id,
        lead(day) over in_order as next_answer_on
    from answers
    where kind = 'survey_csat'
    window in_order as (order by customer_id, occurred_at, event_id)

),

-- An answer counts in every period in which its customer gave no later one.
followed_csat as (

    select day, score, case when next_customer_id = customer_id then next_answer_on end as next_day
    from csat_neighbours

),

csat_counts as (

    select
        periods.grain,
        periods.period_number,
        count(*) as responses,
        count(*) filter (where answers.score >= 4) as satisfied,
        sum(cast(answers.score as decimal(18, 4))) as score
    from followed_csat as answers
    inner join calendar_periods as periods on periods.day = answers.day
    where answers.next_day is null or answers.next_day > periods.period_end
    group by periods.grain, periods.period_number

),

contact_counts as (

    select
        periods.grain,
        periods.period_number,
        count(*) filter (where about = 'ticket') as ticket_answers,
        count(*) filter (where about = 'ticket' and kind = 'survey_csat') as ticket_csat_answers,
        count(*) filter (where about = 'ticket' and kind = 'survey_csat' and score >= 4) as ticket_satisfied,
        count(*) filter (where about = 'call') as call_answers,
        count(*) filter (where about = 'call' and kind = 'survey_csat') as call_csat_answers,
        count(*) filter (where about = 'call' and kind = 'survey_csat' and score >= 4) as call_satisfied
    from answers
    inner join calendar_periods as periods on periods.day = answers.day
    group by periods.grain, periods.period_number

),

-- A kind that never occurs in the data is a missing source.
known_tickets as (

    select
        count(*) > 0 as tickets,
        coalesce(bool_or(is_answered), false) as replies,
        coalesce(bool_or(is_resolved), false) as resolutions
    from tickets

),

known_answers as (

    select count(*) > 0 as answers, count(*) filter (where kind = 'survey_csat') > 0 as csat from answers

),

known_promises as (

    select count(*) > 0 as promises from promises

),

days as (

    select min(opened_on) as day from tickets
    union all
    select min(day) as day from answers
    union all
    select min(promised_on) as day from promises

),

first_day as (

    -- A promise may be older than the calendar.
    select greatest(min(day), date '1990-01-01') as day from days having min(day) is not null

),

frame as (

    select periods.*, known_tickets.*, known_answers.*, known_promises.*
    from past_periods as periods
    inner join first_day on periods.period_end >= first_day.day
    cross join known_tickets
    cross join known_answers
    cross join known_promises

),

counted as (

    select
        frame.grain,
        frame.period_start,
        frame.period_label,
        frame.is_complete,
        case when frame.tickets then coalesce(ticket_counts.tickets, 0) end as tickets,
        case when frame.replies then coalesce(ticket_counts.answered, 0) end as answered,
        case when frame.replies then ticket_counts.response_p50 end as response_p50,
        case when frame.replies then ticket_counts.response_p90 end as response_p90,
        case when frame.replies then coalesce(ticket_counts.sla_due, 0) end as sla_due,
        case when frame.replies then coalesce(ticket_counts.sla_met, 0) end as sla_met,
        case when frame.resolutions then coalesce(ticket_counts.resolved, 0) end as resolved,
        ticket_counts.resolution_p50,
        ticket_counts.resolution_p90,
        case when frame.promises then coalesce(promise_counts.orders, 0) end as promised_orders,
        case when frame.promises then coalesce(promise_counts.late, 0) end as late_orders,
        case when frame.csat then coalesce(csat_counts.responses, 0) end as csat_responses,
        cast(csat_counts.satisfied as double) / csat_counts.responses as csat,
        cast(csat_counts.score as double) / csat_counts.responses as csat_mean,
        case when frame.answers then coalesce(contact_counts.ticket_answers, 0) end as ticket_answers,
        cast(contact_counts.ticket_satisfied as double) / nullif(contact_counts.ticket_csat_answers, 0) as ticket_csat,
        case when frame.answers then coalesce(contact_counts.call_answers, 0) end as call_answers,
        cast(contact_counts.call_satisfied as double) / nullif(contact_counts.call_csat_answers, 0) as call_csat
    from frame
    left join ticket_counts
        on ticket_counts.grain = frame.grain and ticket_counts.period_number = frame.period_number
    left join promise_counts
        on promise_counts.grain = frame.grain and promise_counts.period_number = frame.period_number
    left join csat_counts
        on csat_counts.grain = frame.grain and csat_counts.period_number = frame.period_number
    left join contact_counts
        on contact_counts.grain = frame.grain and contact_counts.period_number = frame.period_number

)

select
    grain,
    period_start,
    period_label,
    is_complete,
    tickets,
    answered,
    tickets - answered as unanswered,
    response_p50 as first_response_hours_p50,
    response_p90 as first_response_hours_p90,
    sla_due,
    sla_met,
    cast(sla_met as double) / nullif(sla_due, 0) as sla_met_rate,
    resolved,
    tickets - resolved as unresolved,
    resolution_p50 as resolution_hours_p50,
    resolution_p90 as resolution_hours_p90,
    promised_orders,
    late_orders,
    cast(late_orders as double) / nullif(promised_orders, 0) as late_rate,
    csat_responses,
    csat,
    csat_mean,
    ticket_answers,
    ticket_csat,
    call_answers,
    call_csat
from counted
order by grain, period_start
