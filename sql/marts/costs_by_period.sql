/*---
description = "One row per grain and period: what campaigns spent on winning and on keeping customers, and what a customer won or kept cost."
grain = ["grain", "period_start"]
features = ["F020", "F021"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
basis = { type = "text", doc = "Headline basis (kpi_basis) of customers_retained.", one_of = ["order", "interaction", "any"], checks = ["not_null"] }
base = { type = "text", doc = "Headline base (kpi_base) of customers_retained.", one_of = ["period", "window", "contract"], checks = ["not_null"] }
acquisition_cost = { type = "decimal(28,4)", doc = "Spend of campaigns of kind acquisition: each campaign's cost is spread evenly over its days, and days after the as-of date are not spent. NULL while no campaign of the kind with a cost has started.", unit = "currency", checks = ["non_negative"] }
retention_cost = { type = "decimal(28,4)", doc = "Spend of campaigns of kind retention, reward, newsletter or education; NULL while none with a cost has started.", unit = "currency", checks = ["non_negative"] }
unassigned_cost = { type = "decimal(28,4)", doc = "Spend of campaigns without one of these kinds: part of neither cac nor crc. NULL while no campaign at all with a cost has started.", unit = "currency", checks = ["non_negative"] }
total_cost = { type = "decimal(28,4)", doc = "All three.", unit = "currency", checks = ["non_negative"] }
customers_new = { type = "int64", doc = "Customers whose first purchase lies in the period, whatever brought them: organic ones are in here.", unit = "count", checks = ["not_null", "non_negative"] }
customers_retained = { type = "int64", doc = "Customers at the start and at the end of the period, on the headline basis and base; NULL where the start is not known.", unit = "count", checks = ["non_negative"] }
cac = { type = "decimal(28,4)", doc = "Cost of a new customer: acquisition_cost / customers_new.", unit = "currency", checks = ["non_negative"] }
cac_change = { type = "decimal(28,4)", doc = "Difference from the period before; NULL when either is incomplete or has no value.", unit = "currency" }
cac_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before.", unit = "currency" }
crc = { type = "decimal(28,4)", doc = "Cost of a retained customer: retention_cost / customers_retained.", unit = "currency", checks = ["non_negative"] }
crc_change = { type = "decimal(28,4)", doc = "Difference from the period before; NULL when either is incomplete or has no value.", unit = "currency" }
crc_change_last_year = { type = "decimal(28,4)", doc = "Difference from the same period of the year before.", unit = "currency" }
crc_to_cac_ratio = { type = "float64", doc = "crc / cac: below 1 a customer is cheaper to keep than to win.", unit = "ratio", checks = ["non_negative"] }

[checks]
costs_add_up = """
select this.grain, sum(this.total_cost) as cost
from this
group by this.grain
having
    sum(this.total_cost) <> (
        select sum(spend.spent)
        from campaign_spend as spend
        inner join project_periods as periods on periods.grain = spend.grain and periods.period_number = spend.period_number
        where spend.grain = this.grain
    )"""
---*/
with periods as (

    select * from project_periods

),

spend as (

    select
        grain,
        period_number,
        spent,
        case
            when kind = 'acquisition' then 'acquisition'
            when kind in ('retention', 'reward', 'newsletter', 'education') then 'retention'
            else 'unassigned'
        end as purpose
    from campaign_spend

),

-- A purpose that nothing was ever spent on is a missing source.
known as (

    select
        count(*) filter (where purpose = 'acquisition') > 0 as acquisition,
        count(*) filter (where purpose = 'retention') > 0 as retention,
        count(*) > 0 as any_purpose
    from spend

),

spent as (

    select
        grain,
        period_number,
        sum(spent) filter (where purpose = 'acquisition') as acquisition_cost,
        sum(spent) filter (where purpose = 'retention') as retention_cost,
        sum(spent) filter (where purpose = 'unassigned') as unassigned_cost,
        sum(spent) as total_cost
    from spend
    group by grain, period_number

),

headline as (

    select grain, period_start, customers_retained
    from retention_by_period
    where basis = $kpi_basis and base = $kpi_base

),

newcomers as (

    select grain, period_start, customers_new
    from retention_by_period
    where basis = 'order' and base = 'period'

),

figures as (

    select
        periods.grain,
        periods.period_number,
        periods.last_year_number,
        periods.period_start,
        periods.period_label,
        periods.is_complete,
        case when known.acquisition then coalesce(spent.acquisition_cost, 0) end as acquisition_cost,
        case when known.retention then coalesce(spent.retention_cost, 0) end as retention_cost,
        case when known.any_purpose then coalesce(spent.unassigned_cost, 0) end as unassigned_cost,
        case when known.any_purpose then coalesce(spent.total_cost, 0) end as total_cost,
        newcomers.customers_new,
        headline.customers_retained
    from periods
    inner join newcomers on newcomers.grain = periods.grain and newcomers.period_start = periods.period_start
    left join headline on headline.grain = periods.grain and headline.period_start = periods.period_start
    left join spent on spent.grain = periods.grain and spent.period_number = periods.period_number
    cross join known

),

per_customer as (

    select
        *,
        round(cast(acquisition_cost as decimal(38, 8)) / nullif(customers_new, 0), 4) as cac,
        round(cast(retention_cost as decimal(38, 8)) / nullif(customers_retained, 0), 4) as crc
    from figures

),

complete as (

    select grain, period_number, cac, crc from per_customer where is_complete

)

select
    figures.grain,
    figures.period_start,
    figures.period_label,
    figures.is_complete,
    $kpi_basis as basis,
    $kpi_base as base,
    figures.acquisition_cost,
    figures.retention_cost,
    figures.unassigned_cost,
    figures.total_cost,
    figures.customers_new,
    figures.customers_retained,
    figures.cac,
    case when figures.is_complete then figures.cac - previous.cac end as cac_change,
    case when figures.is_complete then figures.cac - last_year.cac end as cac_change_last_year,
    figures.crc,
    case when figures.is_complete then figures.crc - previous.crc end as crc_change,
    case when figures.is_complete then figures.crc - last_year.crc end as crc_change_last_year,
    cast(figures.crc as double) / nullif(cast(figures.cac as double), 0) as crc_to_cac_ratio
from per_customer as figures
left join complete as previous
    on previous.grain = figures.grain and previous.period_number = figures.period_number - 1
left join complete as last_year
    on last_year.grain = figures.grain and last_year.period_number = figures.last_year_number
order by figures.grain, figures.period_start
