/*---
description = "One row per product of the month's order lines that the catalogue knows: the part of the catalogue that the month needs, so that a new product elsewhere changes nothing here."
grain = ["product_id"]
partition = "month"

[reads]
stg_products = "reference"

[columns]
product_id = { type = "text", doc = "The product.", checks = ["not_null"] }
category = { type = "text", doc = "Its category in the catalogue." }
unit_cost = { type = "decimal(18,4)", doc = "Cost of one in the catalogue.", unit = "currency" }
---*/
with sold as (

    select distinct product_id from stg_order_items

)

select products.product_id, products.category, products.unit_cost
from stg_products as products
inner join sold on sold.product_id = products.product_id
order by product_id
