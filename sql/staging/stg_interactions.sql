/*---
description = "One row per interaction whose home is this month: the newest delivered version of each, text normalised."
grain = ["event_id"]
partition = "month"

[reads]
stg_identities = "reference"

[columns]
event_id = { type = "text", doc = "The event.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer or lead whom it concerns.", checks = ["not_null"] }
occurred_at = { type = "timestamp", doc = "Moment of the event, UTC.", checks = ["not_null"] }
day = { type = "date", doc = "Business day of occurred_at. May lie after the as-of date: readers filter on $period_end.", checks = ["not_null"] }
hour = { type = "int32", doc = "Local hour of occurred_at, 0 to 23." }
kind = { type = "text", doc = "What happened, lower-cased; the known kinds are in interaction_kinds.csv.", checks = ["not_null"] }
channel = { type = "text", doc = "email, sms, push, call and the like." }
campaign_id = { type = "text", doc = "Campaign that it belongs to." }
message_id = { type = "text", doc = "Message that was sent, opened, clicked or answered." }
product_id = { type = "text", doc = "Product that it is about." }
score = { type = "float64", doc = "Answer to a survey, as sent." }
topic = { type = "text", doc = "What it is about." }
reason = { type = "text", doc = "Reason given." }
subject_id = { type = "text", doc = "The ticket, order, reward or event that it is about." }
referred_customer_id = { type = "text", doc = "Whom the customer referred." }
points = { type = "decimal(18,4)", doc = "Loyalty points earned or spent.", unit = "points" }
value = { type = "decimal(18,4)", doc = "Money attached to the event, such as a quote's sum.", unit = "currency" }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }
---*/
with people as (

    select alias, customer_id as person_id from stg_identities

),

repeated as (

    select event_id from source.interactions group by event_id having count(*) > 1

),

-- The few keys that come twice are held in memory and the rows stream past them: hence the side of the join.
flagged as (

    select events.*, repeated.event_id is not null as is_repeated
    from repeated
    right join source.interactions as events on events.event_id = repeated.event_id

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
            partition by event_id
            order by delivery desc, line desc, content_hash desc
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

resolved as (

    select newest.*, coalesce(people.person_id, newest.referred_customer_id) as referred_person_id
    from people
    right join newest on newest.referred_customer_id = people.alias

)

select
    event_id,
    person_id as customer_id,
    occurred_at,
    day,
    hour,
    lower(kind) as kind,
    lower(channel) as channel,
    campaign_id,
    message_id,
    product_id,
    score,
    topic,
    reason,
    subject_id,
    referred_person_id as referred_customer_id,
    points,
    value,
    content_hash
from resolved
order by event_id
