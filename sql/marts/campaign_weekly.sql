/*---
description = "One row per campaign and week, from its first day of spend (since 1990-01-01, where the calendar begins), message or order to its last: what happened in the week, how it differs from the week before, and how the campaigns of the week compare."
grain = ["campaign_id", "period_start"]
features = ["F085"]

[columns]
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the week.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the week.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the week ended by the as-of date.", checks = ["not_null"] }
name = { type = "text", doc = "Name of the campaign." }
kind = { type = "text", doc = "Kind of the campaign." }
channel = { type = "text", doc = "Channel of the campaign." }
sent = { type = "int64", doc = "Distinct customers to whom a message was sent in the week. NULL for all while the data hold no message_sent; the same goes for the next three.", unit = "count", checks = ["non_negative"] }
delivered = { type = "int64", doc = "Distinct customers to whom one was delivered in the week.", unit = "count", checks = ["non_negative"] }
opened = { type = "int64", doc = "Distinct customers who opened one in the week.", unit = "count", checks = ["non_negative"] }
clicked = { type = "int64", doc = "Distinct customers who clicked in the week.", unit = "count", checks = ["non_negative"] }
converted = { type = "int64", doc = "Distinct customers with an attributed order in the week.", unit = "count", checks = ["non_negative"] }
rate_base = { type = "text", doc = "What the rates are of: delivered, or sent where no campaign of the channel reports a delivery.", one_of = ["delivered", "sent"], checks = ["not_null"] }
open_rate = { type = "float64", doc = "opened / rate_base, both of the week. Above 1 where more open than are written to, as in the week after a mailing.", unit = "fraction", checks = ["non_negative"] }
click_rate = { type = "float64", doc = "clicked / rate_base, both of the week.", unit = "fraction", checks = ["non_negative"] }
conversion_rate = { type = "float64", doc = "converted / rate_base, both of the week.", unit = "fraction", checks = ["non_negative"] }
spent_cost = { type = "decimal(28,4)", doc = "What the campaign spent in the week by the as-of date: its cost spread evenly over its days. Days before the calendar, which begins on 1990-01-01, are in no week. NULL when its cost or its days are unknown.", unit = "currency", checks = ["non_negative"] }
orders = { type = "int64", doc = "Attributed orders of the week. NULL for all while neither a message nor an order names a campaign.", unit = "count", checks = ["non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Their net revenue.", unit = "currency", checks = ["non_negative"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of their lines whose cost is known; 0 without an order, NULL when no line's cost is known.", unit = "currency" }
roas = { type = "float64", doc = "revenue / spent_cost.", unit = "ratio", checks = ["non_negative"] }
open_rate_change = { type = "float64", doc = "Difference from the campaign's week before; NULL when either is incomplete or has no value. The same goes for the other changes.", unit = "fraction" }
click_rate_change = { type = "float64", doc = "Difference from the week before.", unit = "fraction" }
conversion_rate_change = { type = "float64", doc = "Difference from the week before.", unit = "fraction" }
revenue_change = { type = "decimal(28,4)", doc = "Difference from the week before.", unit = "currency" }
conversion_rank = { type = "int64", doc = "Position among the week's campaigns by conversion_rate; equals share it. NULL without a rate.", unit = "position", checks = ["positive"] }
revenue_rank = { type = "int64", doc = "Position among the week's campaigns by revenue; equals share it.", unit = "position", checks = ["positive"] }

[checks]
weeks_add_up = """
select totals.campaign_id, totals.orders, weeks.weekly_orders
from campaign_performance as totals
cross join (select min(day) as first_day from calendar_periods) as bounds
left join (
    select campaign_id, sum(orders) as weekly_orders, sum(revenue) as weekly_revenue, sum(spent_cost) as weekly_cost
    from this
    group by campaign_id
) as weeks on weeks.campaign_id = totals.campaign_id
where
    totals.dimension = 'total'
    and (
        coalesce(weeks.weekly_orders, 0) <> coalesce(totals.orders, 0)
        or coalesce(weeks.weekly_revenue, 0) <> coalesce(totals.revenue, 0)
        or (totals.starts_on >= bounds.first_day and coalesce(weeks.weekly_cost, 0) <> coalesce(totals.spent_cost, 0))
        or coalesce(weeks.weekly_cost, 0) > coalesce(totals.spent_cost, 0)
    )"""
---*/
with campaigns as (

    select * from campaign_performance where dimension = 'total'

),

