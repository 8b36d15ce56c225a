/*---
description = "One row per alias: an id that stands for a person whose own id is another. The newest delivery wins."
grain = ["alias"]

[columns]
alias = { type = "text", doc = "An id under which the person appears in some source.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The person.", checks = ["not_null"] }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }

[checks]
nobody_stands_for_an_alias = """
select people.alias, people.customer_id
from this as people
inner join this as aliases on aliases.alias = people.customer_id
where aliases.customer_id <> aliases.alias"""
---*/
with versions as (

    select
        *,
        row_number() over (
            partition by alias
            order by delivery desc, line desc, content_hash desc
        ) as version
    from source.identities

)

select
    alias,
    customer_id,
    content_hash
from versions
where version = 1
order by alias
