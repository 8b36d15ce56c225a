//! Law 1 over random histories: whatever comes, goes, changes or is late, in whatever order, the incremental lake
//! is the one that a full rebuild of the same inputs makes, to the byte.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{essence, published, shop};
use crate::support::Shop;

/// A version of an order: few orders and many versions, over five months, so that they meet.
#[derive(Debug, Clone)]
struct Row {
    order: u8,
    day: u16,
    amount: u8,
    updated: Option<u8>,
}

#[derive(Debug, Clone)]
enum Event {
    Deliver(u8, Vec<Row>),
    /// The same bytes under another name.
    Redeliver(u8, u8),
    Remove(u8),
    /// The next run is as of another day of 2024.
    AsOf(u16),
}

fn row() -> impl Strategy<Value = Row> {
    (0..8u8, 0..150u16, 1..5u8, proptest::option::of(0..4u8)).prop_map(|(order, day, amount, updated)| Row {
        order,
        day,
        amount,
        updated,
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (0..5u8, proptest::collection::vec(row(), 1..6)).prop_map(|(file, rows)| Event::Deliver(file, rows)),
        1 => (0..5u8, 5..8u8).prop_map(|(from, to)| Event::Redeliver(from, to)),
        1 => (0..8u8).prop_map(Event::Remove),
        1 => (60..150u16).prop_map(Event::AsOf),
    ]
}

fn date(day: u16) -> String {
    let first = chrono::NaiveDate::from_ymd_opt(2024, 1, 1).expect("a day");
    (first + chrono::Days::new(day.into())).to_string()
}

fn content(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let updated = row.updated.map_or(String::new(), |u| format!(r#","updated_at":"2024-0{}-01T00:00:00Z""#, u + 1));
        format!(
            r#"{{"order_id":"o{}","customer_id":"c{}","ordered_at":"{}T22:30:00-02:00","amount":{}.5{updated}}}"#,
            row.order,
            row.order % 3,
            date(row.day),
            row.amount
        ) + "\n"
    };
    rows.iter().map(line).collect()
}

/// Applies an event to the raw files; returns the as-of date from then on.
fn apply(shop: &Shop, files: &mut BTreeMap<u8, String>, event: &Event, as_of: &mut String) {
    match event {
        Event::Deliver(file, rows) => {
            files.insert(*file, content(rows));
        }
        Event::Redeliver(from, to) => {
            if let Some(content) = files.get(from).cloned() {
                files.insert(*to, content);
            }
        }
        Event::Remove(file) => {
            files.remove(file);
        }
        Event::AsOf(day) => *as_of = date(*day),
    }
    for file in 0..8u8 {
        let path = format!("raw/{file}.ndjson");
        match files.get(&file) {
            Some(content) if std::fs::read(shop.path(&path)).ok().as_deref() == Some(content.as_bytes()) => {}
            Some(content) => shop.write(&path, content),
            None => _ = std::fs::remove_file(shop.path(&path)),
        }
    }
}

fn cases() -> u32 {
    std::env::var("BAZGASHT_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_incremental_lake_is_a_rebuilt_one(events in proptest::collection::vec(event(), 1..7)) {
        let (nightly, mut files, mut as_of) = (shop(), BTreeMap::new(), date(100));
        nightly.write("raw/keep.ndjson", content(&[Row { order: 0, day: 3, amount: 1, updated: None }]));
        let mut last = nightly.publish(&as_of);
        for event in &events {
            apply(&nightly, &mut files, event, &mut as_of);
            last = nightly.publish(&as_of);
        }
        let rebuilt = shop();
        for (path, bytes) in crate::support::tree(&nightly.path("raw")) {
            rebuilt.write(&format!("raw/{path}"), bytes);
        }
        let clean = rebuilt.publish(&as_of);
        prop_assert_eq!(essence(&last), essence(&clean));
        prop_assert!(published(&nightly) == published(&rebuilt), "published bytes differ");
    }
}
