/*---
description = "One row per customer: ranking points and class at the month's end, or at the as-of date in the open month, from the ranking_days up to it."
grain = ["customer_id"]
partition = "month"

[reads]
ranking_day_counts = { last = "$ranking_days" }
ranking_month_counts = { last = "$ranking_days" }
ranking_product_types = { last = "$ranking_days" }

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the month's end.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month at whose end the row holds.", checks = ["not_null"] }
orders = { type = "int64", doc = "Purchases in the window.", unit = "count", checks = ["not_null", "non_negative"] }
volume = { type = "decimal(28,4)", doc = "Net revenue in the window.", unit = "currency", checks = ["not_null", "non_negative"] }
gross_profit = { type = "decimal(28,4)", doc = "Gross profit in the window of the lines whose cost is known; NULL without one.", unit = "currency" }
margin = { type = "float64", doc = "gross_profit / net revenue of those lines.", unit = "fraction" }
mean_gap_days = { type = "float64", doc = "Mean of the days between successive purchase days in the window; NULL below two such days.", unit = "days", checks = ["positive"] }
online_orders = { type = "int64", doc = "Purchases through an online channel in the window.", unit = "count", checks = ["not_null", "non_negative"] }
offline_orders = { type = "int64", doc = "Purchases through an offline channel in the window.", unit = "count", checks = ["not_null", "non_negative"] }
volume_points = { type = "int64", doc = "Points of the highest step that volume reaches.", unit = "points", checks = ["not_null"] }
volume_step = { type = "decimal(28,4)", doc = "Lower bound of that step; NULL below the first.", unit = "currency" }
margin_points = { type = "int64", doc = "Points of the highest step that margin reaches; NULL for all while no cost is known.", unit = "points" }
product_type_points = { type = "int64", doc = "Points for the categories bought; NULL for all while the window's lines say no category.", unit = "points" }
periodicity_points = { type = "int64", doc = "Points of the best step that mean_gap_days reaches; 0 below two purchase days.", unit = "points", checks = ["not_null"] }
online_order_points = { type = "int64", doc = "Points for online_orders; NULL for all while no purchase says its channel.", unit = "points" }
offline_order_points = { type = "int64", doc = "Points for offline_orders; NULL for all while no purchase says its channel.", unit = "points" }
referral_points = { type = "int64", doc = "Points for people referred; NULL for all while the data hold no referral.", unit = "points" }
login_points = { type = "int64", doc = "Points for logins; NULL for all while the data hold no login.", unit = "points" }
news_read_points = { type = "int64", doc = "Points for news items read; NULL for all while the data hold no news_read.", unit = "points" }
comment_points = { type = "int64", doc = "Points for comments; NULL for all while the data hold no comment.", unit = "points" }
total_points = { type = "int64", doc = "Sum of the points that are known.", unit = "points", checks = ["not_null"] }
class = { type = "text", doc = "The class of ranking_classes.csv with the highest min_points that total_points reaches.", checks = ["not_null"] }
previous_class = { type = "text", doc = "class at the end of the month before; NULL for whoever was no customer then." }

[checks]
every_customer_once = """
select count(*) from this
having count(*) <> (select count(*) from customer_months where first_purchase_on is not null)"""
no_revenue_is_lost = """
select sum(volume) from this
having coalesce(sum(volume), 0) <> (
    select coalesce(sum(revenue), 0) from ranking_day_counts where day > $period_end - $ranking_days
)"""
points_add_up = """
select customer_id from this
where
    total_points
    <> volume_points + coalesce(margin_points, 0) + coalesce(product_type_points, 0) + periodicity_points
    + coalesce(online_order_points, 0) + coalesce(offline_order_points, 0) + coalesce(referral_points, 0)
    + coalesce(login_points, 0) + coalesce(news_read_points, 0) + coalesce(comment_points, 0)"""
rules_are_known = """
select rule from ranking_points
where
    rule not in (
        'volume', 'margin', 'product_type', 'periodicity', 'online_order', 'offline_order', 'referral', 'login', 'news_read', 'comment'
    )
    or (rule in ('volume', 'margin', 'periodicity')) <> (bound is not null)
    or (rule = 'product_type') <> (applies_to is not null)
    or points is null"""
rules_are_there_once = "select rule from ranking_points group by rule, applies_to, bound having count(*) > 1"
---*/
with people as (

    select customer_id, first_purchase_on, gross_profit, last_order_channel, referrals, logins, news_read, comments
    from customer_months

),

whole_months as (

    select * from ranking_month_counts where month_start > $period_end - $ranking_days

),

