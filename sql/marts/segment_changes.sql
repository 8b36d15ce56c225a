/*---
description = "One row per customer who entered or left a list, against the day before and against the last month's end, all on today's inputs."
grain = ["compared_with", "list", "customer_id"]
volatile = true
features = ["F051", "F052", "F053", "F054", "F055"]

[reads]
behaviour_lists = "yesterday"
customer_months = "latest"
list_months = { last = "62 days" }

[columns]
compared_with = { type = "text", doc = "day: the day before the as-of date; month: the end of the last business month before the as-of date's own.", one_of = ["day", "month"], checks = ["not_null"] }
list = { type = "text", doc = "The list, as in the mart segments.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
compared_on = { type = "date", doc = "The day compared with.", checks = ["not_null"] }
change = { type = "text", doc = "entered: in the list on the as-of date and not on compared_on; left: the other way round.", one_of = ["entered", "left"], checks = ["not_null"] }
change_en = { type = "text", doc = "change in English.", checks = ["not_null"] }
change_fa = { type = "text", doc = "change in Persian.", checks = ["not_null"] }
list_kind = { type = "text", doc = "The list without its value. A customer enters the lists by region, company size and interest with the first purchase and doesn't leave them, as only today's profile is known.", one_of = ["vip", "high_risk", "new", "loyal", "inactive", "by_region", "by_company_size", "interested_in", "own"], checks = ["not_null"] }
value = { type = "text", doc = "The region, company size or interest; NULL for the other lists." }
list_en = { type = "text", doc = "The list in English, with its value.", checks = ["not_null"] }
list_fa = { type = "text", doc = "The list in Persian, with its value.", checks = ["not_null"] }
entered_month = { type = "date", doc = "For who entered: first day of the business month in which the present run begins. That is an earlier month for who was in the list at the last month's end, left, and came back." }

[checks]
balance_of_the_day = """
select count(*) from this
where compared_with = 'day' and value is null
having
    coalesce(sum(case when change = 'entered' then 1 else -1 end), 0)
    <> (select count(*) from segments where value is null) - (select count(*) from behaviour_lists)"""
---*/
with today_members as (

    select list, customer_id, list_kind, value, entered_month from segments

),

yesterday_members as (

    select list, customer_id from behaviour_lists

),

newcomers as (

    select customer_id from customer_months where first_purchase_on = $as_of

),

-- One row for certain, as in rfm_by_month.
month as (

    select min(period_start) as period_start, min(period_start) - 1 as last_month_end
    from calendar_periods
    where grain = 'month' and day = $as_of

),

last_month as (

    select periods.period_start
    from calendar_periods as periods
    inner join month on month.last_month_end = periods.day
    where periods.grain = 'month'

),

list_labels as (

    select code, label_en, label_fa from labels where "group" = 'list'

),

change_labels as (

    select code, label_en, label_fa from labels where "group" = 'change'

),

last_members as (

    select list_months.list, list_months.customer_id
    from list_months
    inner join last_month on last_month.period_start = list_months.month_start

),

behaviour as (

    select list, customer_id, entered_month from today_members where value is null

),

-- In the lists of their profile are customers since the month of their first purchase.
of_this_month as (

    select *
    from today_members
    where value is not null and entered_month >= (select period_start from month)

),

compared_days as (

    select 'day' as compared_with, cast($as_of - 1 as date) as compared_on
    union all
    select 'month' as compared_with, last_month_end as compared_on from month

),

earlier as (

    select 'day' as compared_with, list, customer_id from yesterday_members
    union all
    select 'month' as compared_with, list, customer_id from last_members

),

present as (

    select compared_days.compared_with, behaviour.*
    from behaviour
    cross join compared_days

),

moved as (

    select
        coalesce(present.compared_with, earlier.compared_with) as compared_with,
        coalesce(present.list, earlier.list) as list,
        coalesce(present.customer_id, earlier.customer_id) as customer_id,
        case when present.customer_id is null then 'left' else 'entered' end as change,
        present.entered_month
    from present
    full join earlier
        on earlier.compared_with = present.compared_with
        and earlier.list = present.list
        and earlier.customer_id = present.customer_id
    where present.customer_id is null or earlier.customer_id is null

),

moves as (

    select
        moved.compared_with,
        compared_days.compared_on,
        moved.list,
        moved.customer_id,
        moved.change,
        moved.entered_month
    from moved
    inner join compared_days on compared_days.compared_with = moved.compared_with

),

changes as (

    select
        moves.*,
        case when moves.list in ('vip', 'high_risk', 'new', 'loyal', 'inactive') then moves.list else 'own' end as list_kind,
        cast(null as varchar) as value
    from moves
    union all
    -- Only today's profile is known, so whoever had bought by the day compared with was in its lists.
    select
        'day' as compared_with,
        cast($as_of - 1 as date) as compared_on,
        of_this_month.list,
        of_this_month.customer_id,
        'entered' as change,
        of_this_month.entered_month,
        of_this_month.list_kind,
        of_this_month.value
    from newcomers
    inner join of_this_month on of_this_month.customer_id = newcomers.customer_id
    union all
    select
        'month' as compared_with,
        (select last_month_end from month) as compared_on,
        of_this_month.list,
        of_this_month.customer_id,
        'entered' as change,
        of_this_month.entered_month,
        of_this_month.list_kind,
        of_this_month.value
    from of_this_month

)

select
    changes.compared_with,
    changes.list,
    changes.customer_id,
    changes.compared_on,
    changes.change,
    change_labels.label_en as change_en,
    change_labels.label_fa as change_fa,
    changes.list_kind,
    changes.value,
    coalesce(list_labels.label_en, changes.list) || coalesce(': ' || changes.value, '') as list_en,
    coalesce(list_labels.label_fa, changes.list) || coalesce(': ' || changes.value, '') as list_fa,
    changes.entered_month
from changes
left join change_labels on change_labels.code = changes.change
left join list_labels
    on list_labels.code = case when changes.list_kind = 'own' then changes.list else changes.list_kind end
order by changes.compared_with, changes.list, changes.customer_id
