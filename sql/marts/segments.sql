/*---
description = "One row per customer and list that the customer is in on the as-of date: dynamic lists, drawn up anew every night, and the content that fits them."
grain = ["customer_id", "list"]
features = ["F015", "F024", "F025", "F030", "F049", "F050", "F051", "F052", "F053", "F054", "F056", "F075"]

[reads]
customer_months = "latest"

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the as-of date.", checks = ["not_null"] }
list = { type = "text", doc = "vip: the first vip_share by revenue to date; high_risk: risk high of the mart churn_flags; new: first purchase less than new_days ago; loyal: RFM champions and loyal; inactive: no_purchase of churn_flags; region:, size: and interest: with the value, one list each. The last three wait for the source customers.", checks = ["not_null"] }
list_kind = { type = "text", doc = "The list without its value; own for those of the project (own_lists).", one_of = ["vip", "high_risk", "new", "loyal", "inactive", "by_region", "by_company_size", "interested_in", "own"], checks = ["not_null"] }
value = { type = "text", doc = "The region, company size or interest; NULL for the other lists." }
list_en = { type = "text", doc = "The list in English, with its value.", checks = ["not_null"] }
list_fa = { type = "text", doc = "The list in Persian, with its value.", checks = ["not_null"] }
entered_month = { type = "date", doc = "First day of the business month in which the present unbroken run in the list begins; a list is judged at every month's end and on the as-of date. For the lists by region, company size and interest: the month of the first purchase, as only today's profile is known.", checks = ["not_null"] }
content_track = { type = "text", doc = "Which content fits, by segment_content.csv." }
wording_en = { type = "text", doc = "What to say, in English." }
wording_fa = { type = "text", doc = "What to say, in Persian." }

[checks]
nobody_is_lost = """
select count(*) from this
where value is null
having count(*) <> (select count(*) from behaviour_lists)"""
everyone_is_in_the_lists_of_their_profile = """
select count(*) from this
where value is not null
having count(*) <> (
    select count(region) + count(company_size) + count(interest)
    from stg_customers
    inner join customer_months on customer_months.customer_id = stg_customers.customer_id
    where customer_months.first_purchase_on is not null
)"""
---*/
with behaviour as (

    select list, customer_id, entered_month from behaviour_lists

),

months as (

    select day, period_start from calendar_periods where grain = 'month'

),

customers as (

    select customer_months.customer_id, months.period_start as entered_month
    from months
    inner join customer_months on customer_months.first_purchase_on = months.day

),

profiles as (

    select customer_id, region, company_size, interest from stg_customers

),

details as (

    select customer_id, 'by_region' as list_kind, 'region:' as prefix, region as value from profiles where region is not null
    union all
    select customer_id, 'by_company_size' as list_kind, 'size:' as prefix, company_size as value
    from profiles
    where company_size is not null
    union all
    select customer_id, 'interested_in' as list_kind, 'interest:' as prefix, interest as value from profiles where interest is not null

),

members as (

    select
        list,
        customer_id,
        case when list in ('vip', 'high_risk', 'new', 'loyal', 'inactive') then list else 'own' end as list_kind,
        cast(null as varchar) as value,
        entered_month
    from behaviour
    union all
    select
        details.prefix || details.value as list,
        details.customer_id,
        details.list_kind,
        details.value,
        customers.entered_month
    from details
    inner join customers on customers.customer_id = details.customer_id

),

list_labels as (

    select code, label_en, label_fa from labels where "group" = 'list'

),

content as (

    select list, content_track, wording_en, wording_fa from segment_content

)

select
    members.customer_id,
    members.list,
    members.list_kind,
    members.value,
    coalesce(list_labels.label_en, members.list) || coalesce(': ' || members.value, '') as list_en,
    coalesce(list_labels.label_fa, members.list) || coalesce(': ' || members.value, '') as list_fa,
    members.entered_month,
    content.content_track,
    content.wording_en,
    content.wording_fa
from members
left join list_labels
    on list_labels.code = case when members.list_kind = 'own' then members.list else members.list_kind end
left join content
    on content.list = case when members.list_kind = 'own' then members.list else members.list_kind end
order by members.customer_id, members.list
