/*---
description = "Customers by the period in which they were active and the one in which they had been active before it; each customer and period counts in the month of the period's first active day."
grain = ["grain", "basis", "cohort_number", "period_number", "previous_number"]
partition = "month"

[reads]
activity_state = { last = "1 day" }

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "What counts as active.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
cohort_number = { type = "int64", doc = "Period of the customer's first active day.", checks = ["not_null"] }
period_number = { type = "int64", doc = "Period in which the customer was active.", checks = ["not_null"] }
previous_number = { type = "int64", doc = "Period in which the customer was last active before period_number; NULL for the first." }
customers = { type = "int64", doc = "Customers who took this step.", unit = "count", checks = ["not_null", "positive"] }

[checks]
steps_go_forward = """
select * from this
where previous_number >= period_number
    or cohort_number > period_number
    or (previous_number is null) <> (cohort_number = period_number)"""
---*/
with before as (

    select customer_id, basis, last_active_on
    from activity_state
    where month_start < $period_start

),

now as (

    select customer_id, basis, first_active_on
    from activity_state
    where month_start = $period_start

),

active as (

    select
        customer_id,
        basis,
        day,
        lag(day) over (partition by customer_id, basis order by day) as previous_day
    from active_days

),

steps as (

    select
        active.basis,
        now.first_active_on,
        active.day,
        coalesce(active.previous_day, before.last_active_on) as previous_day,
        count(*) as customers
    from active
    inner join now on now.customer_id = active.customer_id and now.basis = active.basis
    left join before on before.customer_id = active.customer_id and before.basis = active.basis
    group by
        active.basis,
        now.first_active_on,
        active.day,
        coalesce(active.previous_day, before.last_active_on)

),

previous_periods as (

    select day, grain, period_number as previous_number from calendar_periods

)

-- The first active day of a period is the one whose previous active day lies in another.
select
    periods.grain,
    steps.basis,
    cohorts.period_number as cohort_number,
    periods.period_number,
    previous.previous_number,
    sum(steps.customers) as customers
from steps
inner join calendar_periods as periods on periods.day = steps.day
inner join calendar_periods as cohorts
    on cohorts.day = steps.first_active_on and cohorts.grain = periods.grain
left join previous_periods as previous
    on previous.day = steps.previous_day and previous.grain = periods.grain
where previous.previous_number is distinct from periods.period_number
group by periods.grain, steps.basis, cohorts.period_number, periods.period_number, previous.previous_number
order by grain, basis, cohort_number, period_number, previous_number
