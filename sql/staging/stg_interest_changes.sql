/*---
description = "One row per person delivered more than once in the source customers whose newest version states an interest: since when it states that one. A change of anything else in the profile is none here."
grain = ["customer_id"]

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
interest_set_on = { type = "date", doc = "Business day of updated_at of the first version of the present unbroken run of the interest; NULL where the versions say no updated_at." }
content_hash = { type = "int64", doc = "Hash of that version as it was delivered.", checks = ["not_null"] }
---*/
with people as (

    select alias, customer_id as person_id from stg_identities

),

profiles as (

    select
        coalesce(people.person_id, profiles.customer_id) as person_id,
        profiles.interest,
        profiles.updated_at,
        profiles.updated_on,
        profiles.delivery,
        profiles.line,
        profiles.content_hash
    from people
    right join source.customers as profiles on profiles.customer_id = people.alias

),

repeated as (

    select person_id from profiles group by person_id having count(*) > 1

),

versions as (

    select
        profiles.*,
        first_value(profiles.interest) over (
            partition by profiles.person_id
            order by profiles.updated_at desc nulls last, profiles.delivery desc, profiles.line desc, profiles.content_hash desc
        ) as newest_interest
    from repeated
    inner join profiles on profiles.person_id = repeated.person_id

),

dated as (

    select
        *,
        max(case when interest is distinct from newest_interest then updated_at end) over (partition by person_id)
            as last_other_at
    from versions

)

select
    person_id as customer_id,
    min(updated_on) as interest_set_on,
    first_value(content_hash order by updated_at, delivery, line, content_hash) as content_hash
from dated
where interest = newest_interest and coalesce(updated_at > last_other_at, true)
group by person_id
order by customer_id
