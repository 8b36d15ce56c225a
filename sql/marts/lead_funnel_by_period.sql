/*---
description = "Leads, demonstrations and quotes, and what came of them: one row per grain and period from the first lead's to the as-of date's."
grain = ["grain", "period_start"]
features = ["F022", "F103"]

[reads]
customer_months = "latest"

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
is_left_censored = { type = "boolean", doc = "Whether the period began before the data's start (history_starts_on, else the first purchase): what its leads bought before that day is not known, so leads and conversions are too few.", checks = ["not_null"] }
leads = { type = "int64", doc = "People who became known in the period before they ordered: by the day of created_at, which may be the day of the first order; without one by the day of the first interaction, which must come before it.", unit = "count", checks = ["not_null", "non_negative"] }
leads_open = { type = "int64", doc = "Those of them who are leads still: without any order by the as-of date.", unit = "count", checks = ["not_null", "non_negative"] }
leads_with_demo = { type = "int64", doc = "Those of leads who were given a demonstration by the day of the first purchase. NULL while the data hold no demo.", unit = "count", checks = ["non_negative"] }
leads_with_quote = { type = "int64", doc = "Those of leads who were given a quote by the day of the first purchase. NULL while the data hold no quote.", unit = "count", checks = ["non_negative"] }
leads_mature = { type = "int64", doc = "Those of leads who are at least conversion_days (90) old: only they count in the next three columns.", unit = "count", checks = ["not_null", "non_negative"] }
leads_converted_90d = { type = "int64", doc = "Those of leads_mature who bought within conversion_days (90).", unit = "count", checks = ["not_null", "non_negative"] }
converted_90d = { type = "float64", doc = "leads_converted_90d / leads_mature.", unit = "fraction", checks = ["fraction"] }
mean_days_to_purchase = { type = "float64", doc = "Mean days from becoming known to the first purchase, over leads_converted_90d.", unit = "days", checks = ["non_negative"] }
quotes_to_leads = { type = "int64", doc = "Quotes of the period to people who had not bought on an earlier day. NULL while the data hold no quote.", unit = "count", checks = ["non_negative"] }
quotes_to_leads_mature = { type = "int64", doc = "Those at least conversion_days (90) old.", unit = "count", checks = ["non_negative"] }
quotes_to_leads_won = { type = "int64", doc = "Those of quotes_to_leads_mature that a purchase followed within conversion_days (90).", unit = "count", checks = ["non_negative"] }
lead_conversion = { type = "float64", doc = "quotes_to_leads_won / quotes_to_leads_mature.", unit = "fraction", checks = ["fraction"] }
quotes_to_customers = { type = "int64", doc = "Quotes of the period to people who had bought on an earlier day. NULL while the data hold no quote.", unit = "count", checks = ["non_negative"] }
quotes_to_customers_mature = { type = "int64", doc = "Those at least conversion_days (90) old.", unit = "count", checks = ["non_negative"] }
quotes_to_customers_won = { type = "int64", doc = "Those of quotes_to_customers_mature that a purchase followed within conversion_days (90).", unit = "count", checks = ["non_negative"] }
existing_conversion = { type = "float64", doc = "quotes_to_customers_won / quotes_to_customers_mature: compares with lead_conversion.", unit = "fraction", checks = ["fraction"] }
quoted_value = { type = "decimal(28,4)", doc = "Sum of the period's quotes; NULL while no quote says its sum.", unit = "currency" }

[checks]
parts_fit = """
select * from this
where
    leads_open > leads
    or leads_mature > leads
    or leads_converted_90d > leads_mature
    or leads_with_demo > leads
    or leads_with_quote > leads
    or quotes_to_leads_won > quotes_to_leads_mature
    or quotes_to_customers_won > quotes_to_customers_mature"""
---*/
with profiles as (

    select customer_id, created_on from stg_customers where created_on <= $as_of

),

people as (

    select
        months.customer_id,
        months.first_seen_on,
        months.first_purchase_on,
        coalesce(failed.first_order_on, months.first_purchase_on) as first_order_on
    from failed_first_orders as failed
    right join customer_months as months on months.customer_id = failed.customer_id

),

everyone as (

    select
        coalesce(people.customer_id, profiles.customer_id) as customer_id,
        profiles.created_on,
        people.first_seen_on,
        people.first_purchase_on,
        people.first_order_on
    from people
    full join profiles on profiles.customer_id = people.customer_id

),

leads as (

    select
        customer_id,
        coalesce(created_on, first_seen_on) as lead_on,
        first_order_on is null as is_open,
        cast(first_purchase_on - coalesce(created_on, first_seen_on) as bigint) as days_to_purchase
    from everyone
    where
        first_order_on is null
        or (created_on is not null and created_on <= first_order_on)
        or (created_on is null and first_seen_on < first_order_on)

),

steps as (

    select * from sales_steps

),

lead_steps as (

    select
        customer_id,
        count(*) filter (where kind = 'demo') > 0 as has_demo,
        count(*) filter (where kind = 'quote') > 0 as has_quote
    from steps
    where not is_customer
    group by customer_id

),

