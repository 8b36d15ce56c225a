/*---
description = "Active base: customers active in the active_days before the start and before the end of each period that overlaps the month. A period of several months is measured in each; its last row counts."
grain = ["grain", "basis", "period_number"]
partition = "month"

[reads]
activity_state = { last = "1 day" }

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "What counts as active.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
period_number = { type = "int64", doc = "The period.", checks = ["not_null"] }
measured_on = { type = "date", doc = "The period's last day, or the last day of the month (or as-of date) where that comes first.", checks = ["not_null"] }
customers_start = { type = "int64", doc = "Active on a day in [period_start - active_days, period_start).", unit = "count", checks = ["not_null", "non_negative"] }
customers_end = { type = "int64", doc = "Active on a day in (measured_on - active_days, measured_on].", unit = "count", checks = ["not_null", "non_negative"] }
customers_retained = { type = "int64", doc = "Both.", unit = "count", checks = ["not_null", "non_negative"] }
customers_new = { type = "int64", doc = "Those of customers_end whose first active day lies in the period.", unit = "count", checks = ["not_null", "non_negative"] }

[checks]
sets_fit = "select * from this where customers_retained > customers_start or customers_retained + customers_new > customers_end"
---*/
with periods as (

    select distinct
        grain,
        period_number,
        period_start,
        least(period_end, $period_end) as measured_on
    from calendar_periods
    where day >= $period_start and day <= $period_end

),

before as (

    select * from activity_state where month_start < $period_start

),

now as (

    select customer_id, basis, first_active_on, last_active_on
    from activity_state
    where month_start = $period_start

),

-- The last active day of this month before each period's start, and up to its end.
this_month as (

    select
        active_days.customer_id,
        active_days.basis,
        periods.grain,
        periods.period_number,
        periods.period_start,
        periods.measured_on,
        max(active_days.day) filter (where active_days.day < periods.period_start) as last_before_start,
        max(active_days.day) as last_before_end
    from active_days
    inner join periods on active_days.day <= periods.measured_on
    group by
        active_days.customer_id,
        active_days.basis,
        periods.grain,
        periods.period_number,
        periods.period_start,
        periods.measured_on

),

-- The same from the months before: a period that began in one of them holds their last active day, or lies after it.
earlier_months as (

    select
        before.customer_id,
        before.basis,
        periods.grain,
        periods.period_number,
        periods.period_start,
        periods.measured_on,
        case
            when before.last_active_on < periods.period_start then before.last_active_on
            when periods.grain = 'week' then before.active_before_week_on
            when periods.grain = 'month' then before.active_before_month_on
            when periods.grain = 'quarter' then before.active_before_quarter_on
            else before.active_before_year_on
        end as last_before_start,
        before.last_active_on as last_before_end
    from before
    inner join periods on before.last_active_on >= periods.period_start - cast($active_days as int)

),

members as (

    select
        coalesce(this_month.basis, earlier_months.basis) as basis,
        coalesce(this_month.grain, earlier_months.grain) as grain,
        coalesce(this_month.period_number, earlier_months.period_number) as period_number,
        coalesce(this_month.period_start, earlier_months.period_start) as period_start,
        coalesce(this_month.measured_on, earlier_months.measured_on) as measured_on,
        coalesce(this_month.customer_id, earlier_months.customer_id) as customer_id,
        coalesce(this_month.last_before_start, earlier_months.last_before_start) as last_before_start,
        coalesce(this_month.last_before_end, earlier_months.last_before_end) as last_before_end
    from this_month
    full join earlier_months
        on earlier_months.customer_id = this_month.customer_id
        and earlier_months.basis = this_month.basis
        and earlier_months.grain = this_month.grain
        and earlier_months.period_number = this_month.period_number

),

-- A member is a row for each period: those stream past the customers, who are held.
flags as (

    select
        members.grain,
        members.basis,
        members.period_number,
        members.measured_on,
        coalesce(members.period_start - members.last_before_start <= $active_days, false) as in_start,
        coalesce(members.measured_on - members.last_before_end < $active_days, false) as in_end,
        now.first_active_on >= members.period_start as is_new
    from now
    inner join members on members.customer_id = now.customer_id and members.basis = now.basis

)

select
    grain,
    basis,
    period_number,
    measured_on,
    count(*) filter (where in_start) as customers_start,
    count(*) filter (where in_end) as customers_end,
    count(*) filter (where in_start and in_end) as customers_retained,
    count(*) filter (where in_end and is_new) as customers_new
from flags
group by grain, basis, period_number, measured_on
order by grain, basis, period_number
