/*---
description = "The fold: everyone's state (customers and leads) at the end of the month, or at the as-of date in the open month."
grain = ["customer_id"]
partition = "month"
along = ["customer_months", "customer_days"]

[reads]
customer_days = { until = "as_of" }

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month at whose end the row holds.", checks = ["not_null"] }
first_seen_on = { type = "date", doc = "First day with an order or an interaction of any kind.", checks = ["not_null"] }
first_purchase_on = { type = "date", doc = "Day of the first purchase; NULL while not a customer." }
second_purchase_on = { type = "date", doc = "Day of the second purchase, which may be the day of the first." }
last_purchase_on = { type = "date", doc = "Day of the last purchase." }
last_order_id = { type = "text", doc = "The last purchase, by ordered_at and order_id." }
last_order_channel = { type = "text", doc = "Channel of last_order_id." }
order_rows = { type = "int64", doc = "Orders of any status to date; 0 for a lead.", unit = "count", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Purchases to date.", unit = "count", checks = ["not_null", "non_negative"] }
purchase_days = { type = "int64", doc = "Days with a purchase to date.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases to date.", unit = "currency", checks = ["not_null", "non_negative"] }
refunded = { type = "decimal(28,4)", doc = "Refunds of orders of any status to date.", unit = "currency", checks = ["not_null", "non_negative"] }
unpaid = { type = "decimal(28,4)", doc = "What the purchases to date still owe; NULL when none says what was paid.", unit = "currency" }
line_revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases' lines to date; 0 without lines.", unit = "currency", checks = ["not_null", "non_negative"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue to date of the lines whose cost is known.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit to date of the lines whose cost is known; NULL without one.", unit = "currency" }
orders_this_week = { type = "int64", doc = "Purchases so far in the week that holds the row's day.", unit = "count", checks = ["not_null", "non_negative"] }
revenue_this_week = { type = "decimal(28,4)", doc = "Net revenue so far in the week that holds the row's day.", unit = "currency", checks = ["not_null", "non_negative"] }
orders_this_quarter = { type = "int64", doc = "Purchases so far in the quarter that holds the row's day.", unit = "count", checks = ["not_null", "non_negative"] }
revenue_this_quarter = { type = "decimal(28,4)", doc = "Net revenue so far in the quarter that holds the row's day.", unit = "currency", checks = ["not_null", "non_negative"] }
orders_this_year = { type = "int64", doc = "Purchases so far in the year that holds the row's day.", unit = "count", checks = ["not_null", "non_negative"] }
revenue_this_year = { type = "decimal(28,4)", doc = "Net revenue so far in the year that holds the row's day.", unit = "currency", checks = ["not_null", "non_negative"] }
first_activity_on = { type = "date", doc = "First day of activity on or after first_purchase_on." }
last_activity_on = { type = "date", doc = "Last day of activity on or after first_purchase_on." }
last_own_activity_on = { type = "date", doc = "Last day of activity, before the first purchase too: what a lead did." }
last_login_on = { type = "date", doc = "Last day with a login." }
last_product_used_on = { type = "date", doc = "Last day on which a product was used." }
last_message_sent_on = { type = "date", doc = "Last day on which we sent a message." }
nps_score = { type = "float64", doc = "Latest NPS answer from 0 to 10, by occurred_at and event_id." }
nps_on = { type = "date", doc = "Business day of nps_score." }
nps_at = { type = "timestamp", doc = "Moment of nps_score." }
csat_score = { type = "float64", doc = "Latest CSAT answer from 1 to 5, by occurred_at and event_id." }
csat_on = { type = "date", doc = "Business day of csat_score." }
csat_at = { type = "timestamp", doc = "Moment of csat_score." }
interactions = { type = "int64", doc = "Interactions of any kind, theirs and ours, to date.", unit = "count", checks = ["not_null", "non_negative"] }
activities = { type = "int64", doc = "Interactions that count as activity, to date, those before the first purchase too.", unit = "count", checks = ["not_null", "non_negative"] }
logins = { type = "int64", doc = "Logins to date.", unit = "count", checks = ["not_null", "non_negative"] }
page_views = { type = "int64", doc = "Pages viewed to date.", unit = "count", checks = ["not_null", "non_negative"] }
news_read = { type = "int64", doc = "News items read to date.", unit = "count", checks = ["not_null", "non_negative"] }
comments = { type = "int64", doc = "Comments to date.", unit = "count", checks = ["not_null", "non_negative"] }
referrals = { type = "int64", doc = "People referred to date.", unit = "count", checks = ["not_null", "non_negative"] }
calls_in = { type = "int64", doc = "Calls by the customer to date.", unit = "count", checks = ["not_null", "non_negative"] }
calls_out = { type = "int64", doc = "Calls by us to date.", unit = "count", checks = ["not_null", "non_negative"] }
demos = { type = "int64", doc = "Demonstrations to date.", unit = "count", checks = ["not_null", "non_negative"] }
quotes = { type = "int64", doc = "Quotes to date.", unit = "count", checks = ["not_null", "non_negative"] }
tickets_opened = { type = "int64", doc = "Tickets opened to date.", unit = "count", checks = ["not_null", "non_negative"] }
tickets_resolved = { type = "int64", doc = "Tickets resolved to date.", unit = "count", checks = ["not_null", "non_negative"] }
messages_sent = { type = "int64", doc = "Messages sent to date.", unit = "count", checks = ["not_null", "non_negative"] }
messages_delivered = { type = "int64", doc = "Messages delivered to date.", unit = "count", checks = ["not_null", "non_negative"] }
messages_opened = { type = "int64", doc = "Messages opened to date.", unit = "count", checks = ["not_null", "non_negative"] }
messages_clicked = { type = "int64", doc = "Messages clicked to date.", unit = "count", checks = ["not_null", "non_negative"] }
messages_replied = { type = "int64", doc = "Messages answered to date.", unit = "count", checks = ["not_null", "non_negative"] }
products_used = { type = "int64", doc = "Uses of a product to date.", unit = "count", checks = ["not_null", "non_negative"] }
rewards_granted = { type = "int64", doc = "Rewards granted to date.", unit = "count", checks = ["not_null", "non_negative"] }
rewards_redeemed = { type = "int64", doc = "Rewards redeemed to date.", unit = "count", checks = ["not_null", "non_negative"] }
points_earned = { type = "decimal(28,4)", doc = "Points earned to date.", unit = "points", checks = ["not_null"] }
points_spent = { type = "decimal(28,4)", doc = "Points spent to date.", unit = "points", checks = ["not_null"] }

[checks]
no_future_days = "select customer_id, first_seen_on, last_purchase_on, last_activity_on from this where greatest(last_purchase_on, last_activity_on, first_seen_on) > $period_end"
purchases_agree = "select customer_id, orders, purchase_days, first_purchase_on, second_purchase_on from this where (orders > 0) <> (first_purchase_on is not null) or (orders > 1) <> (second_purchase_on is not null) or purchase_days > orders"
nobody_is_lost = "select customer_id from customer_days except select customer_id from this"
---*/
with before as (

    select * from customer_months

),