daily_leads as (

    select
        leads.lead_on as day,
        count(*) as leads,
        count(*) filter (where leads.is_open) as open,
        count(*) filter (where lead_steps.has_demo) as with_demo,
        count(*) filter (where lead_steps.has_quote) as with_quote,
        count(*) filter (where leads.days_to_purchase <= $conversion_days) as converted,
        sum(leads.days_to_purchase) filter (where leads.days_to_purchase <= $conversion_days) as days_to_purchase
    from lead_steps
    right join leads on leads.customer_id = lead_steps.customer_id
    group by leads.lead_on

),

mature_leads as (

    select *, day <= $as_of - cast($conversion_days as int) as is_mature
    from daily_leads

),

lead_counts as (

    select
        periods.grain,
        periods.period_number,
        sum(days.leads) as leads,
        sum(days.open) as open,
        sum(days.with_demo) as with_demo,
        sum(days.with_quote) as with_quote,
        sum(days.leads) filter (where days.is_mature) as mature,
        sum(days.converted) filter (where days.is_mature) as converted,
        sum(days.days_to_purchase) filter (where days.is_mature) as days_to_purchase
    from mature_leads as days
    inner join calendar_periods as periods on periods.day = days.day
    group by periods.grain, periods.period_number

),

won as (

    select distinct event_id from quote_purchases

),

quotes as (

    select
        steps.day,
        steps.value,
        steps.is_customer,
        steps.day <= $as_of - cast($conversion_days as int) as is_mature,
        won.event_id is not null as is_won
    from steps
    left join won on won.event_id = steps.event_id
    where steps.kind = 'quote'

),

quote_counts as (

    select
        periods.grain,
        periods.period_number,
        sum(quotes.value) as value,
        count(*) filter (where not is_customer) as leads,
        count(*) filter (where not is_customer and is_mature) as leads_mature,
        count(*) filter (where not is_customer and is_mature and is_won) as leads_won,
        count(*) filter (where is_customer) as customers,
        count(*) filter (where is_customer and is_mature) as customers_mature,
        count(*) filter (where is_customer and is_mature and is_won) as customers_won
    from quotes
    inner join calendar_periods as periods on periods.day = quotes.day
    group by periods.grain, periods.period_number

),

-- A kind that never occurs in the data is a missing source.
known as (

    select
        count(*) filter (where kind = 'demo') > 0 as demos,
        count(*) filter (where kind = 'quote') > 0 as quotes,
        count(value) filter (where kind = 'quote') > 0 as quote_values
    from steps

),

days as (

    select min(day) as day from daily_leads
    union all
    select min(day) as day from quotes

),

first_day as (

    select min(day) as day from days

),

data_start as (

    select coalesce($history_starts_on, min(day)) as day from daily_purchases

),

counted as (

    select
        periods.*,
        coalesce(periods.period_start < data_start.day, false) as is_left_censored,
        coalesce(lead_counts.leads, 0) as leads,
        coalesce(lead_counts.open, 0) as leads_open,
        case when known.demos then coalesce(lead_counts.with_demo, 0) end as leads_with_demo,
        case when known.quotes then coalesce(lead_counts.with_quote, 0) end as leads_with_quote,
        coalesce(lead_counts.mature, 0) as leads_mature,
        coalesce(lead_counts.converted, 0) as leads_converted_90d,
        lead_counts.days_to_purchase,
        case when known.quotes then coalesce(quote_counts.leads, 0) end as quotes_to_leads,
        case when known.quotes then coalesce(quote_counts.leads_mature, 0) end as quotes_to_leads_mature,
        case when known.quotes then coalesce(quote_counts.leads_won, 0) end as quotes_to_leads_won,
        case when known.quotes then coalesce(quote_counts.customers, 0) end as quotes_to_customers,
        case when known.quotes then coalesce(quote_counts.customers_mature, 0) end as quotes_to_customers_mature,
        case when known.quotes then coalesce(quote_counts.customers_won, 0) end as quotes_to_customers_won,
        case when known.quote_values then coalesce(quote_counts.value, 0) end as quoted_value
    from past_periods as periods
    inner join first_day on periods.period_end >= first_day.day
    cross join known
    cross join data_start
    left join lead_counts
        on lead_counts.grain = periods.grain and lead_counts.period_number = periods.period_number
    left join quote_counts
        on quote_counts.grain = periods.grain and quote_counts.period_number = periods.period_number

)

select
    grain,
    period_start,
    period_label,
    is_complete,
    is_left_censored,
    leads,
    leads_open,
    leads_with_demo,
    leads_with_quote,
    leads_mature,
    leads_converted_90d,
    cast(leads_converted_90d as double) / nullif(leads_mature, 0) as converted_90d,
    cast(days_to_purchase as double) / nullif(leads_converted_90d, 0) as mean_days_to_purchase,
    quotes_to_leads,
    quotes_to_leads_mature,
    quotes_to_leads_won,
    cast(quotes_to_leads_won as double) / nullif(quotes_to_leads_mature, 0) as lead_conversion,
    quotes_to_customers,
    quotes_to_customers_mature,
    quotes_to_customers_won,
    cast(quotes_to_customers_won as double) / nullif(quotes_to_customers_mature, 0) as existing_conversion,
    quoted_value
from counted
order by grain, period_start
