/*---
description = "One row per product of the catalogue: the newest version of each, text normalised."
grain = ["product_id"]

[columns]
product_id = { type = "text", doc = "The product.", checks = ["not_null"] }
name = { type = "text", doc = "What it is called." }
category = { type = "text", doc = "Its category." }
unit_cost = { type = "decimal(18,4)", doc = "Cost of one; NULL when unknown.", unit = "currency", checks = ["non_negative"] }
complement_product_id = { type = "text", doc = "What goes with it, as the shop itself sees it." }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }
---*/
with versions as (

    select
        *,
        row_number() over (
            partition by product_id
            order by delivery desc, line desc, content_hash desc
        ) as version
    from source.products

)

select
    product_id,
    name,
    category,
    unit_cost,
    complement_product_id,
    content_hash
from versions
where version = 1
order by product_id
