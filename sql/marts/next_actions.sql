/*---
description = "The day's work list: one row per person and rule of trigger_rules.csv that is up on the as-of date and that nothing has answered. Of the messages to a person only one is for today; the others stay, and suppressed_by says why."
grain = ["customer_id", "rule"]
volatile = true
features = ["F011", "F025", "F026", "F027", "F032", "F035", "F048", "F056", "F064", "F065", "F066", "F067", "F068", "F069", "F070", "F072", "F073", "F074", "F076", "F091", "F097", "F103"]

[reads]
customer_months = "latest"

[columns]
customer_id = { type = "text", doc = "The customer, or the lead where the rule is for leads.", checks = ["not_null"] }
rule = { type = "text", doc = "The rule of trigger_rules.csv.", checks = ["not_null"] }
label_en = { type = "text", doc = "The rule, or the task that the step is, in English.", checks = ["not_null"] }
label_fa = { type = "text", doc = "The same in Persian.", checks = ["not_null"] }
action = { type = "text", doc = "message: to be sent; task: for a colleague.", one_of = ["message", "task"], checks = ["not_null"] }
task = { type = "text", doc = "What the task is, such as consolation_call; NULL of a message." }
step = { type = "int64", doc = "Where the escalation stands: 1 is the first step.", unit = "step", checks = ["not_null", "positive"] }
previous_outcome = { type = "text", doc = "What became of the steps before: opened, bounced, delivered, sent or none, by the messages since started_on; an opening is not an answer. NULL at the first step.", one_of = ["opened", "bounced", "delivered", "sent", "none"] }
due_on = { type = "date", doc = "Day on which the step became due: the day on which the condition became true, plus the waiting days of the steps so far.", checks = ["not_null"] }
started_on = { type = "date", doc = "Day on which the condition became true. Whatever the person answers after it takes the row off the list: message_replied, message_clicked, login, call_in, ticket_opened or a purchase.", checks = ["not_null"] }
valid_until = { type = "date", doc = "Last day on which the step is listed.", checks = ["not_null"] }
is_new = { type = "boolean", doc = "Whether the step became due on the as-of date.", checks = ["not_null"] }
since = { type = "text", doc = "What the rule counts its days from. A delivery counts where its order was placed in the 365 days up to the as-of date; of an older order it is not seen.", checks = ["not_null"] }
since_on = { type = "date", doc = "The day of that; for subscription_end the last day, of a subscription shorter than the notice as many days after its first.", checks = ["not_null"] }
priority = { type = "int64", doc = "1 goes first; among equals the table's order.", unit = "rank", checks = ["not_null", "positive"] }
channel = { type = "text", doc = "Through which channel." }
channel_en = { type = "text", doc = "channel in English; NULL for a channel that labels.csv does not name." }
channel_fa = { type = "text", doc = "channel in Persian." }
sender = { type = "text", doc = "In whose name: ceo, sales, support or company; NULL of a task without one." }
assignee_role = { type = "text", doc = "Whose task it is; NULL of a message." }
offer = { type = "text", doc = "What is offered: help, discount, gift, renewal; NULL without." }
discount_rate = { type = "float64", doc = "Discount of the customer's class, by ranking_classes.csv; NULL for a lead.", unit = "fraction", checks = ["fraction"] }
tone = { type = "text", doc = "How it should sound." }
message_en = { type = "text", doc = "Wording in English, for a task what to do; {note} and {product} are filled in." }
message_fa = { type = "text", doc = "The same in Persian." }
subject_id = { type = "text", doc = "What set it off: the order, ticket, subscription or event, or the occasion's code; NULL where nothing of that kind did." }
product_id = { type = "text", doc = "The product bought, where that set it off. Waits for the sources order_items and products." }
suggested_product_id = { type = "text", doc = "The product to suggest: what goes with product_id, else the customer's first of next_best_product. Waits for the source order_items." }
suggested_product_name = { type = "text", doc = "What the catalogue calls it." }
probable_reason = { type = "text", doc = "Why the customer may be leaving: the weightiest churn flag; NULL without one." }
probable_reason_en = { type = "text", doc = "probable_reason in English." }
probable_reason_fa = { type = "text", doc = "probable_reason in Persian." }
risk = { type = "text", doc = "Churn risk, as in churn_flags; NULL for a lead.", one_of = ["none", "low", "medium", "high"] }
kind = { type = "text", doc = "What the person is, as in customer_360.", one_of = ["customer", "lead", "former_buyer"], checks = ["not_null"] }
name = { type = "text", doc = "Name. Waits for the source customers." }
best_hour = { type = "int32", doc = "Local hour at which to write, as in customer_360.", unit = "hour" }
best_weekday = { type = "int32", doc = "Weekday on which to write, 1 is Monday and 7 Sunday.", unit = "weekday 1-7" }
messages_7d = { type = "int64", doc = "Messages sent in the seven days up to the as-of date; NULL while the data hold no message_sent.", unit = "count", checks = ["non_negative"] }
suppressed_by = { type = "text", doc = "Why a message must not go out today, the first that holds: consent: unsubscribed from the channel; holdout: assigned to the holdout of a campaign that runs today; blackout: a day without promotions, by the calendar or blackout_days.csv; cap: max_messages_7d reached; lower_priority: another message goes first. NULL: to be done. Tasks are never suppressed.", one_of = ["consent", "holdout", "blackout", "cap", "lower_priority"] }

[checks]
everyone_is_known = "select customer_id from this except select customer_id from customer_360"
one_message_a_day = """
select customer_id from this
where action = 'message' and suppressed_by is null
group by customer_id
having count(*) > 1"""
due_within_valid_days = "select * from this where due_on > $as_of or valid_until < $as_of or started_on > due_on"
tasks_go_through = "select * from this where action = 'task' and suppressed_by is not null"
nobody_is_silenced_for_nothing = """
select lower.customer_id
from this as lower
left anti join (
    select customer_id from this where action = 'message' and suppressed_by is null
) as winners on winners.customer_id = lower.customer_id
where lower.suppressed_by = 'lower_priority'"""
---*/
with candidates as (

    select * from action_candidates

),

