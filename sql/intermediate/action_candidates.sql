/*---
description = "One row per person and rule that is up on the as-of date and that nothing has answered: why, which step, and what the step needs to know. Whether it may be sent is decided in next_actions."
grain = ["customer_id", "rule"]

[reads]
customer_months = "latest"
customer_days = { last = "62 days" }
trigger_events = { last = "62 days" }
stg_orders = { last = "365 days" }
purchase_lines = { last = "160 days" }

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
rule = { type = "text", doc = "The rule of trigger_rules.csv.", checks = ["not_null"] }
since = { type = "text", doc = "What its days are counted from. Where several put a person on the list, the one that did so last; then the later step. A delivery counts where its order was placed in the 365 days up to the as-of date.", checks = ["not_null"] }
event_on = { type = "date", doc = "The day of that.", checks = ["not_null"] }
step = { type = "int64", doc = "The step that is up.", unit = "step", checks = ["not_null", "positive"] }
started_on = { type = "date", doc = "Day on which the first step was due.", checks = ["not_null"] }
due_on = { type = "date", doc = "Day on which this step became due.", checks = ["not_null"] }
subject_id = { type = "text", doc = "What set it off: the order, ticket, subscription or event, or the occasion's code." }
product_id = { type = "text", doc = "The product that was bought, where that set it off." }
complement_product_id = { type = "text", doc = "The product that goes with it." }
note_en = { type = "text", doc = "What the wording has to name, in English: the occasion, the interest, the product bought, the day of the end, the number of years." }
note_fa = { type = "text", doc = "The same in Persian." }
messages_7d = { type = "int64", doc = "Messages sent in the seven days up to the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
previous_outcome = { type = "text", doc = "What became of the steps before, by what happened since started_on; NULL at the first step.", one_of = ["opened", "bounced", "delivered", "sent", "none"] }

[checks]
due_by_the_as_of_date = "select * from this where due_on > $as_of or started_on > due_on"
---*/
with people as (

    select * from customer_months

),

customers as (

    select * from customer_months where first_purchase_on is not null

),

listed_days as (

    select * from action_days

),

-- A kind that nobody ever made is a missing source.
known as (

    select coalesce(sum(activities), 0) > 0 as activities from people

),

-- Customers who have had the time to come back: without that, the newest would make the gap look short.
second_gaps as (

    select gap_days, sum(customers) as customers
    from second_purchases
    where first_purchase_on <= $as_of - cast($onboarding_days as int)
    group by gap_days

),

running_gaps as (

    select
        gap_days,
        sum(customers) over (order by gap_days) as customers_so_far,
        sum(customers) over () as customers
    from second_gaps

),

-- The median: the gap of the customer in the middle, or half way between those of the two in the middle; rounded up.
second_gap as (

    select
        cast((
            min(gap_days) filter (where 2 * customers_so_far >= customers)
            + min(gap_days) filter (where 2 * customers_so_far > customers)
            + 1
        ) / 2 as int) as days
    from running_gaps

),

-- Birth and first-purchase days of which a listed day is the anniversary. On the last day of its month
-- it is also the anniversary of the days that the month lacks this year.
anniversary_days as (

    select
        days.day as event_on,
        days.business_year,
        days.business_year = days.jalali_year as is_jalali,
        days.business_year - spans.years as year,
        days.business_month as month,
        spans.years,
        unnest(range(
            cast(days.business_day as bigint),
            case when days.business_day = days.business_month_days then 32 else cast(days.business_day as bigint) + 1 end
        )) as month_day
    from calendar as days
    inner join (
        select distinct event_on from listed_days where since in ('birthday', 'purchase_anniversary')
    ) as listed on listed.event_on = days.day
    cross join (select unnest(range(1, 131)) as years) as spans

),

anniversary_names as (

    select
        event_on,
        years,
        is_jalali,
        lpad(cast(year as varchar), 4, '0') || '-' || lpad(cast(month as varchar), 2, '0') || '-'
            || lpad(cast(month_day as varchar), 2, '0') as name
    from anniversary_days

),

anniversaries as (

    select event_on, years, case when is_jalali then jalali_date(name) else try_cast(name as date) end as original_on
    from anniversary_names

),

birth_dates as (

    select customer_id, birth_date from stg_customers where birth_date is not null

),

birthdays as (

    select birth_dates.customer_id, anniversaries.event_on
    from anniversaries
    inner join birth_dates on birth_dates.birth_date = anniversaries.original_on

),

