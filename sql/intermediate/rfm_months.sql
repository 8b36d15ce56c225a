/*---
description = "One row per customer: RFM as of the month's end, or as of the as-of date in the open month."
grain = ["customer_id"]
partition = "month"

[reads]
customer_days = { last = "$rfm_window_days", until = "as_of" }

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the month's end.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month at whose end the row holds.", checks = ["not_null"] }
first_purchase_on = { type = "date", doc = "Business day of the first purchase.", checks = ["not_null"] }
last_purchase_on = { type = "date", doc = "Business day of the latest purchase by the month's end.", checks = ["not_null"] }
recency_days = { type = "int64", doc = "The month's end minus last_purchase_on, over the whole life whatever the window.", unit = "days", checks = ["not_null", "non_negative"] }
frequency = { type = "int64", doc = "Purchases by the month's end; with rfm_window_days set, those of that many days up to it.", unit = "count", checks = ["not_null", "non_negative"] }
monetary = { type = "decimal(28,4)", doc = "Net revenue of the purchases in frequency.", unit = "currency", checks = ["not_null", "non_negative"] }
r = { type = "int32", doc = "Recency score, 5 is the most recent.", unit = "score 1-5", checks = ["not_null", "positive"] }
f = { type = "int32", doc = "Frequency score, 5 is the most frequent; 1 without a purchase in the window.", unit = "score 1-5", checks = ["not_null", "positive"] }
m = { type = "int32", doc = "Monetary score, 5 is the greatest; 1 without a purchase in the window.", unit = "score 1-5", checks = ["not_null", "positive"] }
rfm_score = { type = "int32", doc = "100 r + 10 f + m.", unit = "code 111-555", checks = ["not_null"] }
segment = { type = "text", doc = "Segment code, from the grid rfm_grid.csv on r and f.", one_of = ["champions", "loyal", "potential_loyalist", "new", "promising", "need_attention", "about_to_sleep", "at_risk", "cant_lose", "hibernating"], checks = ["not_null"] }
previous_segment = { type = "text", doc = "Segment code at the end of the month before; NULL for whoever was no customer then.", one_of = ["champions", "loyal", "potential_loyalist", "new", "promising", "need_attention", "about_to_sleep", "at_risk", "cant_lose", "hibernating"] }

[checks]
every_customer_once = """
select count(*) from this
having count(*) <> (select count(*) from customer_months where first_purchase_on is not null)"""
scores_in_range = "select customer_id from this where r > 5 or f > 5 or m > 5 or rfm_score <> 100 * r + 10 * f + m"
revenue_adds_up = """
select sum(monetary) from this
having $rfm_window_days is null and sum(monetary) <> (select sum(revenue) from customer_months where first_purchase_on is not null)"""
old_customers_have_a_past = """
select customer_id from this
where (previous_segment is null) <> (first_purchase_on >= month_start)"""
---*/
with customers as (

    select customer_id, first_purchase_on, last_purchase_on, orders, revenue
    from customer_months
    where first_purchase_on is not null

),

recent as (

    select customer_id, sum(orders) as orders, sum(revenue) as revenue
    from customer_days
    where day > $period_end - $rfm_window_days
    group by customer_id

),

previous as (

    select customer_id, segment from rfm_months

),

grid as (

    select cast(r as int) as r, cast(f as int) as f, segment from rfm_grid

),

thresholds as (

    select metric, cast(score as int) as score, cast(bound as decimal(28, 4)) as bound from rfm_thresholds

),

measured as (

    select
        customers.customer_id,
        customers.first_purchase_on,
        customers.last_purchase_on,
        cast($period_end - customers.last_purchase_on as bigint) as recency_days,
        case when $rfm_window_days is null then customers.orders else coalesce(recent.orders, 0) end as frequency,
        case when $rfm_window_days is null then customers.revenue else coalesce(recent.revenue, 0) end as monetary
    from customers
    left join recent on recent.customer_id = customers.customer_id

),

population as (

    select count(*) as customers from customers

),

shared as (

    select
        measured.*,
        1 + 5 * cast(rank() over (order by recency_days desc) - 1 as bigint) / population.customers as r,
        1 + 5 * cast(rank() over (order by frequency) - 1 as bigint) / population.customers as f,
        1 + 5 * cast(rank() over (order by monetary) - 1 as bigint) / population.customers as m
    from measured
    cross join population
    where $rfm_method = 'share'

),

