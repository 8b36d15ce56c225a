/*---
description = "Customers under contract at the start and end of each period, new, retained, and lost but back by now. Periods before the first subscription are left out."
grain = ["grain", "period_number"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_number = { type = "int64", doc = "The period.", checks = ["not_null"] }
customers_start = { type = "int64", doc = "S: with a live subscription on the day before the period's first.", unit = "count", checks = ["not_null", "non_negative"] }
customers_end = { type = "int64", doc = "E: with a live subscription on the period's last day, or on the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
customers_new = { type = "int64", doc = "N: those of E whose first subscription began in the period.", unit = "count", checks = ["not_null", "non_negative"] }
customers_retained = { type = "int64", doc = "In S and in E.", unit = "count", checks = ["not_null", "non_negative"] }
lost_returned_to_date = { type = "int64", doc = "In S, not in E, and with another subscription begun after the period, by the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
---*/
with spells as (

    select
        customer_id,
        -- The calendar begins on that day.
        greatest(live_from, date '1990-01-01') as live_from,
        case when live_to < $as_of then live_to + 1 end as left_on
    from subscription_spells
    where live_from <= $as_of and coalesce(live_to >= date '1990-01-01', true)

),

customers as (

    select customer_id, min(live_from) as first_from, max(live_from) as last_from
    from spells
    group by customer_id

),

-- A run that begins in one period is counted at its end and at every following one's until the period in which it ends.
counted_spells as (

    select
        spells.customer_id,
        joined.grain,
        joined.period_number as joined_number,
        ended.period_number as left_number
    from spells
    inner join calendar_periods as joined on joined.day = spells.live_from
    left join calendar_periods as ended on ended.day = spells.left_on and ended.grain = joined.grain
    where ended.period_number is null or ended.period_number > joined.period_number

),

-- One window over all runs: a million of them, one per customer, would take many times as long.
neighbours as (

    select
        *,
        lag(grain) over in_order as previous_grain,
        lag(customer_id) over in_order as previous_customer_id,
        lag(left_number) over in_order as previous_left_number,
        lead(grain) over in_order as next_grain,
        lead(customer_id) over in_order as next_customer_id,
        lead(joined_number) over in_order as next_joined_number
    from counted_spells
    window in_order as (order by grain, customer_id, joined_number)

),

-- Who leaves and comes back within one period is there at both its ends.
steps as (

    select
        neighbours.grain,
        neighbours.joined_number,
        neighbours.left_number,
        coalesce(previous_grain = neighbours.grain and previous_customer_id = neighbours.customer_id, false)
            and coalesce(previous_left_number = joined_number, false) as was_there,
        coalesce(next_grain = neighbours.grain and next_customer_id = neighbours.customer_id, false)
            and coalesce(next_joined_number = left_number, false) as is_back,
        firsts.period_number as first_number,
        lasts.period_number as last_number
    from neighbours
    inner join customers on customers.customer_id = neighbours.customer_id
    inner join calendar_periods as firsts on firsts.day = customers.first_from and firsts.grain = neighbours.grain
    inner join calendar_periods as lasts on lasts.day = customers.last_from and lasts.grain = neighbours.grain

),

sides as (

    select * from (values ('joined'), ('left')) as sides (side)

),

-- A run's two ends, each in its period.
ends as (

    select
        steps.grain,
        case when sides.side = 'joined' then steps.joined_number else steps.left_number end as period_number,
        sides.side,
        steps.first_number = steps.joined_number as is_first,
        steps.last_number > steps.left_number as is_returned
    from steps
    cross join sides
    where
        (sides.side = 'joined' and not steps.was_there)
        or (sides.side = 'left' and steps.left_number is not null and not steps.is_back)

),

by_period as (

    select
        grain,
        period_number,
        count(*) filter (where side = 'joined') as joined,
        count(*) filter (where side = 'joined' and is_first) as joined_first,
        count(*) filter (where side = 'left') as lost,
        count(*) filter (where side = 'left' and is_returned) as lost_returned
    from ends
    group by grain, period_number

),

dense as (

    select
        periods.grain,
        periods.period_number,
        coalesce(by_period.joined, 0) as joined,
        coalesce(by_period.joined_first, 0) as joined_first,
        coalesce(by_period.lost, 0) as lost,
        coalesce(by_period.lost_returned, 0) as lost_returned,
        by_period.period_number as counted_number
    from past_periods as periods
    left join by_period
        on by_period.grain = periods.grain and by_period.period_number = periods.period_number

),

levels as (

    select
        *,
        sum(joined - lost) over (
            partition by grain order by period_number
            rows between unbounded preceding and current row
        ) as customers_end,
        min(counted_number) over (partition by grain) as first_number
    from dense

)

select
    grain,
    period_number,
    customers_end - joined + lost as customers_start,
    customers_end,
    joined_first as customers_new,
    customers_end - joined as customers_retained,
    lost_returned as lost_returned_to_date
from levels
where period_number >= first_number
order by grain, period_number
