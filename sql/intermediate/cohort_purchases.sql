/*---
description = "Purchases of the month by the cohort of their customer and by period."
grain = ["grain", "basis", "cohort_number", "period_number"]
partition = "month"

[reads]
activity_state = { last = "1 day" }
customer_months = { last = "1 day" }

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "Basis that decides the cohort.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
cohort_number = { type = "int64", doc = "Period of the customer's first active day.", checks = ["not_null"] }
period_number = { type = "int64", doc = "Period of the purchase.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases.", unit = "count", checks = ["not_null", "positive"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue.", unit = "currency", checks = ["not_null", "positive"] }

[checks]
no_period_before_the_cohort = "select * from this where period_number < cohort_number"
---*/
with cohort_days as (

    select customer_id, basis, first_active_on
    from activity_state
    where month_start = $period_start

),

purchase_days as (

    select customer_id, day, orders, revenue
    from customer_days
    where orders > 0 and day <= $period_end

),

this_month as (

    select
        periods.grain,
        cohort_days.basis,
        cohorts.period_number as cohort_number,
        periods.period_number,
        purchase_days.orders,
        purchase_days.revenue
    from purchase_days
    inner join cohort_days on cohort_days.customer_id = purchase_days.customer_id
    inner join calendar_periods as periods on periods.day = purchase_days.day
    inner join calendar_periods as cohorts
        on cohorts.day = cohort_days.first_active_on and cohorts.grain = periods.grain
    where periods.period_number >= cohorts.period_number

),

-- Only on the basis of interactions can a customer buy before joining a cohort. What was bought in
-- earlier months of the very period of that first interaction is added in the month that learns it.
bought_before as (

    select customer_id, 'week' as grain, orders_this_week as orders, revenue_this_week as revenue
    from customer_months
    where month_start < $period_start
    union all
    select customer_id, 'quarter' as grain, orders_this_quarter as orders, revenue_this_quarter as revenue
    from customer_months
    where month_start < $period_start
    union all
    select customer_id, 'year' as grain, orders_this_year as orders, revenue_this_year as revenue
    from customer_months
    where month_start < $period_start

),

earlier_months as (

    select
        cohorts.grain,
        cohort_days.basis,
        cohorts.period_number as cohort_number,
        cohorts.period_number,
        bought_before.orders,
        bought_before.revenue
    from cohort_days
    inner join calendar_periods as cohorts on cohorts.day = cohort_days.first_active_on
    inner join bought_before
        on bought_before.customer_id = cohort_days.customer_id and bought_before.grain = cohorts.grain
    where cohort_days.first_active_on >= $period_start
        and cohorts.period_start < $period_start
        and bought_before.orders > 0

),

all_purchases as (

    select * from this_month
    union all
    select * from earlier_months

)

select
    grain,
    basis,
    cohort_number,
    period_number,
    sum(orders) as orders,
    sum(revenue) as revenue
from all_purchases
group by grain, basis, cohort_number, period_number
order by grain, basis, cohort_number, period_number