-- An occasion of several days, such as the shopping weeks before Nowruz, is one: its first day.
occasion_codes as (

    select day, unnest(string_to_array(occasions, ',')) as code, string_to_array(occasions, ',') as codes
    from calendar
    where occasions is not null and day > $as_of - 800 and day < $as_of + 400

),

occasion_days as (

    select
        occasions.tone,
        codes.day as event_on,
        -- The calendar names a day's occasions in the order of the table.
        first_value(occasions.code order by array_position(codes.codes, codes.code)) as code,
        first_value(occasions.label_en order by array_position(codes.codes, codes.code)) as label_en,
        first_value(occasions.label_fa order by array_position(codes.codes, codes.code)) as label_fa
    from occasion_codes as codes
    inner join occasions on occasions.code = codes.code
    left join occasion_codes as before on before.code = codes.code and before.day = codes.day - 1
    where cast(occasions.default_on as boolean) and before.code is null
    group by occasions.tone, codes.day

),

greeted as (

    select occasion_days.*
    from occasion_days
    inner join (
        select distinct since, event_on from listed_days where since in ('greeting', 'sale')
    ) as listed on listed.since = occasion_days.tone and listed.event_on = occasion_days.event_on

),

products as (

    select product_id, coalesce(name, product_id) as name, category, complement_product_id
    from stg_products

),

excluded as (

    select distinct products.product_id
    from products
    inner join excluded_products
        on cast(excluded_products.value as varchar)
            = case excluded_products.kind when 'product' then products.product_id when 'category' then products.category end

),

-- Products with a complement, neither of them excluded.
complements as (

    select products.product_id, products.name, products.complement_product_id
    from products
    left join excluded on excluded.product_id = products.product_id
    left join excluded as others on others.product_id = products.complement_product_id
    where products.complement_product_id is not null and excluded.product_id is null and others.product_id is null

),

bought as (

    select
        lines.customer_id,
        lines.day as event_on,
        lines.order_id,
        lines.product_id,
        complements.name,
        complements.complement_product_id,
        sum(lines.line_net) as line_net
    from (
        select distinct event_on from listed_days where since = 'product_bought'
    ) as listed
    inner join purchase_lines as lines on lines.day = listed.event_on
    inner join complements on complements.product_id = lines.product_id
    where lines.line_net > 0 and lines.day > $as_of - 160 and lines.day <= $as_of
    group by
        lines.customer_id,
        lines.day,
        lines.order_id,
        lines.product_id,
        complements.name,
        complements.complement_product_id

),

owned as (

    select distinct bought.customer_id, bought.complement_product_id
    from bought
    inner join customer_products as products
        on products.customer_id = bought.customer_id and products.product_id = bought.complement_product_id

),

suggested as (

    select bought.*
    from bought
    left join owned
        on owned.customer_id = bought.customer_id and owned.complement_product_id = bought.complement_product_id
    where owned.customer_id is null

),

-- Live, and no other subscription of the same customer is live on the day after its end.
ending as (

    select ends.customer_id, ends.subscription_id, ends.starts_on, ends.ends_on
    from stg_subscriptions as ends
    left join stg_subscriptions as others
        on others.customer_id = ends.customer_id
        and others.starts_on <= ends.ends_on + 1
        and (others.ends_on is null or others.ends_on > ends.ends_on)
    where ends.starts_on <= $as_of and ends.ends_on >= $as_of and others.customer_id is null

),

-- A subscription shorter than the notice is announced on its first day.
notices as (

    select distinct -coalesce(cast(days as int), 0) as notice_days
    from trigger_rules
    where since = 'subscription_end' and step = 1

),

subscription_ends as (

    select distinct
        ending.customer_id,
        ending.subscription_id,
        greatest(ending.ends_on, ending.starts_on + notices.notice_days) as event_on,
        cast(ending.ends_on as varchar) as note_en,
        lpad(cast(days.jalali_year as varchar), 4, '0') || '/' || lpad(cast(days.jalali_month as varchar), 2, '0') || '/'
            || lpad(cast(days.jalali_day as varchar), 2, '0') as note_fa
    from ending
    cross join notices
    left join calendar as days on days.day = ending.ends_on

),

subscribers as (

    select customer_id, first_value(is_subscribed order by changed_at desc, event_id desc) as is_subscribed
    from consent_changes
    where channel in ('email', 'all')
    group by customer_id

),