-- First days of the week, quarter and year that hold the row's day.
current_periods as (

    select
        max(period_start) filter (where grain = 'week') as week_start,
        max(period_start) filter (where grain = 'quarter') as quarter_start,
        max(period_start) filter (where grain = 'year') as year_start
    from calendar_periods
    where day = $period_end

),

first_days as (

    select customer_id, min(day) as day
    from customer_days
    where orders > 0
    group by customer_id

),

ledger as (

    select
        days.*,
        days.day >= (select week_start from current_periods) as is_this_week,
        first_days.day as month_first_purchase_on,
        coalesce(before.first_purchase_on, first_days.day) as first_purchase_on
    from customer_days as days
    left join before on before.customer_id = days.customer_id
    left join first_days on first_days.customer_id = days.customer_id

),

month as (

    select
        customer_id,
        min(day) as first_seen_on,
        min(month_first_purchase_on) as first_purchase_on,
        min(day) filter (where orders > 1 or (orders > 0 and day > month_first_purchase_on)) as second_purchase_on,
        max(day) filter (where orders > 0) as last_purchase_on,
        first_value(last_order_id order by day desc) filter (where orders > 0) as last_order_id,
        first_value(last_order_channel order by day desc) filter (where orders > 0) as last_order_channel,
        sum(order_rows) as order_rows,
        sum(orders) as orders,
        count(*) filter (where orders > 0) as purchase_days,
        sum(revenue) as revenue,
        sum(refunded) as refunded,
        sum(unpaid) as unpaid,
        sum(line_revenue) as line_revenue,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit,
        sum(orders) filter (where is_this_week) as orders_this_week,
        sum(revenue) filter (where is_this_week) as revenue_this_week,
        min(day) filter (where activities > 0 and day >= first_purchase_on) as first_activity_on,
        max(day) filter (where activities > 0 and day >= first_purchase_on) as last_activity_on,
        max(day) filter (where activities > 0) as last_own_activity_on,
        max(day) filter (where logins > 0) as last_login_on,
        max(day) filter (where products_used > 0) as last_product_used_on,
        max(day) filter (where messages_sent > 0) as last_message_sent_on,
        first_value(nps_score order by nps_at desc, nps_event_id desc) filter (where nps_at is not null) as nps_score,
        first_value(day order by nps_at desc, nps_event_id desc) filter (where nps_at is not null) as nps_on,
        max(nps_at) as nps_at,
        first_value(csat_score order by csat_at desc, csat_event_id desc) filter (where csat_at is not null) as csat_score,
        first_value(day order by csat_at desc, csat_event_id desc) filter (where csat_at is not null) as csat_on,
        max(csat_at) as csat_at,
        sum(interactions) as interactions,
        sum(activities) as activities,
        sum(logins) as logins,
        sum(page_views) as page_views,
        sum(news_read) as news_read,
        sum(comments) as comments,
        sum(referrals) as referrals,
        sum(calls_in) as calls_in,
        sum(calls_out) as calls_out,
        sum(demos) as demos,
        sum(quotes) as quotes,
        sum(tickets_opened) as tickets_opened,
        sum(tickets_resolved) as tickets_resolved,
        sum(messages_sent) as messages_sent,
        sum(messages_delivered) as messages_delivered,
        sum(messages_opened) as messages_opened,
        sum(messages_clicked) as messages_clicked,
        sum(messages_replied) as messages_replied,
        sum(products_used) as products_used,
        sum(rewards_granted) as rewards_granted,
        sum(rewards_redeemed) as rewards_redeemed,
        sum(points_earned) as points_earned,
        sum(points_spent) as points_spent
    from ledger
    group by customer_id

),

