/*---
description = "One row per customer and unbroken run of days with a live subscription; subscriptions that overlap or follow each other are one run."
grain = ["customer_id", "live_from"]

[columns]
customer_id = { type = "text", doc = "Whose subscriptions.", checks = ["not_null"] }
live_from = { type = "date", doc = "First day of the run. May lie after the as-of date.", checks = ["not_null"] }
live_to = { type = "date", doc = "Last day of the run; NULL while one of its subscriptions is open." }
ended_value = { type = "decimal(28,4)", doc = "Monthly value of the subscriptions that end on live_to; NULL where none of them says it.", unit = "currency" }

[checks]
days_in_order = "select * from this where live_to < live_from"
---*/
with subscriptions as (

    -- One that ends before it starts was never live.
    select customer_id, starts_on, coalesce(ends_on, date '9999-12-31') as ends_on, monthly_value
    from stg_subscriptions
    where ends_on is null or ends_on >= starts_on

),

customers as (

    select customer_id, count(*) as subscriptions from subscriptions group by customer_id

),

counted as (

    select subscriptions.*, customers.subscriptions
    from subscriptions
    inner join customers on customers.customer_id = subscriptions.customer_id

),

-- Windows of one row are slow, and one subscription is one run anyway.
followed as (

    select
        customer_id,
        starts_on,
        ends_on,
        monthly_value,
        max(ends_on) over (
            partition by customer_id
            order by starts_on, ends_on
            rows between unbounded preceding and 1 preceding
        ) as live_before
    from counted
    where subscriptions > 1

),

numbered as (

    select
        customer_id,
        starts_on,
        ends_on,
        monthly_value,
        sum(case when starts_on <= live_before + 1 then 0 else 1 end) over (
            partition by customer_id
            order by starts_on, ends_on
            rows between unbounded preceding and current row
        ) as run
    from followed

),

several as (

    select customer_id, run, min(starts_on) as live_from, max(ends_on) as live_to
    from numbered
    group by customer_id, run

),

runs as (

    select
        several.customer_id,
        several.live_from,
        several.live_to,
        sum(numbered.monthly_value) filter (where numbered.ends_on = several.live_to) as ended_value
    from several
    inner join numbered on numbered.customer_id = several.customer_id and numbered.run = several.run
    group by several.customer_id, several.live_from, several.live_to
    union all
    select customer_id, starts_on as live_from, ends_on as live_to, monthly_value as ended_value
    from counted
    where subscriptions = 1

)

select
    customer_id,
    live_from,
    nullif(live_to, date '9999-12-31') as live_to,
    case when live_to < date '9999-12-31' then ended_value end as ended_value
from runs
order by customer_id, live_from
