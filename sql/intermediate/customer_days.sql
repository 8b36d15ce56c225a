/*---
description = "The daily ledger: one row per person (customer or lead) and business day with an order or an interaction."
grain = ["customer_id", "day"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
day = { type = "date", doc = "Business day. May lie after the as-of date: readers filter on $period_end.", checks = ["not_null"] }
order_rows = { type = "int64", doc = "Orders of any status.", unit = "count", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Purchases.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases.", unit = "currency", checks = ["not_null", "non_negative"] }
first_order_revenue = { type = "decimal(28,4)", doc = "Net revenue of the day's first purchase, by ordered_at and order_id; NULL without one.", unit = "currency" }
refunded = { type = "decimal(28,4)", doc = "Refunds of all orders of the day, whenever they were given.", unit = "currency", checks = ["not_null", "non_negative"] }
unpaid = { type = "decimal(28,4)", doc = "What the purchases still owe: net amount minus paid amount, never below 0; NULL when no purchase of the day says what was paid.", unit = "currency" }
line_revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases' lines; 0 without lines.", unit = "currency", checks = ["not_null", "non_negative"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of the lines whose cost is known.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of the lines whose cost is known; NULL without one.", unit = "currency" }
last_order_id = { type = "text", doc = "The day's last purchase, by ordered_at and order_id." }
last_order_channel = { type = "text", doc = "Channel of last_order_id." }
interactions = { type = "int64", doc = "Interactions of any kind, theirs and ours.", unit = "count", checks = ["not_null", "non_negative"] }
activities = { type = "int64", doc = "Interactions that count as the customer's activity, by interaction_kinds.csv; an unknown kind counts.", unit = "count", checks = ["not_null", "non_negative"] }
logins = { type = "int64", doc = "Logins.", unit = "count", checks = ["not_null"] }
page_views = { type = "int64", doc = "Pages viewed.", unit = "count", checks = ["not_null"] }
cart_adds = { type = "int64", doc = "Products put into a cart.", unit = "count", checks = ["not_null"] }
news_read = { type = "int64", doc = "News items read.", unit = "count", checks = ["not_null"] }
comments = { type = "int64", doc = "Comments.", unit = "count", checks = ["not_null"] }
referrals = { type = "int64", doc = "People referred.", unit = "count", checks = ["not_null"] }
calls_in = { type = "int64", doc = "Calls by the customer.", unit = "count", checks = ["not_null"] }
calls_out = { type = "int64", doc = "Calls by us.", unit = "count", checks = ["not_null"] }
demos = { type = "int64", doc = "Demonstrations.", unit = "count", checks = ["not_null"] }
quotes = { type = "int64", doc = "Quotes.", unit = "count", checks = ["not_null"] }
tickets_opened = { type = "int64", doc = "Tickets opened.", unit = "count", checks = ["not_null"] }
tickets_resolved = { type = "int64", doc = "Tickets resolved.", unit = "count", checks = ["not_null"] }
messages_sent = { type = "int64", doc = "Messages sent.", unit = "count", checks = ["not_null"] }
messages_delivered = { type = "int64", doc = "Messages delivered.", unit = "count", checks = ["not_null"] }
messages_opened = { type = "int64", doc = "Messages opened.", unit = "count", checks = ["not_null"] }
messages_clicked = { type = "int64", doc = "Messages clicked.", unit = "count", checks = ["not_null"] }
messages_replied = { type = "int64", doc = "Messages answered.", unit = "count", checks = ["not_null"] }
messages_bounced = { type = "int64", doc = "Messages that could not be delivered.", unit = "count", checks = ["not_null"] }
products_used = { type = "int64", doc = "Uses of a product.", unit = "count", checks = ["not_null"] }
forum_posts = { type = "int64", doc = "Posts in a forum.", unit = "count", checks = ["not_null"] }
courses_started = { type = "int64", doc = "Courses started.", unit = "count", checks = ["not_null"] }
articles_read = { type = "int64", doc = "Articles read.", unit = "count", checks = ["not_null"] }
feature_requests = { type = "int64", doc = "Features asked for.", unit = "count", checks = ["not_null"] }
rewards_granted = { type = "int64", doc = "Rewards granted.", unit = "count", checks = ["not_null"] }
rewards_redeemed = { type = "int64", doc = "Rewards redeemed.", unit = "count", checks = ["not_null"] }
points_earned = { type = "decimal(28,4)", doc = "Points earned.", unit = "points", checks = ["not_null"] }
points_spent = { type = "decimal(28,4)", doc = "Points spent.", unit = "points", checks = ["not_null"] }
nps_score = { type = "float64", doc = "The day's latest NPS answer from 0 to 10, by occurred_at and event_id; other scores are no answers." }
nps_at = { type = "timestamp", doc = "Moment of nps_score." }
nps_event_id = { type = "text", doc = "Event of nps_score." }
csat_score = { type = "float64", doc = "The day's latest CSAT answer from 1 to 5, by occurred_at and event_id." }
csat_at = { type = "timestamp", doc = "Moment of csat_score." }
csat_event_id = { type = "text", doc = "Event of csat_score." }

[warnings]
unknown_kinds = """
select events.kind, count(*) as events
from stg_interactions as events
left join interaction_kinds as kinds on kinds.kind = events.kind
where kinds.kind is null
group by events.kind
order by events desc, kind"""
impossible_scores = """
select kind, score, count(*) as events
from stg_interactions
where (kind = 'survey_nps' and (score < 0 or score > 10)) or (kind = 'survey_csat' and (score < 1 or score > 5))
group by kind, score
order by kind, score"""
---*/
with orders as (

    select
        customer_id,
        day,
        ordered_at,
        order_id,
        is_purchase,
        net_amount,
        refunded_amount,
        greatest(net_amount - paid_amount, 0) as unpaid,
        paid_amount,
        channel
    from stg_orders

),

