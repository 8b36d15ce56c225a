/*---
description = "One row per customer: the signs of churn at the month's end, or at the as-of date in the open month, and the risk that they add up to."
grain = ["customer_id"]
partition = "month"
along = ["customer_months"]

[reads]
customer_days = { last = "365 days", until = "as_of" }

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the month's end.", checks = ["not_null"] }
month_start = { type = "date", doc = "First day of the business month at whose end the row holds.", checks = ["not_null"] }
last_purchase_on = { type = "date", doc = "Business day of the latest purchase.", checks = ["not_null"] }
last_login_on = { type = "date", doc = "Last day with a login; NULL when never." }
last_own_activity_on = { type = "date", doc = "Last day of the customer's activity, purchases left out; NULL when never." }
no_purchase = { type = "boolean", doc = "More than no_purchase_days without a purchase, or, where no_purchase_months is set, the last purchase lies before the month's end's same day so many calendar months earlier (the month's last day where it has no such day).", checks = ["not_null"] }
no_login = { type = "boolean", doc = "No login for no_login_days; NULL for whoever never logged in." }
no_interaction = { type = "boolean", doc = "Neither a purchase nor activity for no_interaction_days; NULL for all while the data hold no activity." }
low_nps = { type = "boolean", doc = "The latest NPS answer (0 to 10) is below low_nps_below; NULL without one of the last nps_days." }
engagement_decay = { type = "boolean", doc = "Active (purchase or activity) in each of the complete months 4, 5 and 6 back, and silent from the first day of the month 3 back to the month's end; NULL when the first purchase came after the month 6 back." }
overdue = { type = "boolean", doc = "Days since the last purchase exceed overdue_factor times the customer's own mean gap between purchase days; NULL below overdue_min_purchase_days such days." }
open_ticket = { type = "boolean", doc = "A ticket has stood unresolved for more than ticket_days; NULL for all while the data hold no ticket_opened or no ticket_resolved." }
fewer_logins = { type = "boolean", doc = "Logins of the last trend_days are below half of those of the trend_days before, which were trend_min_events or more; NULL for all while the data hold no login. trend_days may be 182 at most, for the ledger is read 365 days back." }
fewer_tickets = { type = "boolean", doc = "The same of tickets opened; NULL for all while the data hold no ticket_opened." }
no_replies = { type = "boolean", doc = "trend_min_events or more messages delivered in the last trend_days, none clicked or answered; NULL for all while the data hold no message_delivered, or neither message_clicked nor message_replied." }
no_product_use = { type = "boolean", doc = "A product was used once, but none for no_product_use_days; NULL for all while the data hold no product_used." }
subscription_ending = { type = "boolean", doc = "A subscription that is live ends within ending_days, and none of the same customer's is live on the day after. Waits for the source subscriptions: NULL for all while none has begun." }
flags = { type = "text", doc = "Codes of the TRUE flags, comma separated, in the order of the columns; empty without one.", checks = ["not_null"] }
flags_raised = { type = "int64", doc = "How many flags are TRUE.", unit = "count", checks = ["not_null", "non_negative"] }
flags_known = { type = "int64", doc = "How many flags are TRUE or FALSE: what the sources could tell.", unit = "count", checks = ["not_null", "positive"] }
risk_points = { type = "int64", doc = "Sum of the weights of the TRUE flags, by churn_risk_weights.csv.", unit = "points", checks = ["not_null", "non_negative"] }
risk = { type = "text", doc = "none at 0 risk_points, low to 2, medium to 4, high from 5.", one_of = ["none", "low", "medium", "high"], checks = ["not_null"] }
reason = { type = "text", doc = "The TRUE flag of the greatest weight, the first by position among equals; NULL without one." }

[checks]
every_customer_once = """
select count(*) from this
having count(*) <> (select count(*) from customer_months where first_purchase_on is not null)"""
risk_has_a_reason = "select customer_id from this where (risk = 'none') <> (reason is null) or flags_raised > flags_known"
---*/
with customers as (

    select * from customer_months where first_purchase_on is not null

),

-- Each flag has a bit, so that all there is to say about a set of flags is said once per set rather than once per customer.
flag_bits as (

    select column1 as flag, column2 as bit
    from (
        values
            ('no_purchase', 1),
            ('no_login', 2),
            ('no_interaction', 4),
            ('low_nps', 8),
            ('engagement_decay', 16),
            ('overdue', 32),
            ('open_ticket', 64),
            ('fewer_logins', 128),
            ('fewer_tickets', 256),
            ('no_replies', 512),
            ('no_product_use', 1024),
            ('subscription_ending', 2048)
    ) as bits

),

