/*---
description = "One row per dimension and value: how many customers it has, what they are worth on average, and the revenue that is at risk."
grain = ["dimension", "value"]
features = ["F014", "F016", "F017", "F033", "F049", "F050"]

[reads]
customer_months = "latest"

[columns]
dimension = { type = "text", doc = "rfm_segment; region and company_size of the profile; class of the mart customer_ranking; channel of the last purchase; cohort: month of the first purchase.", one_of = ["rfm_segment", "region", "company_size", "class", "channel", "cohort"], checks = ["not_null"] }
dimension_en = { type = "text", doc = "dimension in English.", checks = ["not_null"] }
dimension_fa = { type = "text", doc = "dimension in Persian.", checks = ["not_null"] }
value = { type = "text", doc = "Code or name; unknown for customers without one. A dimension that nobody has a value in has no rows: region and company_size wait for the source customers, channel for orders with a channel.", checks = ["not_null"] }
value_en = { type = "text", doc = "value in English, where it is a code.", checks = ["not_null"] }
value_fa = { type = "text", doc = "value in Persian, where it is a code.", checks = ["not_null"] }
customers = { type = "int64", doc = "Customers.", unit = "count", checks = ["not_null", "positive"] }
customer_share = { type = "float64", doc = "customers / everyone.", unit = "fraction", checks = ["not_null", "fraction"] }
orders = { type = "int64", doc = "Their purchases to date.", unit = "count", checks = ["not_null", "positive"] }
revenue = { type = "decimal(28,4)", doc = "Their net revenue to date.", unit = "currency", checks = ["not_null", "positive"] }
revenue_share = { type = "float64", doc = "revenue / everyone's.", unit = "fraction", checks = ["not_null", "fraction"] }
revenue_per_customer = { type = "decimal(28,4)", doc = "revenue / customers: the average lifetime value so far.", unit = "currency", checks = ["not_null", "positive"] }
average_order_value = { type = "decimal(18,4)", doc = "revenue / orders.", unit = "currency", checks = ["not_null", "positive"] }
costed_customers = { type = "int64", doc = "Customers with a line whose cost is known.", unit = "count", checks = ["not_null", "non_negative"] }
gross_profit = { type = "decimal(28,4)", doc = "Their gross profit to date, of the lines whose cost is known. NULL without one: waits for the source order_items and a unit_cost, as margin, profit_share and profit_per_customer.", unit = "currency" }
margin = { type = "float64", doc = "gross_profit / net revenue of those lines; may be below 0, and says nothing where that revenue is below 0, as of lines whose discount is above their price.", unit = "fraction" }
profit_share = { type = "float64", doc = "gross_profit / everyone's; NULL while everyone's is not above 0.", unit = "fraction" }
profit_per_customer = { type = "decimal(28,4)", doc = "gross_profit / costed_customers.", unit = "currency" }
customers_at_risk = { type = "int64", doc = "Customers whose risk of churn is medium or high, by the mart churn_flags.", unit = "count", checks = ["not_null", "non_negative"] }
revenue_at_risk = { type = "decimal(28,4)", doc = "Their net revenue of the last 365 days.", unit = "currency", checks = ["not_null", "non_negative"] }
expected_revenue = { type = "decimal(28,4)", doc = "Expected net revenue in the next horizon_days. Waits for the predictions: NULL.", unit = "currency", checks = ["non_negative"] }
residual_value = { type = "decimal(28,4)", doc = "The same, discounted. Waits for the predictions: NULL.", unit = "currency", checks = ["non_negative"] }

[checks]
everyone_in_every_dimension = """
select dimension, sum(customers) from this
group by dimension
having
    sum(customers) <> (select count(*) from customer_clv)
    or sum(revenue) <> (select sum(revenue) from customer_clv)
    or abs(sum(revenue_share) - 1) > 0.000001
    or abs(sum(profit_share) - 1) > 0.000001"""
risk_adds_up = """
select dimension, sum(revenue_at_risk) from this
group by dimension
having sum(revenue_at_risk) <> (select sum(revenue_at_risk) from churn_flags)"""
---*/
with worths as (

    select customer_id, first_purchase_on, orders, revenue, gross_profit, expected_revenue, residual_value
    from customer_clv

),

states as (

    select customer_id, last_order_channel, costed_revenue
    from customer_months
    where first_purchase_on is not null

),

scores as (

    select customer_id, segment from rfm

),

rankings as (

    select customer_id, class from customer_ranking

),

risks as (

    select customer_id, cast(risk in ('medium', 'high') as bigint) as is_at_risk, revenue_at_risk
    from churn_flags

),

