/*---
description = "One row per campaign and group of customers (all, by ranking class, by RFM segment): whom it reached, what they did, what it cost and what it brought, as of the as-of date."
grain = ["campaign_id", "dimension", "code"]
features = ["F023", "F074", "F081", "F086"]

[columns]
campaign_id = { type = "text", doc = "The campaign: of the source campaigns, or named by a message or an order.", checks = ["not_null"] }
dimension = { type = "text", doc = "How the customers are divided: total (not at all), ranking_class or rfm_segment.", one_of = ["total", "ranking_class", "rfm_segment"], checks = ["not_null"] }
code = { type = "text", doc = "The class or segment at the end of the month before the campaign's start, or before the latest message where it has no start; what happens more than campaign_idle_days later is judged by the oldest month-end within those days. none: no customer yet; all: dimension total.", checks = ["not_null"] }
label_en = { type = "text", doc = "code in English.", checks = ["not_null"] }
label_fa = { type = "text", doc = "code in Persian.", checks = ["not_null"] }
name = { type = "text", doc = "Name of the campaign." }
kind = { type = "text", doc = "acquisition, retention, newsletter, reward, education, as the source says." }
channel = { type = "text", doc = "Channel of the campaign." }
starts_on = { type = "date", doc = "First day." }
ends_on = { type = "date", doc = "Last day." }
sent = { type = "int64", doc = "Distinct customers to whom a message was sent. NULL for all while the data hold no message_sent; the same goes for the next three. A campaign that reached nobody and brought no order for campaign_idle_days, and starts again, counts its customers anew, but for those who did something with it in those days.", unit = "count", checks = ["non_negative"] }
delivered = { type = "int64", doc = "Distinct customers to whom one was delivered.", unit = "count", checks = ["non_negative"] }
opened = { type = "int64", doc = "Distinct customers who opened one. Whoever did nothing with the campaign for campaign_idle_days, while it reached nobody and brought no order, is forgotten and counts again.", unit = "count", checks = ["non_negative"] }
clicked = { type = "int64", doc = "Distinct customers who clicked; they count again as in opened.", unit = "count", checks = ["non_negative"] }
held_out = { type = "int64", doc = "Distinct customers kept back for comparison (holdout_assigned).", unit = "count", checks = ["non_negative"] }
converted = { type = "int64", doc = "Distinct customers with an attributed order (campaign_attribution). They count again as in opened. NULL for all while neither a message nor an order names a campaign; the same goes for orders and revenue.", unit = "count", checks = ["non_negative"] }
rate_base = { type = "text", doc = "What the rates are of: delivered, or sent where no campaign of the channel reports a delivery.", one_of = ["delivered", "sent"], checks = ["not_null"] }
open_rate = { type = "float64", doc = "opened / rate_base.", unit = "fraction", checks = ["non_negative"] }
click_rate = { type = "float64", doc = "clicked / rate_base.", unit = "fraction", checks = ["non_negative"] }
conversion_rate = { type = "float64", doc = "converted / rate_base. Above 1 where orders declare the campaign that were not written to.", unit = "fraction", checks = ["non_negative"] }
cost = { type = "decimal(28,4)", doc = "Cost of the whole campaign; of a class or segment its part, in proportion to sent. NULL when unknown, and for classes of a campaign that sent nothing.", unit = "currency", checks = ["non_negative"] }
spent_cost = { type = "decimal(28,4)", doc = "What of cost is spent by the as-of date: spread evenly over the campaign's days. A campaign without days counts as spent.", unit = "currency", checks = ["non_negative"] }
orders = { type = "int64", doc = "Attributed orders.", unit = "count", checks = ["non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the attributed orders.", unit = "currency", checks = ["non_negative"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of the attributed orders' lines whose cost is known; 0 without an order, NULL when no line's cost is known.", unit = "currency" }
cost_coverage = { type = "float64", doc = "Share of the attributed orders' line revenue whose cost is known. Orders without lines count neither way; NULL where no order has any. Above 1 or below 0 where a line's discount is above its price: what it brought is below 0.", unit = "fraction" }
roi = { type = "float64", doc = "(gross_profit - spent_cost) / spent_cost. NULL when cost_coverage is below min_cost_coverage or nothing is spent.", unit = "fraction" }
roas = { type = "float64", doc = "revenue / spent_cost.", unit = "ratio", checks = ["non_negative"] }

[checks]
groups_add_up = """
select a.campaign_id, b.dimension
from this as a
inner join (
    select
        campaign_id,
        dimension,
        sum(sent) as sent,
        sum(delivered) as delivered,
        sum(opened) as opened,
        sum(clicked) as clicked,
        sum(converted) as converted,
        sum(orders) as orders,
        sum(revenue) as revenue,
        sum(spent_cost) as spent_cost
    from this
    where dimension <> 'total'
    group by campaign_id, dimension
) as b on b.campaign_id = a.campaign_id
where
    a.dimension = 'total'
    and (
        (a.sent is distinct from b.sent)
        or (a.delivered is distinct from b.delivered)
        or (a.opened is distinct from b.opened)
        or (a.clicked is distinct from b.clicked)
        or (a.converted is distinct from b.converted)
        or (a.orders is distinct from b.orders)
        or (a.revenue is distinct from b.revenue)
        or b.spent_cost <> a.spent_cost
    )"""
months_add_up = """
select this.campaign_id
from this
inner join (
    select campaign_id, sum(orders) as orders, sum(revenue) as revenue from campaign_by_month group by campaign_id
) as months on months.campaign_id = this.campaign_id
where this.dimension = 'total' and (this.orders <> months.orders or this.revenue <> months.revenue)"""
no_campaign_is_lost = """
select campaign_id from campaign_by_month
union
select campaign_id from stg_campaigns
except
select campaign_id from this where dimension = 'total'"""
no_more_spent_than_it_costs = "select campaign_id, cost, spent_cost from this where spent_cost > cost"

[warnings]
more_openers_than_recipients = """
select campaign_id, rate_base, sent, delivered, opened, clicked
from this
where dimension = 'total' and (open_rate > 1 or click_rate > 1)
order by campaign_id"""
---*/
with campaigns as (

    select
        campaign_id,
        name,
        kind,
        channel,
        starts_on,
        ends_on,
        cost,
        case
            when starts_on is null then cost
            when starts_on > $as_of then cast(0 as decimal(18, 4))
            else
                cast(
                    cast(cost as decimal(38, 8)) * (cast(least(ends_on, $as_of) - starts_on as bigint) + 1)
                    / (cast(ends_on - starts_on as bigint) + 1) as decimal(18, 4)
                )
        end as spent_cost
    from stg_campaigns

),

