//! The five laws, each by tests that break it if it can be broken.
//!
//! They run on a few small models of their own (`tests/laws/sql`), so that hundreds of histories can be tried;
//! the shipped models ride the same machinery.

mod change;
mod crash;
mod forms;
mod histories;
mod lines;
mod mended;
mod moments;
mod rejects;
mod yesterday;

use std::path::Path;

use bazgasht::plan::Action;
use bazgasht::run::Outcome;
use bazgasht::snapshot::Snapshot;

use crate::support::{Shop, published, tree};

/// A shop of orders in NDJSON under the small models; `more` goes into the orders' source.
pub fn shop_with(more: &str) -> Shop {
    shop_of(&format!("[sources.orders]\nlocation = \"./raw\"\nformat = \"ndjson\"\n{more}"))
}

/// A shop of the given sources under the small models and the shipped staging.
pub fn shop_of(sources: &str) -> Shop {
    let shop = Shop::new(
        "timezone = \"Europe/London\"\ncurrency = \"GBP\"",
        &format!("[models]\npath = \"./sql\"\n{sources}"),
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let with_lines = sources.contains("order_items");
    for (path, bytes) in tree(&root.join("tests/laws/sql")) {
        if with_lines || path != "marts/line_revenue.sql" {
            shop.write(&format!("sql/{path}"), bytes);
        }
    }
    let lines =
        ["stg_orders_from_lines", "stg_order_items", "stg_order_items_dated"].into_iter().filter(|_| with_lines);
    for name in lines.chain(["stg_identities", "stg_orders"]) {
        let staging = format!("sql/staging/{name}.sql");
        shop.write(&staging, std::fs::read(root.join(&staging)).expect("shipped staging"));
    }
    std::fs::create_dir_all(shop.path("raw")).expect("created");
    shop
}

fn shop() -> Shop {
    shop_with("on_removed = \"forget\"")
}

pub fn order(id: &str, customer: &str, day: &str, amount: &str) -> String {
    format!(r#"{{"order_id":"{id}","customer_id":"{customer}","ordered_at":"{day}T12:00:00Z","amount":{amount}}}"#)
        + "\n"
}

pub fn version(id: &str, day: &str, amount: &str, updated: &str) -> String {
    format!(
        r#"{{"order_id":"{id}","customer_id":"c1","ordered_at":"{day}T12:00:00Z","amount":{amount},"updated_at":"{updated}T00:00:00Z"}}"#
    ) + "\n"
}

/// What `plan` would build or look at, as `model partition`.
fn open_steps(shop: &Shop, as_of: &str) -> Vec<String> {
    shop.plan(as_of).open().map(|s| format!("{} {}", s.slot.model, s.slot.partition)).collect()
}

fn built(shop: &Shop, as_of: &str) -> Vec<String> {
    match shop.run(as_of).unwrap_or_else(|e| panic!("{e}")) {
        Outcome::Published(_, summary) => summary.built.iter().map(|(m, p)| format!("{m} {p}")).collect(),
        _ => vec![],
    }
}

fn three_months() -> Shop {
    let shop = shop();
    shop.write("raw/2024-01.ndjson", order("a", "c1", "2024-01-10", "10") + &order("b", "c2", "2024-01-31", "20"));
    shop.write("raw/2024-02.ndjson", order("c", "c1", "2024-02-10", "30"));
    shop.write("raw/2024-03.ndjson", order("d", "c3", "2024-03-10", "40"));
    shop
}

#[test]
fn the_same_night_again_has_nothing_to_do() {
    let shop = three_months();
    shop.publish("2024-03-15");
    let before = tree(&shop.path("marts"));
    assert!(matches!(shop.run("2024-03-15"), Ok(Outcome::NothingToDo(_))));
    assert_eq!(open_steps(&shop, "2024-03-15"), Vec::<String>::new());
    assert!(before == tree(&shop.path("marts")));
}

#[test]
fn a_night_without_news_rebuilds_the_open_month_alone() {
    let shop = three_months();
    shop.publish("2024-03-15");
    // The ledger names $period_end, so it is built again and comes out the same: the wave stops there.
    assert_eq!(built(&shop, "2024-03-16"), ["ledger 2024-03"]);
}

#[test]
fn a_late_file_changes_its_month_and_what_stands_on_it() {
    let shop = three_months();
    shop.publish("2024-03-15");
    shop.write("raw/late.ndjson", order("e", "c9", "2024-02-20", "5"));
    let plan = shop.plan("2024-03-15");
    let certain: Vec<String> = plan
        .open()
        .filter(|s| matches!(s.action, Action::Build(_)))
        .map(|s| format!("{} {}", s.slot.model, s.slot.partition))
        .collect();
    assert_eq!(certain, ["stg_orders 2024-02"]);
    let mut built = built(&shop, "2024-03-15");
    built.sort();
    assert_eq!(
        built,
        [
            "customers all",
            "ledger 2024-02",
            "monthly_sales 2024-02",
            "state 2024-02",
            "state 2024-03",
            "stg_orders 2024-02"
        ]
    );
}

#[test]
fn a_file_delivered_again_or_moved_changes_no_number() {
    let shop = three_months();
    shop.publish("2024-03-15");
    let rows = shop.mart("customers");
    shop.write("raw/again/2024-02.ndjson", order("c", "c1", "2024-02-10", "30"));
    let snapshot = shop.publish("2024-03-15");
    assert_eq!(rows, shop.mart("customers"));
    let counts = snapshot.partitions["stg_orders"].values().filter_map(|r| r.counts);
    assert_eq!(counts.map(|c| c.duplicate).sum::<u64>(), 1);
}

#[test]
fn an_order_counts_in_one_month_only() {
    // Deduplicating month by month alone counted it twice: 250 instead of 150.
    let shop = shop();
    shop.write(
        "raw/1.ndjson",
        version("a", "2024-01-31", "100", "2024-01-31") + &version("b", "2024-02-01", "50", "2024-02-01"),
    );
    shop.publish("2024-02-15");
    shop.write("raw/2.ndjson", version("a", "2024-02-01", "100", "2024-02-02"));
    let snapshot = shop.publish("2024-02-15");
    let rows = shop.mart("customers");
    assert_eq!((rows.len(), rows[0]["revenue"].as_str()), (1, "150.0000"));
    assert_eq!(shop.mart("monthly_sales").len(), 1, "nothing is left in January");
    let counts: Vec<_> = snapshot.partitions["stg_orders"].values().filter_map(|r| r.counts).collect();
    assert_eq!(
        counts.iter().map(|c| (c.read, c.staged, c.superseded)).fold((0, 0, 0), |a, b| (
            a.0 + b.0,
            a.1 + b.1,
            a.2 + b.2
        )),
        (3, 2, 1)
    );
    // And back, when the update turns out to have been a mistake.
    shop.remove("raw/2.ndjson");
    shop.publish("2024-02-15");
    assert_eq!(shop.mart("monthly_sales").len(), 2);
}

#[test]
fn rows_after_the_as_of_date_are_staged_and_not_read() {
    let shop = three_months();
    let snapshot = shop.publish("2024-02-15");
    assert_eq!(shop.mart("customers").iter().map(|r| r["orders"].clone()).collect::<Vec<_>>(), ["2", "1"]);
    let staged: u64 = snapshot.partitions["stg_orders"].values().map(|r| r.file.rows).sum();
    assert_eq!(staged, 4);
}

#[test]
fn the_clock_changes_nothing() {
    let shop = three_months();
    shop.publish("2024-02-15");
    let first = published(&shop);
    // Another day's run for another date, then the past date once more.
    shop.publish("2024-03-20");
    shop.publish("2024-02-15");
    assert!(first == published(&shop));
}

#[test]
fn threads_change_nothing() {
    let shops = [1, 4].map(|threads| {
        let mut shop = three_months();
        shop.toml = shop.toml.replace("[models]", &format!("[engine]\nthreads = {threads}\n[models]"));
        shop.publish("2024-03-15");
        shop
    });
    assert!(published(&shops[0]) == published(&shops[1]));
}

#[test]
fn a_failing_check_leaves_the_old_marts() {
    let shop = three_months();
    shop.publish("2024-03-15");
    let before = tree(&shop.path("marts"));
    shop.write("raw/rich.ndjson", order("x", "c1", "2024-03-12", "2000000"));
    let error = shop.run("2024-03-15").err().expect("refused");
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("nobody_is_that_rich"), "{error}");
    assert!(before == tree(&shop.path("marts")));
    // A second try doesn't forget the failure because the partition is already there.
    assert_eq!(shop.run("2024-03-15").err().map(|e| e.exit_code()), Some(1));
}

#[test]
fn an_emptied_listing_publishes_nothing() {
    let shop = shop_with("");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.publish("2024-01-15");
    let before = tree(&shop.path("marts"));
    shop.remove("raw/a.ndjson");
    let error = shop.run("2024-01-16").err().expect("refused");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("on_removed"), "{error}");
    assert!(before == tree(&shop.path("marts")));
}

