/*---
name = "stg_order_items"
description = "One row per order line, where the lines carry the order's own columns: the newest delivery of each order, or one version of each numbered line."
grain = ["order_id", "line_number"]
partition = "month"
without = ["orders"]

[reads]
stg_identities = "reference"

[columns]
order_id = { type = "text", doc = "The order.", checks = ["not_null"] }
line_number = { type = "int64", doc = "Position within the order, from 1: by line_no, delivery and place in the object.", checks = ["not_null", "positive"] }
customer_id = { type = "text", doc = "Who ordered.", checks = ["not_null"] }
ordered_at = { type = "timestamp", doc = "Moment of the line, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of the order: that of its earliest line. May lie after the as-of date: readers filter on $period_end.", checks = ["not_null"] }
product_id = { type = "text", doc = "The product.", checks = ["not_null"] }
category = { type = "text", doc = "Category as the line says it." }
quantity = { type = "decimal(18,4)", doc = "How many.", unit = "count", checks = ["not_null", "non_negative"] }
unit_price = { type = "decimal(18,4)", doc = "Price of one, before the line's discount.", unit = "currency", checks = ["not_null", "non_negative"] }
unit_cost = { type = "decimal(18,4)", doc = "Cost of one, as the line says it.", unit = "currency" }
discount = { type = "decimal(18,4)", doc = "The line's discount; 0 when none is given.", unit = "currency", checks = ["not_null"] }
line_amount = { type = "decimal(38,8)", doc = "quantity times unit_price minus discount, unrounded.", unit = "currency", checks = ["not_null"] }
hour = { type = "int32", doc = "Local hour of ordered_at, 0 to 23." }
status = { type = "text", doc = "Status of the order, trimmed and lower-cased; NULL when empty." }
currency = { type = "text", doc = "The project's currency." }
channel = { type = "text", doc = "Where the order came in." }
refunded_amount = { type = "decimal(18,4)", doc = "Given back on the whole order, as each of its lines repeats it.", unit = "currency" }
paid_amount = { type = "decimal(18,4)", doc = "Paid on the whole order, as each of its lines repeats it.", unit = "currency" }
campaign_id = { type = "text", doc = "Campaign that the source declares for the order." }
region = { type = "text", doc = "Region of the order." }
promised_at = { type = "timestamp", doc = "Promised delivery, UTC." }
delivered_at = { type = "timestamp", doc = "Delivery, UTC." }
promised_on = { type = "date", doc = "Business day of promised_at." }
delivered_on = { type = "date", doc = "Business day of delivered_at." }
updated_at = { type = "timestamp", doc = "Moment of this version, UTC." }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }
---*/
with people as (

    select alias, customer_id as person_id from stg_identities

),

lines as (

    select * from source.order_items

),

newest_deliveries as (

    select order_id, max(delivery) as delivery
    from lines
    where line_no is null
    group by order_id

),

-- Lines without numbers have no identity: the newest delivery replaces them all, and equal lines in it are all kept.
unnumbered as (

    select lines.*, 1 as version
    from lines
    inner join newest_deliveries
        on newest_deliveries.order_id = lines.order_id and newest_deliveries.delivery = lines.delivery
    where lines.line_no is null

),

numbered as (

    select
        *,
        row_number() over (
            partition by order_id, line_no
            order by updated_at desc nulls last, delivery desc, line desc, content_hash desc
        ) as version
    from lines
    where line_no is not null

),

newest as (

    select * from unnumbered
    union all
    select * from numbered where version = 1

),

-- An order over midnight is of its earliest line's day, and so are all of its lines.
order_days as (

    select order_id, min(day) as day
    from newest
    group by order_id

)

select
    newest.order_id,
    row_number() over (
        partition by newest.order_id order by line_no nulls last, delivery, line, content_hash
    ) as line_number,
    coalesce(people.person_id, newest.customer_id) as customer_id,
    ordered_at,
    order_days.day,
    product_id,
    category,
    quantity,
    unit_price,
    unit_cost,
    coalesce(discount, 0) as discount,
    quantity * unit_price - coalesce(discount, 0) as line_amount,
    hour,
    lower(status) as status,
    currency,
    channel,
    refunded_amount,
    paid_amount,
    campaign_id,
    region,
    promised_at,
    delivered_at,
    promised_on,
    delivered_on,
    updated_at,
    content_hash
from people
right join newest on newest.customer_id = people.alias
inner join order_days on order_days.order_id = newest.order_id
order by order_id, line_number
