/*---
description = "One row per customer: the signs of churn as of the as-of date, the risk that they add up to, and the revenue that is at stake."
grain = ["customer_id"]
compare = ["risk"]
along = ["churn_signs"]
features = ["F011", "F024", "F025", "F026", "F027", "F028", "F029", "F030", "F032", "F033", "F035"]

[reads]
churn_signs = "latest"
customer_days = { last = "365 days" }

[columns]
customer_id = { type = "text", doc = "The customer: someone with a purchase by the as-of date.", checks = ["not_null"] }
last_purchase_on = { type = "date", doc = "Business day of the latest purchase.", checks = ["not_null"] }
days_since_last_purchase = { type = "int64", doc = "As-of date minus last_purchase_on.", unit = "days", checks = ["not_null", "non_negative"] }
days_since_last_login = { type = "int64", doc = "As-of date minus the day of the last login; NULL when never.", unit = "days", checks = ["non_negative"] }
days_since_last_interaction = { type = "int64", doc = "As-of date minus the day of the customer's last activity (interaction_kinds.csv), purchases left out; NULL when never.", unit = "days", checks = ["non_negative"] }
no_purchase = { type = "boolean", doc = "More than no_purchase_days without a purchase, or, where no_purchase_months is set, the last purchase lies before the as-of date's same day so many calendar months earlier (the month's last day where it has no such day).", checks = ["not_null"] }
no_login = { type = "boolean", doc = "No login for no_login_days; NULL for whoever never logged in." }
no_interaction = { type = "boolean", doc = "Neither a purchase nor activity for no_interaction_days; NULL for all while the data hold no activity." }
low_nps = { type = "boolean", doc = "The latest NPS answer (0 to 10) is below low_nps_below; NULL without one of the last nps_days." }
engagement_decay = { type = "boolean", doc = "Active (purchase or activity) in each of the complete months 4, 5 and 6 back, and silent from the first day of the month 3 back to the as-of date; NULL when the first purchase came after the month 6 back." }
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
risk_en = { type = "text", doc = "risk in English.", checks = ["not_null"] }
risk_fa = { type = "text", doc = "risk in Persian.", checks = ["not_null"] }
reason = { type = "text", doc = "The TRUE flag of the greatest weight, the first by position among equals; NULL without one." }
reason_en = { type = "text", doc = "reason in English, with the configured number of days or months." }
reason_fa = { type = "text", doc = "reason in Persian, with the configured number of days or months." }
revenue_last_year = { type = "decimal(28,4)", doc = "Net revenue of the 365 days up to the as-of date.", unit = "currency", checks = ["not_null", "non_negative"] }
revenue_at_risk = { type = "decimal(28,4)", doc = "revenue_last_year where risk is medium or high, else 0.", unit = "currency", checks = ["not_null", "non_negative"] }
p_alive = { type = "float64", doc = "Probability of still being a customer. Waits for the predictions: NULL.", unit = "fraction", checks = ["fraction"] }
churn_probability = { type = "float64", doc = "Probability of no purchase in the next churn_days. Waits for the predictions: NULL.", unit = "fraction", checks = ["fraction"] }

[checks]
every_customer_once = """
select count(*) from this
having count(*) <> (select count(*) from churn_signs)"""
no_revenue_is_lost = """
select sum(revenue_last_year) from this
having sum(revenue_last_year) <> (select sum(revenue) from customer_days where day > $as_of - 365 and day <= $as_of)"""
risk_has_a_reason = "select customer_id from this where (risk = 'none') <> (reason is null) or flags_raised > flags_known"
---*/
with signs as (

    select * from churn_signs

),

days as (

    select customer_id, revenue
    from customer_days
    where orders > 0 and day > $as_of - 365 and day <= $as_of

),

-- The labels speak of the default thresholds; these are the configured ones.
thresholds as (

    select
        'no_purchase' as flag,
        '6 months' as default_en,
        '۶ ماه' as default_fa,
        coalesce(cast($no_purchase_months as varchar) || ' months', cast($no_purchase_days as varchar) || ' days') as text_en,
        coalesce(cast($no_purchase_months as varchar) || ' ماه', cast($no_purchase_days as varchar) || ' روز') as text_fa
    union all
    select 'no_login', '30', '۳۰', cast($no_login_days as varchar), cast($no_login_days as varchar)
    union all
    select 'no_interaction', '45', '۴۵', cast($no_interaction_days as varchar), cast($no_interaction_days as varchar)
    union all
    select 'no_product_use', '45', '۴۵', cast($no_product_use_days as varchar), cast($no_product_use_days as varchar)

),

reasons as (

    select
        labels.code,
        coalesce(replace(label_en, default_en, text_en), label_en) as label_en,
        coalesce(replace(label_fa, default_fa, translate(text_fa, '0123456789', '۰۱۲۳۴۵۶۷۸۹')), label_fa) as label_fa
    from labels
    left join thresholds on thresholds.flag = labels.code
    where labels."group" = 'flag'

),

risks as (

    select code, label_en, label_fa from labels where "group" = 'risk'

),

recent as (

    select customer_id, sum(revenue) as revenue_last_year
    from days
    group by customer_id

),

valued as (

    select signs.*, coalesce(recent.revenue_last_year, 0) as revenue_last_year
    from recent
    right join signs on signs.customer_id = recent.customer_id

)

select
    valued.customer_id,
    valued.last_purchase_on,
    cast($as_of - valued.last_purchase_on as bigint) as days_since_last_purchase,
    cast($as_of - valued.last_login_on as bigint) as days_since_last_login,
    cast($as_of - valued.last_own_activity_on as bigint) as days_since_last_interaction,
    valued.no_purchase,
    valued.no_login,
    valued.no_interaction,
    valued.low_nps,
    valued.engagement_decay,
    valued.overdue,
    valued.open_ticket,
    valued.fewer_logins,
    valued.fewer_tickets,
    valued.no_replies,
    valued.no_product_use,
    valued.subscription_ending,
    valued.flags,
    valued.flags_raised,
    valued.flags_known,
    valued.risk_points,
    valued.risk,
    risks.label_en as risk_en,
    risks.label_fa as risk_fa,
    valued.reason,
    reasons.label_en as reason_en,
    reasons.label_fa as reason_fa,
    valued.revenue_last_year,
    case when valued.risk in ('medium', 'high') then valued.revenue_last_year else 0 end as revenue_at_risk,
    cast(null as double) as p_alive,
    cast(null as double) as churn_probability
from valued
left join risks on risks.code = valued.risk
left join reasons on reasons.code = valued.reason
order by valued.customer_id
