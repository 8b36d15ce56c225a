/*---
description = "One row per product and another one that goes with it: by the purchases of the affinity_days to the as-of date, or by the catalogue's word."
grain = ["product_id", "other_product_id"]

[reads]
basket_pairs = { last = "$affinity_days" }
product_days = { last = "$affinity_days" }
purchase_lines = { last = "$affinity_days" }

[columns]
product_id = { type = "text", doc = "The product that is bought or owned.", checks = ["not_null"] }
other_product_id = { type = "text", doc = "The one that goes with it.", checks = ["not_null"] }
is_frequent = { type = "boolean", doc = "Whether min_pairs purchases and the share min_support of all hold both.", checks = ["not_null"] }
is_complement = { type = "boolean", doc = "Whether the catalogue calls the other one the product's complement.", checks = ["not_null"] }
baskets = { type = "int64", doc = "Purchases of the window with any product that counts.", unit = "count", checks = ["not_null", "non_negative"] }
product_baskets = { type = "int64", doc = "Those with the product.", unit = "count", checks = ["not_null", "non_negative"] }
other_baskets = { type = "int64", doc = "Those with the other one.", unit = "count", checks = ["not_null", "non_negative"] }
pair_baskets = { type = "int64", doc = "Those with both.", unit = "count", checks = ["not_null", "non_negative"] }
support = { type = "float64", doc = "pair_baskets / baskets.", unit = "fraction", checks = ["fraction"] }
confidence = { type = "float64", doc = "pair_baskets / product_baskets.", unit = "fraction", checks = ["fraction"] }
lift = { type = "float64", doc = "How many times likelier the other one is with the product than in any basket: confidence / (other_baskets / baskets).", unit = "factor", checks = ["non_negative"] }
leverage = { type = "float64", doc = "support minus what it would be if the two were bought independently.", unit = "fraction" }

[checks]
both_bound_the_pair = "select * from this where pair_baskets > least(product_baskets, other_baskets) or product_baskets > baskets"
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

-- The last day of the month that the window cuts; no row where the window begins with a month.
cut_month as (

    select period_end
    from calendar_periods
    where grain = 'month' and day = $as_of - cast($affinity_days as int) + 1 and period_start < day

),

-- No month has more than 31 days: a bound that the files' statistics can use.
cut_lines as (

    select lines.order_id, lines.product_id, lines.category
    from purchase_lines as lines
    inner join cut_month on lines.day <= cut_month.period_end
    where lines.day > $as_of - cast($affinity_days as int)
        and lines.day <= least($as_of, $as_of - cast($affinity_days as int) + 31)
        and lines.line_net > 0

),

in_cut_baskets as (

    select distinct lines.order_id, lines.product_id
    from excluded_ids
    right join cut_lines as lines on lines.product_id = excluded_ids.product_id
    left join excluded_categories on excluded_categories.category = lines.category
    where excluded_ids.product_id is null and excluded_categories.category is null

),

parts as (

    select product_id, other_product_id, baskets
    from basket_pairs
    where month_start > $as_of - cast($affinity_days as int)
    union all
    select ones.product_id, others.product_id as other_product_id, count(*) as baskets
    from in_cut_baskets as ones
    inner join in_cut_baskets as others
        on others.order_id = ones.order_id and others.product_id > ones.product_id
    group by ones.product_id, others.product_id

),

pairs as (

    select product_id, other_product_id, sum(baskets) as baskets
    from parts
    group by product_id, other_product_id

),

directed as (

    select product_id, other_product_id, baskets from pairs
    union all
    select other_product_id as product_id, product_id as other_product_id, baskets from pairs

),

window_days as (

    select level, item, baskets
    from product_days
    where day > $as_of - cast($affinity_days as int)

),

total as (

    select coalesce(sum(baskets), 0) as baskets from window_days where level = 'all'

),

products as (

    select item as product_id, sum(baskets) as baskets
    from window_days
    where level = 'product'
    group by item

),

catalogue as (

    select product_id, category, complement_product_id from stg_products

),

barred as (

    select product_id from excluded_ids
    union
    select catalogue.product_id
    from catalogue
    inner join excluded_categories on excluded_categories.category = catalogue.category

),

complements as (

    select catalogue.product_id, catalogue.complement_product_id as other_product_id
    from catalogue
    left join barred as ones on ones.product_id = catalogue.product_id
    left join barred as others on others.product_id = catalogue.complement_product_id
    where catalogue.complement_product_id <> catalogue.product_id
        and ones.product_id is null
        and others.product_id is null

),

matched as (

    select
        coalesce(directed.product_id, complements.product_id) as product_id,
        coalesce(directed.other_product_id, complements.other_product_id) as other_product_id,
        complements.product_id is not null as is_complement,
        coalesce(directed.baskets, 0) as pair_baskets
    from directed
    full join complements
        on complements.product_id = directed.product_id
        and complements.other_product_id = directed.other_product_id

),

counted as (

    select
        matched.product_id,
        matched.other_product_id,
        -- The least whole number above the share is what matters, so that no rounding is needed.
        matched.pair_baskets >= $min_pairs and matched.pair_baskets >= $min_support * total.baskets as is_frequent,
        matched.is_complement,
        total.baskets,
        coalesce(ones.baskets, 0) as product_baskets,
        coalesce(others.baskets, 0) as other_baskets,
        matched.pair_baskets
    from matched
    cross join total
    left join products as ones on ones.product_id = matched.product_id
    left join products as others on others.product_id = matched.other_product_id

)

select
    product_id,
    other_product_id,
    is_frequent,
    is_complement,
    baskets,
    product_baskets,
    other_baskets,
    pair_baskets,
    cast(pair_baskets as double) / nullif(baskets, 0) as support,
    cast(pair_baskets as double) / nullif(product_baskets, 0) as confidence,
    cast(pair_baskets as double) * baskets / nullif(cast(product_baskets as double) * other_baskets, 0) as lift,
    cast(pair_baskets as double) / nullif(baskets, 0)
        - cast(product_baskets as double) * other_baskets / nullif(cast(baskets as double) * baskets, 0) as leverage
from counted
where is_frequent or is_complement
order by product_id, other_product_id