newsletter_day as (

    select max(listed_days.event_on) as event_on
    from listed_days
    inner join calendar_periods as months on months.day = listed_days.event_on
    where listed_days.since = 'month_start' and months.grain = 'month' and months.period_start = months.day

),

events as (

    select event_id, customer_id, kind, occurred_at, day, subject_id, is_answered, watched_until from trigger_events

),

leads as (

    select customer_id from people where order_rows = 0

),

ledger_days as (

    select
        *,
        orders > 0 or logins > 0 or calls_in > 0 or tickets_opened > 0 or messages_clicked > 0 or messages_replied > 0 as is_answer
    from customer_days
    where day <= $as_of

),

ledger as (

    select
        customer_id,
        max(day) filter (where is_answer) as last_answer_on,
        max(day) filter (where messages_opened > 0) as last_opened_on,
        max(day) filter (where messages_bounced > 0) as last_bounced_on,
        max(day) filter (where messages_delivered > 0) as last_delivered_on,
        max(day) filter (where messages_sent > 0) as last_sent_on,
        coalesce(sum(messages_sent) filter (where day > $as_of - 7), 0) as messages_7d
    from ledger_days
    group by customer_id

),

-- Each lead's last quote or demonstration.
offers as (

    select
        events.customer_id,
        max(events.day) as event_on,
        first_value(events.event_id order by events.occurred_at desc, events.event_id desc) as event_id,
        first_value(events.is_answered order by events.occurred_at desc, events.event_id desc) as is_answered,
        max(events.watched_until) as watched_until
    from events
    inner join leads on leads.customer_id = events.customer_id
    where events.kind in ('quote', 'demo')
    group by events.customer_id

),

-- Of few people: so their days are picked before they are brought together.
answered_offers as (

    select distinct offers.customer_id
    from offers
    inner join ledger_days on ledger_days.customer_id = offers.customer_id
    where ledger_days.is_answer and ledger_days.day > offers.watched_until

),

open_offers as (

    select offers.customer_id, offers.event_on, offers.event_id
    from offers
    left anti join answered_offers on answered_offers.customer_id = offers.customer_id
    where not offers.is_answered

),

-- A delivery may come long after its order. The few days that count are picked here, so that of a year of orders
-- little is kept.
deliveries as (

    select orders.customer_id, orders.delivered_on as event_on, orders.order_id
    from (
        select distinct event_on from listed_days where since = 'delivery'
    ) as listed
    inner join stg_orders as orders on orders.delivered_on = listed.event_on
    where orders.is_purchase and orders.day > $as_of - 365 and orders.day <= $as_of

),

resolutions as (

    select distinct customer_id, day, subject_id from events where kind = 'ticket_resolved'

),

interests as (

    select
        profiles.customer_id,
        profiles.interest,
        coalesce(changes.interest_set_on, profiles.updated_on, profiles.created_on) as event_on
    from stg_customers as profiles
    left join stg_interest_changes as changes on changes.customer_id = profiles.customer_id
    where profiles.interest is not null

),

