/*---
description = "One row per customer, basis and business day on which the customer was active, from the day of the first purchase on."
grain = ["customer_id", "basis", "day"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
basis = { type = "text", doc = "What counts: purchases, own interactions, or either.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }

[checks]
no_future_days = "select * from this where day > $period_end"
---*/
with customers as (

    select customer_id, first_purchase_on
    from customer_months
    where first_purchase_on is not null

),

-- What a person did before the first purchase belongs to the lead funnel.
ledger as (

    select
        days.customer_id,
        days.day,
        days.orders > 0 as has_order,
        days.activities > 0 as has_activity
    from customer_days as days
    inner join customers on customers.customer_id = days.customer_id
    where days.day >= customers.first_purchase_on and days.day <= $period_end

),

by_basis as (

    select customer_id, 'order' as basis, day from ledger where has_order
    union all
    select customer_id, 'interaction' as basis, day from ledger where has_activity
    union all
    select customer_id, 'any' as basis, day from ledger where has_order or has_activity

)

select customer_id, basis, day
from by_basis
order by customer_id, basis, day
