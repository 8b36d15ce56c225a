/*---
description = "One row per customer, product and category of the month's purchases: who owns what."
grain = ["customer_id", "product_id", "category"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "Who bought.", checks = ["not_null"] }
product_id = { type = "text", doc = "What was bought.", checks = ["not_null"] }
category = { type = "text", doc = "The line's category, else the product's." }
month_start = { type = "date", doc = "First day of the month.", checks = ["not_null"] }
last_day = { type = "date", doc = "Business day of the month's last such purchase.", checks = ["not_null"] }

[checks]
no_future_days = "select * from this where last_day > $period_end"
---*/
select
    customer_id,
    product_id,
    category,
    $period_start as month_start,
    max(day) as last_day
from purchase_lines
where day <= $period_end
group by customer_id, product_id, category
order by customer_id, product_id, category
