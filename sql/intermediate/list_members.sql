/*---
description = "One row per list and customer in it on the as-of date: the lists that follow from what customers do, and those by region, company size and interest."
grain = ["list", "customer_id"]

[reads]
customer_months = "latest"

[columns]
list = { type = "text", doc = "vip, high_risk, new, loyal, inactive, a list of the project's own (own_lists); or region:, size:, interest: and the value.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer: someone with a purchase by the as-of date.", checks = ["not_null"] }
list_kind = { type = "text", doc = "The list, what the list is by, or own.", one_of = ["vip", "high_risk", "new", "loyal", "inactive", "by_region", "by_company_size", "interested_in", "own"], checks = ["not_null"] }
value = { type = "text", doc = "The region, company size or interest; NULL for the other lists." }
entered_month = { type = "date", doc = "First day of the business month in which the present unbroken run in the list begins; for lists by region, company size and interest the month of the first purchase, as only today's profile is known.", checks = ["not_null"] }
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

)

select list, customer_id, list_kind, value, entered_month
from members
order by list, customer_id