#[test]
fn a_rollback_publishes_the_old_bytes_in_a_new_snapshot() {
    let shop = three_months();
    shop.publish("2024-02-15");
    let old = published(&shop);
    shop.publish("2024-03-15");
    let project = shop.open();
    let snapshot = crate::support::block_on(bazgasht::rollback::rollback(&project, 1, crate::support::now()))
        .expect("rolled back");
    assert_eq!(snapshot.number, 3);
    assert!(
        old.iter()
            .filter(|(name, _)| *name != "data_quality.parquet")
            .all(|(name, bytes)| published(&shop).get(name) == Some(bytes))
    );
}

#[test]
fn garbage_collection_keeps_what_the_newest_snapshot_stands_on() {
    let shop = three_months();
    shop.publish("2024-02-15");
    shop.publish("2024-03-15");
    let before = published(&shop);
    let project = shop.open();
    let far = chrono::Utc::now() + chrono::Duration::days(400);
    let swept = crate::support::block_on(bazgasht::gc::collect(&project, 30, 24, far)).expect("swept");
    assert_eq!((swept.snapshots, swept.kept), (1, 1));
    assert!(swept.objects > 0);
    assert!(before == published(&shop));
    assert!(matches!(shop.run("2024-03-15"), Ok(Outcome::NothingToDo(_))));
    shop.publish("2024-03-16");
}

/// The parts of a snapshot that the laws speak of.
fn essence(snapshot: &Snapshot) -> (String, String) {
    let text = |value: serde_json::Value| value.to_string();
    (
        text(serde_json::to_value(&snapshot.partitions).expect("JSON")),
        text(
            serde_json::to_value(
                snapshot.sources.values().map(|s| (&s.extracts, &s.homes, &s.merged)).collect::<Vec<_>>(),
            )
            .expect("JSON"),
        ),
    )
}
