/*---
description = "One row per campaign, grain and period that overlaps its days: what it spent in the period by the as-of date."
grain = ["grain", "campaign_id", "period_start"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
campaign_id = { type = "text", doc = "The campaign: one with a cost and a start by the as-of date.", checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_number = { type = "int64", doc = "The period.", checks = ["not_null"] }
kind = { type = "text", doc = "Kind of the campaign." }
spent = { type = "decimal(18,4)", doc = "The cost spread evenly over the campaign's days. After k of n days cost x k / n is spent, rounded half up; a period's spend is the difference of two such sums, so that periods add up to the cost exactly. What a campaign spent before 1990-01-01, where the calendar begins, belongs to no period.", unit = "currency", checks = ["not_null", "non_negative"] }

[checks]
periods_add_up = """
select this.campaign_id, this.grain, sum(this.spent) as spent
from this
inner join stg_campaigns as campaigns on campaigns.campaign_id = this.campaign_id
cross join (select min(day) as first_day from calendar_periods) as bounds
group by this.campaign_id, this.grain
having
    sum(this.spent) > max(campaigns.cost)
    or (
        max(campaigns.ends_on) <= $as_of
        and max(campaigns.starts_on) >= max(bounds.first_day)
        and sum(this.spent) <> max(campaigns.cost)
    )"""

[warnings]
costs_without_days = """
select campaign_id, cost
from stg_campaigns
where cost > 0 and starts_on is null
order by campaign_id"""
---*/
with campaigns as (

    select
        campaign_id,
        kind,
        cast(cost as decimal(38, 8)) as cost,
        starts_on,
        least(ends_on, $as_of) as spent_until,
        cast(ends_on - starts_on as bigint) + 1 as days
    from stg_campaigns
    where cost is not null and starts_on <= $as_of

),

span as (

    select min(starts_on) as first_day from campaigns

),

periods as (

    select distinct
        periods.grain,
        periods.period_number,
        periods.period_start,
        periods.period_end
    from calendar_periods as periods
    cross join span
    where periods.day >= span.first_day and periods.day <= $as_of

),

overlaps as (

    select
        periods.grain,
        campaigns.campaign_id,
        periods.period_start,
        periods.period_number,
        campaigns.kind,
        campaigns.cost,
        campaigns.days,
        cast(greatest(periods.period_start, campaigns.starts_on) - campaigns.starts_on as bigint) as days_before,
        cast(least(periods.period_end, campaigns.spent_until) - campaigns.starts_on as bigint) + 1 as days_after
    from campaigns
    inner join periods
        on periods.period_start <= campaigns.spent_until and periods.period_end >= campaigns.starts_on

)

select
    grain,
    campaign_id,
    period_start,
    period_number,
    kind,
    cast(cost * days_after / days as decimal(18, 4)) - cast(cost * days_before / days as decimal(18, 4)) as spent
from overlaps
order by grain, campaign_id, period_start