weights as (

    select flag_bits.flag, flag_bits.bit, cast(weight as bigint) as weight, cast(position as bigint) as position
    from churn_risk_weights
    inner join flag_bits on flag_bits.flag = churn_risk_weights.flag

),

sets as (

    select unnest(range(0, 4096)) as set_bits

),

weighed as (

    select
        sets.set_bits,
        coalesce(string_agg(weights.flag, ',' order by weights.bit), '') as flags,
        count(weights.flag) as flags_raised,
        coalesce(sum(weights.weight), 0) as risk_points,
        first_value(weights.flag order by weights.weight desc, weights.position, weights.bit) as reason
    from sets
    left join weights on sets.set_bits & weights.bit > 0
    group by sets.set_bits

),

graded as (

    select
        set_bits,
        flags,
        flags_raised,
        risk_points,
        case
            when risk_points >= 5 then 'high'
            when risk_points >= 3 then 'medium'
            when risk_points >= 1 then 'low'
            else 'none'
        end as risk,
        case when risk_points > 0 then reason end as reason
    from weighed

),

subscribers as (

    select count(*) > 0 as are_known from ending_subscriptions

),

-- A kind that nobody ever made is a missing source.
known as (

    select
        coalesce(sum(activities), 0) > 0 as activities,
        coalesce(sum(logins), 0) > 0 as logins,
        coalesce(sum(tickets_opened), 0) > 0 as tickets,
        coalesce(sum(tickets_opened), 0) > 0 and coalesce(sum(tickets_resolved), 0) > 0 as resolutions,
        coalesce(sum(messages_delivered), 0) > 0
            and coalesce(sum(messages_clicked), 0) + coalesce(sum(messages_replied), 0) > 0 as answers,
        coalesce(sum(products_used), 0) > 0 as product_use
    from customer_months

),

today as (

    select period_number, period_start, period_end from calendar_periods where grain = 'month' and day = $period_end

),

months_ago as (

    select max(least(months.period_start + ($period_end - today.period_start), months.period_end)) as day
    from calendar_periods as months
    inner join today on today.period_number - $no_purchase_months = months.period_number
    where months.grain = 'month' and months.day = months.period_start

),

-- Complete months, counted back: 1 is the latest.
complete_months as (

    select
        case when today.period_end = $period_end then 1 else 0 end + today.period_number - days.period_number as months_back,
        days.period_start
    from today
    cross join calendar_periods as days
    where days.grain = 'month' and days.day = days.period_start

),

spans as (

    select
        max(period_start) filter (where months_back = 6) as sixth_start,
        max(period_start) filter (where months_back = 5) as fifth_start,
        max(period_start) filter (where months_back = 4) as fourth_start,
        max(period_start) filter (where months_back = 3) as third_start
    from complete_months

),

days as (

    select
        *,
        -- Days before the first purchase need no filter: the flag is for those who had bought by the end of the month 6 back.
        orders > 0 or activities > 0 as is_active,
        cast($period_end - day as bigint) as age_days
    from customer_days
    -- A literal bound lets whole files be skipped: no seven months are longer than 217 days.
    where day > $period_end - greatest(2 * $trend_days, 217)

),

recent as (

    select
        customer_id,
        sum(logins) filter (where age_days < $trend_days) as logins,
        sum(logins) filter (where age_days >= $trend_days and age_days < 2 * $trend_days) as logins_before,
        sum(tickets_opened) filter (where age_days < $trend_days) as tickets,
        sum(tickets_opened) filter (where age_days >= $trend_days and age_days < 2 * $trend_days) as tickets_before,
        sum(messages_delivered) filter (where age_days < $trend_days) as delivered,
        sum(messages_clicked + messages_replied) filter (where age_days < $trend_days) as answered,
        bool_or(is_active and day >= sixth_start and day < fifth_start)
            and bool_or(is_active and day >= fifth_start and day < fourth_start)
            and bool_or(is_active and day >= fourth_start and day < third_start)
            and not bool_or(is_active and day >= third_start) as has_decayed
    from spans
    cross join days
    group by customer_id

),

trends as (

    select
        customer_id,
        has_decayed,
        logins_before >= $trend_min_events and 2 * coalesce(logins, 0) < logins_before as fewer_logins,
        tickets_before >= $trend_min_events and 2 * coalesce(tickets, 0) < tickets_before as fewer_tickets,
        delivered >= $trend_min_events and answered = 0 as no_replies
    from recent

),

