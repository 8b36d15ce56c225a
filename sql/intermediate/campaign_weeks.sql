/*---
description = "One row per campaign and week that overlaps the month: distinct customers and attributed orders of the week. A week of two months is measured in both; its last row counts."
grain = ["campaign_id", "period_number"]
partition = "month"

[reads]
campaign_events = { last = "6 days" }
attributed_orders = { last = "6 days" }

[columns]
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
period_number = { type = "int64", doc = "The week.", checks = ["not_null"] }
measured_on = { type = "date", doc = "The week's last day, or the last day of the month (or as-of date) where that comes first.", checks = ["not_null"] }
sent = { type = "int64", doc = "Customers to whom a message was sent.", unit = "count", checks = ["not_null", "non_negative"] }
delivered = { type = "int64", doc = "Customers to whom one was delivered.", unit = "count", checks = ["not_null", "non_negative"] }
opened = { type = "int64", doc = "Customers who opened one.", unit = "count", checks = ["not_null", "non_negative"] }
clicked = { type = "int64", doc = "Customers who clicked.", unit = "count", checks = ["not_null", "non_negative"] }
converted = { type = "int64", doc = "Customers with an attributed order.", unit = "count", checks = ["not_null", "non_negative"] }
orders = { type = "int64", doc = "Attributed orders.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Their net revenue.", unit = "currency", checks = ["not_null", "non_negative"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of their lines whose cost is known.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of those lines; NULL without one.", unit = "currency" }
---*/
with weeks as (

    select day, period_number, period_start, least(period_end, $period_end) as measured_on
    from calendar_periods
    where grain = 'week' and day >= $period_start - 6 and day <= $period_end and period_end >= $period_start

),

events as (

    select campaign_id, customer_id, day, kind from campaign_events where kind <> 'holdout_assigned'

),

happenings as (

    select
        campaign_id,
        customer_id,
        day,
        kind,
        0 as orders,
        cast(null as decimal(28, 4)) as revenue,
        cast(null as decimal(28, 4)) as costed_revenue,
        cast(null as decimal(28, 4)) as gross_profit
    from events
    union all
    select
        campaign_id,
        customer_id,
        day,
        'order' as kind,
        1 as orders,
        cast(revenue as decimal(28, 4)) as revenue,
        costed_revenue,
        gross_profit
    from attributed_orders

),

per_customer as (

    select
        happenings.campaign_id,
        happenings.customer_id,
        weeks.period_number,
        weeks.measured_on,
        count(*) filter (where happenings.kind = 'message_sent') as sent,
        count(*) filter (where happenings.kind = 'message_delivered') as delivered,
        count(*) filter (where happenings.kind = 'message_opened') as opened,
        count(*) filter (where happenings.kind = 'message_clicked') as clicked,
        sum(happenings.orders) as orders,
        sum(happenings.revenue) as revenue,
        sum(happenings.costed_revenue) as costed_revenue,
        sum(happenings.gross_profit) as gross_profit
    from weeks
    inner join happenings on happenings.day = weeks.day
    group by happenings.campaign_id, happenings.customer_id, weeks.period_number, weeks.measured_on

)

select
    campaign_id,
    period_number,
    measured_on,
    count(*) filter (where sent > 0) as sent,
    count(*) filter (where delivered > 0) as delivered,
    count(*) filter (where opened > 0) as opened,
    count(*) filter (where clicked > 0) as clicked,
    count(*) filter (where orders > 0) as converted,
    sum(orders) as orders,
    coalesce(sum(revenue), 0) as revenue,
    coalesce(sum(costed_revenue), 0) as costed_revenue,
    sum(gross_profit) as gross_profit
from per_customer
group by campaign_id, period_number, measured_on
order by campaign_id, period_number
