/*---
description = "One row per person with something in the month that earns ranking points: the month's sums of ranking_day_counts, so that a long window reads little."
grain = ["customer_id"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month.", checks = ["not_null"] }
first_purchase_on = { type = "date", doc = "The month's first purchase day; NULL without one." }
last_purchase_on = { type = "date", doc = "The month's last purchase day." }
purchase_days = { type = "int64", doc = "Days with a purchase.", unit = "count", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Purchases.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the purchases.", unit = "currency", checks = ["not_null", "non_negative"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of the lines whose cost is known.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of the lines whose cost is known; NULL without one.", unit = "currency" }
online_orders = { type = "int64", doc = "Purchases through an online channel.", unit = "count", checks = ["not_null", "non_negative"] }
offline_orders = { type = "int64", doc = "Purchases through an offline channel.", unit = "count", checks = ["not_null", "non_negative"] }
referrals = { type = "int64", doc = "People referred.", unit = "count", checks = ["not_null", "non_negative"] }
logins = { type = "int64", doc = "Logins.", unit = "count", checks = ["not_null", "non_negative"] }
news_read = { type = "int64", doc = "News items read.", unit = "count", checks = ["not_null", "non_negative"] }
comments = { type = "int64", doc = "Comments.", unit = "count", checks = ["not_null", "non_negative"] }
---*/
with days as (

    select *, case when orders > 0 then day end as purchased_on from ranking_day_counts

)

select
    customer_id,
    $period_start as month_start,
    min(purchased_on) as first_purchase_on,
    max(purchased_on) as last_purchase_on,
    count(purchased_on) as purchase_days,
    sum(orders) as orders,
    sum(revenue) as revenue,
    sum(costed_revenue) as costed_revenue,
    sum(gross_profit) as gross_profit,
    sum(online_orders) as online_orders,
    sum(offline_orders) as offline_orders,
    sum(referrals) as referrals,
    sum(logins) as logins,
    sum(news_read) as news_read,
    sum(comments) as comments
from days
group by customer_id
order by customer_id
