/*---
description = "One row per person and business day with something that earns ranking points."
grain = ["customer_id", "day"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases.", unit = "currency", checks = ["not_null", "non_negative"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of the lines whose cost is known.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of the lines whose cost is known; NULL without one.", unit = "currency" }
online_orders = { type = "int64", doc = "Purchases through a channel that sales_channels.csv calls online.", unit = "count", checks = ["not_null", "non_negative"] }
offline_orders = { type = "int64", doc = "Purchases through a channel that sales_channels.csv calls offline.", unit = "count", checks = ["not_null", "non_negative"] }
referrals = { type = "int64", doc = "People referred.", unit = "count", checks = ["not_null", "non_negative"] }
logins = { type = "int64", doc = "Logins.", unit = "count", checks = ["not_null", "non_negative"] }
news_read = { type = "int64", doc = "News items read.", unit = "count", checks = ["not_null", "non_negative"] }
comments = { type = "int64", doc = "Comments.", unit = "count", checks = ["not_null", "non_negative"] }

[checks]
no_future_days = "select * from this where day > $period_end"
nothing_is_lost = """
select sum(revenue) from this
having coalesce(sum(revenue), 0) <> (select coalesce(sum(revenue), 0) from customer_days where day <= $period_end)
or coalesce(sum(orders), 0) <> (select coalesce(sum(orders), 0) from customer_days where day <= $period_end)
or coalesce(sum(logins), 0) <> (select coalesce(sum(logins), 0) from customer_days where day <= $period_end)
or coalesce(sum(referrals), 0) <> (select coalesce(sum(referrals), 0) from customer_days where day <= $period_end)"""
an_order_has_one_place = "select * from this where online_orders + offline_orders > orders"

[warnings]
unknown_channels = """
select stg_orders.channel, count(*) as orders
from stg_orders
left anti join sales_channels on sales_channels.channel = lower(stg_orders.channel)
where stg_orders.is_purchase and stg_orders.channel is not null and stg_orders.day <= $period_end
group by stg_orders.channel
order by orders desc, channel"""
---*/
with days as (

    select customer_id, day, orders, revenue, costed_revenue, gross_profit, referrals, logins, news_read, comments
    from customer_days
    where day <= $period_end and (orders > 0 or referrals > 0 or logins > 0 or news_read > 0 or comments > 0)

),

channels as (

    select channel, place from sales_channels

),

purchases as (

    select customer_id, day, lower(channel) as channel
    from stg_orders
    where is_purchase and channel is not null and day <= $period_end

),

places as (

    select
        purchases.customer_id,
        purchases.day,
        count(*) filter (where channels.place = 'online') as online_orders,
        count(*) filter (where channels.place = 'offline') as offline_orders
    from channels
    inner join purchases on purchases.channel = channels.channel
    group by purchases.customer_id, purchases.day

)

select
    days.customer_id,
    days.day,
    days.orders,
    days.revenue,
    days.costed_revenue,
    days.gross_profit,
    coalesce(places.online_orders, 0) as online_orders,
    coalesce(places.offline_orders, 0) as offline_orders,
    days.referrals,
    days.logins,
    days.news_read,
    days.comments
from places
right join days on days.customer_id = places.customer_id and days.day = places.day
order by days.customer_id, days.day
