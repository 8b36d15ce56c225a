/*---
description = "One row per month and pair of ranking classes: how many customers went from one to the other between the ends of the month before and of this month (the as-of date in the open month)."
grain = ["period_start", "from_class", "to_class"]
partition = "month"
features = ["F047"]

[columns]
period_start = { type = "date", doc = "First day of the business month.", checks = ["not_null"] }
period_label = { type = "text", doc = "The month's label in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the month ended by the as-of date.", checks = ["not_null"] }
from_class = { type = "text", doc = "Class at the end of the month before; not_yet for whoever first bought in this month.", checks = ["not_null"] }
from_class_en = { type = "text", doc = "from_class in English.", checks = ["not_null"] }
from_class_fa = { type = "text", doc = "from_class in Persian.", checks = ["not_null"] }
to_class = { type = "text", doc = "Class at the month's end; the same as from_class for those who stayed.", checks = ["not_null"] }
to_class_en = { type = "text", doc = "to_class in English.", checks = ["not_null"] }
to_class_fa = { type = "text", doc = "to_class in Persian.", checks = ["not_null"] }
customers = { type = "int64", doc = "Customers who went this way. Pairs that nobody went are not listed.", unit = "count", checks = ["not_null", "positive"] }
volume = { type = "decimal(28,4)", doc = "Their net revenue in the ranking_days up to the month's end.", unit = "currency", checks = ["not_null", "non_negative"] }
total_points = { type = "int64", doc = "Their points at the month's end.", unit = "points", checks = ["not_null"] }
share_of_from = { type = "float64", doc = "customers / all customers who came from from_class.", unit = "fraction", checks = ["not_null", "fraction"] }

[checks]
every_customer_moves_once = """
select sum(customers) from this
having coalesce(sum(customers), 0) <> (select count(*) from ranking_by_month)
or sum(volume) <> (select sum(volume) from ranking_by_month)"""
---*/
with customers as (

    select coalesce(previous_class, 'not_yet') as from_class, class as to_class, volume, total_points
    from ranking_by_month

),

classes as (

    select code, label_en, label_fa from labels where "group" in ('class', 'origin')

),

month as (

    select period_start, period_label, period_end = $period_end as is_complete
    from calendar_periods
    where grain = 'month' and day = $period_start

),

moves as (

    select
        from_class,
        to_class,
        count(*) as customers,
        sum(volume) as volume,
        sum(total_points) as total_points
    from customers
    group by from_class, to_class

),

origins as (

    select from_class, sum(customers) as customers from moves group by from_class

)

select
    month.period_start,
    month.period_label,
    month.is_complete,
    moves.from_class,
    coalesce(from_names.label_en, moves.from_class) as from_class_en,
    coalesce(from_names.label_fa, moves.from_class) as from_class_fa,
    moves.to_class,
    coalesce(to_names.label_en, moves.to_class) as to_class_en,
    coalesce(to_names.label_fa, moves.to_class) as to_class_fa,
    moves.customers,
    moves.volume,
    moves.total_points,
    cast(moves.customers as double) / origins.customers as share_of_from
from moves
inner join origins on origins.from_class = moves.from_class
cross join month
left join classes as from_names on from_names.code = moves.from_class
left join classes as to_names on to_names.code = moves.to_class
order by month.period_start, moves.from_class, moves.to_class
