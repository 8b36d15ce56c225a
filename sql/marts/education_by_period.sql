/*---
description = "Courses, knowledge base and community: one row per grain and period from the first use to the as-of date."
grain = ["grain", "period_start"]
features = ["F095"]

[columns]
grain = { type = "text", doc = "week, month, quarter or year, in the project's calendar.", one_of = ["week", "month", "quarter", "year"], checks = ["not_null"] }
period_start = { type = "date", doc = "First day of the period.", checks = ["not_null"] }
period_label = { type = "text", doc = "Label of the period in the project's calendar.", checks = ["not_null"] }
is_complete = { type = "boolean", doc = "Whether the period ended by the as-of date.", checks = ["not_null"] }
courses_started = { type = "int64", doc = "Courses started. NULL while the data hold none.", unit = "count", checks = ["non_negative"] }
articles_read = { type = "int64", doc = "Articles of the knowledge base read. NULL while the data hold none.", unit = "count", checks = ["non_negative"] }
forum_posts = { type = "int64", doc = "Posts in the community's forum. NULL while the data hold none.", unit = "count", checks = ["non_negative"] }
learners = { type = "int64", doc = "Customers and leads who did any of the three.", unit = "count", checks = ["not_null", "non_negative"] }
readings = { type = "int64", doc = "Days on which someone read articles, per person, at least deflection_days old. NULL while the data hold no article_read or no ticket_opened.", unit = "count", checks = ["non_negative"] }
readings_with_ticket = { type = "int64", doc = "Those of readings on whose day or in the deflection_days after it the same person opened a ticket.", unit = "count", checks = ["non_negative"] }
ticket_deflection_rate = { type = "float64", doc = "1 - readings_with_ticket / readings: how often reading was the end of it. Observed, not caused: nobody knows who would have opened a ticket without the article.", unit = "fraction", checks = ["fraction"] }

[checks]
parts_fit = "select * from this where readings_with_ticket > readings"
---*/
with days as (

    select
        *,
        courses_started > 0 or articles_read > 0 or forum_posts > 0 as is_learning
    from education_days

),

counts as (

    select
        periods.grain,
        periods.period_number,
        sum(days.courses_started) as courses_started,
        sum(days.articles_read) as articles_read,
        sum(days.forum_posts) as forum_posts,
        count(distinct days.customer_id) as learners
    from days
    inner join calendar_periods as periods on periods.day = days.day
    where days.is_learning
    group by periods.grain, periods.period_number

),

readings as (

    select customer_id, day
    from days
    where articles_read > 0 and day <= $as_of - cast($deflection_days as int)

),

tickets as (

    select customer_id, day from days where tickets_opened > 0

),

followed as (

    select distinct readings.customer_id, readings.day
    from readings
    inner join tickets on tickets.customer_id = readings.customer_id
    where tickets.day >= readings.day and tickets.day <= readings.day + cast($deflection_days as int)

),

reading_counts as (

    select
        periods.grain,
        periods.period_number,
        count(*) as readings,
        count(followed.day) as with_ticket
    from readings
    inner join calendar_periods as periods on periods.day = readings.day
    left join followed on followed.customer_id = readings.customer_id and followed.day = readings.day
    group by periods.grain, periods.period_number

),

-- A kind that never occurs in the data is a missing source.
known as (

    select
        sum(courses_started) > 0 as courses,
        sum(articles_read) > 0 as articles,
        sum(forum_posts) > 0 as posts,
        sum(tickets_opened) > 0 as tickets
    from days

),

first_day as (

    select min(day) as day from days where is_learning

),

counted as (

    select
        periods.*,
        case when known.courses then coalesce(counts.courses_started, 0) end as courses_started,
        case when known.articles then coalesce(counts.articles_read, 0) end as articles_read,
        case when known.posts then coalesce(counts.forum_posts, 0) end as forum_posts,
        coalesce(counts.learners, 0) as learners,
        case when known.articles and known.tickets then coalesce(reading_counts.readings, 0) end as readings,
        case when known.articles and known.tickets then coalesce(reading_counts.with_ticket, 0) end as with_ticket
    from past_periods as periods
    inner join first_day on periods.period_end >= first_day.day
    cross join known
    left join counts on counts.grain = periods.grain and counts.period_number = periods.period_number
    left join reading_counts
        on reading_counts.grain = periods.grain and reading_counts.period_number = periods.period_number

)

select
    grain,
    period_start,
    period_label,
    is_complete,
    courses_started,
    articles_read,
    forum_posts,
    learners,
    readings,
    with_ticket as readings_with_ticket,
    cast(readings - with_ticket as double) / nullif(readings, 0) as ticket_deflection_rate
from counted
order by grain, period_start