profiles as (

    select customer_id, region, company_size from stg_customers

),

months as (

    select day, period_label from calendar_periods where grain = 'month'

),

dimension_labels as (

    select code, label_en, label_fa from labels where "group" = 'dimension'

),

value_labels as (

    select case when "group" = 'class' then 'class' else 'rfm_segment' end as dimension, code, label_en, label_fa
    from labels
    where "group" in ('class', 'rfm_segment')

),

unknown as (

    select label_en, label_fa from labels where "group" = 'value' and code = 'unknown'

),

customers as (

    select
        scores.segment,
        coalesce(profiles.region, 'unknown') as region,
        coalesce(profiles.company_size, 'unknown') as company_size,
        rankings.class,
        coalesce(states.last_order_channel, 'unknown') as channel,
        months.period_label as cohort,
        worths.orders,
        worths.revenue,
        worths.gross_profit,
        case when worths.gross_profit is not null then states.costed_revenue end as costed_revenue,
        worths.expected_revenue,
        worths.residual_value,
        risks.is_at_risk,
        risks.revenue_at_risk
    from worths
    inner join states on states.customer_id = worths.customer_id
    inner join scores on scores.customer_id = worths.customer_id
    inner join rankings on rankings.customer_id = worths.customer_id
    inner join risks on risks.customer_id = worths.customer_id
    inner join months on months.day = worths.first_purchase_on
    left join profiles on profiles.customer_id = worths.customer_id

),

sums as (

    select
        grouping(segment) as without_segment,
        grouping(region) as without_region,
        grouping(company_size) as without_company_size,
        grouping(class) as without_class,
        grouping(channel) as without_channel,
        coalesce(segment, region, company_size, class, channel, cohort) as value,
        count(*) as customers,
        sum(orders) as orders,
        sum(revenue) as revenue,
        count(gross_profit) as costed_customers,
        sum(gross_profit) as gross_profit,
        sum(costed_revenue) as costed_revenue,
        sum(is_at_risk) as customers_at_risk,
        sum(revenue_at_risk) as revenue_at_risk,
        sum(expected_revenue) as expected_revenue,
        sum(residual_value) as residual_value
    from customers
    group by grouping sets ((segment), (region), (company_size), (class), (channel), (cohort))

),

named as (

    select
        case
            when without_segment = 0 then 'rfm_segment'
            when without_region = 0 then 'region'
            when without_company_size = 0 then 'company_size'
            when without_class = 0 then 'class'
            when without_channel = 0 then 'channel'
            else 'cohort'
        end as dimension,
        sums.*
    from sums

),

-- A dimension of which nothing is known is left out.
known as (

    select *
    from (
        select named.*, bool_or(value <> 'unknown') over (partition by dimension) as is_known
        from named
    ) as judged
    where is_known

),

totals as (

    select
        count(*) as customers,
        sum(revenue) as revenue,
        case when sum(gross_profit) > 0 then sum(gross_profit) end as gross_profit
    from worths

)

select
    known.dimension,
    dimension_labels.label_en as dimension_en,
    dimension_labels.label_fa as dimension_fa,
    known.value,
    coalesce(value_labels.label_en, case when known.value = 'unknown' then unknown.label_en end, known.value) as value_en,
    coalesce(value_labels.label_fa, case when known.value = 'unknown' then unknown.label_fa end, known.value) as value_fa,
    known.customers,
    cast(known.customers as double) / totals.customers as customer_share,
    known.orders,
    known.revenue,
    cast(known.revenue as double) / nullif(cast(totals.revenue as double), 0) as revenue_share,
    cast(round(known.revenue / known.customers, 4) as decimal(28, 4)) as revenue_per_customer,
    cast(round(known.revenue / nullif(known.orders, 0), 4) as decimal(18, 4)) as average_order_value,
    known.costed_customers,
    known.gross_profit,
    cast(known.gross_profit as double) / nullif(cast(known.costed_revenue as double), 0) as margin,
    cast(known.gross_profit as double) / cast(totals.gross_profit as double) as profit_share,
    cast(round(known.gross_profit / nullif(known.costed_customers, 0), 4) as decimal(28, 4)) as profit_per_customer,
    known.customers_at_risk,
    known.revenue_at_risk,
    known.expected_revenue,
    known.residual_value
from known
cross join totals
cross join unknown
left join dimension_labels on dimension_labels.code = known.dimension
left join value_labels on value_labels.dimension = known.dimension and value_labels.code = known.value
order by known.dimension, known.value