-- Who is on the list by what, since which day: all of it, until action_days picks the days.
occurrences as (

    select customer_id, 'last_login' as since, last_login_on as event_on, cast(null as varchar) as subject_id,
        cast(null as varchar) as product_id, cast(null as varchar) as complement_product_id,
        cast(null as varchar) as note_en, cast(null as varchar) as note_fa, cast(null as varchar) as weight
    from customers
    where last_login_on is not null
    union all
    select customer_id, 'last_active', greatest(last_purchase_on, last_activity_on), null, null, null, null, null, null
    from known
    cross join customers
    where known.activities
    union all
    select customer_id, 'last_active_satisfied', greatest(last_purchase_on, last_own_activity_on), null, null, null, null, null, null
    from customers
    where case when nps_at is null or csat_at > nps_at then csat_score >= 4 else nps_score >= 9 end
    union all
    select customer_id, 'low_nps', nps_on, null, null, null, null, null, null
    from customers
    where nps_score < $low_nps_below
    union all
    select customer_id, 'first_purchase', first_purchase_on, null, null, null, null, null, null
    from customers
    union all
    select customer_id, 'last_purchase', last_purchase_on, last_order_id, null, null, null, null, null
    from customers
    union all
    select customer_id, 'second_purchase_due', first_purchase_on + second_gap.days, last_order_id, null, null, null, null, null
    from second_gap
    cross join customers
    where purchase_days = 1 and second_gap.days is not null
    union all
    select customers.customer_id, 'purchase_anniversary', anniversaries.event_on, null, null, null,
        cast(anniversaries.years as varchar) as note_en, cast(anniversaries.years as varchar) as note_fa, null
    from anniversaries
    inner join customers on customers.first_purchase_on = anniversaries.original_on
    union all
    select birthdays.customer_id, 'birthday', birthdays.event_on, null, null, null, null, null, null
    from birthdays
    inner join customers on customers.customer_id = birthdays.customer_id
    union all
    select customers.customer_id, greeted.tone, greeted.event_on, greeted.code, null, null,
        greeted.label_en, greeted.label_fa, null
    from greeted
    cross join customers
    union all
    select customer_id, 'product_bought', event_on, order_id, product_id, complement_product_id,
        name as note_en, name as note_fa, lpad(cast(line_net as varchar), 32, '0')
    from suggested
    union all
    select customer_id, 'subscription_end', event_on, subscription_id, null, null, note_en, note_fa, null
    from subscription_ends
    union all
    select subscribers.customer_id, 'month_start', newsletter_day.event_on, null, null, null, null, null, null
    from newsletter_day
    cross join subscribers
    where subscribers.is_subscribed and newsletter_day.event_on is not null
    union all
    select customer_id, 'delivery', event_on, order_id, null, null, null, null, null
    from deliveries
    union all
    select customer_id, 'ticket_resolved', day, subject_id, null, null, null, null, null
    from resolutions
    union all
    select customer_id, 'interest_set', event_on, null, null, null, interest as note_en, interest as note_fa, null
    from interests
    union all
    select customer_id, 'quote_or_demo', event_on, event_id, null, null, null, null, null
    from open_offers

),

surveys as (

    select customer_id, greatest(nps_on, csat_on) as last_survey_on from people where nps_on is not null or csat_on is not null

),

quiet_rules as (

    select distinct rule, since, cast(no_survey_days as int) as no_survey_days
    from trigger_rules
    where no_survey_days is not null

),

up as (

    select
        occurrences.customer_id,
        listed_days.rule,
        occurrences.since,
        occurrences.event_on,
        listed_days.step,
        listed_days.started_on,
        listed_days.due_on,
        occurrences.subject_id,
        occurrences.product_id,
        occurrences.complement_product_id,
        occurrences.note_en,
        occurrences.note_fa,
        -- Of several the greatest: the last that started, its later step, the dearest line; then by name.
        cast(listed_days.started_on as varchar) || lpad(cast(listed_days.step as varchar), 4, '0')
            || coalesce(occurrences.weight, '') || occurrences.since || coalesce(occurrences.subject_id, '')
            || coalesce(occurrences.product_id, '') as place
    from listed_days
    inner join occurrences on occurrences.since = listed_days.since and occurrences.event_on = listed_days.event_on

),

unanswered as (

    select
        up.*,
        coalesce(ledger.messages_7d, 0) as messages_7d,
        case
            when up.step = 1 then null
            when ledger.last_opened_on >= up.started_on then 'opened'
            when ledger.last_bounced_on >= up.started_on then 'bounced'
            when ledger.last_delivered_on >= up.started_on then 'delivered'
            when ledger.last_sent_on >= up.started_on then 'sent'
            else 'none'
        end as previous_outcome
    from up
    left join ledger on ledger.customer_id = up.customer_id
    left join surveys on surveys.customer_id = up.customer_id
    left join quiet_rules on quiet_rules.rule = up.rule and quiet_rules.since = up.since
    where
        coalesce(ledger.last_answer_on <= up.started_on, true)
        and coalesce(surveys.last_survey_on <= $as_of - quiet_rules.no_survey_days, true)

),

-- Of each person's the greatest place first, for each rule.
in_order as (

    select
        *,
        lag(customer_id) over best_first as previous_customer_id,
        lag(rule) over best_first as previous_rule
    from unanswered
    window best_first as (order by customer_id, rule, place desc)

)

select
    customer_id,
    rule,
    since,
    event_on,
    step,
    started_on,
    due_on,
    subject_id,
    product_id,
    complement_product_id,
    note_en,
    translate(note_fa, '0123456789', '۰۱۲۳۴۵۶۷۸۹') as note_fa,
    messages_7d,
    previous_outcome
from in_order
where (previous_customer_id is distinct from customer_id) or (previous_rule is distinct from rule)
order by customer_id, rule
