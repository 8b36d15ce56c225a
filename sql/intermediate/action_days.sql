/*---
description = "One row per rule of trigger_rules.csv and day from which it counts, where that puts one of its steps on the as-of date's work list: the step that is up."
grain = ["rule", "since", "event_on"]

[columns]
rule = { type = "text", doc = "The rule.", checks = ["not_null"] }
since = { type = "text", doc = "What its days are counted from.", checks = ["not_null"] }
event_on = { type = "date", doc = "The day of that, to which action_candidates joins people.", checks = ["not_null"] }
step = { type = "int64", doc = "The latest step that is due and not yet stale.", unit = "step", checks = ["not_null", "positive"] }
started_on = { type = "date", doc = "Day on which the rule's condition became true: the first step was due, and an answer after it ends the matter.", checks = ["not_null"] }
due_on = { type = "date", doc = "Day on which the step became due.", checks = ["not_null"] }

[checks]
counted_from_something_known = """
select rule, since from trigger_rules
where since not in (
    'last_login', 'last_active', 'last_active_satisfied', 'low_nps', 'first_purchase', 'last_purchase', 'second_purchase_due',
    'purchase_anniversary', 'birthday', 'greeting', 'sale', 'product_bought', 'subscription_end', 'month_start', 'delivery',
    'ticket_resolved', 'interest_set', 'quote_or_demo'
)"""
every_step_once = "select rule, since, step from trigger_rules group by rule, since, step having count(*) > 1"
one_place_per_rule = "select rule from trigger_rules group by rule having min(position) <> max(position)"
messages_or_tasks = "select rule, action from trigger_rules where action not in ('message', 'task') or (action = 'message' and channel is null)"
# What answers a step is looked for in the ledger's last 62 days, what was bought in the lines of the last 160.
steps_end_within_reach = """
select rule, since from trigger_rules
group by rule, since
having sum(wait_days) + max(valid_days) > 60
    or min(days) < -366
    or max(days) > 366
    or max(coalesce(months, 0)) > 11
    or (since = 'product_bought' and 31 * max(coalesce(months, 0)) + max(days) + sum(wait_days) + max(valid_days) > 160)"""
---*/
with rules as (

    select
        rule,
        since,
        cast(step as bigint) as step,
        cast(valid_days as int) as valid_days,
        first_value(coalesce(cast(days as int), 0)) over steps as days,
        first_value(coalesce(cast(months as bigint), 0)) over steps as months,
        cast(sum(coalesce(cast(wait_days as bigint), 0)) over steps as int) as wait_days
    from trigger_rules
    window steps as (partition by rule, since order by step rows between unbounded preceding and current row)

),

days as (

    select day, period_start, period_number
    from calendar_periods
    where grain = 'month' and day > $as_of - 800 and day < $as_of + 400

),

months as (

    select period_start, period_end, period_number
    from calendar_periods
    where grain = 'month' and day = period_start

),

-- The same day so many calendar months later, or the last of a month that lacks it; then so many days.
started as (

    select
        rules.rule,
        rules.since,
        rules.step,
        rules.valid_days,
        rules.wait_days,
        days.day as event_on,
        least(months.period_start + (days.day - days.period_start), months.period_end) + rules.days as started_on
    from rules
    cross join days
    inner join months on months.period_number = days.period_number + rules.months

),

listed as (

    select rule, since, event_on, step, started_on, started_on + wait_days as due_on
    from started
    where started_on + wait_days <= $as_of and started_on + wait_days > $as_of - valid_days

)

select
    rule,
    since,
    event_on,
    max(step) as step,
    max(started_on) as started_on,
    max(due_on) as due_on
from listed
group by rule, since, event_on
order by rule, since, event_on
