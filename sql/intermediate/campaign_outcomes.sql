/*---
description = "One row per campaign whose outcome window overlaps the month, and group of its customers: what they did from the window's first day to its last (or the month's end, or the as-of date). A window of several months is measured in each; its last row counts."
grain = ["campaign_id", "assignment"]
partition = "month"

[reads]
customer_days = { last = "$effect_days" }
active_days = { last = "$effect_history_days" }

[columns]
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
assignment = { type = "text", doc = "treated: a message was sent by measured_on, delivered or not; control: kept back by then (holdout_assigned); both: left out of the comparison.", one_of = ["treated", "control", "both"], checks = ["not_null"] }
starts_on = { type = "date", doc = "First day of the window.", checks = ["not_null"] }
window_ends_on = { type = "date", doc = "Last day of the window.", checks = ["not_null"] }
measured_on = { type = "date", doc = "Up to which day the window was measured.", checks = ["not_null"] }
customers = { type = "int64", doc = "Customers and leads in the group.", unit = "count", checks = ["not_null", "positive"] }
buyers = { type = "int64", doc = "Those with a purchase in the window.", unit = "count", checks = ["not_null", "non_negative"] }
repeat_buyers = { type = "int64", doc = "Those with two or more.", unit = "count", checks = ["not_null", "non_negative"] }
active_at_start = { type = "int64", doc = "Those active on the headline basis in the active_days before the window.", unit = "count", checks = ["not_null", "non_negative"] }
active_at_end = { type = "int64", doc = "Those of active_at_start who were active in the active_days up to measured_on, too.", unit = "count", checks = ["not_null", "non_negative"] }
revenue = { type = "decimal(28,4)", doc = "Net revenue of the group's purchases in the window.", unit = "currency", checks = ["not_null", "non_negative"] }
revenue_squares = { type = "decimal(38,4)", doc = "Sum of the squares of each customer's revenue.", unit = "currency squared", checks = ["not_null", "non_negative"] }
costed_revenue = { type = "decimal(28,4)", doc = "Net revenue of the lines whose cost is known.", unit = "currency", checks = ["not_null"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit of those lines.", unit = "currency", checks = ["not_null"] }
gross_profit_squares = { type = "decimal(38,4)", doc = "Sum of the squares of each customer's gross profit.", unit = "currency squared", checks = ["not_null", "non_negative"] }
answers = { type = "int64", doc = "Customers who answered an NPS survey in the window; the latest answer counts.", unit = "count", checks = ["not_null", "non_negative"] }
promoters = { type = "int64", doc = "Those with a score of 9 or more.", unit = "count", checks = ["not_null", "non_negative"] }
detractors = { type = "int64", doc = "Those with a score below 7.", unit = "count", checks = ["not_null", "non_negative"] }

[checks]
groups_fit = """
select * from this
where
    repeat_buyers > buyers
    or buyers > customers
    or active_at_end > active_at_start
    or active_at_start > customers
    or promoters + detractors > answers
    or answers > customers"""
nobody_is_assigned_twice = """
select this.campaign_id
from this
inner join (
    select campaign_id, count(*) as customers
    from campaign_contacts
    where sent_on is not null or held_out_on is not null
    group by campaign_id
) as assigned on assigned.campaign_id = this.campaign_id
group by this.campaign_id
having sum(this.customers) > max(assigned.customers)"""
---*/
with windows as (

    select campaign_id, starts_on, window_ends_on, least(window_ends_on, $period_end) as measured_on
    from month_campaigns
    where starts_on <= $period_end and window_ends_on >= $period_start

),

assigned as (

    select
        windows.campaign_id,
        windows.starts_on,
        windows.window_ends_on,
        windows.measured_on,
        contacts.customer_id,
        case
            when contacts.sent_on <= windows.measured_on and contacts.held_out_on <= windows.measured_on then 'both'
            when contacts.sent_on <= windows.measured_on then 'treated'
            else 'control'
        end as assignment
    from windows
    inner join campaign_contacts as contacts on contacts.campaign_id = windows.campaign_id
    where contacts.sent_on <= windows.measured_on or contacts.held_out_on <= windows.measured_on

),

days as (

    select customer_id, day, orders, revenue, costed_revenue, gross_profit, nps_score, nps_at, nps_event_id
    from customer_days
    where day <= $period_end and (orders > 0 or nps_at is not null)

),

outcomes as (

    select
        assigned.campaign_id,
        assigned.customer_id,
        sum(days.orders) as orders,
        sum(days.revenue) as revenue,
        sum(days.costed_revenue) as costed_revenue,
        coalesce(sum(days.gross_profit), 0) as gross_profit,
        first_value(days.nps_score order by days.nps_at desc, days.nps_event_id desc) filter (where days.nps_at is not null)
            as nps_score
    from assigned
    inner join days on days.customer_id = assigned.customer_id
    where days.day >= assigned.starts_on and days.day <= assigned.measured_on
    group by assigned.campaign_id, assigned.customer_id

),

activity as (

    select customer_id, day from active_days where basis = $kpi_basis

),

actives as (

    select
        assigned.campaign_id,
        assigned.customer_id,
        bool_or(
            activity.day < assigned.starts_on and activity.day >= assigned.starts_on - cast($active_days as int)
        ) as was_active,
        bool_or(activity.day > assigned.measured_on - cast($active_days as int)) as is_active
    from assigned
    inner join activity on activity.customer_id = assigned.customer_id
    where
        activity.day <= assigned.measured_on
        and activity.day >= assigned.starts_on - cast($active_days as int)
    group by assigned.campaign_id, assigned.customer_id

),

described as (

    select
        assigned.*,
        coalesce(outcomes.orders, 0) as orders,
        coalesce(outcomes.revenue, 0) as revenue,
        coalesce(outcomes.costed_revenue, 0) as costed_revenue,
        coalesce(outcomes.gross_profit, 0) as gross_profit,
        outcomes.nps_score,
        coalesce(actives.was_active, false) as was_active,
        coalesce(actives.is_active, false) as is_active
    from assigned
    left join outcomes on outcomes.campaign_id = assigned.campaign_id and outcomes.customer_id = assigned.customer_id
    left join actives on actives.campaign_id = assigned.campaign_id and actives.customer_id = assigned.customer_id

)

select
    campaign_id,
    assignment,
    starts_on,
    window_ends_on,
    measured_on,
    count(*) as customers,
    count(*) filter (where orders >= 1) as buyers,
    count(*) filter (where orders >= 2) as repeat_buyers,
    count(*) filter (where was_active) as active_at_start,
    count(*) filter (where was_active and is_active) as active_at_end,
    sum(revenue) as revenue,
    sum(cast(cast(revenue as decimal(76, 8)) * revenue as decimal(38, 4))) as revenue_squares,
    sum(costed_revenue) as costed_revenue,
    sum(gross_profit) as gross_profit,
    sum(cast(cast(gross_profit as decimal(76, 8)) * gross_profit as decimal(38, 4))) as gross_profit_squares,
    count(nps_score) as answers,
    count(*) filter (where nps_score >= 9) as promoters,
    count(*) filter (where nps_score < 7) as detractors
from described
group by campaign_id, assignment, starts_on, window_ends_on, measured_on
order by campaign_id, assignment
