/*---
description = "A fold: per customer and basis the first and last active day by the month's end (or the as-of date), and the last one before the periods of that last day."
grain = ["customer_id", "basis"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
basis = { type = "text", doc = "What counts: purchases, own interactions, or either.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month at whose end the row holds.", checks = ["not_null"] }
first_active_on = { type = "date", doc = "First active day: what decides the cohort.", checks = ["not_null"] }
last_active_on = { type = "date", doc = "Last active day.", checks = ["not_null"] }
active_before_week_on = { type = "date", doc = "Last active day before the week of last_active_on." }
active_before_month_on = { type = "date", doc = "Last active day before the month of last_active_on." }
active_before_quarter_on = { type = "date", doc = "Last active day before the quarter of last_active_on." }
active_before_year_on = { type = "date", doc = "Last active day before the year of last_active_on." }

[checks]
days_in_order = """
select * from this
where last_active_on > $period_end
    or first_active_on > last_active_on
    or greatest(active_before_week_on, active_before_month_on) >= last_active_on
    or active_before_year_on > active_before_quarter_on
    or active_before_quarter_on > active_before_month_on"""
---*/
with before as (

    select * from activity_state

),

days as (

    select
        active_days.customer_id,
        active_days.basis,
        active_days.day,
        weeks.period_start as week_start
    from active_days
    inner join calendar_periods as weeks on weeks.day = active_days.day
    where weeks.grain = 'week'

),

last_weeks as (

    select customer_id, basis, max(week_start) as week_start
    from days
    group by customer_id, basis

),

month as (

    select
        days.customer_id,
        days.basis,
        min(days.day) as first_active_on,
        max(days.day) as last_active_on,
        max(days.day) filter (where days.week_start < last_weeks.week_start) as active_before_week_on,
        max(last_weeks.week_start) as week_start
    from days
    inner join last_weeks on last_weeks.customer_id = days.customer_id and last_weeks.basis = days.basis
    group by days.customer_id, days.basis

),

-- Quarters and years begin with a month, so all of this month's days lie in one of each.
current_periods as (

    select
        max(period_start) filter (where grain = 'quarter') as quarter_start,
        max(period_start) filter (where grain = 'year') as year_start
    from calendar_periods
    where day = $period_start

)

select
    coalesce(month.customer_id, before.customer_id) as customer_id,
    coalesce(month.basis, before.basis) as basis,
    $period_start as month_start,
    coalesce(before.first_active_on, month.first_active_on) as first_active_on,
    coalesce(month.last_active_on, before.last_active_on) as last_active_on,
    case
        when month.customer_id is null then before.active_before_week_on
        when month.active_before_week_on is not null then month.active_before_week_on
        when before.last_active_on < month.week_start then before.last_active_on
        else before.active_before_week_on
    end as active_before_week_on,
    case
        when month.customer_id is null then before.active_before_month_on
        else before.last_active_on
    end as active_before_month_on,
    case
        when month.customer_id is null then before.active_before_quarter_on
        when before.last_active_on < quarter_start then before.last_active_on
        else before.active_before_quarter_on
    end as active_before_quarter_on,
    case
        when month.customer_id is null then before.active_before_year_on
        when before.last_active_on < year_start then before.last_active_on
        else before.active_before_year_on
    end as active_before_year_on
from before
full join month on month.customer_id = before.customer_id and month.basis = before.basis
cross join current_periods
order by customer_id, basis
