/*---
description = "One row per person (customer, lead or former buyer): the profile that a colleague reads before a call, as of the as-of date."
grain = ["customer_id"]
along = ["customer_habits", "segments", "stg_customers", "customer_months"]
features = ["F011", "F012", "F056", "F057", "F058", "F059", "F060", "F061", "F062", "F072", "F077", "F098", "F101", "F103"]

[reads]
customer_months = "latest"
tickets = { last = "365 days" }
response_hours = { last = "365 days" }

[columns]
customer_id = { type = "text", doc = "The person: everyone of the orders, the interactions, and the customers created by the as-of date.", checks = ["not_null"] }
kind = { type = "text", doc = "customer: has a purchase; lead: has no order at all; former_buyer: has orders but no purchase (cancelled or fully refunded).", one_of = ["customer", "lead", "former_buyer"], checks = ["not_null"] }
name = { type = "text", doc = "Name. Waits for the source customers, as all columns down to created_at: NULL." }
birth_date = { type = "date", doc = "Birth date." }
region = { type = "text", doc = "Region." }
company_size = { type = "text", doc = "Size of the company." }
interest = { type = "text", doc = "What the person is interested in." }
phone = { type = "text", doc = "Phone." }
email = { type = "text", doc = "E-mail address." }
created_at = { type = "timestamp", doc = "Moment of the record's creation, UTC." }
first_seen_on = { type = "date", doc = "First day with an order or an interaction; NULL for whoever is in the source customers alone." }
first_purchase_on = { type = "date", doc = "Business day of the first purchase; NULL for who is no customer." }
customer_age_days = { type = "int64", doc = "As-of date minus first_purchase_on.", unit = "days", checks = ["non_negative"] }
order_rows = { type = "int64", doc = "Orders of any status to date.", unit = "count", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Purchases to date.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases to date.", unit = "currency", checks = ["not_null", "non_negative"] }
refunded_amount = { type = "decimal(28,4)", doc = "Refunds to date, of orders of any status.", unit = "currency", checks = ["not_null", "non_negative"] }
unpaid_amount = { type = "decimal(28,4)", doc = "What the purchases to date still owe: net amount minus paid_amount, each 0 at least; NULL when none says what was paid.", unit = "currency", checks = ["non_negative"] }
average_order_value = { type = "decimal(18,4)", doc = "revenue / orders.", unit = "currency", checks = ["positive"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit to date of the lines whose unit_cost is known. Waits for the source order_items with unit_cost, as margin: NULL.", unit = "currency" }
margin = { type = "float64", doc = "gross_profit / net revenue of those lines; may be below 0, and says nothing where that revenue is below 0 (see cost_coverage).", unit = "fraction" }
cost_coverage = { type = "float64", doc = "Share of the lines' net revenue whose cost is known. Above 1 or below 0 where a line's discount is above its price: what it brought is below 0. Waits for the source order_items: NULL.", unit = "fraction" }
average_gap_days = { type = "float64", doc = "Mean of the days between successive purchase days; NULL below two such days.", unit = "days", checks = ["positive"] }
last_purchase_on = { type = "date", doc = "Business day of the latest purchase." }
days_since_last_purchase = { type = "int64", doc = "As-of date minus last_purchase_on.", unit = "days", checks = ["non_negative"] }
last_order_id = { type = "text", doc = "The latest purchase, by ordered_at and order_id." }
last_order_channel = { type = "text", doc = "Where the latest purchase came in." }
preferred_channel = { type = "text", doc = "Channel of most purchases in the 365 days to the as-of date; ties by revenue, then by name." }
preferred_category = { type = "text", doc = "Category in most purchases of the 365 days to the as-of date; ties by revenue, then by name. Waits for the source order_items with category: NULL." }
preferred_product_id = { type = "text", doc = "Product in most purchases of the 365 days to the as-of date; ties by revenue, then by id. Waits for the source order_items: NULL." }
tickets = { type = "int64", doc = "Tickets opened to date. Waits for the source interactions, as all columns from here to best_time_basis: NULL.", unit = "count", checks = ["non_negative"] }
tickets_open = { type = "int64", doc = "Tickets that no resolution has followed yet; those without a subject_id are not known to be open.", unit = "count", checks = ["non_negative"] }
first_response_hours_median = { type = "float64", doc = "Median time to our first reply, of the answered tickets opened in the 365 days to the as-of date.", unit = "hours", checks = ["non_negative"] }
csat_score = { type = "float64", doc = "Latest satisfaction answer, 1 to 5.", unit = "score 1-5" }
csat_on = { type = "date", doc = "Business day of csat_score." }
nps_score = { type = "float64", doc = "Latest NPS answer, 0 to 10.", unit = "score 0-10" }
nps_on = { type = "date", doc = "Business day of nps_score." }
messages_sent = { type = "int64", doc = "Messages sent to date.", unit = "count", checks = ["non_negative"] }
messages_opened = { type = "int64", doc = "Openings of messages to date: one message may be opened often.", unit = "count", checks = ["non_negative"] }
messages_clicked = { type = "int64", doc = "Clicks in messages to date.", unit = "count", checks = ["non_negative"] }
messages_replied = { type = "int64", doc = "Answers to messages to date.", unit = "count", checks = ["non_negative"] }
engagement_rate = { type = "float64", doc = "Messages opened, clicked or answered / messages delivered, of the 365 days to the as-of date and of those with a message_id, each counted once; sent stands for delivered where nothing is reported as delivered.", unit = "fraction", checks = ["fraction"] }
engagement_stars = { type = "int32", doc = "One star for every begun fifth of engagement_rate: 1 below 0.2, 5 from 0.8.", unit = "stars 1-5", checks = ["positive"] }
calls_in = { type = "int64", doc = "Calls by the person to date.", unit = "count", checks = ["non_negative"] }
calls_out = { type = "int64", doc = "Calls by us to date.", unit = "count", checks = ["non_negative"] }
demos = { type = "int64", doc = "Demonstrations to date.", unit = "count", checks = ["non_negative"] }
quotes = { type = "int64", doc = "Quotes to date.", unit = "count", checks = ["non_negative"] }
logins = { type = "int64", doc = "Logins to date.", unit = "count", checks = ["non_negative"] }
last_login_on = { type = "date", doc = "Business day of the last login." }
last_activity_on = { type = "date", doc = "Business day of the person's last activity, by interaction_kinds.csv." }
comments = { type = "int64", doc = "Comments to date.", unit = "count", checks = ["non_negative"] }
news_read = { type = "int64", doc = "News items read to date.", unit = "count", checks = ["non_negative"] }
referrals = { type = "int64", doc = "People referred to date.", unit = "count", checks = ["non_negative"] }
points_balance = { type = "decimal(28,4)", doc = "Points earned minus points spent, to date.", unit = "points" }
preferred_contact_channel = { type = "text", doc = "Channel of most openings, clicks and answers in the 365 days to the as-of date; ties by name." }
best_hour = { type = "int32", doc = "Local hour, 0 to 23, with most openings and clicks in the 365 days to the as-of date, the earliest among equals; by best_time_basis.", unit = "hour" }
best_weekday = { type = "int32", doc = "Weekday with most openings and clicks in the same days, 1 is Monday and 7 Sunday, the first among equals.", unit = "weekday 1-7" }
best_time_basis = { type = "text", doc = "own: from the person's own openings and clicks; project: from everyone's, for those with fewer than min_best_time_events.", one_of = ["own", "project"] }
lists = { type = "text", doc = "Lists of the mart segments that the person is in, in alphabetical order, the project's own last, comma separated; NULL for none." }

[checks]
nobody_is_lost = "select customer_id from customer_months except select customer_id from this"
revenue_adds_up = """
select sum(revenue) from this
having coalesce(sum(revenue), 0) <> (select coalesce(sum(revenue), 0) from customer_months)
or coalesce(sum(orders), 0) <> (select coalesce(sum(orders), 0) from customer_months)"""
kinds_agree = "select customer_id from this where (kind = 'customer') <> (orders > 0) or (kind = 'lead') <> (order_rows = 0)"
open_tickets_agree = """
select sum(tickets_open) from this
having coalesce(sum(tickets_open), 0) <> (
    select count(*) from tickets
    where open_since_on is not null and month_start = (select max(month_start) from customer_months)
)"""

[warnings]
born_in_the_future = "select customer_id from this where birth_date > $as_of order by customer_id"
---*/
with state as (

    select * from customer_months

),