months as (

    select * from campaign_by_month

),

-- A kind that nobody ever made is a missing source.
known as (

    select
        coalesce(sum(sent), 0) > 0 as sent,
        coalesce(sum(delivered), 0) > 0 as delivered,
        coalesce(sum(opened), 0) > 0 as opened,
        coalesce(sum(clicked), 0) > 0 as clicked,
        coalesce(sum(held_out), 0) > 0 as held_out,
        count(*) > 0 as orders
    from months

),

all_campaigns as (

    select campaign_id from campaigns
    union
    select campaign_id from months

),

members as (

    select months.*, 'total' as dimension, 'all' as code from months
    union all
    select months.*, 'ranking_class' as dimension, ranking_class as code from months
    union all
    select months.*, 'rfm_segment' as dimension, rfm_segment as code from months

),

counted as (

    select
        campaign_id,
        dimension,
        code,
        sum(sent) as sent,
        sum(delivered) as delivered,
        sum(opened) as opened,
        sum(clicked) as clicked,
        sum(held_out) as held_out,
        sum(converted) as converted,
        sum(orders) as orders,
        sum(revenue) as revenue,
        sum(line_revenue) as line_revenue,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit
    from members
    group by campaign_id, dimension, code

),

-- A campaign that nothing came of yet has its row, too.
framed as (

    select
        all_campaigns.campaign_id,
        coalesce(counted.dimension, 'total') as dimension,
        coalesce(counted.code, 'all') as code,
        coalesce(counted.sent, 0) as sent,
        coalesce(counted.delivered, 0) as delivered,
        coalesce(counted.opened, 0) as opened,
        coalesce(counted.clicked, 0) as clicked,
        coalesce(counted.held_out, 0) as held_out,
        coalesce(counted.converted, 0) as converted,
        coalesce(counted.orders, 0) as orders,
        coalesce(counted.revenue, 0) as revenue,
        coalesce(counted.line_revenue, 0) as line_revenue,
        coalesce(counted.costed_revenue, 0) as costed_revenue,
        case when coalesce(counted.orders, 0) = 0 then 0 else counted.gross_profit end as gross_profit
    from all_campaigns
    left join counted on counted.campaign_id = all_campaigns.campaign_id

),