-- The first month that lies in the window whole; what comes before it is read by the day.
edge as (

    select min(period_start) as day
    from calendar_periods
    where grain = 'month' and period_start > $period_end - $ranking_days

),

edge_days as (

    -- No month is longer than 31 days: this bound lets the files in the middle be skipped.
    select *, case when orders > 0 then day end as purchased_on
    from ranking_day_counts
    where day > $period_end - $ranking_days and day < $period_end - $ranking_days + 32

),

product_types as (

    select customer_id, applies_to, sum(orders) as orders
    from ranking_product_types
    where day > $period_end - $ranking_days
    group by customer_id, applies_to

),

rules as (

    select
        rule,
        applies_to,
        cast(bound as decimal(28, 4)) as bound,
        cast(points as bigint) as points,
        cast(cap as bigint) as cap
    from ranking_points

),

classes as (

    select class, cast(min_points as bigint) as min_points from ranking_classes

),

previous as (

    select customer_id, class from ranking_by_month

),

parts as (

    select
        customer_id, first_purchase_on, last_purchase_on, purchase_days, orders, revenue, costed_revenue, gross_profit,
        online_orders, offline_orders, referrals, logins, news_read, comments
    from whole_months
    union all
    select
        edge_days.customer_id,
        edge_days.purchased_on as first_purchase_on,
        edge_days.purchased_on as last_purchase_on,
        cast(edge_days.purchased_on is not null as bigint) as purchase_days,
        edge_days.orders,
        edge_days.revenue,
        edge_days.costed_revenue,
        edge_days.gross_profit,
        edge_days.online_orders,
        edge_days.offline_orders,
        edge_days.referrals,
        edge_days.logins,
        edge_days.news_read,
        edge_days.comments
    from edge_days
    inner join edge on edge_days.day < edge.day

),

sums as (

    select
        customer_id,
        min(first_purchase_on) as first_purchase_on,
        max(last_purchase_on) as last_purchase_on,
        sum(purchase_days) as purchase_days,
        sum(orders) as orders,
        sum(revenue) as volume,
        sum(costed_revenue) as costed_revenue,
        sum(gross_profit) as gross_profit,
        sum(online_orders) as online_orders,
        sum(offline_orders) as offline_orders,
        sum(referrals) as referrals,
        sum(logins) as logins,
        sum(news_read) as news_read,
        sum(comments) as comments
    from parts
    group by customer_id

),

product_type_sums as (

    select
        product_types.customer_id,
        cast(sum(least(product_types.orders * rules.points, rules.cap)) as bigint) as points
    from rules
    inner join product_types on product_types.applies_to = rules.applies_to
    where rules.rule = 'product_type'
    group by product_types.customer_id

),

-- What nobody's data hold is a missing source and earns no points, not even 0.
known as (

    select
        count(gross_profit) > 0 as costs,
        count(last_order_channel) > 0 as channels,
        coalesce(sum(referrals), 0) > 0 as referrals,
        coalesce(sum(logins), 0) > 0 as logins,
        coalesce(sum(news_read), 0) > 0 as news_read,
        coalesce(sum(comments), 0) > 0 as comments
    from people

),

known_categories as (

    select count(*) > 0 as categories from ranking_product_types where day > $period_end - $ranking_days

),

events as (

    select
        coalesce(max(points) filter (where rule = 'online_order'), 0) as online_order_points,
        max(cap) filter (where rule = 'online_order') as online_order_cap,
        coalesce(max(points) filter (where rule = 'offline_order'), 0) as offline_order_points,
        max(cap) filter (where rule = 'offline_order') as offline_order_cap,
        coalesce(max(points) filter (where rule = 'referral'), 0) as referral_points,
        max(cap) filter (where rule = 'referral') as referral_cap,
        coalesce(max(points) filter (where rule = 'login'), 0) as login_points,
        max(cap) filter (where rule = 'login') as login_cap,
        coalesce(max(points) filter (where rule = 'news_read'), 0) as news_read_points,
        max(cap) filter (where rule = 'news_read') as news_read_cap,
        coalesce(max(points) filter (where rule = 'comment'), 0) as comment_points,
        max(cap) filter (where rule = 'comment') as comment_cap
    from rules

),

-- Each step with the bound that ends it: the next higher one, or, where less is better, the next lower one.
volume_steps as (

    select bound, points, lead(bound) over (order by bound) as next_bound from rules where rule = 'volume'

),

margin_steps as (

    select
        cast(bound as double) as bound,
        points,
        cast(lead(bound) over (order by bound) as double) as next_bound
    from rules
    where rule = 'margin'

),

