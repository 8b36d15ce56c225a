/*---
description = "Customers whose second day with a purchase lies in the month, by the day of the first and the days between."
grain = ["first_purchase_on", "gap_days"]
partition = "month"

[columns]
first_purchase_on = { type = "date", doc = "Day of the first purchase.", checks = ["not_null"] }
gap_days = { type = "int64", doc = "From it to the next day with a purchase; a second purchase on the first day is none.", unit = "days", checks = ["not_null", "positive"] }
customers = { type = "int64", doc = "Customers.", unit = "count", checks = ["not_null", "positive"] }
---*/
with purchase_days as (

    select customer_id, day
    from customer_days
    where orders > 0 and day <= $period_end

),

this_month as (

    select customer_id, count(*) as days
    from purchase_days
    group by customer_id

),

-- With at most one such day before this month, and two by now, the second is in it.
repeaters as (

    select customers.customer_id, customers.first_purchase_on
    from this_month
    inner join customer_months as customers on customers.customer_id = this_month.customer_id
    where customers.purchase_days >= 2 and customers.purchase_days - this_month.days <= 1

),

seconds as (

    select repeaters.customer_id, repeaters.first_purchase_on, min(purchase_days.day) as second_on
    from repeaters
    inner join purchase_days on purchase_days.customer_id = repeaters.customer_id
    where purchase_days.day > repeaters.first_purchase_on
    group by repeaters.customer_id, repeaters.first_purchase_on

)

select
    first_purchase_on,
    cast(second_on - first_purchase_on as bigint) as gap_days,
    count(*) as customers
from seconds
group by first_purchase_on, cast(second_on - first_purchase_on as bigint)
order by first_purchase_on, gap_days
