/*---
description = "One row per campaign: the newest version of each, text normalised."
grain = ["campaign_id"]

[columns]
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
name = { type = "text", doc = "What it is called." }
kind = { type = "text", doc = "acquisition, retention, newsletter, reward or education, lower-cased; NULL or another word: its cost is unassigned." }
channel = { type = "text", doc = "Through which channel it speaks, lower-cased." }
starts_on = { type = "date", doc = "First day." }
ends_on = { type = "date", doc = "Last day: starts_on where the source says none." }
cost = { type = "decimal(18,4)", doc = "What it costs over all its days; NULL when unknown.", unit = "currency", checks = ["non_negative"] }
holdout = { type = "float64", doc = "Share of those chosen that get no message.", unit = "fraction", checks = ["fraction"] }
content_hash = { type = "int64", doc = "Hash of the row as it was delivered; equal hashes are one row delivered twice.", checks = ["not_null"] }
---*/
with versions as (

    select
        *,
        row_number() over (
            partition by campaign_id
            order by delivery desc, line desc, content_hash desc
        ) as version
    from source.campaigns

)

select
    campaign_id,
    name,
    lower(kind) as kind,
    lower(channel) as channel,
    starts_on,
    greatest(coalesce(ends_on, starts_on), starts_on) as ends_on,
    cost,
    cast(holdout as double) as holdout,
    content_hash
from versions
where version = 1
order by campaign_id
