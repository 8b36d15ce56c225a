/*---
description = "One row per list and customer in it on the as-of date: the lists that follow from what customers do."
grain = ["list", "customer_id"]

[reads]
list_months = "latest"

[columns]
list = { type = "text", doc = "vip, high_risk, new, loyal, inactive, or one of own_lists.", checks = ["not_null"] }
customer_id = { type = "text", doc = "The customer.", checks = ["not_null"] }
entered_month = { type = "date", doc = "As in list_months.", checks = ["not_null"] }
---*/
select list, customer_id, entered_month
from list_months
order by list, customer_id