-- The cost is divided like a period's: as the difference of two running parts, so that the parts sum to it.
described as (

    select
        framed.*,
        campaigns.name,
        campaigns.kind,
        campaigns.channel,
        campaigns.starts_on,
        campaigns.ends_on,
        cast(campaigns.cost as decimal(38, 8)) as whole_cost,
        cast(campaigns.spent_cost as decimal(38, 8)) as whole_spent,
        sum(framed.sent) over (partition by framed.campaign_id, framed.dimension) as all_sent,
        sum(framed.sent) over (
            partition by framed.campaign_id, framed.dimension order by framed.code
            rows between unbounded preceding and current row
        ) as running_sent,
        sum(framed.delivered) over (partition by coalesce('channel ' || campaigns.channel, 'campaign ' || framed.campaign_id)) > 0
            as reports_delivery
    from framed
    left join campaigns on campaigns.campaign_id = framed.campaign_id

),

valued as (

    select
        *,
        case when reports_delivery then delivered else sent end as base,
        case
            when dimension = 'total' then whole_cost
            else
                cast(whole_cost * running_sent / nullif(all_sent, 0) as decimal(18, 4))
                - cast(whole_cost * (running_sent - sent) / nullif(all_sent, 0) as decimal(18, 4))
        end as cost,
        case
            when dimension = 'total' then whole_spent
            else
                cast(whole_spent * running_sent / nullif(all_sent, 0) as decimal(18, 4))
                - cast(whole_spent * (running_sent - sent) / nullif(all_sent, 0) as decimal(18, 4))
        end as spent_cost,
        cast(costed_revenue as double) / nullif(cast(line_revenue as double), 0) as cost_coverage
    from described

),

labelled as (

    select 'ranking_class' as dimension, code, label_en, label_fa from labels where "group" = 'class'
    union all
    select 'rfm_segment' as dimension, code, label_en, label_fa from labels where "group" = 'rfm_segment'
    union all
    select 'total' as dimension, 'all' as code, label_en, label_fa from campaign_groups where code = 'total'
    union all
    select 'ranking_class' as dimension, code, label_en, label_fa from campaign_groups where code = 'none'
    union all
    select 'rfm_segment' as dimension, code, label_en, label_fa from campaign_groups where code = 'none'

)

select
    valued.campaign_id,
    valued.dimension,
    valued.code,
    coalesce(labelled.label_en, valued.code) as label_en,
    coalesce(labelled.label_fa, valued.code) as label_fa,
    valued.name,
    valued.kind,
    valued.channel,
    valued.starts_on,
    valued.ends_on,
    case when known.sent then valued.sent end as sent,
    case when known.delivered then valued.delivered end as delivered,
    case when known.opened then valued.opened end as opened,
    case when known.clicked then valued.clicked end as clicked,
    case when known.held_out then valued.held_out end as held_out,
    case when known.orders then valued.converted end as converted,
    case when valued.reports_delivery then 'delivered' else 'sent' end as rate_base,
    case when known.opened then cast(valued.opened as double) / nullif(valued.base, 0) end as open_rate,
    case when known.clicked then cast(valued.clicked as double) / nullif(valued.base, 0) end as click_rate,
    cast(valued.converted as double) / nullif(valued.base, 0) as conversion_rate,
    valued.cost,
    valued.spent_cost,
    case when known.orders then valued.orders end as orders,
    case when known.orders then valued.revenue end as revenue,
    case when known.orders then valued.gross_profit end as gross_profit,
    valued.cost_coverage,
    case
        when known.orders and coalesce(valued.cost_coverage >= $min_cost_coverage, true) then
            cast(valued.gross_profit - valued.spent_cost as double) / nullif(cast(valued.spent_cost as double), 0)
    end as roi,
    case when known.orders then cast(valued.revenue as double) / nullif(cast(valued.spent_cost as double), 0) end as roas
from valued
cross join known
left join labelled on labelled.dimension = valued.dimension and labelled.code = valued.code
order by valued.campaign_id, valued.dimension, valued.code
