//! Oddities of a business that several rows tell together: each has its rule, and shows in `data_quality`.

use std::collections::BTreeMap;

use bazgasht::snapshot::Snapshot;

use super::staging;
use crate::support::{Shop, rows};

const SOURCES: &str = "[models]\npath = \"./sql\"\n\
    [sources.orders]\nlocation = \"./raw/orders\"\nmax_rejected = 1.0\n\
    [sources.interactions]\nlocation = \"./raw/interactions\"\n\
    [sources.customers]\nlocation = \"./raw/customers\"\n\
    [sources.identities]\nlocation = \"./raw/identities\"\n";

const LINES: &str =
    "[models]\npath = \"./sql\"\n[sources.order_items]\nlocation = \"./raw/lines\"\nmax_rejected = 1.0\n";

/// A shop under the shipped staging alone.
fn shop(sources: &str, models: &[&str]) -> Shop {
    let shop = Shop::new("timezone = \"Europe/London\"\ncurrency = \"GBP\"", sources);
    for name in models {
        let text = std::fs::read(staging(name)).expect("shipped staging");
        shop.write(&format!("sql/staging/{name}.sql"), text);
    }
    shop
}

/// What `data_quality` tells, by subject and measure, over all partitions.
fn told(shop: &Shop) -> BTreeMap<String, u64> {
    let mut told = BTreeMap::new();
    for row in shop.mart("data_quality") {
        let value: u64 = row["value"].parse().expect("a number");
        *told.entry(format!("{} {}", row["subject"], row["measure"])).or_default() += value;
    }
    told
}

fn staged(shop: &Shop, snapshot: &Snapshot, model: &str) -> Vec<BTreeMap<String, String>> {
    let files = snapshot.partitions[model].values().map(|record| &record.file.path);
    files.flat_map(|path| rows(&shop.path(&format!("lake/{path}")))).collect()
}

fn assert_told(shop: &Shop, expected: &[(&str, u64)]) {
    let told = told(shop);
    for (measure, value) in expected {
        assert_eq!(told.get(*measure), Some(value), "{measure} in {told:#?}");
    }
}

#[test]
fn odd_orders_are_kept_by_a_rule_and_told() {
    let shop = shop(SOURCES, &["stg_orders", "stg_identities", "stg_interactions", "stg_customers"]);
    shop.write(
        "raw/orders/1.csv",
        "order_id,customer_id,ordered_at,amount,refunded_amount,delivered_at,currency,updated_at\n\
         more_refunded,c1,2024-01-10,10,15,,GBP,\n\
         wholly_refunded,c1,2024-01-10,10,10,,GBP,\n\
         delivered_before,c1,2024-01-11T10:00,10,,2024-01-09,,\n\
         delivered_that_day,c1,2024-01-11T10:00,10,,2024-01-11,,\n\
         handed_over,c1,2024-01-12,10,,,,2024-01-12\n\
         handed_over,c2,2024-01-12,10,,,,2024-01-13\n\
         renamed,k1,2024-01-12,10,,,,2024-01-12\n\
         renamed,k2,2024-01-12,10,,,,2024-01-13\n\
         nobodys,,2024-01-12,10,,,,\n\
         in_euro,c1,2024-01-12,10,,,EUR,\n",
    );
    shop.write("raw/identities/1.csv", "alias,customer_id\nk1,k2\n");
    shop.write(
        "raw/customers/1.csv",
        "customer_id,birth_date,created_at\nc1,1990-05-01,2024-01-01\nborn_later,2024-02-01,2024-01-01\nc3,1890-01-01,2024-01-01\n",
    );
    // A survey about an order that comes later, and a ticket that is resolved before it is opened.
    shop.write(
        "raw/interactions/1.csv",
        "event_id,customer_id,occurred_at,kind,score,subject_id\n\
         e1,c1,2024-01-02,survey_csat,5,handed_over\n\
         e2,c1,2024-01-03,ticket_resolved,,t1\n\
         e3,c1,2024-01-04,ticket_opened,,t1\n",
    );
    let snapshot = shop.publish("2024-01-31");
    assert_told(
        &shop,
        &[
            ("orders rejected:missing_required", 1),
            ("orders rejected:unknown_currency", 1),
            ("orders superseded", 2),
            ("stg_orders warning:refunds_larger_than_orders", 1),
            ("stg_orders warning:delivered_before_ordered", 1),
            ("stg_orders warning:orders_on_several_customers", 1),
            ("stg_customers warning:born_after_their_profile", 1),
            ("customers warning:birth_date is out of range", 1),
            ("interactions staged", 3),
        ],
    );
    let orders: BTreeMap<String, (String, String)> = staged(&shop, &snapshot, "stg_orders")
        .into_iter()
        .map(|row| (row["order_id"].clone(), (row["customer_id"].clone(), row["is_purchase"].clone())))
        .collect();
    let is = |customer: &str, purchase: &str| (customer.to_owned(), purchase.to_owned());
    assert_eq!(orders["more_refunded"], is("c1", "false"));
    assert_eq!(orders["wholly_refunded"], is("c1", "false"));
    assert_eq!(orders["handed_over"], is("c2", "true"), "the newest version says whose it is");
    assert_eq!(orders["renamed"], is("k2", "true"));
    let days: Vec<String> = staged(&shop, &snapshot, "stg_interactions").iter().map(|row| row["day"].clone()).collect();
    assert_eq!(days, ["2024-01-02", "2024-01-03", "2024-01-04"], "an event stays on its own day");
}

#[test]
fn odd_orders_of_lines_are_told_too() {
    let shop = shop(LINES, &["stg_orders_from_lines", "stg_order_items_dated", "stg_identities"]);
    shop.write(
        "raw/lines/1.csv",
        "order_id,customer_id,ordered_at,product_id,quantity,unit_price,refunded_amount,delivered_at,status\n\
         a,c1,2024-01-10T10:00,p,1,10,15,,\n\
         b,c1,2024-01-11T10:00,p,1,10,,2024-01-01,\n\
         c,c1,2024-01-12T10:00,p,1,10,,,paid\n\
         c,c2,2024-01-12T10:01,q,2,10,,,paid\n\
         d,c1,2024-01-12T10:00,p,-1,10,,,\n\
         e,c1,2024-01-13T10:00,p,1,10,,,dispatched\n\
         f,c1,2024-01-13T10:00,p,1,10,,,cancelled\n",
    );
    let snapshot = shop.publish("2024-01-31");
    assert_told(
        &shop,
        &[
            ("order_items rejected:negative_value", 1),
            ("stg_orders warning:unknown_statuses", 1),
            ("stg_orders warning:refunds_larger_than_orders", 1),
            ("stg_orders warning:delivered_before_ordered", 1),
            ("stg_orders warning:orders_on_several_customers", 1),
        ],
    );
    let orders = staged(&shop, &snapshot, "stg_orders");
    let c = orders.iter().find(|row| row["order_id"] == "c").expect("the order");
    assert_eq!((c["customer_id"].as_str(), c["amount"].as_str()), ("c1", "30.0000"), "its first line says whose it is");
}
