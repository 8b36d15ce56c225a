/*---
description = "What is bought and looked at, and how that changes: one row per grain, period, and category or product, from the first period with a sale or a look to the as-of date's, also when nothing happened."
grain = ["grain", "period_start", "level", "category", "product_id"]
features = ["F089"]

[columns]
grain = { type = "text", doc = "week (categories only), month, quarter or year, in the project's calendar. Waits for the source order_items, as the whole mart: no rows but of what was looked at.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
level = { type = "text", doc = "Whether the row is of a category or of a product.", one_of = ["category", "product"], checks = ["not_null"] }
category = { type = "text", doc = "The category: of sales as the line says it, else the catalogue, of looks as the catalogue says it; NULL where nothing says one. For a product, the catalogue's." }
product_id = { type = "text", doc = "The product; NULL for a category." }
product_name = { type = "text", doc = "Its name in the catalogue. Waits for the source products: NULL." }
customers = { type = "int64", doc = "Customers who bought it in the period.", unit = "count", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Purchases that hold it.", unit = "count", checks = ["not_null", "non_negative"] }
quantity = { type = "decimal(28,4)", doc = "Pieces sold.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of its lines. Below 0 where its lines' discounts are above their prices: a voucher as a line of its own.", unit = "currency", checks = ["not_null"] }
revenue_share = { type = "float64", doc = "Its share of the period's revenue of all lines. Below 0 where revenue is, and another's may be above 1; NULL in a period without revenue.", unit = "fraction" }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of the lines whose cost is known; NULL without one.", unit = "currency" }
margin = { type = "float64", doc = "gross_profit / net revenue of those lines; may be below 0, and says nothing where that revenue is below 0.", unit = "fraction" }
page_views = { type = "int64", doc = "Views of its page, customers' and leads'. Waits for the source interactions, as cart_adds: NULL while the data hold no such event with a product.", unit = "count", checks = ["non_negative"] }
cart_adds = { type = "int64", doc = "Times that it was put into a cart.", unit = "count", checks = ["non_negative"] }
customers_growth = { type = "float64", doc = "customers / those of the period before, minus 1; NULL, as the growths below, when either period is incomplete or there was nothing before.", unit = "fraction" }
orders_growth = { type = "float64", doc = "The same of orders.", unit = "fraction" }
quantity_growth = { type = "float64", doc = "The same of quantity.", unit = "fraction" }
revenue_growth = { type = "float64", doc = "The same of revenue; NULL also where the revenue before was below 0.", unit = "fraction" }
customers_growth_last_year = { type = "float64", doc = "customers / those of the same period of the year before, minus 1.", unit = "fraction" }
revenue_growth_last_year = { type = "float64", doc = "The same of revenue; NULL also where the revenue before was below 0.", unit = "fraction" }
revenue_share_change = { type = "float64", doc = "Difference of revenue_share from the period before; NULL when either is incomplete or has no value.", unit = "fraction" }
revenue_share_change_last_year = { type = "float64", doc = "Difference from the same period of the year before.", unit = "fraction" }

[checks]
shares_sum_to_one = """
select grain, level, period_start
from this
group by grain, level, period_start
having abs(sum(revenue_share) - 1) > 0.000001"""
no_more_customers_than_orders = "select * from this where customers > orders"
---*/
with products as (

    select product_id, name, category from stg_products

),

-- An empty text stands for no category: NULL joins nothing.
product_sums as (

    select
        level,
        coalesce(item, '') as item,
        day,
        orders,
        quantity,
        revenue,
        costed_revenue,
        gross_profit,
        page_views,
        cart_adds
    from product_days
    where level <> 'all'

),

daily as (

    select * from product_sums
    union all
    -- The looks of a category's products; no line says their category.
    select
        'category' as level,
        coalesce(products.category, '') as item,
        looks.day,
        cast(0 as bigint) as orders,
        cast(0 as decimal(28, 4)) as quantity,
        cast(0 as decimal(28, 4)) as revenue,
        cast(null as decimal(28, 4)) as costed_revenue,
        cast(null as decimal(28, 4)) as gross_profit,
        looks.page_views,
        looks.cart_adds
    from product_sums as looks
    left join products on products.product_id = looks.item
    where looks.level = 'product' and looks.page_views + looks.cart_adds > 0

),

known as (

    select
        coalesce(sum(page_views), 0) > 0 as page_views,
        coalesce(sum(cart_adds), 0) > 0 as cart_adds
    from product_sums

),

