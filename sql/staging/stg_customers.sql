/*---
description = "One row per customer or lead in the customers source: the newest version of each, text normalised."
grain = ["customer_id"]

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
created_at = { type = "timestamp", doc = "Moment of the record's creation, UTC." }
created_on = { type = "date", doc = "Business day of created_at." }
name = { type = "text", doc = "Name; zero-width non-joiners are kept." }
birth_date = { type = "date", doc = "Birth date." }
region = { type = "text", doc = "Region." }
company_size = { type = "text", doc = "Size of the company." }
interest = { type = "text", doc = "What the person is interested in." }
phone = { type = "text", doc = "Phone." }
email = { type = "text", doc = "E-mail address." }
updated_at = { type = "timestamp", doc = "Moment of this version, UTC." }
updated_on = { type = "date", doc = "Business day of updated_at." }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }

[warnings]
born_after_their_profile = "select customer_id from this where birth_date > coalesce(created_on, updated_on) order by customer_id"
---*/
with people as (

    select alias, customer_id as person_id from stg_identities

),

profiles as (

    select profiles.*, coalesce(people.person_id, profiles.customer_id) as person_id
    from people
    right join source.customers as profiles on profiles.customer_id = people.alias

),

-- Each person's versions side by side, the newest first. One window over all rows: a million of them, one a person, would
-- take many times as long.
versions as (

    select
        *,
        lag(person_id) over (
            order by
                person_id,
                updated_at desc nulls last,
                delivery desc,
                line desc,
                content_hash desc
        ) as previous_person_id
    from profiles

)

select
    person_id as customer_id,
    created_at,
    day as created_on,
    name,
    birth_date,
    region,
    company_size,
    interest,
    phone,
    email,
    updated_at,
    updated_on,
    content_hash
from versions
where previous_person_id is distinct from person_id
order by customer_id