interactions as (

    select
        events.*,
        coalesce(cast(kinds.counts_as_activity as boolean), true) as is_activity,
        events.kind = 'survey_nps' and events.score >= 0 and events.score <= 10 as is_nps_answer,
        events.kind = 'survey_csat' and events.score >= 1 and events.score <= 5 as is_csat_answer
    from stg_interactions as events
    left join interaction_kinds as kinds on kinds.kind = events.kind

),

order_days as (

    select
        customer_id,
        day,
        count(*) as order_rows,
        count(*) filter (where is_purchase) as orders,
        sum(net_amount) filter (where is_purchase) as revenue,
        first_value(net_amount order by ordered_at, order_id) filter (where is_purchase) as first_order_revenue,
        sum(refunded_amount) as refunded,
        -- greatest() passes over NULL, so an unknown payment is left out here
        sum(unpaid) filter (where is_purchase and paid_amount is not null) as unpaid,
        first_value(order_id order by ordered_at desc, order_id desc) filter (where is_purchase) as last_order_id,
        first_value(channel order by ordered_at desc, order_id desc) filter (where is_purchase) as last_order_channel
    from orders
    group by customer_id, day

),

line_days as (

    select
        customer_id,
        day,
        sum(line_net) as line_revenue,
        sum(line_net) filter (where gross_profit is not null) as costed_revenue,
        sum(gross_profit) as gross_profit
    from purchase_lines
    group by customer_id, day

),