spend as (

    select campaign_id, period_number, spent from campaign_spend where grain = 'week'

),

known as (

    select
        bool_or(sent is not null) as sent,
        bool_or(delivered is not null) as delivered,
        bool_or(opened is not null) as opened,
        bool_or(clicked is not null) as clicked,
        bool_or(orders is not null) as orders
    from campaigns

),

weeks as (

    select distinct period_number, period_start, period_label, period_end <= $as_of as is_complete
    from calendar_periods
    where grain = 'week'

),

-- A week of two months was measured in both: the last measure is the week's own.
measured as (

    select
        *,
        row_number() over (partition by campaign_id, period_number order by measured_on desc) as age
    from campaign_weeks

),

active_weeks as (

    select campaign_id, period_number from measured where age = 1
    union all
    select campaign_id, period_number from spend

),

spans as (

    select campaign_id, min(period_number) as first_number, max(period_number) as last_number
    from active_weeks
    group by campaign_id

),

framed as (

    select spans.campaign_id, weeks.*
    from spans
    inner join weeks on weeks.period_number >= spans.first_number and weeks.period_number <= spans.last_number

),

figures as (

    select
        framed.campaign_id,
        framed.period_number,
        framed.period_start,
        framed.period_label,
        framed.is_complete,
        campaigns.name,
        campaigns.kind,
        campaigns.channel,
        campaigns.rate_base,
        case when known.sent then coalesce(measured.sent, 0) end as sent,
        case when known.delivered then coalesce(measured.delivered, 0) end as delivered,
        case when known.opened then coalesce(measured.opened, 0) end as opened,
        case when known.clicked then coalesce(measured.clicked, 0) end as clicked,
        case when known.orders then coalesce(measured.converted, 0) end as converted,
        case when known.orders then coalesce(measured.orders, 0) end as orders,
        case when known.orders then coalesce(measured.revenue, 0) end as revenue,
        case when coalesce(measured.orders, 0) > 0 then measured.gross_profit when known.orders then 0 end as gross_profit,
        case when campaigns.starts_on is not null and campaigns.cost is not null then coalesce(spend.spent, 0) end as spent_cost
    from framed
    inner join campaigns on campaigns.campaign_id = framed.campaign_id
    left join measured
        on measured.campaign_id = framed.campaign_id and measured.period_number = framed.period_number and measured.age = 1
    left join spend on spend.campaign_id = framed.campaign_id and spend.period_number = framed.period_number
    cross join known

),

based as (

    select *, nullif(case when rate_base = 'delivered' then delivered else sent end, 0) as base from figures

),

rates as (

    select
        *,
        cast(opened as double) / base as open_rate,
        cast(clicked as double) / base as click_rate,
        cast(converted as double) / base as conversion_rate,
        cast(revenue as double) / nullif(cast(spent_cost as double), 0) as roas
    from based

),

complete as (

    select campaign_id, period_number, open_rate, click_rate, conversion_rate, revenue from rates where is_complete

),

ranked as (

    select
        *,
        rank() over (partition by period_number order by conversion_rate desc nulls last) as conversion_position,
        rank() over (partition by period_number order by revenue desc nulls last) as revenue_position
    from rates

)

select
    ranked.campaign_id,
    ranked.period_start,
    ranked.period_label,
    ranked.is_complete,
    ranked.name,
    ranked.kind,
    ranked.channel,
    ranked.sent,
    ranked.delivered,
    ranked.opened,
    ranked.clicked,
    ranked.converted,
    ranked.rate_base,
    ranked.open_rate,
    ranked.click_rate,
    ranked.conversion_rate,
    ranked.spent_cost,
    ranked.orders,
    ranked.revenue,
    ranked.gross_profit,
    ranked.roas,
    case when ranked.is_complete then ranked.open_rate - previous.open_rate end as open_rate_change,
    case when ranked.is_complete then ranked.click_rate - previous.click_rate end as click_rate_change,
    case when ranked.is_complete then ranked.conversion_rate - previous.conversion_rate end as conversion_rate_change,
    case when ranked.is_complete then ranked.revenue - previous.revenue end as revenue_change,
    case when ranked.conversion_rate is not null then cast(ranked.conversion_position as bigint) end as conversion_rank,
    case when ranked.revenue is not null then cast(ranked.revenue_position as bigint) end as revenue_rank
from ranked
left join complete as previous
    on previous.campaign_id = ranked.campaign_id and previous.period_number = ranked.period_number - 1
order by ranked.campaign_id, ranked.period_start
