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
        nullif(trim(translate(profiles.interest, 'يك', 'یک')), '') as interest,
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

    select profiles.*
    from repeated
    inner join profiles on profiles.person_id = repeated.person_id

),

newest as (

    select
        person_id,
        first_value(interest order by updated_at desc nulls last, delivery desc, line desc, content_hash desc) as interest
    from versions
    group by person_id

),

others as (

    select versions.person_id, max(versions.updated_at) as last_other_at
    from versions
    inner join newest on newest.person_id = versions.person_id
    where versions.interest is distinct from newest.interest
    group by versions.person_id

)

select
    versions.person_id as customer_id,
    min(versions.updated_on) as interest_set_on,
    first_value(
        versions.content_hash order by versions.updated_at, versions.delivery, versions.line, versions.content_hash
    ) as content_hash
from versions
inner join newest on newest.person_id = versions.person_id
left join others on others.person_id = versions.person_id
where versions.interest = newest.interest and coalesce(versions.updated_at > others.last_other_at, true)
group by versions.person_id
order by customer_id
