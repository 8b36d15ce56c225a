/*---
description = "One row per two products that a purchase of the month holds both: the month's part of product_pairs."
grain = ["product_id", "other_product_id"]
partition = "month"

[columns]
product_id = { type = "text", doc = "The one whose id comes first.", checks = ["not_null"] }
other_product_id = { type = "text", doc = "The other.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the month.", checks = ["not_null"] }
baskets = { type = "int64", doc = "Purchases in which both brought money and neither is excluded (excluded_products.csv).", unit = "count", checks = ["not_null", "positive"] }

[checks]
each_pair_once = "select * from this where product_id >= other_product_id"
---*/
with excluded_values as (

    select kind, cast(value as varchar) as value from excluded_products

),

excluded_ids as (

    select distinct value as product_id from excluded_values where kind = 'product'

),

excluded_categories as (

    select distinct value as category from excluded_values where kind = 'category'

),

in_baskets as (

    select distinct lines.order_id, lines.product_id
    from excluded_ids
    right join purchase_lines as lines on lines.product_id = excluded_ids.product_id
    left join excluded_categories on excluded_categories.category = lines.category
    where
        lines.day <= $period_end
        and lines.line_net > 0
        and excluded_ids.product_id is null and excluded_categories.category is null

)

select
    ones.product_id,
    others.product_id as other_product_id,
    $period_start as month_start,
    count(*) as baskets
from in_baskets as ones
inner join in_baskets as others
    on others.order_id = ones.order_id and others.product_id > ones.product_id
group by ones.product_id, others.product_id
order by product_id, other_product_id
