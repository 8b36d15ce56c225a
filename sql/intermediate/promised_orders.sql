/*---
description = "Orders of the month with a promised delivery, by the day promised and the day of delivery."
grain = ["promised_on", "delivered_on"]
partition = "month"

[columns]
promised_on = { type = "date", doc = "Day of promised_at.", checks = ["not_null"] }
delivered_on = { type = "date", doc = "Day of delivered_at; NULL while not delivered. May lie after the as-of date." }
orders = { type = "int64", doc = "Orders. One that was neither delivered nor counts as a purchase (cancelled, refunded) is awaited no more and not here.", unit = "count", checks = ["not_null", "positive"] }
---*/
with promised as (

    select promised_on, delivered_on
    from stg_orders
    where promised_on is not null and (is_purchase or delivered_on is not null) and day <= $period_end

)

select promised_on, delivered_on, count(*) as orders
from promised
group by promised_on, delivered_on
order by promised_on, delivered_on
