/*---
description = "One row per purchase that a campaign brought, in the month of the order: the campaign that the order declares, else the last touch whose window (attribution_windows.csv) holds it. A purchase that is not here was nobody's."
grain = ["order_id"]
partition = "month"
features = ["F060", "F082"]

[columns]
order_id = { type = "text", doc = "The purchase. It has one campaign at most.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who bought.", checks = ["not_null"] }
ordered_at = { type = "timestamp", doc = "Moment of the order, UTC.", checks = ["not_null"] }
ordered_on = { type = "date", doc = "Business day of ordered_at.", checks = ["not_null"] }
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
method = { type = "text", doc = "declared: the order names its campaign, which wins over every touch. last_touch: the latest touch with touch <= ordered_at <= touch + window; of one moment click before open before delivery, then the lowest message_id. An order at local midnight has no time of day: there business days are compared.", one_of = ["declared", "last_touch"], checks = ["not_null"] }
touch_id = { type = "text", doc = "Event of the touch; NULL when declared." }
touch_kind = { type = "text", doc = "Kind of the touch." }
touch_channel = { type = "text", doc = "Channel of the touch." }
touch_message_id = { type = "text", doc = "Message of the touch." }
touched_at = { type = "timestamp", doc = "Moment of the touch, UTC." }
window_hours = { type = "int64", doc = "The window that held the order.", unit = "hours", checks = ["positive"] }
revenue = { type = "decimal(18,4)", doc = "Net amount of the order.", unit = "currency", checks = ["not_null", "positive"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of its lines whose cost is known; 0 without one.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of those lines; NULL without one.", unit = "currency" }

[checks]
touches_are_there_or_declared = "select order_id from this where (method = 'declared') <> (touch_id is null)"
---*/
select
    order_id,
    customer_id,
    ordered_at,
    day as ordered_on,
    campaign_id,
    method,
    touch_id,
    touch_kind,
    touch_channel,
    touch_message_id,
    touched_at,
    window_hours,
    revenue,
    costed_revenue,
    gross_profit
from attributed_orders
order by order_id
