/*---
description = "One row per campaign and KPI: how those whom the campaign wrote to fared against those it kept back, over the effect_days from its start. Campaigns without a start have no window and no rows."
grain = ["campaign_id", "kpi"]
features = ["F083", "F084"]

[columns]
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
kpi = { type = "text", doc = "conversion: a purchase in the window; repeat: two or more; retained: active at the window's end, of those active at its start (headline basis, active_days); churn: 1 - retained; revenue, gross_profit: per customer; nps: of the latest answers in the window.", one_of = ["conversion", "repeat", "retained", "churn", "revenue", "gross_profit", "nps"], checks = ["not_null"] }
kpi_en = { type = "text", doc = "kpi in English.", checks = ["not_null"] }
kpi_fa = { type = "text", doc = "kpi in Persian.", checks = ["not_null"] }
name = { type = "text", doc = "Name of the campaign." }
window_start = { type = "date", doc = "First day of the outcome window: the campaign's start, for both groups.", checks = ["not_null"] }
window_end = { type = "date", doc = "Its last day, effect_days in all.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the window ended by the as-of date; before, all figures are of the days so far.", checks = ["not_null"] }
treated_customers = { type = "int64", doc = "Customers to whom a message was sent by the window's end, delivered or not: the rate's denominator; for retained and churn those active at the start, for nps those who answered.", unit = "count", checks = ["not_null", "non_negative"] }
control_customers = { type = "int64", doc = "The same of customers kept back (holdout_assigned). NULL without any: nothing is compared then.", unit = "count", checks = ["positive"] }
left_out = { type = "int64", doc = "Customers who were both written to and kept back: in neither group.", unit = "count", checks = ["not_null", "non_negative"] }
treated = { type = "float64", doc = "Numerator of the treated: customers, currency, or promoters minus detractors." }
control = { type = "float64", doc = "Numerator of the control group." }
rate_treated = { type = "float64", doc = "treated / treated_customers: a fraction, or currency per customer." }
rate_control = { type = "float64", doc = "control / control_customers." }
uplift = { type = "float64", doc = "rate_treated - rate_control." }
uplift_relative = { type = "float64", doc = "uplift / rate_control; negative for churn: by which part it fell. NULL unless rate_control is above 0.", unit = "fraction" }
incremental = { type = "float64", doc = "treated - treated_customers x control / control_customers: customers or currency that would not be there without the campaign. NULL for nps." }
ci_low = { type = "float64", doc = "Lower end of the 95 % interval of uplift: 1.96 unpooled standard errors. For proportions NULL when any of the four cells is below 5." }
ci_high = { type = "float64", doc = "Upper end of the interval." }
z = { type = "float64", doc = "Pooled two-proportion z of conversion, repeat, retained and churn; NULL when any of the four cells is below 5." }
p_value = { type = "float64", doc = "Two-sided p of z, exact to 0.0000002.", unit = "fraction", checks = ["fraction"] }
holdout = { type = "float64", doc = "The share of customers that the campaign meant to keep back.", unit = "fraction", checks = ["fraction"] }

[checks]
every_kpi_is_there = "select campaign_id from this group by campaign_id having count(*) <> (select count(*) from campaign_kpis)"
rates_are_rates = """
select campaign_id, kpi from this
where
    kpi in ('conversion', 'repeat', 'retained', 'churn')
    and (rate_treated < 0 or rate_treated > 1 or rate_control < 0 or rate_control > 1)"""
nothing_is_guessed = """
select campaign_id, kpi from this
where
    control_customers is null
    and (control is not null or uplift is not null or incremental is not null or z is not null or ci_low is not null)"""

[warnings]
sample_ratio = """
select campaign_id, holdout, treated_customers, control_customers
from this
where
    kpi = 'conversion'
    and power(coalesce(control_customers, 0) - (treated_customers + coalesce(control_customers, 0)) * holdout, 2)
    > 10.8276 * (treated_customers + coalesce(control_customers, 0)) * holdout * (1 - holdout)
order by campaign_id"""
---*/
with measured as (

    select
        *,
        rank() over (partition by campaign_id order by measured_on desc) as age
    from campaign_outcomes

),

-- A window of several months was measured in each: the last measure is the window's own.
groups as (

    select
        *,
        cast(revenue as double) as x_revenue,
        cast(revenue_squares as double) as xx_revenue,
        cast(gross_profit as double) as x_profit,
        cast(gross_profit_squares as double) as xx_profit
    from measured
    where age = 1

),

campaigns as (

    select
        campaign_id,
        max(starts_on) as starts_on,
        max(window_ends_on) as window_ends_on,
        coalesce(sum(customers) filter (where assignment = 'both'), 0) as left_out,
        -- Of the orders' revenue, not of their lines': an order without lines would pass for one that earned nothing.
        cast(sum(costed_revenue) filter (where assignment <> 'both') as double)
        / nullif(cast(sum(revenue) filter (where assignment <> 'both') as double), 0) as cost_coverage
    from groups
    group by campaign_id

),

