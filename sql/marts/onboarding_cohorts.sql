/*---
description = "How many new customers order again, and how soon: one row per grain and period of the first purchase."
grain = ["grain", "period_start"]
features = ["F076"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period in which the cohort's customers bought first.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
is_left_censored = { type = "boolean", doc = "Whether the period began within censor_days of the data's start: many of its new customers are old ones whose first purchase lies before the data.", checks = ["not_null"] }
customers = { type = "int64", doc = "Customers whose first purchase lies in the period, up to the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
mature_7d = { type = "int64", doc = "Those whose first purchase is at least 7 days old: only they count in the next two columns.", unit = "count", checks = ["not_null", "non_negative"] }
second_order_7d = { type = "int64", doc = "Those of mature_7d with a purchase on a later day, at most 7 days after the first.", unit = "count", checks = ["not_null", "non_negative"] }
second_order_rate_7d = { type = "float64", doc = "second_order_7d / mature_7d.", unit = "fraction", checks = ["fraction"] }
mature_30d = { type = "int64", doc = "Customers whose first purchase is at least 30 days old.", unit = "count", checks = ["not_null", "non_negative"] }
second_order_30d = { type = "int64", doc = "Those of mature_30d with a purchase on a later day, at most 30 days after the first.", unit = "count", checks = ["not_null", "non_negative"] }
second_order_rate_30d = { type = "float64", doc = "second_order_30d / mature_30d.", unit = "fraction", checks = ["fraction"] }
mature_90d = { type = "int64", doc = "Customers whose first purchase is at least 90 days old.", unit = "count", checks = ["not_null", "non_negative"] }
second_order_90d = { type = "int64", doc = "Those of mature_90d with a purchase on a later day, at most 90 days after the first.", unit = "count", checks = ["not_null", "non_negative"] }
second_order_rate_90d = { type = "float64", doc = "second_order_90d / mature_90d.", unit = "fraction", checks = ["fraction"] }

[checks]
parts_fit = """
select * from this
where
    mature_90d > mature_30d
    or mature_30d > mature_7d
    or mature_7d > customers
    or second_order_7d > mature_7d
    or second_order_30d > mature_30d
    or second_order_90d > mature_90d"""
everyone_is_in_a_cohort = """
select grain from this group by grain
having sum(customers) <> (select sum(first_time_customers) from daily_purchases)"""
---*/
with first_days as (

    select day, first_time_customers as customers, cast($as_of - day as bigint) as age_days
    from daily_purchases
    where first_time_customers > 0

),

seconds as (

    select first_purchase_on as day, gap_days, customers, cast($as_of - first_purchase_on as bigint) as age_days
    from second_purchases

),

-- What is counted per day first, the periods only add up.
daily as (

    select
        day,
        customers,
        case when age_days >= 7 then customers else 0 end as mature_7d,
        case when age_days >= 30 then customers else 0 end as mature_30d,
        case when age_days >= 90 then customers else 0 end as mature_90d,
        0 as second_7d,
        0 as second_30d,
        0 as second_90d
    from first_days
    union all
    select
        day,
        0 as customers,
        0 as mature_7d,
        0 as mature_30d,
        0 as mature_90d,
        case when gap_days <= 7 and age_days >= 7 then customers else 0 end as second_7d,
        case when gap_days <= 30 and age_days >= 30 then customers else 0 end as second_30d,
        case when gap_days <= 90 and age_days >= 90 then customers else 0 end as second_90d
    from seconds

),

counted as (

    select
        periods.grain,
        periods.period_number,
        sum(daily.customers) as customers,
        sum(daily.mature_7d) as mature_7d,
        sum(daily.mature_30d) as mature_30d,
        sum(daily.mature_90d) as mature_90d,
        sum(daily.second_7d) as second_7d,
        sum(daily.second_30d) as second_30d,
        sum(daily.second_90d) as second_90d
    from daily
    inner join calendar_periods as periods on periods.day = daily.day
    group by periods.grain, periods.period_number

)

select
    periods.grain,
    periods.period_start,
    periods.period_label,
    periods.is_complete,
    periods.is_left_censored,
    coalesce(counted.customers, 0) as customers,
    coalesce(counted.mature_7d, 0) as mature_7d,
    coalesce(counted.second_7d, 0) as second_order_7d,
    cast(counted.second_7d as double) / nullif(counted.mature_7d, 0) as second_order_rate_7d,
    coalesce(counted.mature_30d, 0) as mature_30d,
    coalesce(counted.second_30d, 0) as second_order_30d,
    cast(counted.second_30d as double) / nullif(counted.mature_30d, 0) as second_order_rate_30d,
    coalesce(counted.mature_90d, 0) as mature_90d,
    coalesce(counted.second_90d, 0) as second_order_90d,
    cast(counted.second_90d as double) / nullif(counted.mature_90d, 0) as second_order_rate_90d
from project_periods as periods
left join counted on counted.grain = periods.grain and counted.period_number = periods.period_number
order by grain, period_start