-- Equal customers are told apart by their id.
tiled as (

    select
        measured.*,
        cast(ntile(5) over (order by recency_days desc, customer_id) as bigint) as r,
        cast(ntile(5) over (order by frequency, customer_id) as bigint) as f,
        cast(ntile(5) over (order by monetary, customer_id) as bigint) as m
    from measured
    where $rfm_method = 'ntile'

),

-- Cut points are kept times five: type 7 puts cut k at position (n - 1) k / 5 of the sorted values, and so stays exact.
positions as (

    select 'r' as metric, 5 * cast(-recency_days as decimal(28, 4)) as value_times_five,
        row_number() over (order by recency_days desc) - 1 as position
    from measured where $rfm_method = 'quantile'
    union all
    select 'f' as metric, 5 * cast(frequency as decimal(28, 4)) as value_times_five,
        row_number() over (order by frequency) - 1 as position
    from measured where $rfm_method = 'quantile'
    union all
    select 'm' as metric, 5 * cast(monetary as decimal(28, 4)) as value_times_five,
        row_number() over (order by monetary) - 1 as position
    from measured where $rfm_method = 'quantile'

),

steps as (

    select
        numbers.step + 1 as score,
        (population.customers - 1) * numbers.step / 5 + neighbours.above as position,
        (population.customers - 1) * numbers.step % 5 as fifths
    from population
    cross join (values (1), (2), (3), (4)) as numbers (step)
    cross join (values (0), (1)) as neighbours (above)

),

cuts as (

    select
        positions.metric,
        steps.score,
        min(positions.value_times_five)
        + steps.fifths * (max(positions.value_times_five) - min(positions.value_times_five)) / 5 as cut_times_five
    from positions
    inner join steps on steps.position = positions.position
    group by positions.metric, steps.score, steps.fifths
    union all
    -- Reaching a threshold is enough, while a cut point must be passed: hence one unit of the last place below it.
    select metric, score, 5 * case when metric = 'r' then -bound else bound end - 0.0001 as cut_times_five
    from thresholds
    where $rfm_method = 'thresholds'

),

marks as (

    select
        max(cut_times_five) filter (where metric = 'r' and score = 2) as r2,
        max(cut_times_five) filter (where metric = 'r' and score = 3) as r3,
        max(cut_times_five) filter (where metric = 'r' and score = 4) as r4,
        max(cut_times_five) filter (where metric = 'r' and score = 5) as r5,
        max(cut_times_five) filter (where metric = 'f' and score = 2) as f2,
        max(cut_times_five) filter (where metric = 'f' and score = 3) as f3,
        max(cut_times_five) filter (where metric = 'f' and score = 4) as f4,
        max(cut_times_five) filter (where metric = 'f' and score = 5) as f5,
        max(cut_times_five) filter (where metric = 'm' and score = 2) as m2,
        max(cut_times_five) filter (where metric = 'm' and score = 3) as m3,
        max(cut_times_five) filter (where metric = 'm' and score = 4) as m4,
        max(cut_times_five) filter (where metric = 'm' and score = 5) as m5
    from cuts

),

cut as (

    select
        measured.*,
        case
            when -5 * recency_days > r5 then 5
            when -5 * recency_days > r4 then 4
            when -5 * recency_days > r3 then 3
            when -5 * recency_days > r2 then 2
            else 1
        end as r,
        case
            when 5 * frequency > f5 then 5
            when 5 * frequency > f4 then 4
            when 5 * frequency > f3 then 3
            when 5 * frequency > f2 then 2
            else 1
        end as f,
        case
            when 5 * monetary > m5 then 5
            when 5 * monetary > m4 then 4
            when 5 * monetary > m3 then 3
            when 5 * monetary > m2 then 2
            else 1
        end as m
    from measured
    cross join marks
    where $rfm_method in ('quantile', 'thresholds')

),

scored as (

    select
        customer_id, first_purchase_on, last_purchase_on, recency_days, frequency, monetary,
        cast(r as int) as r,
        cast(case when frequency = 0 then 1 else f end as int) as f,
        cast(case when frequency = 0 then 1 else m end as int) as m
    from (
        select * from shared
        union all
        select * from tiled
        union all
        select * from cut
    ) as methods

)

select
    scored.customer_id,
    $period_start as month_start,
    scored.first_purchase_on,
    scored.last_purchase_on,
    scored.recency_days,
    scored.frequency,
    scored.monetary,
    scored.r,
    scored.f,
    scored.m,
    100 * scored.r + 10 * scored.f + scored.m as rfm_score,
    grid.segment,
    previous.segment as previous_segment
from scored
left join grid on grid.r = scored.r and grid.f = scored.f
left join previous on previous.customer_id = scored.customer_id
order by scored.customer_id
