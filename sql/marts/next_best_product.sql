/*---
description = "One row per customer and suggestion, three at most: what goes with what they bought and they never bought themselves."
grain = ["customer_id", "position"]
features = ["F088"]

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase whose lines are known. Waits for the source order_items, as the whole mart: no rows.", checks = ["not_null"] }
position = { type = "int64", doc = "1 is the best: by score, lift and support of its pair (those without a value last), then by product_id.", unit = "position 1-3", checks = ["not_null", "positive"] }
product_id = { type = "text", doc = "The product to suggest: of a pair in product_affinity, or a complement in the catalogue. Never bought by the customer; not excluded (excluded_products.csv).", checks = ["not_null"] }
product_name = { type = "text", doc = "Its name. Waits for the source products, as names and category: NULL." }
category = { type = "text", doc = "Its category in the catalogue." }
score = { type = "float64", doc = "The greatest confidence, over all products that the customer ever bought, of a purchase with that one to hold this one too. A complement counts below the thresholds of product_affinity as well; NULL for one of which nothing was bought within affinity_days.", unit = "fraction", checks = ["fraction"] }
lift = { type = "float64", doc = "Lift of the same pair.", unit = "factor", checks = ["non_negative"] }
support = { type = "float64", doc = "Support of the same pair.", unit = "fraction", checks = ["fraction"] }
bought_product_id = { type = "text", doc = "The customer's own product that the score comes from; the first by id of equal ones.", checks = ["not_null"] }
bought_product_name = { type = "text", doc = "Its name." }
reason = { type = "text", doc = "complement: the catalogue calls the two complements; affinity: they are often bought together.", one_of = ["complement", "affinity"], checks = ["not_null"] }
reason_en = { type = "text", doc = "reason in English.", checks = ["not_null"] }
reason_fa = { type = "text", doc = "reason in Persian.", checks = ["not_null"] }

[checks]
three_at_most = "select * from this where position > 3"
no_product_twice = "select customer_id, product_id from this group by customer_id, product_id having count(*) > 1"
---*/
with products as (

    select product_id, name, category from stg_products

),

-- Numbers in place of texts: a large shop compares tens of millions of them here.
numbers as (

    select product_id, cast(row_number() over (order by product_id) as int) as number
    from (
        select product_id from product_pairs
        union
        select other_product_id from product_pairs
    ) as paired

),

pairs as (

    select
        *,
        cast(row_number() over (
            order by
                confidence desc nulls last,
                lift desc nulls last,
                support desc nulls last,
                other_product_id,
                product_id
        ) as int) as place
    from product_pairs

),

-- What each product is bought with. In lists, so that a customer's product stays one row.
offers as (

    select
        pairs.product_id,
        array_agg(others.number order by pairs.place) as others,
        array_agg(pairs.place order by pairs.place) as places
    from pairs
    inner join numbers as others on others.product_id = pairs.other_product_id
    group by pairs.product_id

),

catalogue as (

    select numbers.product_id, numbers.number, offers.others, offers.places
    from numbers
    left join offers on offers.product_id = numbers.product_id

),

owned as (

    select customer_id, product_id from customer_products

),

best_places as (

    select owned.customer_id, best_offers(catalogue.number, catalogue.others, catalogue.places) as places
    from catalogue
    inner join owned on owned.product_id = catalogue.product_id
    group by owned.customer_id

),

-- Three numbers are copied to three positions in a fraction of the time that a list of them takes.
best as (

    select customer_id, places[1] as first_place, places[2] as second_place, places[3] as third_place
    from best_places

),

positions as (

    select * from (values (1), (2), (3)) as positions (position)

),

-- Who has fewer than three has NULL for the others, which no suggestion explains. A filter here would make the engine look at
-- each pair of rows by itself.
suggestions as (

    select
        best.customer_id,
        positions.position,
        case positions.position
            when 1 then best.first_place
            when 2 then best.second_place
            when 3 then best.third_place
        end as place
    from best
    cross join positions

),

reasons as (

    select code, label_en, label_fa from labels where "group" = 'suggestion'

),

explained as (

    select
        pairs.place,
        pairs.other_product_id as product_id,
        products.name as product_name,
        products.category,
        pairs.confidence as score,
        pairs.lift,
        pairs.support,
        pairs.product_id as bought_product_id,
        bought_products.name as bought_product_name,
        reasons.code as reason,
        reasons.label_en as reason_en,
        reasons.label_fa as reason_fa
    from pairs
    inner join reasons on reasons.code = case when pairs.is_complement then 'complement' else 'affinity' end
    left join products on products.product_id = pairs.other_product_id
    left join products as bought_products on bought_products.product_id = pairs.product_id

)

select
    suggestions.customer_id,
    suggestions.position,
    explained.product_id,
    explained.product_name,
    explained.category,
    explained.score,
    explained.lift,
    explained.support,
    explained.bought_product_id,
    explained.bought_product_name,
    explained.reason,
    explained.reason_en,
    explained.reason_fa
from explained
inner join suggestions on suggestions.place = explained.place
order by suggestions.customer_id, suggestions.position