profiles as (

    select * from stg_customers

),

today as (

    select period_start from calendar_periods where grain = 'month' and day = $as_of

),

responses as (

    select * from response_hours where day > $as_of - 365

),

-- Of each kind but the project's own, a person is in one list at most.
memberships as (

    select
        customer_id,
        nullif(
            concat_ws(
                ',',
                max(list) filter (where list_kind = 'high_risk'),
                max(list) filter (where list_kind = 'inactive'),
                max(list) filter (where list_kind = 'interested_in'),
                max(list) filter (where list_kind = 'loyal'),
                max(list) filter (where list_kind = 'new'),
                max(list) filter (where list_kind = 'by_region'),
                max(list) filter (where list_kind = 'by_company_size'),
                max(list) filter (where list_kind = 'vip')
            ),
            ''
        ) as lists
    from segments
    group by customer_id

),

own_memberships as (

    select customer_id, string_agg(list, ',' order by list) as lists
    from segments
    where list_kind = 'own'
    group by customer_id

),

known as (

    select coalesce(sum(interactions), 0) > 0 as interactions from state

),

open_tickets as (

    select tickets.customer_id, count(*) as tickets_open
    from tickets
    inner join today on today.period_start = tickets.month_start
    where tickets.open_since_on is not null
    group by tickets.customer_id

),

-- A ticket has a row for each month in which it was open; a reply is in the later ones.
first_responses as (

    select
        customer_id,
        cast(max(first_replied_at) as bigint) - cast(first_opened_at as bigint) as response_us
    from tickets
    where first_opened_on > $as_of - 365
    group by customer_id, ticket_id, first_opened_at

),

