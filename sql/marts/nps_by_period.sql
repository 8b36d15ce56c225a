/*---
description = "Net Promoter Score: one row per grain and period from the first answer's to the as-of date's."
grain = ["grain", "period_start"]
features = ["F011"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
answers = { type = "int64", doc = "Answers to an NPS survey (survey_nps, 0 to 10) on the period's days; other scores are no answers.", unit = "count", checks = ["not_null", "non_negative"] }
responses = { type = "int64", doc = "Customers and leads who answered. Of each, the latest answer in the period counts, by occurred_at and event_id.", unit = "count", checks = ["not_null", "non_negative"] }
promoters = { type = "int64", doc = "Those who gave 9 or more.", unit = "count", checks = ["not_null", "non_negative"] }
passives = { type = "int64", doc = "Those who gave 7 or more, but less than 9.", unit = "count", checks = ["not_null", "non_negative"] }
detractors = { type = "int64", doc = "Those who gave less than 7.", unit = "count", checks = ["not_null", "non_negative"] }
nps = { type = "float64", doc = "(promoters - detractors) / responses, from -1 to 1; NULL without a response.", unit = "fraction" }
nps_points = { type = "float64", doc = "100 times nps, from -100 to 100.", unit = "points" }
nps_change = { type = "float64", doc = "Difference of nps from the period before; NULL when either is incomplete or has no value.", unit = "fraction" }
nps_change_last_year = { type = "float64", doc = "Difference of nps from the same period of the year before.", unit = "fraction" }

[checks]
groups_add_up = "select * from this where promoters + passives + detractors <> responses or responses > answers or abs(nps) > 1"
---*/
with answers as (

    select customer_id, occurred_at, event_id, day, score
    from feedback
    where kind = 'survey_nps'

),

-- One window over all answers: a million of them, one per customer, would take many times as long.
neighbours as (

    select
        day,
        score,
        customer_id,
        lead(customer_id) over in_order as next_customer_id,
        lead(day) over in_order as next_answer_on
    from answers
    window in_order as (order by customer_id, occurred_at, event_id)

),

-- An answer counts in every period in which its customer gave no later one.
followed as (

    select day, score, case when next_customer_id = customer_id then next_answer_on end as next_day
    from neighbours

),

counted as (

    select
        periods.grain,
        periods.period_number,
        count(*) as answers,
        count(*) filter (where next_day is null or next_day > period_end) as responses,
        count(*) filter (where (next_day is null or next_day > period_end) and score >= 9) as promoters,
        count(*) filter (where (next_day is null or next_day > period_end) and score >= 7 and score < 9) as passives,
        count(*) filter (where (next_day is null or next_day > period_end) and score < 7) as detractors
    from followed
    inner join calendar_periods as periods on periods.day = followed.day
    group by periods.grain, periods.period_number

),

first_answer as (

    select min(day) as day from answers

),

rates as (

    select
        periods.*,
        coalesce(counted.answers, 0) as answers,
        coalesce(counted.responses, 0) as responses,
        coalesce(counted.promoters, 0) as promoters,
        coalesce(counted.passives, 0) as passives,
        coalesce(counted.detractors, 0) as detractors,
        cast(counted.promoters - counted.detractors as double) / counted.responses as nps
    from past_periods as periods
    inner join first_answer on periods.period_end >= first_answer.day
    left join counted on counted.grain = periods.grain and counted.period_number = periods.period_number

),

complete as (

    select grain, period_number, nps
    from rates
    where is_complete

)

select
    rates.grain,
    rates.period_start,
    rates.period_label,
    rates.is_complete,
    rates.answers,
    rates.responses,
    rates.promoters,
    rates.passives,
    rates.detractors,
    rates.nps,
    100 * rates.nps as nps_points,
    case when rates.is_complete then rates.nps - previous.nps end as nps_change,
    case when rates.is_complete then rates.nps - last_year.nps end as nps_change_last_year
from rates
left join complete as previous
    on previous.grain = rates.grain and previous.period_number = rates.period_number - 1
left join complete as last_year
    on last_year.grain = rates.grain and last_year.period_number = rates.last_year_number
order by grain, period_start
