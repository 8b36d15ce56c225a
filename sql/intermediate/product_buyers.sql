/*---
description = "Customers of a product or category by period; each counts in the month of the first purchase within the period, so that months add up."
grain = ["level", "item", "grain", "period_number"]
partition = "month"

[reads]
customer_products = { last = "366 days" }

[columns]
level = { type = "text", doc = "category or product.", one_of = ["category", "product"], checks = ["not_null"] }
item = { type = "text", doc = "The product, or the category as the lines say it (NULL where neither line nor product has one)." }
grain = { type = "text", doc = "week (of categories only), month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_number = { type = "int64", doc = "The period.", checks = ["not_null"] }
customers = { type = "int64", doc = "Customers who bought it in the period for the first time.", unit = "count", checks = ["not_null", "positive"] }
---*/
-- An empty text stands for no category: NULL joins nothing.
with lines as (

    select customer_id, coalesce(category, '') as category, day
    from purchase_lines
    where day <= $period_end

),

owned as (

    select customer_id, product_id, coalesce(category, '') as category, month_start, last_day
    from customer_products

),

product_buyers_now as (

    select distinct customer_id, product_id
    from owned
    where month_start = $period_start

),

category_buyers_now as (

    select distinct customer_id, category
    from owned
    where month_start = $period_start

),

-- When those who bought it this month had last bought it before.
product_buyers_before as (

    select now.customer_id, now.product_id, max(owned.last_day) as last_day
    from product_buyers_now as now
    inner join owned on owned.customer_id = now.customer_id and owned.product_id = now.product_id
    where owned.month_start < $period_start
    group by now.customer_id, now.product_id

),

category_buyers_before as (

    select now.customer_id, now.category, max(owned.last_day) as last_day
    from category_buyers_now as now
    inner join owned on owned.customer_id = now.customer_id and owned.category = now.category
    where owned.month_start < $period_start
    group by now.customer_id, now.category

),

buyers as (

    select 'product' as level, now.product_id as item, before.last_day
    from product_buyers_now as now
    left join product_buyers_before as before
        on before.customer_id = now.customer_id and before.product_id = now.product_id
    union all
    select 'category' as level, now.category as item, before.last_day
    from category_buyers_now as now
    left join category_buyers_before as before
        on before.customer_id = now.customer_id and before.category = now.category

),

-- A month lies within one quarter and one year; a week may begin in the month before.
periods as (

    select grain, period_number, period_start
    from calendar_periods
    where day = $period_end and grain <> 'week'

),

weeks as (

    select day, period_number, period_start
    from calendar_periods
    where day >= $period_start and day <= $period_end and grain = 'week'

),

counted as (

    select buyers.level, buyers.item, periods.grain, periods.period_number, count(*) as customers
    from buyers
    cross join periods
    where buyers.last_day is null or buyers.last_day < periods.period_start
    group by buyers.level, buyers.item, periods.grain, periods.period_number

),

week_buyers as (

    select distinct lines.customer_id, lines.category, weeks.period_number, weeks.period_start
    from lines
    inner join weeks on weeks.day = lines.day

),

counted_weeks as (

    select
        'category' as level,
        week_buyers.category as item,
        'week' as grain,
        week_buyers.period_number,
        count(*) as customers
    from week_buyers
    left join category_buyers_before as before
        on before.customer_id = week_buyers.customer_id
        and before.category = week_buyers.category
    where before.last_day is null or before.last_day < week_buyers.period_start
    group by week_buyers.category, week_buyers.period_number

),

by_period as (

    select * from counted
    union all
    select * from counted_weeks

)

select level, nullif(item, '') as item, grain, period_number, customers
from by_period
order by level, item, grain, period_number
