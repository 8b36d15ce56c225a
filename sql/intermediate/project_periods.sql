/*---
description = "One row per grain and period from the first purchase's to the as-of date's, also when nothing happened in it."
grain = ["grain", "period_number"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_number = { type = "int64", doc = "Consecutive within the grain.", checks = ["not_null"] }
period_start = { type = "date", doc = "First day.", checks = ["not_null"] }
period_end = { type = "date", doc = "Last day.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label in the project's calendar.", checks = ["not_null"] }
last_year_number = { type = "int64", doc = "The same period of the year before; NULL for a week 53." }
is_complete = { type = "boolean", doc = "Whether it ended by the as-of date.", checks = ["not_null"] }
is_left_censored = { type = "boolean", doc = "Whether it began within censor_days of the data's start: many of its new customers are old ones whose first purchase lies before the data.", checks = ["not_null"] }
is_window_known = { type = "boolean", doc = "Whether active_days had passed since the data's start when it began.", checks = ["not_null"] }
---*/
with first_purchase as (

    select min(day) as day from daily_purchases

),

data_start as (

    select day as first_day, coalesce($history_starts_on, day) as day
    from first_purchase

),

periods as (

    select distinct
        periods.grain,
        periods.period_number,
        periods.period_start,
        periods.period_end,
        periods.period_label,
        periods.last_year_number
    from calendar_periods as periods
    cross join data_start
    where periods.day >= data_start.first_day and periods.day <= $as_of

)

select
    periods.grain,
    periods.period_number,
    periods.period_start,
    periods.period_end,
    periods.period_label,
    periods.last_year_number,
    periods.period_end <= $as_of as is_complete,
    periods.period_start - data_start.day < $censor_days as is_left_censored,
    periods.period_start - data_start.day >= $active_days as is_window_known
from periods
cross join data_start
order by grain, period_number
