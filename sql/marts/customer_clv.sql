/*---
description = "One row per customer: the value of the relationship so far, in revenue and in gross profit, its place among all, and what is expected of it."
grain = ["customer_id"]
features = ["F013", "F015", "F016", "F018", "F019"]

[reads]
customer_months = "latest"

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the as-of date.", checks = ["not_null"] }
first_purchase_on = { type = "date", doc = "Business day of the first purchase.", checks = ["not_null"] }
customer_age_days = { type = "int64", doc = "As-of date minus first_purchase_on.", unit = "days", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Purchases to date.", unit = "count", checks = ["not_null", "positive"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue to date.", unit = "currency", checks = ["not_null", "positive"] }
average_order_value = { type = "decimal(18,4)", doc = "revenue / orders.", unit = "currency", checks = ["not_null", "positive"] }
decile = { type = "int32", doc = "1 + (10 x customers with strictly more revenue) div all customers: 1 is the best, equals share one.", unit = "decile 1-10", checks = ["not_null", "positive"] }
revenue_share = { type = "float64", doc = "revenue / everyone's.", unit = "fraction", checks = ["not_null", "fraction"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit to date of the lines whose cost is known. NULL without one: waits for the source order_items and a unit_cost, as all columns down to cumulative_profit_share.", unit = "currency" }
margin = { type = "float64", doc = "gross_profit / net revenue of those lines; may be below 0, and says nothing where that revenue is below 0 (see cost_coverage).", unit = "fraction" }
cost_coverage = { type = "float64", doc = "Share of the lines' net revenue whose cost is known. Above 1 or below 0 where a line's discount is above its price: what it brought is below 0.", unit = "fraction" }
profit_rank = { type = "int64", doc = "Position by gross_profit, 1 is the best; equals by the rank of the mart rfm. NULL without gross_profit.", unit = "position", checks = ["positive"] }
profit_share = { type = "float64", doc = "gross_profit / everyone's; below 0 for a loss. NULL while everyone's is not above 0.", unit = "fraction" }
cumulative_profit_share = { type = "float64", doc = "profit_share of the customer and of everyone ranked before; above 1 where the losses come after.", unit = "fraction" }
p_alive = { type = "float64", doc = "Probability of still being a customer. Waits for the predictions, as all columns from here: NULL.", unit = "fraction", checks = ["fraction"] }
expected_orders = { type = "float64", doc = "Expected purchases in the next horizon_days.", unit = "count", checks = ["non_negative"] }
expected_order_value = { type = "decimal(18,4)", doc = "Expected net revenue of a purchase.", unit = "currency", checks = ["non_negative"] }
expected_revenue = { type = "decimal(28,4)", doc = "Expected net revenue in the next horizon_days, not discounted.", unit = "currency", checks = ["non_negative"] }
residual_value = { type = "decimal(28,4)", doc = "The same, week by week, discounted at discount_rate a year.", unit = "currency", checks = ["non_negative"] }
lifetime_value = { type = "decimal(28,4)", doc = "revenue plus residual_value.", unit = "currency", checks = ["non_negative"] }

[checks]
every_customer_once = "select count(*) from this having count(*) <> (select count(*) from rfm)"
revenue_adds_up = """
select sum(revenue) from this
having
    coalesce(sum(revenue), 0) <> (select coalesce(sum(revenue), 0) from customer_months)
    or ($rfm_window_days is null and coalesce(sum(revenue), 0) <> (select coalesce(sum(monetary), 0) from rfm))"""
profit_adds_up = """
select sum(gross_profit) from this
having coalesce(sum(gross_profit), 0) <> (select coalesce(sum(gross_profit), 0) from customer_months where orders > 0)"""
shares_sum_to_one = """
select sum(revenue_share), sum(profit_share) from this
having abs(sum(revenue_share) - 1) > 0.000001 or abs(sum(profit_share) - 1) > 0.000001"""
deciles_are_ten = "select customer_id from this where decile > 10"
---*/
with customers as (

    select customer_id, first_purchase_on, orders, revenue, line_revenue, costed_revenue, gross_profit
    from customer_months
    where first_purchase_on is not null

),

ranks as (

    select customer_id, rank from rfm

),

totals as (

    select
        count(*) as customers,
        sum(revenue) as revenue,
        case when sum(gross_profit) > 0 then sum(gross_profit) end as gross_profit
    from customers

),

by_revenue as (

    select *, rank() over (order by revenue desc) - 1 as better
    from customers

),

-- Who has no known profit comes last, and gets no place.
by_profit as (

    select
        by_revenue.*,
        row_number() over best_first as profit_rank,
        sum(by_revenue.gross_profit) over (best_first rows between unbounded preceding and current row) as cumulative
    from by_revenue
    inner join ranks on ranks.customer_id = by_revenue.customer_id
    window best_first as (order by by_revenue.gross_profit desc nulls last, ranks.rank)

)

select
    customer_id,
    first_purchase_on,
    cast($as_of - first_purchase_on as bigint) as customer_age_days,
    orders,
    revenue,
    cast(round(revenue / nullif(orders, 0), 4) as decimal(18, 4)) as average_order_value,
    cast(1 + 10 * cast(better as bigint) / (select customers from totals) as int) as decile,
    cast(revenue as double) / nullif(cast((select revenue from totals) as double), 0) as revenue_share,
    gross_profit,
    cast(gross_profit as double) / nullif(cast(costed_revenue as double), 0) as margin,
    cast(costed_revenue as double) / nullif(cast(line_revenue as double), 0) as cost_coverage,
    case when gross_profit is not null then profit_rank end as profit_rank,
    cast(gross_profit as double) / cast((select gross_profit from totals) as double) as profit_share,
    case
        when gross_profit is not null then cast(cumulative as double) / cast((select gross_profit from totals) as double)
    end as cumulative_profit_share,
    cast(null as double) as p_alive,
    cast(null as double) as expected_orders,
    cast(null as decimal(18, 4)) as expected_order_value,
    cast(null as decimal(28, 4)) as expected_revenue,
    cast(null as decimal(28, 4)) as residual_value,
    cast(null as decimal(28, 4)) as lifetime_value
from by_profit
order by customer_id
