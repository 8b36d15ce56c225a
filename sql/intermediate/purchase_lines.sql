/*---
description = "One row per order line of a purchase: what it brought in after the order's discounts and refunds, and what it earned."
grain = ["order_id", "line_number"]
partition = "month"

[columns]
order_id = { type = "text", doc = "The purchase.", checks = ["not_null"] }
line_number = { type = "int64", doc = "Position within the order.", checks = ["not_null", "positive"] }
customer_id = { type = "text", doc = "Who bought.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of the order. May lie after the as-of date: readers filter on $period_end.", checks = ["not_null"] }
product_id = { type = "text", doc = "The product.", checks = ["not_null"] }
category = { type = "text", doc = "The line's category, else the product's." }
quantity = { type = "decimal(18,4)", doc = "How many.", unit = "count", checks = ["not_null"] }
product_orders = { type = "int64", doc = "1 on the first line of its product in the order, else 0: adds up to the purchases that hold the product.", unit = "count", checks = ["not_null"] }
category_orders = { type = "int64", doc = "1 on the first line of its category in the order, else 0: adds up to the purchases that hold the category.", unit = "count", checks = ["not_null"] }
line_net = { type = "decimal(18,4)", doc = "The line's part of the order's net amount: in proportion to its own amount among the order's lines, rounded half up; 0 where the lines sum to nothing.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(18,4)", doc = "line_net minus the cost of the goods, that cost scaled by the same proportion; NULL where neither the line nor the product says a unit cost.", unit = "currency" }

[checks]
lines_make_up_their_order = """
select this.order_id
from this
inner join stg_orders as orders on orders.order_id = this.order_id
group by this.order_id
having sum(this.line_net) <> 0 and abs(sum(this.line_net) - max(orders.net_amount)) > 0.0001 * count(*)"""
---*/
with purchases as (

    select order_id, customer_id, day, net_amount
    from stg_orders
    where is_purchase

),

order_lines as (

    select
        items.order_id,
        items.line_number,
        items.product_id,
        coalesce(items.category, products.category) as category,
        items.quantity,
        coalesce(items.unit_cost, products.unit_cost) as unit_cost,
        items.line_amount
    from month_products as products
    right join stg_order_items as items on items.product_id = products.product_id

),

totals as (

    select order_id, sum(line_amount) as lines_amount
    from order_lines
    group by order_id

),

first_of_products as (

    select order_id, product_id, min(line_number) as line_number
    from order_lines
    group by order_id, product_id

),

first_of_categories as (

    select order_id, category, min(line_number) as line_number
    from order_lines
    where category is not null
    group by order_id, category

),

valued as (

    select
        order_lines.*,
        order_lines.line_amount - order_lines.quantity * order_lines.unit_cost as line_profit,
        purchases.customer_id,
        purchases.day,
        purchases.net_amount,
        first_of_products.line_number is not null as is_first_of_product,
        first_of_categories.line_number is not null as is_first_of_category,
        case when totals.lines_amount > 0 then totals.lines_amount end as lines_amount
    from order_lines
    inner join purchases on purchases.order_id = order_lines.order_id
    inner join totals on totals.order_id = order_lines.order_id
    left join first_of_products
        on first_of_products.order_id = order_lines.order_id
        and first_of_products.line_number = order_lines.line_number
    left join first_of_categories
        on first_of_categories.order_id = order_lines.order_id
        and first_of_categories.line_number = order_lines.line_number

)

select
    order_id,
    line_number,
    customer_id,
    day,
    product_id,
    category,
    quantity,
    cast(is_first_of_product as bigint) as product_orders,
    cast(is_first_of_category as bigint) as category_orders,
    -- Rial amounts multiplied outgrow 38 digits; the cast back rounds half up.
    coalesce(cast(cast(line_amount as decimal(76, 8)) * net_amount / lines_amount as decimal(18, 4)), 0) as line_net,
    cast(cast(line_profit as decimal(76, 8)) * net_amount / lines_amount as decimal(18, 4)) as gross_profit
from valued
order by order_id, line_number