rules as (

    select
        rule,
        since,
        cast(step as bigint) as step,
        cast(priority as bigint) as priority,
        lpad(cast(priority as varchar), 6, '0') || lpad(cast(position as varchar), 6, '0') || rule as precedence,
        cast(valid_days as int) as valid_days,
        only_list,
        action,
        task,
        lower(channel) as channel,
        sender,
        assignee_role,
        offer,
        tone,
        label_en,
        label_fa,
        message_en,
        message_fa
    from trigger_rules

),

members as (

    select segments.customer_id, segments.list
    from segments
    where segments.list in (select only_list from trigger_rules where only_list is not null)

),

channels as (

    select code, label_en, label_fa from labels where "group" = 'channel'

),

products as (

    select product_id, coalesce(name, product_id) as name from stg_products

),

people as (

    select customer_id, kind, name, best_hour, best_weekday from customer_360

),

churn as (

    select customer_id, reason, reason_en, reason_fa, risk from churn_flags

),

classes as (

    select customer_id, discount_rate from customer_ranking

),

best_products as (

    select customer_id, product_id from next_best_product where position = 1

),

-- A kind that nobody ever made is a missing source.
known as (

    select coalesce(sum(messages_sent), 0) > 0 as messages from customer_months

),

listed as (

    select candidates.*, rules.action, rules.channel, rules.precedence
    from rules
    inner join candidates
        on candidates.rule = rules.rule and candidates.since = rules.since and candidates.step = rules.step
    left join members on members.customer_id = candidates.customer_id and members.list = rules.only_list
    where rules.only_list is null or members.customer_id is not null

),

consents as (

    select
        listed.customer_id,
        listed.rule,
        first_value(changes.is_subscribed order by changes.changed_at desc, changes.event_id desc) as is_subscribed
    from listed
    inner join consent_changes as changes on changes.customer_id = listed.customer_id
    where listed.action = 'message' and changes.channel in (listed.channel, 'all')
    group by listed.customer_id, listed.rule

),