interaction_days as (

    select
        customer_id,
        day,
        count(*) as interactions,
        count(*) filter (where is_activity) as activities,
        count(*) filter (where kind = 'login') as logins,
        count(*) filter (where kind = 'page_view') as page_views,
        count(*) filter (where kind = 'cart_add') as cart_adds,
        count(*) filter (where kind = 'news_read') as news_read,
        count(*) filter (where kind = 'comment') as comments,
        count(*) filter (where kind = 'referral') as referrals,
        count(*) filter (where kind = 'call_in') as calls_in,
        count(*) filter (where kind = 'call_out') as calls_out,
        count(*) filter (where kind = 'demo') as demos,
        count(*) filter (where kind = 'quote') as quotes,
        count(*) filter (where kind = 'ticket_opened') as tickets_opened,
        count(*) filter (where kind = 'ticket_resolved') as tickets_resolved,
        count(*) filter (where kind = 'message_sent') as messages_sent,
        count(*) filter (where kind = 'message_delivered') as messages_delivered,
        count(*) filter (where kind = 'message_opened') as messages_opened,
        count(*) filter (where kind = 'message_clicked') as messages_clicked,
        count(*) filter (where kind = 'message_replied') as messages_replied,
        count(*) filter (where kind = 'message_bounced') as messages_bounced,
        count(*) filter (where kind = 'product_used') as products_used,
        count(*) filter (where kind = 'forum_post') as forum_posts,
        count(*) filter (where kind = 'course_started') as courses_started,
        count(*) filter (where kind = 'article_read') as articles_read,
        count(*) filter (where kind = 'feature_request') as feature_requests,
        count(*) filter (where kind = 'reward_granted') as rewards_granted,
        count(*) filter (where kind = 'reward_redeemed') as rewards_redeemed,
        sum(points) filter (where kind = 'points_earned') as points_earned,
        sum(points) filter (where kind = 'points_spent') as points_spent,
        first_value(score order by occurred_at desc, event_id desc) filter (where is_nps_answer) as nps_score,
        first_value(occurred_at order by occurred_at desc, event_id desc) filter (where is_nps_answer) as nps_at,
        first_value(event_id order by occurred_at desc, event_id desc) filter (where is_nps_answer) as nps_event_id,
        first_value(score order by occurred_at desc, event_id desc) filter (where is_csat_answer) as csat_score,
        first_value(occurred_at order by occurred_at desc, event_id desc) filter (where is_csat_answer) as csat_at,
        first_value(event_id order by occurred_at desc, event_id desc) filter (where is_csat_answer) as csat_event_id
    from interactions
    group by customer_id, day

)

select
    coalesce(o.customer_id, i.customer_id) as customer_id,
    coalesce(o.day, i.day) as day,
    coalesce(o.order_rows, 0) as order_rows,
    coalesce(o.orders, 0) as orders,
    coalesce(o.revenue, 0) as revenue,
    o.first_order_revenue,
    coalesce(o.refunded, 0) as refunded,
    o.unpaid,
    coalesce(l.line_revenue, 0) as line_revenue,
    coalesce(l.costed_revenue, 0) as costed_revenue,
    l.gross_profit,
    o.last_order_id,
    o.last_order_channel,
    coalesce(i.interactions, 0) as interactions,
    coalesce(i.activities, 0) as activities,
    coalesce(i.logins, 0) as logins,
    coalesce(i.page_views, 0) as page_views,
    coalesce(i.cart_adds, 0) as cart_adds,
    coalesce(i.news_read, 0) as news_read,
    coalesce(i.comments, 0) as comments,
    coalesce(i.referrals, 0) as referrals,
    coalesce(i.calls_in, 0) as calls_in,
    coalesce(i.calls_out, 0) as calls_out,
    coalesce(i.demos, 0) as demos,
    coalesce(i.quotes, 0) as quotes,
    coalesce(i.tickets_opened, 0) as tickets_opened,
    coalesce(i.tickets_resolved, 0) as tickets_resolved,
    coalesce(i.messages_sent, 0) as messages_sent,
    coalesce(i.messages_delivered, 0) as messages_delivered,
    coalesce(i.messages_opened, 0) as messages_opened,
    coalesce(i.messages_clicked, 0) as messages_clicked,
    coalesce(i.messages_replied, 0) as messages_replied,
    coalesce(i.messages_bounced, 0) as messages_bounced,
    coalesce(i.products_used, 0) as products_used,
    coalesce(i.forum_posts, 0) as forum_posts,
    coalesce(i.courses_started, 0) as courses_started,
    coalesce(i.articles_read, 0) as articles_read,
    coalesce(i.feature_requests, 0) as feature_requests,
    coalesce(i.rewards_granted, 0) as rewards_granted,
    coalesce(i.rewards_redeemed, 0) as rewards_redeemed,
    coalesce(i.points_earned, 0) as points_earned,
    coalesce(i.points_spent, 0) as points_spent,
    i.nps_score,
    i.nps_at,
    i.nps_event_id,
    i.csat_score,
    i.csat_at,
    i.csat_event_id
from order_days as o
left join line_days as l on l.customer_id = o.customer_id and l.day = o.day
full join interaction_days as i on i.customer_id = o.customer_id and i.day = o.day
order by customer_id, day
