/*---
description = "One row per customer, business day and product_type row of ranking_points.csv: the purchases that earn its points."
grain = ["customer_id", "day", "applies_to"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
applies_to = { type = "text", doc = "The row: a category, or * for every category without a row of its own; empty where a category earns nothing.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases with a product of such a category, its line's net amount above zero.", unit = "count", checks = ["not_null", "positive"] }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with lines as (

    select customer_id, day, order_id, category
    from purchase_lines
    where category is not null and line_net > 0 and day <= $period_end

),

product_types as (

    select applies_to from ranking_points where rule = 'product_type'

),

others as (

    select max(applies_to) as applies_to from product_types where applies_to = '*'

),

named as (

    select lines.*, product_types.applies_to
    from product_types
    right join lines on lines.category = product_types.applies_to

),

-- Grouping twice is far faster than counting distinct orders.
matched as (

    select distinct
        named.customer_id,
        named.day,
        named.order_id,
        coalesce(named.applies_to, others.applies_to, '') as applies_to
    from others
    cross join named

)

select customer_id, day, applies_to, count(*) as orders
from matched
group by customer_id, day, applies_to
order by customer_id, day, applies_to