-- They are held in memory while customers stream past: only who shows one of these signs.
trending as (

    select * from trends where has_decayed or fewer_logins or fewer_tickets or no_replies

),

waiting as (

    select customer_id, max(cast($period_end - open_since_on as bigint)) as open_days
    from tickets
    where open_since_on is not null
    group by customer_id

),

judged as (

    select
        customers.customer_id,
        customers.last_purchase_on,
        customers.last_login_on,
        customers.last_own_activity_on,
        case
            when $no_purchase_months is null then $period_end - customers.last_purchase_on > $no_purchase_days
            else coalesce(customers.last_purchase_on < (select day from months_ago), false)
        end as no_purchase,
        $period_end - customers.last_login_on >= $no_login_days as no_login,
        case
            when (select activities from known) then
                $period_end - greatest(customers.last_purchase_on, customers.last_activity_on) >= $no_interaction_days
        end as no_interaction,
        case when $period_end - customers.nps_on <= $nps_days then customers.nps_score < $low_nps_below end as low_nps,
        case when customers.first_purchase_on < (select fifth_start from spans) then coalesce(trending.has_decayed, false) end as engagement_decay,
        case
            when customers.purchase_days >= greatest($overdue_min_purchase_days, 2) then
                cast($period_end - customers.last_purchase_on as bigint) * (customers.purchase_days - 1)
                > $overdue_factor * cast(customers.last_purchase_on - customers.first_purchase_on as bigint)
        end as overdue,
        case when (select resolutions from known) then coalesce(waiting.open_days > $ticket_days, false) end as open_ticket,
        case when (select logins from known) then coalesce(trending.fewer_logins, false) end as fewer_logins,
        case when (select tickets from known) then coalesce(trending.fewer_tickets, false) end as fewer_tickets,
        case when (select answers from known) then coalesce(trending.no_replies, false) end as no_replies,
        case
            when (select product_use from known) then coalesce($period_end - customers.last_product_used_on >= $no_product_use_days, false)
        end as no_product_use,
        case when (select are_known from subscribers) then coalesce(ending_subscriptions.is_ending, false) end as subscription_ending
    from customers
    left join trending on trending.customer_id = customers.customer_id
    left join waiting on waiting.customer_id = customers.customer_id
    left join ending_subscriptions on ending_subscriptions.customer_id = customers.customer_id

),

flagged as (

    select
        *,
        case when no_purchase then 1 else 0 end
        + case when no_login then 2 else 0 end
        + case when no_interaction then 4 else 0 end
        + case when low_nps then 8 else 0 end
        + case when engagement_decay then 16 else 0 end
        + case when overdue then 32 else 0 end
        + case when open_ticket then 64 else 0 end
        + case when fewer_logins then 128 else 0 end
        + case when fewer_tickets then 256 else 0 end
        + case when no_replies then 512 else 0 end
        + case when no_product_use then 1024 else 0 end
        + case when subscription_ending then 2048 else 0 end as set_bits,
        cast(no_purchase is not null as bigint)
        + cast(no_login is not null as bigint)
        + cast(no_interaction is not null as bigint)
        + cast(low_nps is not null as bigint)
        + cast(engagement_decay is not null as bigint)
        + cast(overdue is not null as bigint)
        + cast(open_ticket is not null as bigint)
        + cast(fewer_logins is not null as bigint)
        + cast(fewer_tickets is not null as bigint)
        + cast(no_replies is not null as bigint)
        + cast(no_product_use is not null as bigint)
        + cast(subscription_ending is not null as bigint) as flags_known
    from judged

)

select
    flagged.customer_id,
    $period_start as month_start,
    flagged.last_purchase_on,
    flagged.last_login_on,
    flagged.last_own_activity_on,
    flagged.no_purchase,
    flagged.no_login,
    flagged.no_interaction,
    flagged.low_nps,
    flagged.engagement_decay,
    flagged.overdue,
    flagged.open_ticket,
    flagged.fewer_logins,
    flagged.fewer_tickets,
    flagged.no_replies,
    flagged.no_product_use,
    flagged.subscription_ending,
    graded.flags,
    graded.flags_raised,
    flagged.flags_known,
    graded.risk_points,
    graded.risk,
    graded.reason
from flagged
inner join graded on graded.set_bits = flagged.set_bits
order by flagged.customer_id
