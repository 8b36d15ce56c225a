/*---
description = "Why customers leave: one row per grain, period and reason, where one was recorded."
grain = ["grain", "period_start", "reason"]
features = ["F031", "F092"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
reason = { type = "text", doc = "Reason of the churn_reason interactions on the period's days, lower-cased; unknown where none was given.", checks = ["not_null"] }
reason_en = { type = "text", doc = "reason in English; the reason itself where labels.csv has no such code.", checks = ["not_null"] }
reason_fa = { type = "text", doc = "reason in Persian; the reason itself where labels.csv has no such code.", checks = ["not_null"] }
customers = { type = "int64", doc = "Customers for whom this reason was recorded; one with two reasons counts under both.", unit = "count", checks = ["not_null", "positive"] }
customers_all = { type = "int64", doc = "Customers for whom any reason was recorded in the period, each once.", unit = "count", checks = ["not_null", "positive"] }
share = { type = "float64", doc = "customers / customers_all; adds up to more than 1 where customers have several reasons.", unit = "fraction", checks = ["not_null", "fraction"] }
share_change = { type = "float64", doc = "Difference of share from the period before, where a reason that nobody gave has share 0; NULL when this period is incomplete or the one before has no reasons.", unit = "fraction" }

[checks]
reasons_cover_everyone = """
select grain, period_start
from this
group by grain, period_start
having sum(customers) < max(customers_all)"""
---*/
with reasons as (

    select customer_id, day, coalesce(reason, 'unknown') as reason
    from feedback
    where kind = 'churn_reason'

),

people as (

    select distinct periods.grain, periods.period_number, reasons.reason, reasons.customer_id
    from reasons
    inner join calendar_periods as periods on periods.day = reasons.day

),

counted as (

    select grain, period_number, reason, count(*) as customers
    from people
    group by grain, period_number, reason

),

totals as (

    select grain, period_number, count(distinct customer_id) as customers
    from people
    group by grain, period_number

),

shares as (

    select
        counted.*,
        totals.customers as customers_all,
        cast(counted.customers as double) / totals.customers as share
    from counted
    inner join totals on totals.grain = counted.grain and totals.period_number = counted.period_number

),

names as (

    select code, label_en, label_fa from labels where "group" = 'churn_reason'

)

select
    shares.grain,
    periods.period_start,
    periods.period_label,
    periods.is_complete,
    shares.reason,
    coalesce(names.label_en, shares.reason) as reason_en,
    coalesce(names.label_fa, shares.reason) as reason_fa,
    shares.customers,
    shares.customers_all,
    shares.share,
    case when periods.is_complete and before.customers > 0 then shares.share - coalesce(previous.share, 0) end as share_change
from shares
inner join past_periods as periods
    on periods.grain = shares.grain and periods.period_number = shares.period_number
left join names on names.code = shares.reason
left join totals as before
    on before.grain = shares.grain and before.period_number = shares.period_number - 1
left join shares as previous
    on previous.grain = shares.grain
    and previous.period_number = shares.period_number - 1
    and previous.reason = shares.reason
order by grain, period_start, reason