held_out as (

    select distinct assignments.customer_id
    from stg_campaigns as campaigns
    inner join holdout_assignments as assignments on assignments.campaign_id = campaigns.campaign_id
    where campaigns.starts_on <= $as_of and campaigns.ends_on >= $as_of

),

quiet_spans as (

    select day as from_on, day as to_on from calendar where is_blackout
    union all
    select cast(from_on as date), cast(coalesce(to_on, from_on) as date) from blackout_days

),

today as (

    select count(*) > 0 as is_quiet from quiet_spans where from_on <= $as_of and to_on >= $as_of

),

judged as (

    select
        listed.*,
        case
            when listed.action = 'task' then null
            when not consents.is_subscribed then 'consent'
            when held_out.customer_id is not null then 'holdout'
            when today.is_quiet then 'blackout'
            when listed.messages_7d >= $max_messages_7d then 'cap'
        end as barred_by
    from today
    cross join listed
    left join consents on consents.customer_id = listed.customer_id and consents.rule = listed.rule
    left join held_out on held_out.customer_id = listed.customer_id

),

winners as (

    select customer_id, min(precedence) as precedence
    from judged
    where action = 'message' and barred_by is null
    group by customer_id

),

-- Narrow as yet: on the day of a greeting it is everyone.
enriched as (

    select
        judged.*,
        coalesce(judged.complement_product_id, best_products.product_id) as suggested_product_id,
        case
            when judged.action = 'task' or judged.precedence = winners.precedence then judged.barred_by
            else coalesce(judged.barred_by, 'lower_priority')
        end as suppressed_by,
        case when known.messages then judged.messages_7d end as known_messages_7d,
        classes.discount_rate,
        churn.reason,
        churn.reason_en,
        churn.reason_fa,
        churn.risk,
        people.kind,
        people.name,
        people.best_hour,
        people.best_weekday
    from known
    cross join judged
    inner join people on people.customer_id = judged.customer_id
    left join winners on winners.customer_id = judged.customer_id
    left join best_products on best_products.customer_id = judged.customer_id
    left join classes on classes.customer_id = judged.customer_id
    left join churn on churn.customer_id = judged.customer_id

),

named as (

    select enriched.*, products.name as suggested_product_name
    from products
    right join enriched on enriched.suggested_product_id = products.product_id

),

addressed as (

    select named.*, channels.label_en as channel_en, channels.label_fa as channel_fa
    from channels
    right join named on named.channel = channels.code

)

select
    actions.customer_id,
    actions.rule,
    rules.label_en,
    rules.label_fa,
    actions.action,
    rules.task,
    actions.step,
    actions.previous_outcome,
    actions.due_on,
    actions.started_on,
    actions.due_on + rules.valid_days - 1 as valid_until,
    actions.due_on = $as_of as is_new,
    actions.since,
    actions.event_on as since_on,
    rules.priority,
    actions.channel,
    actions.channel_en,
    actions.channel_fa,
    rules.sender,
    rules.assignee_role,
    rules.offer,
    actions.discount_rate,
    rules.tone,
    replace(
        replace(rules.message_en, '{note}', coalesce(actions.note_en, '')),
        '{product}',
        coalesce(actions.suggested_product_name, actions.suggested_product_id, '')
    ) as message_en,
    replace(
        replace(rules.message_fa, '{note}', coalesce(actions.note_fa, '')),
        '{product}',
        coalesce(actions.suggested_product_name, actions.suggested_product_id, '')
    ) as message_fa,
    actions.subject_id,
    actions.product_id,
    actions.suggested_product_id,
    actions.suggested_product_name,
    actions.reason as probable_reason,
    actions.reason_en as probable_reason_en,
    actions.reason_fa as probable_reason_fa,
    actions.risk,
    actions.kind,
    actions.name,
    actions.best_hour,
    actions.best_weekday,
    actions.known_messages_7d as messages_7d,
    actions.suppressed_by
from rules
inner join addressed as actions
    on actions.rule = rules.rule and actions.since = rules.since and actions.step = rules.step
order by actions.customer_id, actions.rule
