/*---
description = "One row per month and pair of RFM segments: how many customers went from one to the other between the ends of the month before and of this month (the as-of date in the open month)."
grain = ["period_start", "from_segment", "to_segment"]
partition = "month"
features = ["F047"]

[columns]
period_start = { type = "date", doc = "First day of the business month.", checks = ["not_null"] }
period_label = { type = "text", doc = "The month's label in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the month ended by the as-of date.", checks = ["not_null"] }
from_segment = { type = "text", doc = "Segment code at the end of the month before; not_yet for whoever first bought in this month.", checks = ["not_null"] }
from_segment_en = { type = "text", doc = "from_segment in English.", checks = ["not_null"] }
from_segment_fa = { type = "text", doc = "from_segment in Persian.", checks = ["not_null"] }
to_segment = { type = "text", doc = "Segment code at the month's end; the same as from_segment for those who stayed.", checks = ["not_null"] }
to_segment_en = { type = "text", doc = "to_segment in English.", checks = ["not_null"] }
to_segment_fa = { type = "text", doc = "to_segment in Persian.", checks = ["not_null"] }
customers = { type = "int64", doc = "Customers who went this way. Pairs that nobody went are not listed.", unit = "count", checks = ["not_null", "positive"] }
revenue = { type = "decimal(28,4)", doc = "Their monetary value at the month's end: net revenue to date, or within rfm_window_days.", unit = "currency", checks = ["not_null", "non_negative"] }
share_of_from = { type = "float64", doc = "customers / all customers who came from from_segment.", unit = "fraction", checks = ["not_null", "fraction"] }

[checks]
every_customer_moves_once = """
select sum(customers) from this
having coalesce(sum(customers), 0) <> (select count(*) from rfm_by_month)
or sum(revenue) <> (select sum(monetary) from rfm_by_month)"""
---*/
with segments as (

    select code, label_en, label_fa from labels where "group" = 'rfm_segment'
    union all
    select 'not_yet' as code, 'Not a customer yet' as label_en, 'هنوز مشتری نبود' as label_fa

),

moves as (

    select
        period_start,
        period_label,
        is_complete,
        coalesce(previous_segment, 'not_yet') as from_segment,
        segment as to_segment,
        count(*) as customers,
        sum(monetary) as revenue
    from rfm_by_month
    group by period_start, period_label, is_complete, previous_segment, segment

),

origins as (

    select from_segment, sum(customers) as customers from moves group by from_segment

)

select
    moves.period_start,
    moves.period_label,
    moves.is_complete,
    moves.from_segment,
    from_names.label_en as from_segment_en,
    from_names.label_fa as from_segment_fa,
    moves.to_segment,
    to_names.label_en as to_segment_en,
    to_names.label_fa as to_segment_fa,
    moves.customers,
    moves.revenue,
    cast(moves.customers as double) / origins.customers as share_of_from
from moves
inner join origins on origins.from_segment = moves.from_segment
left join segments as from_names on from_names.code = moves.from_segment
left join segments as to_names on to_names.code = moves.to_segment
order by moves.period_start, moves.from_segment, moves.to_segment
