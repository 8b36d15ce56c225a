/*---
description = "One row per list and customer in it at the month's end, or on the as-of date in the open month: the lists that follow from what customers do."
grain = ["list", "customer_id"]
partition = "month"

[columns]
list = { type = "text", doc = "vip, high_risk, new, loyal, inactive, or one of own_lists.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month at whose end the row holds.", checks = ["not_null"] }
entered_month = { type = "date", doc = "First day of the business month in which the present unbroken run in the list begins, judged at the months' ends.", checks = ["not_null"] }

[checks]
nobody_enters_in_the_future = "select * from this where entered_month > month_start"
vip_is_its_share = """
select count(*) from this
where list = 'vip'
having count(*) <> (select cast(ceil($vip_share * count(*)) as bigint) from rfm_months)"""
high_risk_is_that_of_the_signs = """
select count(*) from this
where list = 'high_risk'
having count(*) <> (select count(*) from churn_signs where risk = 'high')"""
loyal_are_those_of_rfm = """
select count(*) from this
where list = 'loyal'
having count(*) <> (select count(*) from rfm_months where segment in ('champions', 'loyal'))"""
---*/
with revenues as (

    select customer_id, revenue
    from customer_months
    where first_purchase_on is not null

),

scores as (

    select customer_id, first_purchase_on, recency_days, frequency, monetary, segment
    from rfm_months

),

signs as (

    select customer_id, no_purchase, risk from churn_signs

),

own as (

    select list, customer_id from own_lists

),

before as (

    select list, customer_id, entered_month from list_months

),

population as (

    select count(*) as customers from scores

),

-- By revenue to date; equals are told apart as the rank of rfm does.
ranked as (

    select
        scores.customer_id,
        row_number() over (
            order by revenues.revenue desc, scores.monetary desc, scores.frequency desc, scores.recency_days, scores.customer_id
        ) as position
    from scores
    inner join revenues on revenues.customer_id = scores.customer_id

),

members as (

    select 'vip' as list, ranked.customer_id
    from ranked
    cross join population
    where ranked.position - 1 < $vip_share * population.customers
    union all
    select 'high_risk' as list, customer_id from signs where risk = 'high'
    union all
    select 'new' as list, customer_id from scores where first_purchase_on > $period_end - $new_days
    union all
    select 'loyal' as list, customer_id from scores where segment in ('champions', 'loyal')
    union all
    select 'inactive' as list, customer_id from signs where no_purchase
    union all
    select list, customer_id from own

)

select
    members.list,
    members.customer_id,
    $period_start as month_start,
    coalesce(before.entered_month, $period_start) as entered_month
from before
right join members on members.list = before.list and members.customer_id = before.customer_id
order by members.list, members.customer_id