by_period as (

    select
        daily.level,
        daily.item,
        periods.grain,
        periods.period_number,
        sum(daily.orders) as orders,
        sum(daily.quantity) as quantity,
        sum(daily.revenue) as revenue,
        sum(daily.costed_revenue) as costed_revenue,
        sum(daily.gross_profit) as gross_profit,
        sum(daily.page_views) as page_views,
        sum(daily.cart_adds) as cart_adds
    from daily
    inner join calendar_periods as periods on periods.day = daily.day
    where daily.level = 'category' or periods.grain <> 'week'
    group by daily.level, daily.item, periods.grain, periods.period_number

),

buyers as (

    select level, coalesce(item, '') as item, grain, period_number, sum(customers) as customers
    from product_buyers
    group by level, coalesce(item, ''), grain, period_number

),

items as (

    select level, item, grain, min(period_number) as first_number
    from by_period
    group by level, item, grain

),

dense as (

    select
        items.level,
        items.item,
        periods.grain,
        periods.period_number,
        periods.last_year_number,
        periods.period_start,
        periods.period_label,
        periods.is_complete,
        coalesce(buyers.customers, 0) as customers,
        coalesce(by_period.orders, 0) as orders,
        coalesce(by_period.quantity, 0) as quantity,
        coalesce(by_period.revenue, 0) as revenue,
        by_period.costed_revenue,
        by_period.gross_profit,
        coalesce(by_period.page_views, 0) as page_views,
        coalesce(by_period.cart_adds, 0) as cart_adds
    from items
    inner join project_periods as periods
        on periods.grain = items.grain and periods.period_number >= items.first_number
    left join by_period
        on by_period.level = items.level
        and by_period.grain = periods.grain
        and by_period.period_number = periods.period_number
        and by_period.item = items.item
    left join buyers
        on buyers.level = items.level
        and buyers.grain = periods.grain
        and buyers.period_number = periods.period_number
        and buyers.item = items.item

),

shares as (

    select
        *,
        cast(revenue as double) / nullif(cast(sum(revenue) over (partition by grain, level, period_number) as double), 0)
            as revenue_share
    from dense

),

-- An item has a row for every period since its first: the one before is the row before.
compared as (

    select
        *,
        cast(lag(nullif(customers, 0)) over item_periods as double) as previous_customers,
        cast(lag(nullif(orders, 0)) over item_periods as double) as previous_orders,
        cast(lag(nullif(quantity, 0)) over item_periods as double) as previous_quantity,
        -- Nothing grows from less than nothing: the sign would be wrong.
        cast(lag(case when revenue > 0 then revenue end) over item_periods as double) as previous_revenue,
        lag(revenue_share) over item_periods as previous_revenue_share
    from shares
    window item_periods as (partition by level, grain, item order by period_number)

),

complete as (

    select
        level,
        item,
        grain,
        period_number,
        cast(nullif(customers, 0) as double) as customers,
        cast(case when revenue > 0 then revenue end as double) as revenue,
        revenue_share
    from shares
    where is_complete

)

select
    compared.grain,
    compared.period_start,
    compared.period_label,
    compared.is_complete,
    compared.level,
    case when compared.level = 'category' then nullif(compared.item, '') else products.category end as category,
    case when compared.level = 'product' then compared.item end as product_id,
    products.name as product_name,
    compared.customers,
    compared.orders,
    compared.quantity,
    compared.revenue,
    compared.revenue_share,
    compared.gross_profit,
    cast(compared.gross_profit as double) / nullif(cast(compared.costed_revenue as double), 0) as margin,
    case when known.page_views then compared.page_views end as page_views,
    case when known.cart_adds then compared.cart_adds end as cart_adds,
    case when compared.is_complete then compared.customers / compared.previous_customers - 1 end as customers_growth,
    case when compared.is_complete then compared.orders / compared.previous_orders - 1 end as orders_growth,
    case when compared.is_complete then cast(compared.quantity as double) / compared.previous_quantity - 1 end as quantity_growth,
    case when compared.is_complete then cast(compared.revenue as double) / compared.previous_revenue - 1 end as revenue_growth,
    case when compared.is_complete then compared.customers / last_year.customers - 1 end as customers_growth_last_year,
    case when compared.is_complete then cast(compared.revenue as double) / last_year.revenue - 1 end as revenue_growth_last_year,
    case when compared.is_complete then compared.revenue_share - compared.previous_revenue_share end as revenue_share_change,
    case when compared.is_complete then compared.revenue_share - last_year.revenue_share end as revenue_share_change_last_year
from compared
cross join known
left join products on products.product_id = compared.item and compared.level = 'product'
left join complete as last_year
    on last_year.level = compared.level
    and last_year.grain = compared.grain
    and last_year.period_number = compared.last_year_number
    and last_year.item = compared.item
order by grain, period_start, level, category, product_id