response_times as (

    select customer_id, median(cast(greatest(response_us, 0) as double) / 3600000000) as first_response_hours_median
    from first_responses
    where response_us is not null
    group by customer_id

),

reads as (

    select hour, date_part('isodow', day) as weekday, reads as events
    from responses
    where reads > 0

),

project_hour as (

    select first_value(hour order by events desc, hour) as best_hour
    from (select hour, sum(events) as events from reads where hour is not null group by hour) as hours

),

project_weekday as (

    select first_value(weekday order by events desc, weekday) as best_weekday
    from (select weekday, sum(events) as events from reads group by weekday) as weekdays

),

people as (

    select
        *,
        (select interactions from known) as has_interactions,
        (select best_hour from project_hour) as project_hour,
        (select best_weekday from project_weekday) as project_weekday
    from customer_habits

)

select
    people.customer_id,
    case
        when coalesce(state.order_rows, 0) = 0 then 'lead'
        when state.orders = 0 then 'former_buyer'
        else 'customer'
    end as kind,
    profiles.name,
    profiles.birth_date,
    profiles.region,
    profiles.company_size,
    profiles.interest,
    profiles.phone,
    profiles.email,
    profiles.created_at,
    state.first_seen_on,
    state.first_purchase_on,
    cast($as_of - state.first_purchase_on as bigint) as customer_age_days,
    coalesce(state.order_rows, 0) as order_rows,
    coalesce(state.orders, 0) as orders,
    coalesce(state.revenue, 0) as revenue,
    coalesce(state.refunded, 0) as refunded_amount,
    state.unpaid as unpaid_amount,
    cast(round(state.revenue / nullif(state.orders, 0), 4) as decimal(18, 4)) as average_order_value,
    state.gross_profit,
    cast(state.gross_profit as double) / nullif(cast(state.costed_revenue as double), 0) as margin,
    cast(state.costed_revenue as double) / nullif(cast(state.line_revenue as double), 0) as cost_coverage,
    cast(state.last_purchase_on - state.first_purchase_on as double) / nullif(state.purchase_days - 1, 0) as average_gap_days,
    state.last_purchase_on,
    cast($as_of - state.last_purchase_on as bigint) as days_since_last_purchase,
    state.last_order_id,
    state.last_order_channel,
    people.order_channel as preferred_channel,
    people.category as preferred_category,
    people.product_id as preferred_product_id,
    case when people.has_interactions then coalesce(state.tickets_opened, 0) end as tickets,
    case when people.has_interactions then coalesce(open_tickets.tickets_open, 0) end as tickets_open,
    response_times.first_response_hours_median,
    state.csat_score,
    state.csat_on,
    state.nps_score,
    state.nps_on,
    case when people.has_interactions then coalesce(state.messages_sent, 0) end as messages_sent,
    case when people.has_interactions then coalesce(state.messages_opened, 0) end as messages_opened,
    case when people.has_interactions then coalesce(state.messages_clicked, 0) end as messages_clicked,
    case when people.has_interactions then coalesce(state.messages_replied, 0) end as messages_replied,
    cast(people.messages_engaged as double) / nullif(people.messages_reached, 0) as engagement_rate,
    case when people.messages_reached > 0 then 1 + least(4, 5 * people.messages_engaged / people.messages_reached) end as engagement_stars,
    case when people.has_interactions then coalesce(state.calls_in, 0) end as calls_in,
    case when people.has_interactions then coalesce(state.calls_out, 0) end as calls_out,
    case when people.has_interactions then coalesce(state.demos, 0) end as demos,
    case when people.has_interactions then coalesce(state.quotes, 0) end as quotes,
    case when people.has_interactions then coalesce(state.logins, 0) end as logins,
    state.last_login_on,
    state.last_own_activity_on as last_activity_on,
    case when people.has_interactions then coalesce(state.comments, 0) end as comments,
    case when people.has_interactions then coalesce(state.news_read, 0) end as news_read,
    case when people.has_interactions then coalesce(state.referrals, 0) end as referrals,
    case when people.has_interactions then coalesce(state.points_earned, 0) - coalesce(state.points_spent, 0) end as points_balance,
    people.answer_channel as preferred_contact_channel,
    case when people.has_own_times then people.hour else people.project_hour end as best_hour,
    case when people.has_own_times then people.weekday else people.project_weekday end as best_weekday,
    case
        when people.has_own_times then 'own'
        when people.project_weekday is not null then 'project'
    end as best_time_basis,
    nullif(concat_ws(',', memberships.lists, own_memberships.lists), '') as lists
from people
-- Each join copies what came before it. So what most people have comes while there is little of it, then what few have, and
-- the wide tables last.
left join memberships on memberships.customer_id = people.customer_id
left join open_tickets on open_tickets.customer_id = people.customer_id
left join response_times on response_times.customer_id = people.customer_id
left join own_memberships on own_memberships.customer_id = people.customer_id
left join profiles on profiles.customer_id = people.customer_id
left join state on state.customer_id = people.customer_id
order by people.customer_id
