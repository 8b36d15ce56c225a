/*---
description = "One row per month and customer: RFM as of the month's end, or as of the as-of date in the open month."
grain = ["period_start", "customer_id"]
partition = "month"
features = ["F045", "F047"]

[columns]
period_start = { type = "date", doc = "First day of the business month.", checks = ["not_null"] }
period_label = { type = "text", doc = "The month's label in the project's calendar.", checks = ["not_null"] }
measured_on = { type = "date", doc = "Day as of which the row holds: the month's last day, or the as-of date in the open month.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the month ended by the as-of date.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer: someone with a purchase by measured_on.", checks = ["not_null"] }
first_purchase_on = { type = "date", doc = "Business day of the first purchase.", checks = ["not_null"] }
last_purchase_on = { type = "date", doc = "Business day of the latest purchase by measured_on.", checks = ["not_null"] }
recency_days = { type = "int64", doc = "measured_on minus last_purchase_on, over the whole life whatever the window.", unit = "days", checks = ["not_null", "non_negative"] }
frequency = { type = "int64", doc = "Purchases by measured_on; with rfm_window_days set, those of that many days up to it.", unit = "count", checks = ["not_null", "non_negative"] }
monetary = { type = "decimal(28,4)", doc = "Net revenue of the purchases in frequency.", unit = "currency", checks = ["not_null", "non_negative"] }
r = { type = "int32", doc = "Recency score, 5 is the most recent.", unit = "score 1-5", checks = ["not_null", "positive"] }
f = { type = "int32", doc = "Frequency score, 5 is the most frequent; 1 without a purchase in the window.", unit = "score 1-5", checks = ["not_null", "positive"] }
m = { type = "int32", doc = "Monetary score, 5 is the greatest; 1 without a purchase in the window.", unit = "score 1-5", checks = ["not_null", "positive"] }
rfm_score = { type = "int32", doc = "100 r + 10 f + m.", unit = "code 111-555", checks = ["not_null"] }
segment = { type = "text", doc = "Segment code, from the grid rfm_grid.csv on r and f.", one_of = ["champions", "loyal", "potential_loyalist", "new", "promising", "need_attention", "about_to_sleep", "at_risk", "cant_lose", "hibernating"], checks = ["not_null"] }
previous_segment = { type = "text", doc = "Segment code at the end of the month before; NULL for whoever was no customer then.", one_of = ["champions", "loyal", "potential_loyalist", "new", "promising", "need_attention", "about_to_sleep", "at_risk", "cant_lose", "hibernating"] }

[checks]
every_customer_once = "select count(*) from this having count(*) <> (select count(*) from rfm_months)"
---*/
with scores as (

    select * from rfm_months

),

-- An aggregate is one row for certain: each batch of customers meets it at once. Of a filter the engine can't know, and
-- may let this row meet the customers one by one.
month as (

    select
        min(period_start) as period_start,
        min(period_label) as period_label,
        min(period_end) = $period_end as is_complete
    from calendar_periods
    where grain = 'month' and day = $period_start

)

select
    month.period_start,
    month.period_label,
    $period_end as measured_on,
    month.is_complete,
    scores.customer_id,
    scores.first_purchase_on,
    scores.last_purchase_on,
    scores.recency_days,
    scores.frequency,
    scores.monetary,
    scores.r,
    scores.f,
    scores.m,
    scores.rfm_score,
    scores.segment,
    scores.previous_segment
from scores
cross join month
order by month.period_start, scores.customer_id
