/*---
description = "One row per customer: recency, frequency and monetary value as of the as-of date, their scores, segment, rank and share of revenue."
grain = ["customer_id"]
compare = ["segment"]
features = ["F045", "F046"]

[reads]
rfm_months = "latest"

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the as-of date.", checks = ["not_null"] }
first_purchase_on = { type = "date", doc = "Business day of the first purchase.", checks = ["not_null"] }
last_purchase_on = { type = "date", doc = "Business day of the latest purchase.", checks = ["not_null"] }
recency_days = { type = "int64", doc = "As-of date minus last_purchase_on, over the whole life whatever the window.", unit = "days", checks = ["not_null", "non_negative"] }
frequency = { type = "int64", doc = "Purchases to date; with rfm_window_days set, those of that many days up to the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
monetary = { type = "decimal(28,4)", doc = "Net revenue of the purchases in frequency.", unit = "currency", checks = ["not_null", "non_negative"] }
r = { type = "int32", doc = "Recency score, 5 is the most recent.", unit = "score 1-5", checks = ["not_null", "positive"] }
f = { type = "int32", doc = "Frequency score, 5 is the most frequent; 1 without a purchase in the window.", unit = "score 1-5", checks = ["not_null", "positive"] }
m = { type = "int32", doc = "Monetary score, 5 is the greatest; 1 without a purchase in the window.", unit = "score 1-5", checks = ["not_null", "positive"] }
rfm_score = { type = "int32", doc = "100 r + 10 f + m.", unit = "code 111-555", checks = ["not_null"] }
segment = { type = "text", doc = "Segment code, from the grid rfm_grid.csv on r and f.", one_of = ["champions", "loyal", "potential_loyalist", "new", "promising", "need_attention", "about_to_sleep", "at_risk", "cant_lose", "hibernating"], checks = ["not_null"] }
segment_en = { type = "text", doc = "Segment in English.", checks = ["not_null"] }
segment_fa = { type = "text", doc = "Segment in Persian.", checks = ["not_null"] }
previous_segment = { type = "text", doc = "Segment code at the end of the last business month before the as-of date's own; NULL for whoever was no customer then.", one_of = ["champions", "loyal", "potential_loyalist", "new", "promising", "need_attention", "about_to_sleep", "at_risk", "cant_lose", "hibernating"] }
previous_segment_en = { type = "text", doc = "previous_segment in English." }
previous_segment_fa = { type = "text", doc = "previous_segment in Persian." }
rank = { type = "int64", doc = "Position, 1 is the best: by monetary, then frequency, then recency, then customer_id.", unit = "position", checks = ["not_null", "positive"] }
monetary_share = { type = "float64", doc = "monetary / everyone's; NULL when nobody bought in the window.", unit = "fraction", checks = ["fraction"] }
cumulative_share = { type = "float64", doc = "Share of the customer and of everyone ranked before.", unit = "fraction", checks = ["fraction"] }
is_high_value = { type = "boolean", doc = "Whether the customers ranked before make up less than high_value_share of the total; so the one who crosses that line is in.", checks = ["not_null"] }

[checks]
ranks_are_complete = "select count(*) from this having count(*) <> coalesce(max(rank), 0)"
shares_sum_to_one = "select sum(monetary_share) from this having abs(sum(monetary_share) - 1) > 0.000001"
every_customer_once = """
select count(*) from this
having count(*) <> (select count(*) from rfm_months) or sum(monetary) <> (select sum(monetary) from rfm_months)"""

[warnings]
rfm_f_degenerate = """
select scores.f
from (values (2), (3), (4)) as scores (f)
where scores.f not in (select f from this) and (select count(*) from this) > 0
order by scores.f"""
---*/
with customers as (

    select * from rfm_months

),

segments as (

    select code, label_en, label_fa from labels where "group" = 'rfm_segment'

),

total as (

    select sum(monetary) as revenue from customers

),

ranked as (

    select
        *,
        row_number() over best_first as rank,
        sum(monetary) over (best_first rows between unbounded preceding and current row) as cumulative
    from customers
    window best_first as (order by monetary desc, frequency desc, recency_days, customer_id)

)

select
    ranked.customer_id,
    ranked.first_purchase_on,
    ranked.last_purchase_on,
    ranked.recency_days,
    ranked.frequency,
    ranked.monetary,
    ranked.r,
    ranked.f,
    ranked.m,
    ranked.rfm_score,
    ranked.segment,
    segments.label_en as segment_en,
    segments.label_fa as segment_fa,
    ranked.previous_segment,
    previous_segments.label_en as previous_segment_en,
    previous_segments.label_fa as previous_segment_fa,
    ranked.rank,
    cast(ranked.monetary as double) / nullif(cast((select revenue from total) as double), 0) as monetary_share,
    cast(ranked.cumulative as double) / nullif(cast((select revenue from total) as double), 0) as cumulative_share,
    ranked.cumulative - ranked.monetary < $high_value_share * (select revenue from total) as is_high_value
from ranked
left join segments on segments.code = ranked.segment
left join segments as previous_segments on previous_segments.code = ranked.previous_segment
order by ranked.customer_id
