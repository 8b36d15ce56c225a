/*---
description = "One row per month, campaign, ranking class and RFM segment: what the campaign did and brought in the month. Every customer counts in the month of the first time, so that months add up to distinct customers."
grain = ["period_start", "campaign_id", "ranking_class", "rfm_segment"]
partition = "month"
features = ["F081", "F086"]

[reads]
rfm_by_month = { last = "$campaign_idle_days" }
ranking_by_month = { last = "$campaign_idle_days" }

[columns]
period_start = { type = "date", doc = "First day of the business month.", checks = ["not_null"] }
period_label = { type = "text", doc = "The month's label in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the month ended by the as-of date.", checks = ["not_null"] }
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
ranking_class = { type = "text", doc = "The customers' ranking class at the end of the month before the campaign's start, or before the latest message to them where the campaign has no start; at most campaign_idle_days before this month. none: no customer yet.", checks = ["not_null"] }
rfm_segment = { type = "text", doc = "Their RFM segment at the same time; none: no customer yet.", checks = ["not_null"] }
sent = { type = "int64", doc = "Customers to whom the campaign sent a message for the first time.", unit = "count", checks = ["not_null", "non_negative"] }
delivered = { type = "int64", doc = "Customers to whom one was delivered for the first time.", unit = "count", checks = ["not_null", "non_negative"] }
opened = { type = "int64", doc = "Customers who opened one for the first time. Whoever did nothing with the campaign for campaign_idle_days, while it reached nobody and brought no order, is forgotten and counts again.", unit = "count", checks = ["not_null", "non_negative"] }
clicked = { type = "int64", doc = "Customers who clicked for the first time; they count again as in opened.", unit = "count", checks = ["not_null", "non_negative"] }
held_out = { type = "int64", doc = "Customers kept back for comparison for the first time.", unit = "count", checks = ["not_null", "non_negative"] }
converted = { type = "int64", doc = "Customers with their first attributed order; they count again as in opened.", unit = "count", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Attributed orders of the month.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Their net revenue.", unit = "currency", checks = ["not_null", "non_negative"] }
line_revenue = { type = "decimal(28,4)", doc = "Net revenue of their lines: revenue but for rounding and for orders without lines, which add nothing.", unit = "currency", checks = ["not_null"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of their lines whose cost is known. Above line_revenue, or below 0, where a line's discount is above its price: what it brought is below 0.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of those lines; NULL without one.", unit = "currency" }

[checks]
every_attributed_order_once = """
select coalesce(a.campaign_id, b.campaign_id) as campaign_id, a.orders, b.orders as attributed
from (
    select campaign_id, sum(orders) as orders, sum(revenue) as revenue, sum(line_revenue) as line_revenue
    from this
    group by campaign_id
    having sum(orders) > 0
) as a
full join (
    select campaign_id, count(*) as orders, sum(revenue) as revenue, sum(line_revenue) as line_revenue
    from attributed_orders
    group by campaign_id
) as b on b.campaign_id = a.campaign_id
where
    (a.orders is distinct from b.orders)
    or (a.revenue is distinct from b.revenue)
    or (a.line_revenue is distinct from b.line_revenue)"""
every_customer_once = """
select sum(sent) from this
having
    coalesce(sum(sent), 0) <> (select count(*) from campaign_contacts where sent_on >= $period_start)
    or coalesce(sum(converted), 0) <> (select count(*) from campaign_contacts where converted_on >= $period_start)"""
---*/
with months as (

    select day, period_number, period_start, period_label, period_end
    from calendar_periods
    where grain = 'month' and day <= $period_end

),

-- One row for certain, as in rfm_by_month.
month as (

    select
        min(period_number) as period_number,
        min(period_start) as period_start,
        min(period_label) as period_label,
        min(period_end) = $period_end as is_complete
    from months
    where day = $period_start

),

-- The oldest month whose classes are at hand.
oldest as (

    select max(period_number) as period_number from months where day = $period_start - cast($campaign_idle_days as int)

),

orders as (

    select
        campaign_id,
        customer_id,
        count(*) as orders,
        sum(revenue) as revenue,
        sum(line_revenue) as line_revenue,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit
    from attributed_orders
    group by campaign_id, customer_id

),

firsts as (

    select
        contacts.*,
        coalesce(orders.orders, 0) as orders,
        coalesce(orders.revenue, 0) as revenue,
        coalesce(orders.line_revenue, 0) as line_revenue,
        coalesce(orders.costed_revenue, 0) as costed_revenue,
        orders.gross_profit
    from orders
    right join campaign_contacts as contacts
        on contacts.campaign_id = orders.campaign_id and contacts.customer_id = orders.customer_id
    where
        orders.orders > 0
        or greatest(
            contacts.sent_on, contacts.delivered_on, contacts.opened_on, contacts.clicked_on, contacts.held_out_on
        ) >= $period_start

),

dated as (

    select
        firsts.*,
        coalesce(campaigns.starts_on, firsts.last_reached_on, firsts.first_seen_on) as judged_before
    from month_campaigns as campaigns
    right join firsts on firsts.campaign_id = campaigns.campaign_id

),

judged as (

    select
        dated.*,
        -- A campaign that starts later than its first messages is judged by the month before those; one that started before
        -- the calendar's first day, in no month, by the oldest month.
        greatest(
            least(
                coalesce(
                    starts.period_number,
                    case when dated.judged_before < $period_start then oldest.period_number end,
                    month.period_number
                ),
                month.period_number
            ) - 1,
            oldest.period_number
        ) as judged_number
    from months as starts
    right join dated on dated.judged_before = starts.day
    cross join month
    cross join oldest

),

judged_months as (

    select judged.*, months.period_start as judged_month
    from months
    inner join judged on judged.judged_number = months.period_number
    where months.day = months.period_start

),

classes as (

    select customer_id, month_start, class from ranking_by_month where month_start < $period_start

),

segments as (

    select customer_id, period_start, segment from rfm_by_month where period_start < $period_start

),

classed as (

    select judged_months.*, coalesce(classes.class, 'none') as ranking_class
    from judged_months
    left join classes
        on classes.customer_id = judged_months.customer_id and classes.month_start = judged_months.judged_month

),

segmented as (

    select classed.*, coalesce(segments.segment, 'none') as rfm_segment
    from classed
    left join segments
        on segments.customer_id = classed.customer_id and segments.period_start = classed.judged_month

),

counted as (

    select
        campaign_id,
        ranking_class,
        rfm_segment,
        count(*) filter (where sent_on >= $period_start) as sent,
        count(*) filter (where delivered_on >= $period_start) as delivered,
        count(*) filter (where opened_on >= $period_start) as opened,
        count(*) filter (where clicked_on >= $period_start) as clicked,
        count(*) filter (where held_out_on >= $period_start) as held_out,
        count(*) filter (where converted_on >= $period_start) as converted,
        sum(orders) as orders,
        sum(revenue) as revenue,
        sum(line_revenue) as line_revenue,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit
    from segmented
    group by campaign_id, ranking_class, rfm_segment

)

select
    month.period_start,
    month.period_label,
    month.is_complete,
    counted.campaign_id,
    counted.ranking_class,
    counted.rfm_segment,
    counted.sent,
    counted.delivered,
    counted.opened,
    counted.clicked,
    counted.held_out,
    counted.converted,
    counted.orders,
    counted.revenue,
    counted.line_revenue,
    counted.costed_revenue,
    counted.gross_profit
from counted
cross join month
order by month.period_start, counted.campaign_id, counted.ranking_class, counted.rfm_segment
