/*---
description = "One row per person (customer, lead or former buyer): what they bought in the 365 days to the as-of date, where and when they answered, and how many messages reached them."
grain = ["customer_id"]

[reads]
customer_months = "latest"
purchase_lines = { last = "365 days" }
stg_orders = { last = "365 days" }
message_days = { last = "365 days" }
response_hours = { last = "365 days" }

[columns]
customer_id = { type = "text", doc = "The person: everyone of the orders, the interactions, and the customers created by the as-of date.", checks = ["not_null"] }
order_channel = { type = "text", doc = "Channel of most purchases; ties by revenue, then by name." }
category = { type = "text", doc = "Category in most purchases; ties by revenue, then by name." }
product_id = { type = "text", doc = "Product in most purchases; ties by revenue, then by id." }
messages_reached = { type = "int64", doc = "Messages delivered, and those not known to be but engaged with; sent stands for delivered where nothing is reported as delivered. Of those with a message_id, each counted once.", unit = "count", checks = ["non_negative"] }
messages_engaged = { type = "int64", doc = "Those of messages_reached that were opened, clicked or answered.", unit = "count", checks = ["non_negative"] }
answer_channel = { type = "text", doc = "Channel of most openings, clicks and answers; ties by name." }
hour = { type = "int32", doc = "Local hour, 0 to 23, with most openings and clicks, the earliest among equals.", unit = "hour" }
weekday = { type = "int32", doc = "Weekday with most openings and clicks, 1 is Monday and 7 Sunday, the first among equals.", unit = "weekday 1-7" }
has_own_times = { type = "boolean", doc = "Whether the openings and clicks are min_best_time_events or more; NULL without an answer." }

[checks]
engaged_are_reached = "select customer_id from this where messages_engaged > messages_reached"
---*/
with state as (

    select customer_id from customer_months

),

profiles as (

    select customer_id, created_on from stg_customers

),

purchases as (

    select customer_id, channel, net_amount
    from stg_orders
    where is_purchase and channel is not null and day > $as_of - 365 and day <= $as_of

),

lines as (

    select customer_id, product_id, category, product_orders, category_orders, line_net
    from purchase_lines
    where day > $as_of - 365 and day <= $as_of

),

message_events as (

    select * from message_days where day > $as_of - 365

),

responses as (

    select * from response_hours where day > $as_of - 365

),

-- Profiles know nobody twice: to look each up is cheaper than to tell all apart.
people as (

    select customer_id from state
    union all
    select customer_id
    from profiles
    where
        (created_on is null or created_on <= $as_of)
        and not exists (select 1 from state where state.customer_id = profiles.customer_id)

),

order_channels as (

    select customer_id, favourite(channel, 1, net_amount) as channel
    from purchases
    group by customer_id

),

goods as (

    select
        customer_id,
        favourite(category, category_orders, line_net) as category,
        favourite(product_id, product_orders, line_net) as product_id
    from lines
    group by customer_id

),

messages as (

    select
        customer_id,
        message_id,
        bool_or(is_sent) as is_sent,
        bool_or(is_delivered) as is_delivered,
        bool_or(is_engaged) as is_engaged
    from message_events
    group by customer_id, message_id

),

engagement as (

    select
        customer_id,
        count(*) filter (where is_engaged) as engaged,
        case
            when bool_or(is_delivered) then count(*) filter (where is_delivered or is_engaged)
            else count(*) filter (where is_sent or is_engaged)
        end as reached
    from messages
    group by customer_id

),

-- Of equals the first by name wins: so hours have two digits. What nobody read says nothing of hours.
answers as (

    select
        customer_id,
        favourite(channel, answers, 0) as channel,
        favourite(lpad(cast(hour as varchar), 2, '0'), reads, 0) filter (where reads > 0) as hour,
        favourite(cast(date_part('isodow', day) as varchar), reads, 0) filter (where reads > 0) as weekday,
        coalesce(sum(reads), 0) >= greatest($min_best_time_events, 1) as has_own_times
    from responses
    group by customer_id

)

select
    people.customer_id,
    order_channels.channel as order_channel,
    goods.category,
    goods.product_id,
    engagement.reached as messages_reached,
    engagement.engaged as messages_engaged,
    answers.channel as answer_channel,
    cast(answers.hour as int) as hour,
    cast(answers.weekday as int) as weekday,
    answers.has_own_times
from people
left join goods on goods.customer_id = people.customer_id
left join order_channels on order_channels.customer_id = people.customer_id
left join engagement on engagement.customer_id = people.customer_id
left join answers on answers.customer_id = people.customer_id
order by people.customer_id
