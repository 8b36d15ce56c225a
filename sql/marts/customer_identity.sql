/*---
description = "One row per alias: whose id it is. Staging puts the person's own id in the place of every alias, so that one person's channels are one customer everywhere else. Without the source identities it is empty."
grain = ["alias"]
features = ["F063"]

[columns]
alias = { type = "text", doc = "An id under which the person appears in some source.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The person.", checks = ["not_null"] }
match_rule = { type = "text", doc = "How the two were matched. declared: the source identities says so; own: it names the person's own id.", one_of = ["declared", "own"], checks = ["not_null"] }
aliases = { type = "int64", doc = "How many aliases the person has, the own id left out.", unit = "count", checks = ["not_null", "non_negative"] }
kind = { type = "text", doc = "What the person is as of the as-of date, as in customer_360; NULL for whoever is in no other source.", one_of = ["customer", "lead", "former_buyer"] }

[checks]
no_alias_is_a_person_of_its_own = """
select people.customer_id
from customer_360 as people
inner join this on this.alias = people.customer_id
where this.match_rule = 'declared'"""
---*/
with identities as (

    select alias, customer_id from stg_identities

),

counted as (

    select customer_id, count(*) filter (where alias <> customer_id) as aliases
    from identities
    group by customer_id

),

people as (

    select customer_id, kind from customer_360

)

select
    identities.alias,
    identities.customer_id,
    case when identities.alias = identities.customer_id then 'own' else 'declared' end as match_rule,
    counted.aliases,
    people.kind
from identities
inner join counted on counted.customer_id = identities.customer_id
left join people on people.customer_id = identities.customer_id
order by alias
