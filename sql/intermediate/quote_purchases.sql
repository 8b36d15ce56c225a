/*---
description = "One row per quote that a purchase of the month followed within conversion_days."
grain = ["event_id"]
partition = "month"

[reads]
sales_steps = { last = "$conversion_days" }

[columns]
event_id = { type = "text", doc = "The quote, of this month or an earlier one.", checks = ["not_null"] }
purchased_on = { type = "date", doc = "Day of the month's first purchase after it, or on its day where the order has no time of day.", checks = ["not_null"] }
---*/
with quotes as (

    select event_id, customer_id, occurred_at, day
    from sales_steps
    where kind = 'quote'

),

purchases as (

    select customer_id, ordered_at, day, has_day_only
    from stg_orders
    where is_purchase and day <= $period_end

)

select quotes.event_id, min(purchases.day) as purchased_on
from quotes
inner join purchases on purchases.customer_id = quotes.customer_id
where
    (purchases.ordered_at >= quotes.occurred_at or (purchases.day = quotes.day and purchases.has_day_only))
    and purchases.day <= quotes.day + cast($conversion_days as int)
group by quotes.event_id
order by event_id
