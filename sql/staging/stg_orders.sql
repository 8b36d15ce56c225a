/*---
description = "One row per order whose home is this month: the newest version of each, text normalised, with what counts as a purchase decided."
grain = ["order_id"]
partition = "month"
requires = ["orders"]

[reads]
stg_identities = "reference"

[columns]
order_id = { type = "text", doc = "The order.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who ordered.", checks = ["not_null"] }
ordered_at = { type = "timestamp", doc = "Moment of the order, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of ordered_at. May lie after the as-of date: readers filter on $period_end.", checks = ["not_null"] }
hour = { type = "int32", doc = "Local hour of ordered_at, 0 to 23." }
has_day_only = { type = "boolean", doc = "Whether ordered_at is local midnight, which stands for a day without a time. An order of exactly 0:15, 0:30 or 0:45 is taken for one, too.", checks = ["not_null"] }
amount = { type = "decimal(18,4)", doc = "What the goods cost after every discount.", unit = "currency", checks = ["not_null", "non_negative"] }
refunded_amount = { type = "decimal(18,4)", doc = "Given back so far; 0 when nothing was.", unit = "currency", checks = ["not_null", "non_negative"] }
net_amount = { type = "decimal(18,4)", doc = "amount minus refunded_amount.", unit = "currency", checks = ["not_null"] }
paid_amount = { type = "decimal(18,4)", doc = "Paid so far; NULL when the source does not say.", unit = "currency" }
discount = { type = "decimal(18,4)", doc = "Information only: amount is already after it.", unit = "currency" }
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
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }

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
with repeated as (

    select order_id from source.orders group by order_id having count(*) > 1

),

versions as (

    select orders.order_id, orders.customer_id
    from repeated
    inner join source.orders as orders on orders.order_id = repeated.order_id

)

select versions.order_id
from versions
left join stg_identities as people on people.alias = versions.customer_id
group by versions.order_id
having count(distinct coalesce(people.customer_id, versions.customer_id)) > 1
order by versions.order_id"""
---*/
with people as (

    select alias, customer_id as person_id from stg_identities

),

repeated as (

    select order_id from source.orders group by order_id having count(*) > 1

),

-- The few keys that come twice are held in memory and the rows stream past them: hence the side of the join.
flagged as (

    select orders.*, repeated.order_id is not null as is_repeated
    from repeated
    right join source.orders as orders on orders.order_id = repeated.order_id

),

-- Ranking costs far more than telling those keys apart.
versions as (

    select *, 1 as version
    from flagged
    where not is_repeated
    union all
    select
        *,
        row_number() over (
            partition by order_id
            order by updated_at desc nulls last, delivery desc, line desc, content_hash desc
        ) as version
    from flagged
    where is_repeated

),

newest as (

    select versions.*, coalesce(people.person_id, versions.customer_id) as person_id
    from people
    right join versions on versions.customer_id = people.alias
    where versions.version = 1

),

normalised as (

    select
        order_id,
        person_id as customer_id,
        ordered_at,
        day,
        hour,
        amount,
        coalesce(refunded_amount, 0) as refunded_amount,
        amount - coalesce(refunded_amount, 0) as net_amount,
        paid_amount,
        discount,
        lower(status) as status,
        currency,
        channel,
        campaign_id,
        region,
        promised_at,
        delivered_at,
        promised_on,
        delivered_on,
        updated_at,
        content_hash
    from newest

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
    refunded_amount,
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
    updated_at,
    content_hash
from normalised
order by order_id
