/*---
description = "Feedback counted: one row per grain, period, kind and topic, where there was any. Whole, since whoever leaves later is among the lost in earlier periods too."
grain = ["grain", "period_number", "kind", "topic"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_number = { type = "int64", doc = "The period.", checks = ["not_null"] }
kind = { type = "text", doc = "Kind of feedback.", checks = ["not_null"] }
topic = { type = "text", doc = "Topic as the source gives it, or else the reason; NULL for feedback without either." }
items = { type = "int64", doc = "Pieces of feedback.", unit = "count", checks = ["not_null", "positive"] }
customers = { type = "int64", doc = "Customers and leads who gave them.", unit = "count", checks = ["not_null", "positive"] }
customers_lost = { type = "int64", doc = "Those of them for whom a reason for leaving is on record by the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
scores = { type = "int64", doc = "Items with a score.", unit = "count", checks = ["not_null", "non_negative"] }
score = { type = "decimal(28,4)", doc = "Sum of the scores; NULL without one.", unit = "score" }
---*/
with items as (

    select customer_id, day, kind, topic, cast(score as decimal(18, 4)) as score
    from feedback

),

lost as (

    select distinct customer_id from items where kind = 'churn_reason'

),

marked as (

    select items.*, lost.customer_id as lost_id
    from lost
    right join items on items.customer_id = lost.customer_id

),

-- One window over all items: a million of them, one per customer and topic, would take many times as long.
neighbours as (

    select
        *,
        lag(customer_id) over in_order as previous_customer_id,
        lag(kind) over in_order as previous_kind,
        lag(topic) over in_order as previous_topic,
        lag(day) over in_order as previous_item_on
    from marked
    window in_order as (order by customer_id, kind, topic, day)

),

-- A person counts in a period with the first item in it that has the kind and topic.
preceded as (

    select
        *,
        case
            when
                previous_customer_id = customer_id
                and previous_kind = kind
                and (previous_topic is not distinct from topic)
                then previous_item_on
        end as previous_day
    from neighbours

),

days as (

    select
        day,
        max(period_start) filter (where grain = 'week') as week_start,
        max(period_start) filter (where grain = 'month') as month_start,
        max(period_start) filter (where grain = 'quarter') as quarter_start,
        max(period_start) filter (where grain = 'year') as year_start
    from calendar_periods
    group by day

),

first_items as (

    select
        preceded.day,
        preceded.kind,
        preceded.topic,
        preceded.score,
        preceded.lost_id is not null as is_lost,
        coalesce(preceded.previous_day < days.week_start, true) as first_of_week,
        coalesce(preceded.previous_day < days.month_start, true) as first_of_month,
        coalesce(preceded.previous_day < days.quarter_start, true) as first_of_quarter,
        coalesce(preceded.previous_day < days.year_start, true) as first_of_year
    from days
    inner join preceded on preceded.day = days.day

),

-- Counted by day, so that the four grains only have to add up.
daily as (

    select
        day,
        kind,
        topic,
        is_lost,
        count(*) as items,
        count(score) as scores,
        sum(score) as score,
        count(*) filter (where first_of_week) as week_customers,
        count(*) filter (where first_of_month) as month_customers,
        count(*) filter (where first_of_quarter) as quarter_customers,
        count(*) filter (where first_of_year) as year_customers
    from first_items
    group by day, kind, topic, is_lost

),

by_grain as (

    select
        periods.grain,
        periods.period_number,
        daily.kind,
        daily.topic,
        daily.is_lost,
        daily.items,
        daily.scores,
        daily.score,
        case periods.grain
            when 'week' then daily.week_customers
            when 'month' then daily.month_customers
            when 'quarter' then daily.quarter_customers
            else daily.year_customers
        end as customers
    from daily
    inner join calendar_periods as periods on periods.day = daily.day

)

select
    grain,
    period_number,
    kind,
    topic,
    sum(items) as items,
    sum(customers) as customers,
    coalesce(sum(customers) filter (where is_lost), 0) as customers_lost,
    sum(scores) as scores,
    sum(score) as score
from by_grain
group by grain, period_number, kind, topic
order by grain, period_number, kind, topic
