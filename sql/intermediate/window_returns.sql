/*---
description = "Customers lost from the active base in a period who were active again in this month, after that period."
grain = ["grain", "basis", "period_number"]
partition = "month"

[reads]
activity_state = { last = "1 day" }

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "What counts as active.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
period_number = { type = "int64", doc = "The period in which they were lost.", checks = ["not_null"] }
customers = { type = "int64", doc = "Those of them who came back this month.", unit = "count", checks = ["not_null", "positive"] }
---*/
with before as (

    select * from activity_state where month_start < $period_start

),

active as (

    select
        active_days.customer_id,
        active_days.basis,
        active_days.day,
        lag(active_days.day) over (
            partition by active_days.customer_id, active_days.basis
            order by active_days.day
        ) as previous_day
    from active_days

),

-- A silence of more than active_days, and the day that ended it.
silences as (

    select
        active.basis,
        active.day as returned_on,
        coalesce(active.previous_day, before.last_active_on) as silent_since,
        before.active_before_week_on,
        before.active_before_month_on,
        before.active_before_quarter_on,
        before.active_before_year_on
    from active
    left join before on before.customer_id = active.customer_id and before.basis = active.basis
    where active.day - coalesce(active.previous_day, before.last_active_on) > $active_days

),

-- Whoever was last active on day d leaves the base at the end of the period that holds d + active_days.
-- Where d itself lies in that period, the base at its start depends on the active day before it. (Within
-- one month that case would need active_days below 7.)
lapses as (

    select
        periods.grain,
        silences.basis,
        periods.period_number,
        case
            when silences.silent_since < periods.period_start then silences.silent_since
            when periods.grain = 'week' then silences.active_before_week_on
            when periods.grain = 'month' then silences.active_before_month_on
            when periods.grain = 'quarter' then silences.active_before_quarter_on
            else silences.active_before_year_on
        end as last_before_start,
        periods.period_start
    from silences
    inner join calendar_periods as periods
        on periods.day = silences.silent_since + cast($active_days as int)
    where silences.returned_on > periods.period_end

)

select grain, basis, period_number, count(*) as customers
from lapses
where period_start - last_before_start <= $active_days
group by grain, basis, period_number
order by grain, basis, period_number
