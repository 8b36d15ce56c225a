/*---
description = "One row per customer with most purchases on days off: whom to write to on a Thursday evening."
grain = ["customer_id"]

[reads]
stg_orders = { last = "365 days" }

[columns]
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases in the 365 days to the as-of date.", unit = "count", checks = ["not_null", "positive"] }
weekend_share = { type = "float64", doc = "Share of them on days off, by the calendar's is_weekend.", unit = "fraction", checks = ["fraction"] }

[checks]
most_is_more_than_half = "select * from this where weekend_share <= 0.5"
---*/
with purchases as (

    select customer_id, day
    from stg_orders
    where is_purchase and day > $as_of - 365 and day <= $as_of

),

days as (

    select day, is_weekend from calendar

),

counted as (

    select
        purchases.customer_id,
        count(*) as orders,
        count(*) filter (where days.is_weekend) as weekend_orders
    from purchases
    inner join days on days.day = purchases.day
    group by purchases.customer_id

)

select
    customer_id,
    orders,
    cast(weekend_orders as double) / orders as weekend_share
from counted
where 2 * weekend_orders > orders
order by customer_id
