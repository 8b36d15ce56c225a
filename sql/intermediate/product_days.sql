/*---
description = "One row per business day and product, and per day and category, and one for each day as a whole: what was sold, and what was looked at."
grain = ["level", "item", "day"]
partition = "month"

[columns]
level = { type = "text", doc = "all, category or product.", one_of = ["all", "category", "product"], checks = ["not_null"] }
item = { type = "text", doc = "The product, or the category as the lines say it (NULL where neither line nor product has one); NULL for level all." }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases that hold it.", unit = "count", checks = ["not_null", "non_negative"] }
baskets = { type = "int64", doc = "Those of them in which it brought money and isn't excluded (excluded_products.csv): the baskets of product_affinity.", unit = "count", checks = ["not_null", "non_negative"] }
quantity = { type = "decimal(28,4)", doc = "Pieces sold.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of its lines. Below 0 where its lines' discounts are above their prices: a voucher as a line of its own.", unit = "currency", checks = ["not_null"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of the lines whose cost is known; NULL without one.", unit = "currency" }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of the lines whose cost is known; NULL without one.", unit = "currency" }
page_views = { type = "int64", doc = "Views of its page; of products only, here and in cart_adds.", unit = "count", checks = ["not_null", "non_negative"] }
cart_adds = { type = "int64", doc = "Times that it was put into a cart.", unit = "count", checks = ["not_null", "non_negative"] }

[checks]
no_future_days = "select * from this where day > $period_end"
levels_agree = """
select day
from this
group by day
having sum(revenue) filter (where level = 'category') <> sum(revenue) filter (where level = 'all')
    or sum(revenue) filter (where level = 'product') <> sum(revenue) filter (where level = 'all')"""
---*/
with excluded_values as (

    select kind, cast(value as varchar) as value from excluded_products

),

excluded_ids as (

    select distinct value as product_id from excluded_values where kind = 'product'

),

excluded_categories as (

    select distinct value as category from excluded_values where kind = 'category'

),

sold as (

    select
        lines.*,
        lines.line_net > 0
            and excluded_ids.product_id is null
            and excluded_categories.category is null as is_in_basket
    from excluded_ids
    right join purchase_lines as lines on lines.product_id = excluded_ids.product_id
    left join excluded_categories on excluded_categories.category = lines.category
    where lines.day <= $period_end

),

day_orders as (

    select
        day,
        order_id,
        bool_or(is_in_basket) as is_in_basket,
        sum(quantity) as quantity,
        sum(line_net) as revenue,
        sum(line_net) filter (where gross_profit is not null) as costed_revenue,
        sum(gross_profit) as gross_profit
    from sold
    group by day, order_id

),

by_day as (

    select
        'all' as level,
        cast(null as varchar) as item,
        day,
        count(*) as orders,
        count(*) filter (where is_in_basket) as baskets,
        sum(quantity) as quantity,
        sum(revenue) as revenue,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit
    from day_orders
    group by day

),

category_orders as (

    select
        category,
        day,
        order_id,
        bool_or(is_in_basket) as is_in_basket,
        sum(quantity) as quantity,
        sum(line_net) as revenue,
        sum(line_net) filter (where gross_profit is not null) as costed_revenue,
        sum(gross_profit) as gross_profit
    from sold
    group by category, day, order_id

),

by_category as (

    select
        'category' as level,
        category as item,
        day,
        count(*) as orders,
        count(*) filter (where is_in_basket) as baskets,
        sum(quantity) as quantity,
        sum(revenue) as revenue,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit
    from category_orders
    group by category, day

),

product_orders as (

    select
        product_id,
        day,
        order_id,
        bool_or(is_in_basket) as is_in_basket,
        sum(quantity) as quantity,
        sum(line_net) as revenue,
        sum(line_net) filter (where gross_profit is not null) as costed_revenue,
        sum(gross_profit) as gross_profit
    from sold
    group by product_id, day, order_id

),

by_product as (

    select
        'product' as level,
        product_id as item,
        day,
        count(*) as orders,
        count(*) filter (where is_in_basket) as baskets,
        sum(quantity) as quantity,
        sum(revenue) as revenue,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit
    from product_orders
    group by product_id, day

),

sales as (

    select * from by_day
    union all
    select * from by_category
    union all
    select * from by_product

),

looks as (

    select
        'product' as level,
        product_id as item,
        day,
        count(*) filter (where kind = 'page_view') as page_views,
        count(*) filter (where kind = 'cart_add') as cart_adds
    from stg_interactions
    where product_id is not null and kind in ('page_view', 'cart_add') and day <= $period_end
    group by product_id, day

)

select
    coalesce(sales.level, looks.level) as level,
    coalesce(sales.item, looks.item) as item,
    coalesce(sales.day, looks.day) as day,
    coalesce(sales.orders, 0) as orders,
    coalesce(sales.baskets, 0) as baskets,
    coalesce(sales.quantity, 0) as quantity,
    coalesce(sales.revenue, 0) as revenue,
    sales.costed_revenue,
    sales.gross_profit,
    coalesce(looks.page_views, 0) as page_views,
    coalesce(looks.cart_adds, 0) as cart_adds
from sales
full join looks on looks.level = sales.level and looks.item = sales.item and looks.day = sales.day
order by level, item, day
