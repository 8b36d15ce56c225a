/*---
description = "Customers at the start and end of each period, new, retained and lost but back by now, for each base; periods where nobody counts are left out."
grain = ["grain", "basis", "base", "period_number"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
basis = { type = "text", doc = "What counts as active.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
base = { type = "text", doc = "period: active in the period; window: active in the active_days before its boundary; contract: with a live subscription at its boundary, the same for every basis.", one_of = ["period", "window", "contract"], checks = ["not_null"] }
period_number = { type = "int64", doc = "The period.", checks = ["not_null"] }
customers_start = { type = "int64", doc = "S.", unit = "count", checks = ["not_null", "non_negative"] }
customers_end = { type = "int64", doc = "E.", unit = "count", checks = ["not_null", "non_negative"] }
customers_new = { type = "int64", doc = "N: those of E whose first active day lies in the period.", unit = "count", checks = ["not_null", "non_negative"] }
customers_retained = { type = "int64", doc = "In S and in E.", unit = "count", checks = ["not_null", "non_negative"] }
lost_returned_to_date = { type = "int64", doc = "In S, not in E, and active again since.", unit = "count", checks = ["not_null", "non_negative"] }

[checks]
sets_fit = """
select * from this
where customers_retained > customers_start
    or customers_new + customers_retained > customers_end
    or lost_returned_to_date > customers_start - customers_retained"""
---*/
with active as (

    select
        grain,
        basis,
        period_number,
        sum(customers) as customers_end,
        sum(customers) filter (where previous_number is null) as customers_new,
        sum(customers) filter (where previous_number = period_number - 1) as customers_retained
    from activity_transitions
    group by grain, basis, period_number

),

-- One period's E is the next one's S.
started as (

    select grain, basis, period_number + 1 as period_number, customers_end as customers_start
    from active

),

-- Whoever skipped at least one period was lost in the first of those.
returned as (

    select grain, basis, previous_number + 1 as period_number, sum(customers) as customers
    from activity_transitions
    where period_number > previous_number + 1
    group by grain, basis, previous_number + 1

),

period_base as (

    select
        coalesce(active.grain, started.grain) as grain,
        coalesce(active.basis, started.basis) as basis,
        coalesce(active.period_number, started.period_number) as period_number,
        started.customers_start,
        active.customers_end,
        active.customers_new,
        active.customers_retained
    from active
    full join started
        on started.grain = active.grain
        and started.basis = active.basis
        and started.period_number = active.period_number

),

-- A period of several months was measured in each of them: the last measure is the period's own.
measured as (

    select
        *,
        row_number() over (partition by grain, basis, period_number order by measured_on desc) as age
    from window_counts

),

window_base as (

    select * from measured where age = 1

),

window_returned as (

    select grain, basis, period_number, sum(customers) as customers
    from window_returns
    group by grain, basis, period_number

),

bases as (

    select code as basis from labels where "group" = 'basis'

),

all_bases as (

    select
        period_base.grain,
        period_base.basis,
        'period' as base,
        period_base.period_number,
        period_base.customers_start,
        period_base.customers_end,
        period_base.customers_new,
        period_base.customers_retained,
        returned.customers as lost_returned_to_date
    from period_base
    left join returned
        on returned.grain = period_base.grain
        and returned.basis = period_base.basis
        and returned.period_number = period_base.period_number
    union all
    select
        window_base.grain,
        window_base.basis,
        'window' as base,
        window_base.period_number,
        window_base.customers_start,
        window_base.customers_end,
        window_base.customers_new,
        window_base.customers_retained,
        window_returned.customers as lost_returned_to_date
    from window_base
    left join window_returned
        on window_returned.grain = window_base.grain
        and window_returned.basis = window_base.basis
        and window_returned.period_number = window_base.period_number
    union all
    select
        contracts.grain,
        bases.basis,
        'contract' as base,
        contracts.period_number,
        contracts.customers_start,
        contracts.customers_end,
        contracts.customers_new,
        contracts.customers_retained,
        contracts.lost_returned_to_date
    from contract_counts as contracts
    cross join bases

)

select
    grain,
    basis,
    base,
    period_number,
    coalesce(customers_start, 0) as customers_start,
    coalesce(customers_end, 0) as customers_end,
    coalesce(customers_new, 0) as customers_new,
    coalesce(customers_retained, 0) as customers_retained,
    coalesce(lost_returned_to_date, 0) as lost_returned_to_date
from all_bases
order by grain, basis, base, period_number
