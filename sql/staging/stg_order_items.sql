/*---
description = "One row per order line of the month's orders; an order's lines are those of one delivery, or one version of each where lines are numbered."
grain = ["order_id", "line_number"]
partition = "month"
requires = ["orders"]

[columns]
order_id = { type = "text", doc = "The order.", checks = ["not_null"] }
line_number = { type = "int64", doc = "Position within the order, from 1: by line_no, delivery and place in the object.", checks = ["not_null", "positive"] }
customer_id = { type = "text", doc = "Who ordered.", checks = ["not_null"] }
ordered_at = { type = "timestamp", doc = "Moment of the order, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of the order.", checks = ["not_null"] }
product_id = { type = "text", doc = "The product.", checks = ["not_null"] }
category = { type = "text", doc = "Category as the line says it." }
quantity = { type = "decimal(18,4)", doc = "How many.", unit = "count", checks = ["not_null", "non_negative"] }
unit_price = { type = "decimal(18,4)", doc = "Price of one, before the line's discount.", unit = "currency", checks = ["not_null", "non_negative"] }
unit_cost = { type = "decimal(18,4)", doc = "Cost of one, as the line says it.", unit = "currency" }
discount = { type = "decimal(18,4)", doc = "The line's discount; 0 when none is given.", unit = "currency", checks = ["not_null"] }
line_amount = { type = "decimal(38,8)", doc = "quantity times unit_price minus discount, unrounded.", unit = "currency", checks = ["not_null"] }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }
---*/
with lines as (

    select
        items.*,
        orders.customer_id as order_customer_id,
        orders.ordered_at as order_ordered_at,
        orders.day as order_day
    from source.order_items as items
    inner join stg_orders as orders on orders.order_id = items.order_id

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
            order by delivery desc, line desc, content_hash desc
        ) as version
    from lines
    where line_no is not null

),

newest as (

    select * from unnumbered
    union all
    select * from numbered where version = 1

)

select
    order_id,
    row_number() over (partition by order_id order by line_no nulls last, delivery, line, content_hash) as line_number,
    order_customer_id as customer_id,
    order_ordered_at as ordered_at,
    order_day as day,
    product_id,
    category,
    quantity,
    unit_price,
    unit_cost,
    coalesce(discount, 0) as discount,
    quantity * unit_price - coalesce(discount, 0) as line_amount,
    content_hash
from newest
order by order_id, line_number
