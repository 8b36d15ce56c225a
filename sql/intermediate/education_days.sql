/*---
description = "One row per person and day with a course started, an article read, a forum post or a ticket opened."
grain = ["customer_id", "day"]
partition = "month"

[columns]
customer_id = { type = "text", doc = "The customer or lead.", checks = ["not_null"] }
day = { type = "date", doc = "Business day.", checks = ["not_null"] }
courses_started = { type = "int64", doc = "Courses started.", unit = "count", checks = ["not_null", "non_negative"] }
articles_read = { type = "int64", doc = "Articles read.", unit = "count", checks = ["not_null", "non_negative"] }
forum_posts = { type = "int64", doc = "Posts in a forum.", unit = "count", checks = ["not_null", "non_negative"] }
tickets_opened = { type = "int64", doc = "Tickets opened.", unit = "count", checks = ["not_null", "non_negative"] }
---*/
select customer_id, day, courses_started, articles_read, forum_posts, tickets_opened
from customer_days
where
    day <= $period_end
    and (courses_started > 0 or articles_read > 0 or forum_posts > 0 or tickets_opened > 0)
order by customer_id, day
