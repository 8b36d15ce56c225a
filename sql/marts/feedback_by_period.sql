/*---
description = "What people say: one row per grain, period, kind of feedback and topic, where there was any."
grain = ["grain", "period_start", "kind", "topic"]
features = ["F090", "F092"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
kind = { type = "text", doc = "Kind of feedback, by feedback_kinds.csv.", checks = ["not_null"] }
kind_en = { type = "text", doc = "kind in English.", checks = ["not_null"] }
kind_fa = { type = "text", doc = "kind in Persian.", checks = ["not_null"] }
topic = { type = "text", doc = "Topic as the source gives it, or else the reason; NULL for feedback without either." }
items = { type = "int64", doc = "Pieces of feedback. A survey's answer outside its scale is none.", unit = "count", checks = ["not_null", "positive"] }
customers = { type = "int64", doc = "Customers and leads who gave them.", unit = "count", checks = ["not_null", "positive"] }
customers_lost = { type = "int64", doc = "Those of them for whom a reason for leaving (churn_reason) is on record by the as-of date, earlier or later: what lost customers missed. NULL while the data hold no churn_reason.", unit = "count", checks = ["non_negative"] }
share = { type = "float64", doc = "items / all items of this kind in the period.", unit = "fraction", checks = ["not_null", "fraction"] }
mean_score = { type = "float64", doc = "Mean score: 0 to 10 for survey_nps, 1 to 5 for survey_csat, as sent for other kinds; NULL without one.", unit = "score" }
items_before = { type = "int64", doc = "Items of the same kind and topic in the period before; NULL when that lies before the first feedback of this kind.", unit = "count", checks = ["non_negative"] }
share_change = { type = "float64", doc = "Difference of share from the period before, where a topic that nobody named has share 0; NULL when this period is incomplete or nobody gave feedback of this kind in the one before.", unit = "fraction" }
mean_score_change = { type = "float64", doc = "Difference of mean_score from the period before; NULL when this period is incomplete or either has no value.", unit = "score" }

[checks]
shares_add_up = """
select grain, period_start, kind
from this
group by grain, period_start, kind
having abs(sum(share) - 1) > 0.000001"""
---*/
with topics as (

    select
        grain,
        period_number,
        kind,
        topic,
        items,
        customers,
        customers_lost,
        cast(score as double) / nullif(scores, 0) as mean_score
    from feedback_counts

),

has_lost as (

    select count(*) > 0 as is_known from feedback where kind = 'churn_reason'

),

kinds as (

    select grain, period_number, kind, sum(items) as items
    from topics
    group by grain, period_number, kind

),

first_periods as (

    select grain, kind, min(period_number) as period_number
    from kinds
    group by grain, kind

),

shares as (

    select topics.*, cast(topics.items as double) / kinds.items as share
    from topics
    inner join kinds
        on kinds.grain = topics.grain
        and kinds.period_number = topics.period_number
        and kinds.kind = topics.kind

)

select
    shares.grain,
    periods.period_start,
    periods.period_label,
    periods.is_complete,
    shares.kind,
    labels.label_en as kind_en,
    labels.label_fa as kind_fa,
    shares.topic,
    shares.items,
    shares.customers,
    case when has_lost.is_known then shares.customers_lost end as customers_lost,
    shares.share,
    shares.mean_score,
    case when shares.period_number > first_periods.period_number then coalesce(previous.items, 0) end as items_before,
    case when periods.is_complete and kinds.items > 0 then shares.share - coalesce(previous.share, 0) end as share_change,
    case when periods.is_complete then shares.mean_score - previous.mean_score end as mean_score_change
from shares
inner join past_periods as periods
    on periods.grain = shares.grain and periods.period_number = shares.period_number
inner join feedback_kinds as labels on labels.kind = shares.kind
inner join first_periods on first_periods.grain = shares.grain and first_periods.kind = shares.kind
left join kinds
    on kinds.grain = shares.grain
    and kinds.kind = shares.kind
    and kinds.period_number = shares.period_number - 1
left join shares as previous
    on previous.grain = shares.grain
    and previous.kind = shares.kind
    and previous.period_number = shares.period_number - 1
    and coalesce(previous.topic, '') = coalesce(shares.topic, '')
cross join has_lost
order by grain, period_start, kind, topic
