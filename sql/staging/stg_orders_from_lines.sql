/*---
name = "stg_orders"
description = "One row per order, derived from its lines where there is no orders source."
grain = ["order_id"]
partition = "month"
without = ["orders"]

[columns]
order_id = { type = "text", doc = "The order.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who ordered.", checks = ["not_null"] }
ordered_at = { type = "timestamp", doc = "Moment of the earliest line, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of ordered_at. May lie after the as-of date: readers filter on $period_end.", checks = ["not_null"] }
hour = { type = "int32", doc = "Local hour of ordered_at, 0 to 23." }
has_day_only = { type = "boolean", doc = "Whether ordered_at is local midnight, which stands for a day without a time. An order of exactly 0:15, 0:30 or 0:45 is taken for one, too.", checks = ["not_null"] }
amount = { type = "decimal(18,4)", doc = "Sum of the lines, rounded half up to four decimals once.", unit = "currency", checks = ["not_null"] }
refunded_amount = { type = "decimal(18,4)", doc = "Given back so far; 0 when nothing was.", unit = "currency", checks = ["not_null", "non_negative"] }
net_amount = { type = "decimal(18,4)", doc = "amount minus refunded_amount.", unit = "currency", checks = ["not_null"] }
paid_amount = { type = "decimal(18,4)", doc = "Paid so far; NULL when the source does not say.", unit = "currency" }
discount = { type = "decimal(18,4)", doc = "Sum of the lines' discounts. Information only: amount is already after it.", unit = "currency" }
status = { type = "text", doc = "Trimmed and lower-cased; NULL when empty." }
is_purchase = { type = "boolean", doc = "Whether the status counts (none counts too) and net_amount is above zero.", checks = ["not_null"] }
currency = { type = "text", doc = "The project's currency." }
channel = { type = "text", doc = "Where the order came in." }
campaign_id = { type = "text", doc = "Campaign that the source declares for the order." }
region = { type = "text", doc = "Region of the order." }
promised_at = { type = "timestamp", doc = "Promised delivery, UTC." }
delivered_at = { type = "timestamp", doc = "Delivery, UTC." }
promised_on = { type = "date", doc = "Business day of promised_at." }
delivered_on = { type = "date", doc = "Business day of delivered_at." }
updated_at = { type = "timestamp", doc = "Moment of this version, UTC." }

[warnings]
unknown_statuses = """
select status, count(*) as orders
from this
where
    not is_purchase
    and status not in ('pending', 'cancelled', 'canceled', 'refunded', 'returned', 'failed')
    and not array_has(string_to_array($counted_statuses, ','), status)
group by status
order by orders desc, status"""
refunds_larger_than_orders = "select order_id, amount, refunded_amount from this where net_amount < 0 order by order_id"
delivered_before_ordered = "select order_id, day, delivered_on from this where delivered_on < day order by order_id"
orders_on_several_customers = """
select order_id
from stg_order_items
group by order_id
having min(customer_id) <> max(customer_id)
order by order_id"""
---*/
with lines as (

    select * from stg_order_items

),

-- An order's own columns are repeated on its lines: the first line that has a value tells it.
orders as (

    select
        order_id,
        first_value(customer_id order by ordered_at, line_number) as customer_id,
        min(ordered_at) as ordered_at,
        min(day) as day,
        first_value(hour order by ordered_at, line_number) as hour,
        round(sum(line_amount), 4) as amount,
        first_value(refunded_amount order by ordered_at, line_number) filter (where refunded_amount is not null) as refunded_amount,
        first_value(paid_amount order by ordered_at, line_number) filter (where paid_amount is not null) as paid_amount,
        sum(discount) as discount,
        first_value(status order by ordered_at, line_number) filter (where status is not null) as status,
        first_value(currency order by ordered_at, line_number) filter (where currency is not null) as currency,
        first_value(channel order by ordered_at, line_number) filter (where channel is not null) as channel,
        first_value(campaign_id order by ordered_at, line_number) filter (where campaign_id is not null) as campaign_id,
        first_value(region order by ordered_at, line_number) filter (where region is not null) as region,
        first_value(promised_at order by ordered_at, line_number) filter (where promised_at is not null) as promised_at,
        first_value(delivered_at order by ordered_at, line_number) filter (where delivered_at is not null) as delivered_at,
        first_value(promised_on order by ordered_at, line_number) filter (where promised_on is not null) as promised_on,
        first_value(delivered_on order by ordered_at, line_number) filter (where delivered_on is not null) as delivered_on,
        max(updated_at) as updated_at
    from lines
    group by order_id

),

netted as (

    select
        *,
        cast(amount as decimal(18, 4)) - coalesce(refunded_amount, 0) as net_amount
    from orders

)

select
    order_id,
    customer_id,
    ordered_at,
    day,
    hour,
    -- Time zones are whole quarters of an hour off UTC.
    hour = 0 and cast(ordered_at as bigint) % 900000000 = 0 as has_day_only,
    amount,
    coalesce(refunded_amount, 0) as refunded_amount,
    net_amount,
    paid_amount,
    discount,
    status,
    net_amount > 0
        and (status is null or array_has(string_to_array($counted_statuses, ','), status)) as is_purchase,
    currency,
    channel,
    campaign_id,
    region,
    promised_at,
    delivered_at,
    promised_on,
    delivered_on,
    updated_at
from netted
order by order_id
