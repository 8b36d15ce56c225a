/*---
description = "One row per campaign and person that was assigned to its holdout in the month."
grain = ["campaign_id", "customer_id"]
partition = "month"

[columns]
campaign_id = { type = "text", doc = "The campaign.", checks = ["not_null"] }
customer_id = { type = "text", doc = "Who is to get no message.", checks = ["not_null"] }
assigned_on = { type = "date", doc = "First day of the month on which it was assigned.", checks = ["not_null"] }
---*/
select campaign_id, customer_id, min(day) as assigned_on
from stg_interactions
where kind = 'holdout_assigned' and campaign_id is not null and day <= $period_end
group by campaign_id, customer_id
order by campaign_id, customer_id