-- Who was known, and who is new: each in order, so that the wide tables stream past.
people as (

    select customer_id from before
    union all
    select distinct customer_days.customer_id
    from customer_days
    left anti join before on before.customer_id = customer_days.customer_id

)

select
    people.customer_id,
    $period_start as month_start,
    coalesce(before.first_seen_on, month.first_seen_on) as first_seen_on,
    coalesce(before.first_purchase_on, month.first_purchase_on) as first_purchase_on,
    coalesce(
        before.second_purchase_on,
        case when before.orders > 0 then month.first_purchase_on else month.second_purchase_on end
    ) as second_purchase_on,
    coalesce(month.last_purchase_on, before.last_purchase_on) as last_purchase_on,
    case when month.orders > 0 then month.last_order_id else before.last_order_id end as last_order_id,
    case when month.orders > 0 then month.last_order_channel else before.last_order_channel end as last_order_channel,
    coalesce(before.order_rows, 0) + coalesce(month.order_rows, 0) as order_rows,
    coalesce(before.orders, 0) + coalesce(month.orders, 0) as orders,
    coalesce(before.purchase_days, 0) + coalesce(month.purchase_days, 0) as purchase_days,
    coalesce(before.revenue, 0) + coalesce(month.revenue, 0) as revenue,
    coalesce(before.refunded, 0) + coalesce(month.refunded, 0) as refunded,
    coalesce(before.unpaid + month.unpaid, before.unpaid, month.unpaid) as unpaid,
    coalesce(before.line_revenue, 0) + coalesce(month.line_revenue, 0) as line_revenue,
    coalesce(before.costed_revenue, 0) + coalesce(month.costed_revenue, 0) as costed_revenue,
    coalesce(before.gross_profit + month.gross_profit, before.gross_profit, month.gross_profit) as gross_profit,
    case when (select week_start from current_periods) < $period_start then coalesce(before.orders_this_week, 0) else 0 end
        + coalesce(month.orders_this_week, 0) as orders_this_week,
    case when (select week_start from current_periods) < $period_start then coalesce(before.revenue_this_week, 0) else 0 end
        + coalesce(month.revenue_this_week, 0) as revenue_this_week,
    case when (select quarter_start from current_periods) < $period_start then coalesce(before.orders_this_quarter, 0) else 0 end
        + coalesce(month.orders, 0) as orders_this_quarter,
    case when (select quarter_start from current_periods) < $period_start then coalesce(before.revenue_this_quarter, 0) else 0 end
        + coalesce(month.revenue, 0) as revenue_this_quarter,
    case when (select year_start from current_periods) < $period_start then coalesce(before.orders_this_year, 0) else 0 end
        + coalesce(month.orders, 0) as orders_this_year,
    case when (select year_start from current_periods) < $period_start then coalesce(before.revenue_this_year, 0) else 0 end
        + coalesce(month.revenue, 0) as revenue_this_year,
    coalesce(before.first_activity_on, month.first_activity_on) as first_activity_on,
    coalesce(month.last_activity_on, before.last_activity_on) as last_activity_on,
    coalesce(month.last_own_activity_on, before.last_own_activity_on) as last_own_activity_on,
    coalesce(month.last_login_on, before.last_login_on) as last_login_on,
    coalesce(month.last_product_used_on, before.last_product_used_on) as last_product_used_on,
    coalesce(month.last_message_sent_on, before.last_message_sent_on) as last_message_sent_on,
    coalesce(month.nps_score, before.nps_score) as nps_score,
    coalesce(month.nps_on, before.nps_on) as nps_on,
    coalesce(month.nps_at, before.nps_at) as nps_at,
    coalesce(month.csat_score, before.csat_score) as csat_score,
    coalesce(month.csat_on, before.csat_on) as csat_on,
    coalesce(month.csat_at, before.csat_at) as csat_at,
    coalesce(before.interactions, 0) + coalesce(month.interactions, 0) as interactions,
    coalesce(before.activities, 0) + coalesce(month.activities, 0) as activities,
    coalesce(before.logins, 0) + coalesce(month.logins, 0) as logins,
    coalesce(before.page_views, 0) + coalesce(month.page_views, 0) as page_views,
    coalesce(before.news_read, 0) + coalesce(month.news_read, 0) as news_read,
    coalesce(before.comments, 0) + coalesce(month.comments, 0) as comments,
    coalesce(before.referrals, 0) + coalesce(month.referrals, 0) as referrals,
    coalesce(before.calls_in, 0) + coalesce(month.calls_in, 0) as calls_in,
    coalesce(before.calls_out, 0) + coalesce(month.calls_out, 0) as calls_out,
    coalesce(before.demos, 0) + coalesce(month.demos, 0) as demos,
    coalesce(before.quotes, 0) + coalesce(month.quotes, 0) as quotes,
    coalesce(before.tickets_opened, 0) + coalesce(month.tickets_opened, 0) as tickets_opened,
    coalesce(before.tickets_resolved, 0) + coalesce(month.tickets_resolved, 0) as tickets_resolved,
    coalesce(before.messages_sent, 0) + coalesce(month.messages_sent, 0) as messages_sent,
    coalesce(before.messages_delivered, 0) + coalesce(month.messages_delivered, 0) as messages_delivered,
    coalesce(before.messages_opened, 0) + coalesce(month.messages_opened, 0) as messages_opened,
    coalesce(before.messages_clicked, 0) + coalesce(month.messages_clicked, 0) as messages_clicked,
    coalesce(before.messages_replied, 0) + coalesce(month.messages_replied, 0) as messages_replied,
    coalesce(before.products_used, 0) + coalesce(month.products_used, 0) as products_used,
    coalesce(before.rewards_granted, 0) + coalesce(month.rewards_granted, 0) as rewards_granted,
    coalesce(before.rewards_redeemed, 0) + coalesce(month.rewards_redeemed, 0) as rewards_redeemed,
    coalesce(before.points_earned, 0) + coalesce(month.points_earned, 0) as points_earned,
    coalesce(before.points_spent, 0) + coalesce(month.points_spent, 0) as points_spent
from people
left join before on before.customer_id = people.customer_id
left join month on month.customer_id = people.customer_id
order by people.customer_id
