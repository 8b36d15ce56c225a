/*---
description = "One row per customer: the last contact either way as of the as-of date, how often we wrote, when the next contact is due, and the alert that a customer has fallen silent."
grain = ["customer_id"]
along = ["customer_months"]
features = ["F071", "F073"]

[reads]
customer_months = "latest"
last_calls = "latest"
customer_days = { last = "30 days" }

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the as-of date.", checks = ["not_null"] }
last_inbound_on = { type = "date", doc = "Last day on which the customer came to us: a purchase or activity, by interaction_kinds.csv.", checks = ["not_null"] }
last_outbound_on = { type = "date", doc = "Last day on which we wrote, called or sent a quote; NULL when never. Waits for the source interactions, as everything below: NULL." }
last_message_on = { type = "date", doc = "Last day on which a message was sent; NULL when never." }
last_call_on = { type = "date", doc = "Last day with a call by us or a quote; NULL when never." }
days_silent = { type = "int64", doc = "As-of date minus last_inbound_on; NULL for all while the data hold no activity.", unit = "days", checks = ["non_negative"] }
days_since_outbound = { type = "int64", doc = "As-of date minus last_outbound_on; NULL when never.", unit = "days", checks = ["non_negative"] }
messages_7d = { type = "int64", doc = "Messages sent in the 7 days up to the as-of date; NULL for all while the data hold no message_sent.", unit = "count", checks = ["non_negative"] }
messages_30d = { type = "int64", doc = "Messages sent in the 30 days up to the as-of date; NULL as messages_7d.", unit = "count", checks = ["non_negative"] }
cap_hit = { type = "boolean", doc = "Whether messages_7d has reached max_messages_7d, so that no more may go out; NULL as messages_7d." }
next_rule = { type = "text", doc = "The rule of next_actions that goes first among the customer's rows that are not suppressed: by priority (1 first), among equals by the rule's order in trigger_rules.csv, then by due_on. NULL without one." }
next_rule_en = { type = "text", doc = "next_rule, or the task that it is, in English." }
next_rule_fa = { type = "text", doc = "The same in Persian." }
next_due_on = { type = "date", doc = "When the next contact is due: the due day of next_rule, else contact_days after last_outbound_on (after the first purchase, when we never wrote or called). A day in the past is overdue. NULL without next_rule while the data hold neither a message nor a call of ours." }
is_due = { type = "boolean", doc = "Whether next_due_on has come; NULL without one." }
alert = { type = "boolean", doc = "Whether days_silent has reached silence_days; NULL without it." }

[checks]
every_customer_once = """
select count(*) from this
having count(*) <> (select count(*) from customer_months where first_purchase_on is not null)"""
counts_agree = "select * from this where messages_7d > messages_30d or (messages_30d > 0 and last_message_on is null)"
---*/
with customers as (

    select customer_id, first_purchase_on, last_purchase_on, last_own_activity_on, last_message_sent_on
    from customer_months
    where first_purchase_on is not null

),

calls as (

    select customer_id, last_call_on from last_calls

),

-- A kind that nobody ever made is a missing source.
known as (

    select
        coalesce(sum(activities), 0) > 0 as activities,
        coalesce(sum(messages_sent), 0) > 0 as messages,
        coalesce(sum(messages_sent), 0) + coalesce(sum(calls_out), 0) + coalesce(sum(quotes), 0) > 0 as contacts
    from customer_months

),

messages as (

    select
        customer_id,
        sum(messages_sent) as messages_30d,
        coalesce(sum(messages_sent) filter (where day > $as_of - 7), 0) as messages_7d
    from customer_days
    where messages_sent > 0 and day > $as_of - 30 and day <= $as_of
    group by customer_id

),

-- Among rules of one priority the table's order decides.
places as (

    select distinct rule, cast(position as bigint) as place from trigger_rules

),

open_actions as (

    select
        actions.customer_id,
        actions.rule,
        actions.label_en,
        actions.label_fa,
        actions.due_on,
        actions.priority,
        places.place
    from places
    inner join next_actions as actions on actions.rule = places.rule
    where actions.suppressed_by is null

),

actions as (

    select
        customer_id,
        first_value(rule order by priority, place, due_on, rule) as rule,
        first_value(label_en order by priority, place, due_on, rule) as label_en,
        first_value(label_fa order by priority, place, due_on, rule) as label_fa,
        first_value(due_on order by priority, place, due_on, rule) as due_on
    from open_actions
    group by customer_id

),

contacts as (

    select
        customers.customer_id,
        customers.first_purchase_on,
        -- greatest() passes over NULL
        greatest(customers.last_purchase_on, customers.last_own_activity_on) as last_inbound_on,
        greatest(customers.last_message_sent_on, calls.last_call_on) as last_outbound_on,
        customers.last_message_sent_on,
        calls.last_call_on
    from calls
    right join customers on customers.customer_id = calls.customer_id

),

scheduled as (

    select
        contacts.*,
        case when (select activities from known) then cast($as_of - contacts.last_inbound_on as bigint) end as days_silent,
        case when (select messages from known) then coalesce(messages.messages_7d, 0) end as messages_7d,
        case when (select messages from known) then coalesce(messages.messages_30d, 0) end as messages_30d,
        actions.rule as next_rule,
        actions.label_en as next_rule_en,
        actions.label_fa as next_rule_fa,
        coalesce(
            actions.due_on,
            case
                when (select contacts from known) then
                    coalesce(contacts.last_outbound_on, contacts.first_purchase_on) + cast($contact_days as int)
            end
        ) as next_due_on
    from contacts
    left join messages on messages.customer_id = contacts.customer_id
    left join actions on actions.customer_id = contacts.customer_id

)

select
    customer_id,
    last_inbound_on,
    last_outbound_on,
    last_message_sent_on as last_message_on,
    last_call_on,
    days_silent,
    cast($as_of - last_outbound_on as bigint) as days_since_outbound,
    messages_7d,
    messages_30d,
    messages_7d >= $max_messages_7d as cap_hit,
    next_rule,
    next_rule_en,
    next_rule_fa,
    next_due_on,
    next_due_on <= $as_of as is_due,
    days_silent >= $silence_days as alert
from scheduled
order by customer_id
