//! What a model reads as of the day before is made from today's inputs.

use std::collections::BTreeSet;

use bazgasht::model::{Catalog, Origin};

use super::{built, order, published, shop};
use crate::support::Shop;

const GROWTH: &str = r#"/*---
description = "Customers who have bought more than by the day before."
grain = ["customer_id"]
[reads]
state = "latest"
customers = "yesterday"
[columns]
customer_id = { type = "text", doc = "The customer." }
revenue = { type = "decimal(28,4)", doc = "Bought on the as-of date.", unit = "currency" }
---*/
select state.customer_id, state.revenue - coalesce(customers.revenue, 0) as revenue
from state
left join customers on customers.customer_id = state.customer_id
where state.revenue > coalesce(customers.revenue, 0)
order by customer_id
"#;

/// The small models, but for a ledger that doesn't know the as-of date: what stands on it reads it up to there.
fn with_growth() -> Shop {
    let shop = shop();
    shop.write("sql/marts/growth.sql", GROWTH);
    let ledger = include_str!("sql/intermediate/ledger.sql");
    shop.write("sql/intermediate/ledger.sql", ledger.replace(" and day <= $period_end", ""));
    shop.write("sql/marts/monthly_sales.sql", sales_until_the_as_of_date());
    shop
}

fn sales_until_the_as_of_date() -> String {
    let cut = "partition = \"month\"\n[reads]\nledger = { until = \"as_of\" }\n";
    include_str!("sql/marts/monthly_sales.sql").replace("partition = \"month\"\n", cut)
}

fn growing() -> Shop {
    let shop = with_growth();
    shop.write("raw/1.ndjson", order("a", "c1", "2024-02-28", "10") + &order("b", "c1", "2024-02-29", "5"));
    shop.write("raw/2.ndjson", order("c", "c1", "2024-03-01", "30") + &order("d", "c2", "2024-03-01", "7"));
    shop.write("raw/3.ndjson", order("e", "c2", "2024-03-02", "40"));
    shop
}

fn growth(shop: &Shop) -> Vec<String> {
    shop.mart("growth").iter().map(|row| format!("{} {}", row["customer_id"], row["revenue"])).collect()
}

#[test]
fn the_day_before_is_seen_over_a_months_end_and_within_a_month() {
    let shop = growing();
    shop.publish("2024-02-29");
    assert_eq!(growth(&shop), ["c1 5.0000"]);
    shop.publish("2024-03-01");
    assert_eq!(growth(&shop), ["c1 30.0000", "c2 7.0000"]);
    shop.publish("2024-03-02");
    assert_eq!(growth(&shop), ["c2 40.0000"]);
}

#[test]
fn what_last_night_built_is_the_day_before_of_tonight() {
    let shop = growing();
    shop.publish("2024-03-01");
    // Only what the new day touches is built: its eve is what the last night left in the lake.
    assert_eq!(built(&shop, "2024-03-02"), ["state 2024-03", "customers all", "growth all", "monthly_sales 2024-03"]);
    assert_eq!(built(&shop, "2024-03-02"), Vec::<String>::new());
}

#[test]
fn a_new_days_rows_leave_the_day_before_as_it_was() {
    let shop = with_growth();
    shop.write("raw/1.ndjson", order("a", "c1", "2024-02-28", "10") + &order("b", "c1", "2024-03-01", "5"));
    shop.publish("2024-03-01");
    shop.write("raw/2.ndjson", order("c", "c2", "2024-03-02", "30"));
    let once = [
        "stg_orders 2024-03",
        "ledger 2024-03",
        "state 2024-03",
        "customers all",
        "growth all",
        "monthly_sales 2024-03",
    ];
    assert_eq!(built(&shop, "2024-03-02"), once);
    assert_eq!(growth(&shop), ["c2 30.0000"]);
    // A row of the day before that comes late is another matter.
    shop.write("raw/3.ndjson", order("d", "c2", "2024-03-02", "1") + &order("e", "c3", "2024-03-03", "2"));
    let twice = [
        "stg_orders 2024-03",
        "ledger 2024-03",
        "state 2024-03",
        "state 2024-03",
        "customers all",
        "customers all",
        "growth all",
        "monthly_sales 2024-03",
    ];
    assert_eq!(built(&shop, "2024-03-03"), twice);
    assert_eq!(growth(&shop), ["c3 2.0000"]);
}

#[test]
fn a_table_that_was_written_before_anyone_read_it_so_is_cut_too() {
    let march = |shop: &Shop| {
        let rows = shop.mart("monthly_sales");
        let rows = rows.iter().filter(|row| row["month_start"] == "2024-03-01");
        rows.map(|row| format!("{} {}", row["customer_id"], row["revenue"])).collect::<Vec<_>>()
    };
    let shop = growing();
    shop.write("sql/marts/monthly_sales.sql", include_str!("sql/marts/monthly_sales.sql"));
    shop.publish("2024-03-01");
    assert_eq!(march(&shop), ["c1 30.0000", "c2 47.0000"]);
    shop.write("sql/marts/monthly_sales.sql", sales_until_the_as_of_date());
    assert_eq!(built(&shop, "2024-03-01"), ["monthly_sales 2024-02", "monthly_sales 2024-03"]);
    assert_eq!(march(&shop), ["c1 30.0000", "c2 7.0000"]);
    // The ledger is as it was, but more of it is seen.
    shop.publish("2024-03-02");
    assert_eq!(march(&shop), ["c1 30.0000", "c2 47.0000"]);
}

#[test]
fn rows_up_to_the_as_of_date_are_asked_for_where_there_are_days() {
    let shop = growing();
    for (asked, complaint) in [
        (r#"{ until = "as_of" }"#, "[reads] state: `until` is for monthly models with a date column `day`"),
        (r#"{ until = "now" }"#, "[reads] state: `until` takes \"as_of\", not \"now\""),
        (r#"{ up_to = "as_of" }"#, "[reads] state: expected"),
    ] {
        shop.write("sql/marts/growth.sql", GROWTH.replace("\"latest\"", asked));
        let loaded = Catalog::load(&Origin::Folder(shop.path("sql")), None, &BTreeSet::from(["orders".to_owned()]));
        let complaints = loaded.expect_err("refused").to_string();
        assert!(complaints.contains(complaint), "{complaints}");
    }
}

#[test]
fn a_late_row_belongs_to_both_days() {
    let shop = growing();
    shop.publish("2024-03-01");
    shop.write("raw/late.ndjson", order("f", "c9", "2024-02-10", "1000"));
    shop.publish("2024-03-02");
    assert_eq!(growth(&shop), ["c2 40.0000"]);
    let again = growing();
    again.write("raw/late.ndjson", order("f", "c9", "2024-02-10", "1000"));
    again.publish("2024-03-02");
    assert!(published(&shop)["growth.parquet"] == published(&again)["growth.parquet"]);
}
