/*---
description = "One row per product and another one that is often bought with it, in both directions: of the purchases of the affinity_days to the as-of date."
grain = ["product_id", "other_product_id"]
features = ["F087"]

[columns]
product_id = { type = "text", doc = "The product. Waits for the source order_items, as the whole mart: no rows.", checks = ["not_null"] }
product_name = { type = "text", doc = "Its name. Waits for the source products, as all names and categories: NULL." }
category = { type = "text", doc = "Its category in the catalogue." }
other_product_id = { type = "text", doc = "The one that is bought with it.", checks = ["not_null"] }
other_product_name = { type = "text", doc = "Its name." }
other_category = { type = "text", doc = "Its category in the catalogue." }
is_complement = { type = "boolean", doc = "Whether the catalogue calls the other one the product's complement.", checks = ["not_null"] }
baskets = { type = "int64", doc = "Purchases of the window with any product that brought money and isn't excluded (excluded_products.csv).", unit = "count", checks = ["not_null", "positive"] }
product_baskets = { type = "int64", doc = "Those with the product.", unit = "count", checks = ["not_null", "positive"] }
other_baskets = { type = "int64", doc = "Those with the other one.", unit = "count", checks = ["not_null", "positive"] }
pair_baskets = { type = "int64", doc = "Those with both: min_pairs at least, and the share min_support of baskets.", unit = "count", checks = ["not_null", "positive"] }
support = { type = "float64", doc = "pair_baskets / baskets.", unit = "fraction", checks = ["not_null", "fraction"] }
confidence = { type = "float64", doc = "pair_baskets / product_baskets: how often the other one is bought with the product.", unit = "fraction", checks = ["not_null", "fraction"] }
lift = { type = "float64", doc = "How many times likelier the other one is with the product than in any basket; 1 is no affinity at all.", unit = "factor", checks = ["not_null", "positive"] }
leverage = { type = "float64", doc = "support minus what it would be if the two were bought independently.", unit = "fraction", checks = ["not_null"] }
rank = { type = "int64", doc = "Position among the product's pairs, 1 is the best: by confidence, lift, support, then id.", unit = "position", checks = ["not_null", "positive"] }

[checks]
both_directions = """
select this.product_id, this.other_product_id
from this
left join this as back
    on back.product_id = this.other_product_id and back.other_product_id = this.product_id
where back.pair_baskets is distinct from this.pair_baskets"""
---*/
with pairs as (

    select * from product_pairs where is_frequent

),

products as (

    select product_id, name, category from stg_products

)

select
    pairs.product_id,
    products.name as product_name,
    products.category,
    pairs.other_product_id,
    others.name as other_product_name,
    others.category as other_category,
    pairs.is_complement,
    pairs.baskets,
    pairs.product_baskets,
    pairs.other_baskets,
    pairs.pair_baskets,
    pairs.support,
    pairs.confidence,
    pairs.lift,
    pairs.leverage,
    row_number() over (
        partition by pairs.product_id
        order by pairs.confidence desc, pairs.lift desc, pairs.support desc, pairs.other_product_id
    ) as rank
from pairs
left join products on products.product_id = pairs.product_id
left join products as others on others.product_id = pairs.other_product_id
order by pairs.product_id, pairs.other_product_id
