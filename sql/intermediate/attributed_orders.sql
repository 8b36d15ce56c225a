/*---
description = "One row per purchase that a campaign brought: the campaign that the order declares, else the last touch whose window holds it."
grain = ["order_id"]
partition = "month"

[reads]
campaign_touches = { last = "$attribution_days" }

[columns]
order_id = { type = "text", doc = "The purchase.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who bought.", checks = ["not_null"] }
ordered_at = { type = "timestamp", doc = "Moment of the order, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of ordered_at.", checks = ["not_null"] }
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
method = { type = "text", doc = "declared or last_touch.", one_of = ["declared", "last_touch"], checks = ["not_null"] }
touch_id = { type = "text", doc = "Event of the touch; NULL when declared." }
touch_kind = { type = "text", doc = "What the customer or the message did." }
touch_channel = { type = "text", doc = "Channel of the touch." }
touch_message_id = { type = "text", doc = "Message of the touch." }
touched_at = { type = "timestamp", doc = "Moment of the touch, UTC." }
window_hours = { type = "int64", doc = "The window that held the order.", unit = "hours" }
revenue = { type = "decimal(18,4)", doc = "Net amount of the order.", unit = "currency", checks = ["not_null", "positive"] }
line_revenue = { type = "decimal(28,4)", doc = "Net revenue of its lines: revenue but for rounding; 0 without lines.", unit = "currency", checks = ["not_null"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of its lines whose cost is known; 0 without one.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of those lines; NULL without one.", unit = "currency" }

[checks]
only_the_month_s_purchases = """
select this.order_id, this.revenue
from this
left join stg_orders as orders on orders.order_id = this.order_id and orders.is_purchase and orders.day <= $period_end
where
    orders.order_id is null
    or orders.net_amount <> this.revenue
    or orders.customer_id <> this.customer_id
    or orders.campaign_id <> this.campaign_id"""
declared_campaigns_win = """
select order_id from stg_orders where is_purchase and campaign_id is not null and day <= $period_end
except
select order_id from this where method = 'declared'"""
touches_come_before_orders = """
select this.order_id
from this
inner join campaign_touches as touches on touches.event_id = this.touch_id
where
    touches.day > this.day
    or this.day > touches.window_ends_on + 1
    or cast(this.ordered_at as bigint) - cast(touches.touched_at as bigint) > touches.window_hours * 3600000000
    or touches.customer_id <> this.customer_id
    or touches.campaign_id <> this.campaign_id"""
---*/
with purchases as (

    select
        order_id,
        customer_id,
        ordered_at,
        day,
        campaign_id,
        net_amount,
        has_day_only
    from stg_orders
    where is_purchase and day <= $period_end

),

touches as (

    -- One day more, for the hour by which a window reaches further where clocks go forward.
    select * from campaign_touches where day >= $period_start - cast($attribution_days as int) - 1

),

candidates as (

    select
        purchases.order_id,
        touches.event_id,
        touches.touched_at,
        touches.tie_order,
        touches.message_id
    from touches
    inner join purchases on purchases.customer_id = touches.customer_id
    where
        purchases.campaign_id is null
        and touches.day <= purchases.day
        -- Where only the order's day is known, any touch of that day comes before it.
        and (purchases.has_day_only or touches.touched_at <= purchases.ordered_at)
        -- The hours decide; days only narrow the join, with one to spare, as a window reaches an hour further where clocks go
        -- forward. An order without a time stands at midnight, which is in the window exactly when the window reaches its day.
        and purchases.day <= touches.window_ends_on + 1
        and cast(purchases.ordered_at as bigint) - cast(touches.touched_at as bigint) <= touches.window_hours * 3600000000

),

last_touches as (

    select
        order_id,
        first_value(event_id order by touched_at desc, tie_order, message_id nulls last, event_id) as event_id
    from candidates
    group by order_id

),

attributed as (

    select
        purchases.order_id,
        purchases.customer_id,
        purchases.ordered_at,
        purchases.day,
        purchases.net_amount,
        coalesce(purchases.campaign_id, touches.campaign_id) as campaign_id,
        case when purchases.campaign_id is null then 'last_touch' else 'declared' end as method,
        touches.event_id as touch_id,
        touches.kind as touch_kind,
        touches.channel as touch_channel,
        touches.message_id as touch_message_id,
        touches.touched_at,
        touches.window_hours
    from last_touches
    inner join touches on touches.event_id = last_touches.event_id
    right join purchases on purchases.order_id = last_touches.order_id
    where purchases.campaign_id is not null or touches.event_id is not null

),

profits as (

    select
        lines.order_id,
        sum(lines.line_net) as line_revenue,
        sum(lines.line_net) filter (where lines.gross_profit is not null) as costed_revenue,
        sum(lines.gross_profit) as gross_profit
    from attributed
    inner join purchase_lines as lines on lines.order_id = attributed.order_id
    group by lines.order_id

)

select
    attributed.order_id,
    attributed.customer_id,
    attributed.ordered_at,
    attributed.day,
    attributed.campaign_id,
    attributed.method,
    attributed.touch_id,
    attributed.touch_kind,
    attributed.touch_channel,
    attributed.touch_message_id,
    attributed.touched_at,
    attributed.window_hours,
    attributed.net_amount as revenue,
    coalesce(profits.line_revenue, 0) as line_revenue,
    coalesce(profits.costed_revenue, 0) as costed_revenue,
    profits.gross_profit
from attributed
left join profits on profits.order_id = attributed.order_id
order by attributed.order_id
