/*---
description = "One row per person and event, newest first within the person: each purchase with its value and payment, ticket, message, call and answer. Which kinds are shown is in timeline_kinds.csv."
grain = ["customer_id", "newest_first", "kind", "event_id"]
partition = "month"
features = ["F058", "F059", "F060", "F061", "F091"]

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
newest_first = { type = "int64", doc = "Minus the microseconds from 1970 to occurred_at: ascending, it puts the newest first.", unit = "microseconds", checks = ["not_null"] }
kind = { type = "text", doc = "What happened: purchase, or a kind of interaction.", checks = ["not_null"] }
event_id = { type = "text", doc = "The order or the event.", checks = ["not_null"] }
occurred_at = { type = "timestamp", doc = "Moment, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
topic = { type = "text", doc = "What the kind belongs to, by timeline_kinds.csv: purchase, ticket, message, call or answer.", checks = ["not_null"] }
kind_en = { type = "text", doc = "kind in English.", checks = ["not_null"] }
kind_fa = { type = "text", doc = "kind in Persian.", checks = ["not_null"] }
channel = { type = "text", doc = "Where the order came in, or through which channel it was said." }
campaign_id = { type = "text", doc = "Campaign that it belongs to." }
message_id = { type = "text", doc = "The message." }
subject_id = { type = "text", doc = "The ticket, order, reward or event that it is about." }
product_id = { type = "text", doc = "Product that it is about; of a purchase NULL, its lines are not told here." }
status = { type = "text", doc = "The order's status; NULL of an interaction." }
net_amount = { type = "decimal(18,4)", doc = "What the purchase brought in after refunds; NULL of an interaction, as the next three.", unit = "currency", checks = ["positive"] }
refunded_amount = { type = "decimal(18,4)", doc = "What of it was given back so far.", unit = "currency", checks = ["non_negative"] }
paid_amount = { type = "decimal(18,4)", doc = "What of it was paid so far; NULL where the source does not say.", unit = "currency" }
unpaid_amount = { type = "decimal(18,4)", doc = "net_amount minus paid_amount, 0 at least; NULL where the source does not say what was paid.", unit = "currency", checks = ["non_negative"] }
score = { type = "float64", doc = "Answer to a survey, as sent." }
reason = { type = "text", doc = "Reason given." }
detail = { type = "text", doc = "What the interaction was about, as the source words it." }
value = { type = "decimal(18,4)", doc = "Money attached to the interaction, such as a quote's sum.", unit = "currency" }

[checks]
no_future_days = "select * from this where day > $period_end"
revenue_agrees = """
select sum(net_amount) from this
having coalesce(sum(net_amount), 0) <> (
    select coalesce(sum(net_amount), 0) from stg_orders where is_purchase and day <= $period_end
)
and (select count(*) from timeline_kinds where kind = 'purchase') = 1"""
---*/
with kinds as (

    select kind, topic, label_en, label_fa from timeline_kinds

),

purchases as (

    select
        customer_id,
        'purchase' as kind,
        order_id as event_id,
        ordered_at as occurred_at,
        day,
        channel,
        campaign_id,
        cast(null as varchar) as message_id,
        cast(null as varchar) as subject_id,
        cast(null as varchar) as product_id,
        status,
        net_amount,
        refunded_amount,
        paid_amount,
        -- greatest() passes over NULL, so an unknown payment is left out first
        case when paid_amount is not null then greatest(net_amount - paid_amount, 0) end as unpaid_amount,
        cast(null as double) as score,
        cast(null as varchar) as reason,
        cast(null as varchar) as detail,
        cast(null as decimal(18, 4)) as value
    from stg_orders
    where is_purchase and day <= $period_end

),

interactions as (

    select
        customer_id,
        kind,
        event_id,
        occurred_at,
        day,
        channel,
        campaign_id,
        message_id,
        subject_id,
        product_id,
        cast(null as varchar) as status,
        cast(null as decimal(18, 4)) as net_amount,
        cast(null as decimal(18, 4)) as refunded_amount,
        cast(null as decimal(18, 4)) as paid_amount,
        cast(null as decimal(18, 4)) as unpaid_amount,
        score,
        reason,
        topic as detail,
        value
    from stg_interactions
    where kind <> 'purchase' and day <= $period_end

),

events as (

    select * from purchases
    union all
    select * from interactions

)

select
    events.customer_id,
    -cast(events.occurred_at as bigint) as newest_first,
    events.kind,
    events.event_id,
    events.occurred_at,
    events.day,
    kinds.topic,
    kinds.label_en as kind_en,
    kinds.label_fa as kind_fa,
    events.channel,
    events.campaign_id,
    events.message_id,
    events.subject_id,
    events.product_id,
    events.status,
    events.net_amount,
    events.refunded_amount,
    events.paid_amount,
    events.unpaid_amount,
    events.score,
    events.reason,
    events.detail,
    events.value
from kinds
inner join events on events.kind = kinds.kind
order by customer_id, newest_first, kind, event_id
