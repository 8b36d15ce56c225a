/*---
description = "Referrals and what came of them: one row per grain and period from the first referral's to the as-of date's."
grain = ["grain", "period_start"]
features = ["F096"]

[reads]
customer_months = "latest"

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
referrals = { type = "int64", doc = "Referrals on the period's days.", unit = "count", checks = ["not_null", "non_negative"] }
referrers = { type = "int64", doc = "Customers and leads who referred.", unit = "count", checks = ["not_null", "non_negative"] }
referrals_by_surveyed = { type = "int64", doc = "Referrals by those whose satisfaction is known: at the end of the referral's month, or on the as-of date, their latest NPS or CSAT answer was not older than nps_days.", unit = "count", checks = ["not_null", "non_negative"] }
referrals_by_satisfied = { type = "int64", doc = "Those of referrals_by_surveyed by satisfied ones: 9 or more in the latest NPS answer, without one 4 or more in the latest CSAT answer.", unit = "count", checks = ["not_null", "non_negative"] }
satisfied_share = { type = "float64", doc = "referrals_by_satisfied / referrals_by_surveyed.", unit = "fraction", checks = ["fraction"] }
people_referred = { type = "int64", doc = "People referred for the first time who had not bought before that day. Each counts once, at the first referral.", unit = "count", checks = ["not_null", "non_negative"] }
converted = { type = "int64", doc = "Those of people_referred who have bought since, up to the as-of date; it can still rise.", unit = "count", checks = ["not_null", "non_negative"] }
conversion_rate = { type = "float64", doc = "converted / people_referred.", unit = "fraction", checks = ["fraction"] }
referred_revenue = { type = "decimal(28,4)", doc = "Net revenue to date of converted.", unit = "currency", checks = ["not_null", "non_negative"] }
revenue_per_referral = { type = "decimal(28,4)", doc = "referred_revenue / referrals.", unit = "currency", checks = ["non_negative"] }

[checks]
parts_fit = """
select * from this
where
    referrers > referrals
    or referrals_by_surveyed > referrals
    or referrals_by_satisfied > referrals_by_surveyed
    or people_referred > referrals
    or converted > people_referred"""
---*/
with customers as (

    select customer_id, first_purchase_on, revenue from customer_months where first_purchase_on is not null

),

referral_counts as (

    select
        periods.grain,
        periods.period_number,
        count(*) as referrals,
        count(distinct referrals.customer_id) as referrers,
        count(referrals.is_satisfied) as by_surveyed,
        count(*) filter (where referrals.is_satisfied) as by_satisfied
    from referrals
    inner join calendar_periods as periods on periods.day = referrals.day
    group by periods.grain, periods.period_number

),

first_referrals as (

    select referred_customer_id as customer_id, min(day) as referred_on
    from referrals
    where referred_customer_id is not null
    group by referred_customer_id

),

referred as (

    select
        first_referrals.customer_id,
        first_referrals.referred_on,
        customers.first_purchase_on,
        customers.revenue
    from first_referrals
    left join customers on customers.customer_id = first_referrals.customer_id
    where coalesce(customers.first_purchase_on >= first_referrals.referred_on, true)

),

referred_counts as (

    select
        periods.grain,
        periods.period_number,
        count(*) as people,
        count(referred.first_purchase_on) as converted,
        sum(referred.revenue) as revenue
    from referred
    inner join calendar_periods as periods on periods.day = referred.referred_on
    group by periods.grain, periods.period_number

),

first_day as (

    select min(day) as day from referrals

),

counted as (

    select
        periods.*,
        coalesce(referral_counts.referrals, 0) as referrals,
        coalesce(referral_counts.referrers, 0) as referrers,
        coalesce(referral_counts.by_surveyed, 0) as by_surveyed,
        coalesce(referral_counts.by_satisfied, 0) as by_satisfied,
        coalesce(referred_counts.people, 0) as people,
        coalesce(referred_counts.converted, 0) as converted,
        coalesce(referred_counts.revenue, 0) as revenue
    from past_periods as periods
    inner join first_day on periods.period_end >= first_day.day
    left join referral_counts
        on referral_counts.grain = periods.grain and referral_counts.period_number = periods.period_number
    left join referred_counts
        on referred_counts.grain = periods.grain and referred_counts.period_number = periods.period_number

)

select
    grain,
    period_start,
    period_label,
    is_complete,
    referrals,
    referrers,
    by_surveyed as referrals_by_surveyed,
    by_satisfied as referrals_by_satisfied,
    cast(by_satisfied as double) / nullif(by_surveyed, 0) as satisfied_share,
    people as people_referred,
    converted,
    cast(converted as double) / nullif(people, 0) as conversion_rate,
    revenue as referred_revenue,
    round(cast(revenue as decimal(38, 8)) / nullif(referrals, 0), 4) as revenue_per_referral
from counted
order by grain, period_start
