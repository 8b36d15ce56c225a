/*---
description = "One row per grain and period of the project's calendar, from the calendar's first to the as-of date's: the frame of marts whose data need not begin with a purchase."
grain = ["grain", "period_number"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_number = { type = "int64", doc = "Consecutive within the grain.", checks = ["not_null"] }
period_start = { type = "date", doc = "First day.", checks = ["not_null"] }
period_end = { type = "date", doc = "Last day.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label in the project's calendar.", checks = ["not_null"] }
last_year_number = { type = "int64", doc = "The same period of the year before; NULL for a week 53." }
is_complete = { type = "boolean", doc = "Whether it ended by the as-of date.", checks = ["not_null"] }
---*/
select distinct
    grain,
    period_number,
    period_start,
    period_end,
    period_label,
    last_year_number,
    period_end <= $as_of as is_complete
from calendar_periods
where day <= $as_of
order by grain, period_number
