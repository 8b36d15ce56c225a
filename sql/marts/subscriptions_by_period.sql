/*---
description = "Subscriptions and contracts: one row per grain and period from the first subscription's to the as-of date's."
grain = ["grain", "period_start"]
features = ["F019", "F034"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
customers_start = { type = "int64", doc = "Customers with a live subscription on the day before the period's first. Live: from starts_on to ends_on, both included.", unit = "count", checks = ["not_null", "non_negative"] }
customers_started = { type = "int64", doc = "How often a customer had a live subscription and none the day before; one who leaves and comes back counts again. A change of plan is no start.", unit = "count", checks = ["not_null", "non_negative"] }
customers_cancelled = { type = "int64", doc = "How often a customer's last live day lay in the period and before the as-of date, with no subscription live the next day. A future end is not yet a cancellation, a change of plan is none.", unit = "count", checks = ["not_null", "non_negative"] }
customers_end = { type = "int64", doc = "Customers active at the end: with a live subscription on the period's last day, or on the as-of date. Whoever's last live day is the period's last counts here and as cancelled.", unit = "count", checks = ["not_null", "non_negative"] }
churn_rate = { type = "float64", doc = "customers_cancelled / customers_start. Above 1 where more leave than were there, as those may have come in the period.", unit = "fraction", checks = ["non_negative"] }
subscriptions_end = { type = "int64", doc = "Subscriptions live on the period's last day, or on the as-of date; a customer may have several.", unit = "count", checks = ["not_null", "non_negative"] }
monthly_value_start = { type = "decimal(28,4)", doc = "Monthly value of the subscriptions live on the day before the period's first; NULL while no subscription says its value.", unit = "currency", checks = ["non_negative"] }
monthly_value_end = { type = "decimal(28,4)", doc = "Monthly value of subscriptions_end; NULL while no subscription says its value.", unit = "currency", checks = ["non_negative"] }
churned_value = { type = "decimal(28,4)", doc = "Monthly value of the subscriptions that ended on the last live day of customers_cancelled: what ended and wasn't continued the next day. A change to a cheaper plan is not in it. NULL while no subscription says its value.", unit = "currency", checks = ["non_negative"] }
churned_value_rate = { type = "float64", doc = "churned_value / monthly_value_start.", unit = "fraction", checks = ["non_negative"] }

[checks]
nobody_appears_from_nowhere = """
select *
from this
where customers_end > customers_start + customers_started
    or subscriptions_end < customers_end"""
---*/
with spells as (

    select
        customer_id,
        -- The calendar begins on that day.
        greatest(live_from, date '1990-01-01') as live_from,
        case when live_to < $as_of then live_to end as left_on,
        coalesce(ended_value, 0) as ended_value
    from subscription_spells
    where live_from <= $as_of and coalesce(live_to >= date '1990-01-01', true)

),

subscriptions as (

    select
        greatest(starts_on, date '1990-01-01') as starts_on,
        -- The first day on which it isn't live any more.
        case when ends_on < $as_of then ends_on + 1 end as gone_on,
        monthly_value
    from stg_subscriptions
    where starts_on <= $as_of and coalesce(ends_on >= greatest(starts_on, date '1990-01-01'), true)

),

known as (

    select count(monthly_value) > 0 as has_values, min(starts_on) as first_day from subscriptions

),

-- Levels change from day to day; what is live on a day is the sum of all changes up to it.
changes as (

    select live_from as day, count(*) as customers, 0 as subscriptions, cast(0 as decimal(28, 4)) as monthly_value
    from spells
    group by live_from
    union all
    select left_on + 1 as day, -count(*) as customers, 0 as subscriptions, cast(0 as decimal(28, 4)) as monthly_value
    from spells
    where left_on is not null
    group by left_on
    union all
    select starts_on as day, 0 as customers, count(*) as subscriptions, coalesce(sum(monthly_value), 0) as monthly_value
    from subscriptions
    group by starts_on
    union all
    select gone_on as day, 0 as customers, -count(*) as subscriptions, -coalesce(sum(monthly_value), 0) as monthly_value
    from subscriptions
    where gone_on is not null
    group by gone_on

),

frame as (

    select periods.*
    from past_periods as periods
    inner join known on periods.period_end >= known.first_day

),

changed as (

    select
        periods.grain,
        periods.period_number,
        sum(changes.customers) as customers,
        sum(changes.subscriptions) as subscriptions,
        sum(changes.monthly_value) as monthly_value
    from changes
    inner join calendar_periods as periods on periods.day = changes.day
    group by periods.grain, periods.period_number

),

levels as (

    select
        frame.*,
        coalesce(changed.customers, 0) as customers_change,
        coalesce(changed.monthly_value, 0) as monthly_value_change,
        sum(coalesce(changed.customers, 0)) over to_date as customers_end,
        sum(coalesce(changed.subscriptions, 0)) over to_date as subscriptions_end,
        sum(coalesce(changed.monthly_value, 0)) over to_date as monthly_value_end
    from frame
    left join changed on changed.grain = frame.grain and changed.period_number = frame.period_number
    window to_date as (
        partition by frame.grain order by frame.period_number
        rows between unbounded preceding and current row
    )

),

started as (

    select periods.grain, periods.period_number, count(*) as customers
    from spells
    inner join calendar_periods as periods on periods.day = spells.live_from
    group by periods.grain, periods.period_number

),

cancelled as (

    select periods.grain, periods.period_number, count(*) as customers, sum(spells.ended_value) as monthly_value
    from spells
    inner join calendar_periods as periods on periods.day = spells.left_on
    group by periods.grain, periods.period_number

),

counted as (

    select
        levels.*,
        customers_end - customers_change as customers_start,
        coalesce(started.customers, 0) as customers_started,
        coalesce(cancelled.customers, 0) as customers_cancelled,
        case when known.has_values then monthly_value_end - monthly_value_change end as monthly_value_start,
        case when known.has_values then monthly_value_end end as known_value_end,
        case when known.has_values then coalesce(cancelled.monthly_value, 0) end as churned_value
    from levels
    cross join known
    left join started on started.grain = levels.grain and started.period_number = levels.period_number
    left join cancelled on cancelled.grain = levels.grain and cancelled.period_number = levels.period_number

)

select
    grain,
    period_start,
    period_label,
    is_complete,
    customers_start,
    customers_started,
    customers_cancelled,
    customers_end,
    cast(customers_cancelled as double) / nullif(customers_start, 0) as churn_rate,
    subscriptions_end,
    monthly_value_start,
    known_value_end as monthly_value_end,
    churned_value,
    cast(churned_value as double) / nullif(cast(monthly_value_start as double), 0) as churned_value_rate
from counted
order by grain, period_start