periodicity_steps as (

    select
        cast(bound as double) as bound,
        points,
        cast(lag(bound) over (order by bound) as double) as better_bound
    from rules
    where rule = 'periodicity'

),

class_steps as (

    select class, min_points, lead(min_points) over (order by min_points) as next_points from classes

),

measured as (

    select
        people.customer_id,
        coalesce(sums.orders, 0) as orders,
        coalesce(sums.volume, 0) as volume,
        sums.gross_profit,
        cast(sums.gross_profit as double) / nullif(cast(sums.costed_revenue as double), 0) as margin,
        cast(sums.last_purchase_on - sums.first_purchase_on as double) / nullif(sums.purchase_days - 1, 0) as mean_gap_days,
        coalesce(sums.online_orders, 0) as online_orders,
        coalesce(sums.offline_orders, 0) as offline_orders,
        coalesce(sums.referrals, 0) as referrals,
        coalesce(sums.logins, 0) as logins,
        coalesce(sums.news_read, 0) as news_read,
        coalesce(sums.comments, 0) as comments,
        coalesce(product_type_sums.points, 0) as product_type_points
    from people
    left join sums on sums.customer_id = people.customer_id
    left join product_type_sums on product_type_sums.customer_id = people.customer_id
    where people.first_purchase_on is not null

),

stepped as (

    select
        measured.*,
        coalesce(volume_steps.points, 0) as volume_points,
        volume_steps.bound as volume_step,
        coalesce(margin_steps.points, 0) as margin_points,
        coalesce(periodicity_steps.points, 0) as periodicity_points
    from periodicity_steps
    right join (
        margin_steps
        right join (
            volume_steps
            right join measured
                on measured.volume >= volume_steps.bound
                and (measured.volume < volume_steps.next_bound or volume_steps.next_bound is null)
        )
            on measured.margin >= margin_steps.bound
            and (measured.margin < margin_steps.next_bound or margin_steps.next_bound is null)
    )
        on measured.mean_gap_days <= periodicity_steps.bound
        and (measured.mean_gap_days > periodicity_steps.better_bound or periodicity_steps.better_bound is null)

),

earned as (

    select
        stepped.customer_id,
        stepped.orders,
        stepped.volume,
        stepped.gross_profit,
        stepped.margin,
        stepped.mean_gap_days,
        stepped.online_orders,
        stepped.offline_orders,
        stepped.volume_points,
        stepped.volume_step,
        case when known.costs then stepped.margin_points end as margin_points,
        case when known_categories.categories then stepped.product_type_points end as product_type_points,
        stepped.periodicity_points,
        case
            when known.channels then least(stepped.online_orders * events.online_order_points, events.online_order_cap)
        end as online_order_points,
        case
            when known.channels then least(stepped.offline_orders * events.offline_order_points, events.offline_order_cap)
        end as offline_order_points,
        case when known.referrals then least(stepped.referrals * events.referral_points, events.referral_cap) end as referral_points,
        case when known.logins then least(stepped.logins * events.login_points, events.login_cap) end as login_points,
        case when known.news_read then least(stepped.news_read * events.news_read_points, events.news_read_cap) end as news_read_points,
        case when known.comments then least(stepped.comments * events.comment_points, events.comment_cap) end as comment_points
    from known
    cross join known_categories
    cross join events
    cross join stepped

),

totals as (

    select
        *,
        volume_points + coalesce(margin_points, 0) + coalesce(product_type_points, 0) + periodicity_points
        + coalesce(online_order_points, 0) + coalesce(offline_order_points, 0) + coalesce(referral_points, 0)
        + coalesce(login_points, 0) + coalesce(news_read_points, 0) + coalesce(comment_points, 0) as total_points
    from earned

),

classed as (

    select totals.*, class_steps.class
    from class_steps
    right join totals
        on totals.total_points >= class_steps.min_points
        and (totals.total_points < class_steps.next_points or class_steps.next_points is null)

)

select
    classed.customer_id,
    $period_start as month_start,
    classed.orders,
    classed.volume,
    classed.gross_profit,
    classed.margin,
    classed.mean_gap_days,
    classed.online_orders,
    classed.offline_orders,
    classed.volume_points,
    classed.volume_step,
    classed.margin_points,
    classed.product_type_points,
    classed.periodicity_points,
    classed.online_order_points,
    classed.offline_order_points,
    classed.referral_points,
    classed.login_points,
    classed.news_read_points,
    classed.comment_points,
    classed.total_points,
    classed.class,
    previous.class as previous_class
from classed
left join previous on previous.customer_id = classed.customer_id
order by classed.customer_id
