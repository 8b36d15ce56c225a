/*---
description = "One row per subscription or contract: the newest version of each, text normalised."
grain = ["subscription_id"]

[columns]
subscription_id = { type = "text", doc = "The subscription.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Whose it is.", checks = ["not_null"] }
starts_on = { type = "date", doc = "First day on which it is live.", checks = ["not_null"] }
ends_on = { type = "date", doc = "Last day on which it is live; NULL while open." }
plan = { type = "text", doc = "What was subscribed to." }
monthly_value = { type = "decimal(18,4)", doc = "What it brings in a month; NULL when unknown.", unit = "currency", checks = ["non_negative"] }
status = { type = "text", doc = "As the source calls it, lower-cased; information only, the dates decide." }
updated_at = { type = "timestamp", doc = "Moment of this version, UTC." }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }
---*/
with people as (

    select alias, customer_id as person_id from stg_identities

),

-- Each subscription's versions side by side, the newest first: as in stg_customers.
versions as (

    select
        *,
        lag(subscription_id) over (
            order by
                subscription_id,
                updated_at desc nulls last,
                delivery desc,
                line desc,
                content_hash desc
        ) as newer_subscription_id
    from source.subscriptions

)

select
    versions.subscription_id,
    coalesce(people.person_id, versions.customer_id) as customer_id,
    versions.starts_on,
    versions.ends_on,
    versions.plan,
    versions.monthly_value,
    lower(versions.status) as status,
    versions.updated_at,
    versions.content_hash
from people
right join versions on versions.customer_id = people.alias
where versions.newer_subscription_id is distinct from versions.subscription_id
order by versions.subscription_id
