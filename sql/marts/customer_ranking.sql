/*---
description = "One row per customer: ranking points of the last ranking_days by rule, position, class, and the treatment that the class is due."
grain = ["customer_id"]
compare = ["class"]
features = ["F036", "F037", "F038", "F039", "F040", "F041", "F042", "F043", "F044", "F046", "F047", "F048"]

[reads]
ranking_by_month = "latest"

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the as-of date.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases in the ranking_days up to the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
volume = { type = "decimal(28,4)", doc = "Net revenue in the same days.", unit = "currency", checks = ["not_null", "non_negative"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit in the same days, of the lines whose cost is known. NULL without one: waits for the source order_items and a unit_cost.", unit = "currency" }
margin = { type = "float64", doc = "gross_profit / net revenue of those lines; may be below 0, and says nothing where that revenue is below 0, as of lines whose discount is above their price.", unit = "fraction" }
mean_gap_days = { type = "float64", doc = "Mean of the days between successive purchase days in the same days; NULL below two such days.", unit = "days", checks = ["positive"] }
online_orders = { type = "int64", doc = "Purchases through a channel that sales_channels.csv calls online.", unit = "count", checks = ["not_null", "non_negative"] }
offline_orders = { type = "int64", doc = "Purchases through a channel that it calls offline; a channel it doesn't name is neither.", unit = "count", checks = ["not_null", "non_negative"] }
volume_points = { type = "int64", doc = "Points of the highest volume step of ranking_points.csv that volume reaches, its lower bound included.", unit = "points", checks = ["not_null"] }
volume_step = { type = "decimal(28,4)", doc = "Lower bound of that step; NULL below the first.", unit = "currency" }
margin_points = { type = "int64", doc = "Points of the highest margin step reached. Waits for the source order_items and a unit_cost: NULL for all while no cost is known.", unit = "points" }
product_type_points = { type = "int64", doc = "Points for the categories bought, each row of the table up to its cap. Waits for the source order_items with a category: NULL for all while the window's lines say none.", unit = "points" }
periodicity_points = { type = "int64", doc = "Points of the best periodicity step that mean_gap_days reaches; 0 below two purchase days.", unit = "points", checks = ["not_null"] }
online_order_points = { type = "int64", doc = "Points for online_orders, up to the cap. Waits for orders with a channel: NULL for all without.", unit = "points" }
offline_order_points = { type = "int64", doc = "Points for offline_orders, up to the cap. Waits for orders with a channel: NULL for all without.", unit = "points" }
referral_points = { type = "int64", doc = "Points for people referred, up to the cap. Waits for interactions of kind referral: NULL for all without.", unit = "points" }
login_points = { type = "int64", doc = "Points for logins to the panel, up to the cap. Waits for interactions of kind login: NULL for all without.", unit = "points" }
news_read_points = { type = "int64", doc = "Points for news items read, up to the cap. Waits for interactions of kind news_read: NULL for all without.", unit = "points" }
comment_points = { type = "int64", doc = "Points for comments, up to the cap. Waits for interactions of kind comment: NULL for all without.", unit = "points" }
total_points = { type = "int64", doc = "Sum of the points that are known.", unit = "points", checks = ["not_null"] }
position = { type = "int64", doc = "Position, 1 is the best: by total_points, then volume, then orders, then customer_id.", unit = "position", checks = ["not_null", "positive"] }
class = { type = "text", doc = "The class of ranking_classes.csv with the highest min_points that total_points reaches.", checks = ["not_null"] }
class_en = { type = "text", doc = "class in English.", checks = ["not_null"] }
class_fa = { type = "text", doc = "class in Persian.", checks = ["not_null"] }
previous_class = { type = "text", doc = "class at the end of the last business month before the as-of date's own; NULL for whoever was no customer then." }
previous_class_en = { type = "text", doc = "previous_class in English." }
previous_class_fa = { type = "text", doc = "previous_class in Persian." }
treatment_en = { type = "text", doc = "How customers of the class are served, in English, by ranking_classes.csv." }
treatment_fa = { type = "text", doc = "The same in Persian." }
response_hours = { type = "float64", doc = "Within how many hours the class is answered.", unit = "hours", checks = ["positive"] }
discount_rate = { type = "float64", doc = "Discount of the class.", unit = "fraction", checks = ["fraction"] }
offer_en = { type = "text", doc = "What the class is offered, in English." }
offer_fa = { type = "text", doc = "The same in Persian." }
is_high_value = { type = "boolean", doc = "Whether the customer is among those who make up the first high_value_share of the revenue, by the mart rfm.", checks = ["not_null"] }

[checks]
positions_are_complete = "select count(*) from this having count(*) <> coalesce(max(position), 0)"
every_customer_once = "select count(*) from this having count(*) <> (select count(*) from rfm)"
volume_is_monetary = """
select customer_id from this
inner join rfm using (customer_id)
where $rfm_window_days = $ranking_days and (volume <> monetary or orders <> frequency)"""
---*/
with customers as (

    select * from ranking_by_month

),

high_value as (

    select customer_id, is_high_value from rfm

),

class_labels as (

    select code, label_en, label_fa from labels where "group" = 'class'

),

classes as (

    select
        ranking_classes.class,
        coalesce(class_labels.label_en, ranking_classes.class) as class_en,
        coalesce(class_labels.label_fa, ranking_classes.class) as class_fa,
        ranking_classes.treatment_en,
        ranking_classes.treatment_fa,
        cast(ranking_classes.response_hours as double) as response_hours,
        cast(ranking_classes.discount_rate as double) as discount_rate,
        ranking_classes.offer_en,
        ranking_classes.offer_fa
    from ranking_classes
    left join class_labels on class_labels.code = ranking_classes.class

),

ranked as (

    select
        customers.*,
        high_value.is_high_value,
        row_number() over (
            order by customers.total_points desc, customers.volume desc, customers.orders desc, customers.customer_id
        ) as position
    from customers
    inner join high_value on high_value.customer_id = customers.customer_id

)

select
    ranked.customer_id,
    ranked.orders,
    ranked.volume,
    ranked.gross_profit,
    ranked.margin,
    ranked.mean_gap_days,
    ranked.online_orders,
    ranked.offline_orders,
    ranked.volume_points,
    ranked.volume_step,
    ranked.margin_points,
    ranked.product_type_points,
    ranked.periodicity_points,
    ranked.online_order_points,
    ranked.offline_order_points,
    ranked.referral_points,
    ranked.login_points,
    ranked.news_read_points,
    ranked.comment_points,
    ranked.total_points,
    ranked.position,
    ranked.class,
    classes.class_en,
    classes.class_fa,
    ranked.previous_class,
    coalesce(previous_classes.class_en, ranked.previous_class) as previous_class_en,
    coalesce(previous_classes.class_fa, ranked.previous_class) as previous_class_fa,
    classes.treatment_en,
    classes.treatment_fa,
    classes.response_hours,
    classes.discount_rate,
    classes.offer_en,
    classes.offer_fa,
    ranked.is_high_value
from ranked
left join classes on classes.class = ranked.class
left join classes as previous_classes on previous_classes.class = ranked.previous_class
order by ranked.customer_id