figures as (

    select campaign_id, assignment, 'conversion' as kpi, customers as n, cast(buyers as double) as x, cast(null as double) as xx
    from groups
    union all
    select campaign_id, assignment, 'repeat' as kpi, customers as n, cast(repeat_buyers as double) as x, cast(null as double) as xx
    from groups
    union all
    select campaign_id, assignment, 'retained' as kpi, active_at_start as n, cast(active_at_end as double) as x, cast(null as double) as xx
    from groups
    union all
    select
        campaign_id, assignment, 'churn' as kpi, active_at_start as n,
        cast(active_at_start - active_at_end as double) as x, cast(null as double) as xx
    from groups
    union all
    select campaign_id, assignment, 'revenue' as kpi, customers as n, x_revenue as x, xx_revenue as xx
    from groups
    union all
    select campaign_id, assignment, 'gross_profit' as kpi, customers as n, x_profit as x, xx_profit as xx
    from groups
    union all
    select
        campaign_id, assignment, 'nps' as kpi, answers as n,
        cast(promoters - detractors as double) as x, cast(promoters + detractors as double) as xx
    from groups

),

treated as (

    select * from figures where assignment = 'treated'

),

control as (

    select * from figures where assignment = 'control'

),

paired as (

    select
        campaigns.*,
        kpis.kpi,
        kpis.label_en,
        kpis.label_fa,
        kpis.kpi in ('conversion', 'repeat', 'retained', 'churn') as is_proportion,
        -- An unknown cost is never 0.
        kpis.kpi <> 'gross_profit' or coalesce(campaigns.cost_coverage >= $min_cost_coverage, true) as is_known,
        coalesce(treated.n, 0) as n_t,
        treated.x as x_t,
        treated.xx as xx_t,
        nullif(control.n, 0) as n_c,
        control.x as x_c,
        control.xx as xx_c
    from campaigns
    cross join campaign_kpis as kpis
    left join treated on treated.campaign_id = campaigns.campaign_id and treated.kpi = kpis.kpi
    left join control on control.campaign_id = campaigns.campaign_id and control.kpi = kpis.kpi

),

rates as (

    select
        *,
        case when is_known and n_t > 0 then x_t end as known_t,
        case when is_known and n_c > 0 then x_c end as known_c,
        case when is_known then x_t / nullif(n_t, 0) end as p_t,
        case when is_known then x_c / n_c end as p_c,
        not is_proportion or (x_t >= 5 and n_t - x_t >= 5 and x_c >= 5 and n_c - x_c >= 5) as is_enough,
        (x_t + x_c) / (n_t + n_c) as p_pooled
    from paired

),

errors as (

    select
        *,
        case
            when is_proportion then sqrt(p_t * (1 - p_t) / n_t + p_c * (1 - p_c) / n_c)
            -- Never below zero but for the last bit of a double.
            when n_t > 1 and n_c > 1 then
                sqrt(greatest(xx_t - x_t * p_t, 0) / (n_t - 1) / n_t + greatest(xx_c - x_c * p_c, 0) / (n_c - 1) / n_c)
        end as error,
        case
            when is_proportion and is_enough then
                (p_t - p_c) / nullif(sqrt(p_pooled * (1 - p_pooled) * (1.0 / n_t + 1.0 / n_c)), 0)
        end as z
    from rates

),

-- The normal distribution's tail by Abramowitz and Stegun 26.2.17.
tails as (

    select *, 1 / (1 + 0.2316419 * abs(z)) as t from errors

)

select
    tails.campaign_id,
    tails.kpi,
    tails.label_en as kpi_en,
    tails.label_fa as kpi_fa,
    stg_campaigns.name,
    tails.starts_on as window_start,
    tails.window_ends_on as window_end,
    tails.window_ends_on <= $as_of as is_complete,
    tails.n_t as treated_customers,
    tails.n_c as control_customers,
    tails.left_out,
    tails.known_t as treated,
    tails.known_c as control,
    tails.p_t as rate_treated,
    tails.p_c as rate_control,
    tails.p_t - tails.p_c as uplift,
    case when tails.p_c > 0 then (tails.p_t - tails.p_c) / tails.p_c end as uplift_relative,
    case when tails.kpi <> 'nps' then tails.known_t - tails.n_t * tails.p_c end as incremental,
    case when tails.is_enough then tails.p_t - tails.p_c - 1.96 * tails.error end as ci_low,
    case when tails.is_enough then tails.p_t - tails.p_c + 1.96 * tails.error end as ci_high,
    tails.z,
    least(
        2 * exp(-tails.z * tails.z / 2) / sqrt(2 * pi())
        * tails.t
        * (
            0.319381530
            + tails.t * (-0.356563782 + tails.t * (1.781477937 + tails.t * (-1.821255978 + tails.t * 1.330274429)))
        ),
        case when tails.z is not null then 1.0 end
    ) as p_value,
    stg_campaigns.holdout
from tails
left join stg_campaigns on stg_campaigns.campaign_id = tails.campaign_id
order by tails.campaign_id, tails.kpi
