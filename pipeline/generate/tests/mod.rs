//! Generated shops, read back and counted.

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use chrono::{DateTime, NaiveDate};

use super::{Currency, Format, Options, Rates, Sink, SourceSummary, generate};
use read::{Memory, Shop, shop_of, text, texts};

fn options(customers: u64, days: u32) -> Options {
    Options { customers, days, ..Options::default() }
}

fn flawless(customers: u64, days: u32) -> Options {
    Options { rates: Rates::none(), ..options(customers, days) }
}

#[test]
fn same_options_give_the_same_bytes() {
    for format in [Format::Ndjson, Format::Csv, Format::Parquet] {
        let options = Options { format, ..options(80, 40) };
        assert_eq!(shop_of(&options).files, shop_of(&options).files);
    }
}

#[test]
fn another_seed_gives_another_shop() {
    let other = Options { seed: 2, ..options(80, 40) };
    assert_ne!(shop_of(&options(80, 40)).files, shop_of(&other).files);
}

#[test]
fn the_smallest_shops_work() {
    for (customers, days) in [(0, 0), (0, 5), (5, 0), (1, 1), (1, 400), (2, 2), (300, 1)] {
        for format in [Format::Ndjson, Format::Csv, Format::Parquet] {
            let shop = shop_of(&Options { format, ..options(customers, days) });
            assert_eq!(shop.summary.customers.files > 0, customers > 0 && days > 0);
        }
    }
}

#[test]
fn options_without_sense_are_refused() {
    let late = Rates { late: 1.5, ..Rates::default() };
    let refused = [
        Options { rates: late, ..Options::default() },
        Options { persian_share: f64::NAN, ..Options::default() },
        Options { customers: u64::MAX, ..Options::default() },
        Options { days: u32::MAX, ..Options::default() },
        Options { first_day: NaiveDate::MAX, ..Options::default() },
        Options { first_day: NaiveDate::MIN, ..Options::default() },
        Options { utc_offset_minutes: 5_000, ..Options::default() },
    ];
    for options in refused {
        let error = generate(&options, &mut Memory::default()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_sink_that_fails_ends_it() {
    struct Full;
    impl Sink for Full {
        fn put(&mut self, _: &str, _: Vec<u8>) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let error = generate(&options(10, 10), &mut Full).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

/// 2024 is a leap year in both calendars: 30 Esfand 1403 is 20 March 2025.
#[test]
fn files_stay_within_their_days() {
    let first_day = NaiveDate::from_ymd_opt(2025, 3, 10).expect("a date");
    let shop = shop_of(&Options { first_day, ..options(200, 20) });
    let folders: BTreeSet<&str> = shop.files.keys().filter_map(|path| path.split('/').nth(1)).collect();
    assert_eq!(folders.first(), Some(&"dt=2025-03-10"));
    assert_eq!(folders.last(), Some(&"dt=2025-03-29"));
    assert!(folders.contains("dt=2025-03-20"));
}

#[test]
fn two_years_hold_six_orders_and_two_dozen_interactions_a_customer() {
    let summary = shop_of(&options(4_000, 730)).summary;
    let per_customer = |rows: u64| rows as f64 / 4_000.0;
    let (orders, interactions) = (per_customer(summary.orders_placed), per_customer(summary.interactions.rows));
    assert!((5.0..7.0).contains(&orders), "{orders} orders");
    assert!((21.0..27.0).contains(&interactions), "{interactions} interactions");
}

#[test]
fn the_summary_counts_what_is_there() {
    for format in [Format::Ndjson, Format::Csv, Format::Parquet] {
        let rates = Rates { redelivered: 0.3, broken: 0.05, ..Rates::default() };
        let shop = shop_of(&Options { format, rates, ..options(300, 120) });
        for (source, summary) in shop.sources() {
            let lines = shop.lines(source);
            let readable = lines.iter().flatten().count() as u64;
            let bytes: usize = shop.of_source(source).map(|(_, content)| content.len()).sum();
            assert_eq!(lines.len() as u64, summary.rows + summary.broken + summary.redelivered_lines);
            assert_eq!(shop.of_source(source).count() as u64, summary.files + summary.redelivered_files);
            assert_eq!(bytes as u64, summary.bytes);
            assert!(readable >= summary.rows, "{source}");
        }
    }
}

#[test]
fn broken_lines_are_the_only_ones_that_do_not_parse() {
    for format in [Format::Ndjson, Format::Csv] {
        let rates = Rates { broken: 0.05, ..Rates::none() };
        let shop = shop_of(&Options { format, rates, ..options(1_500, 90) });
        for (source, summary) in shop.sources() {
            let unreadable = shop.lines(source).iter().filter(|line| line.is_none()).count();
            assert_eq!(unreadable as u64, summary.broken, "{source}");
        }
        assert_near(&shop.summary.interactions, |summary| summary.broken, 0.05);
    }
}

fn assert_near(summary: &SourceSummary, count: impl Fn(&SourceSummary) -> u64, rate: f64) {
    let share = count(summary) as f64 / summary.rows as f64;
    assert!((share - rate).abs() < rate * 0.2, "{share} for {rate}");
}

#[test]
fn rates_are_honoured() {
    let rates = Rates { late: 0.05, duplicate: 0.05, redelivered: 0.1, moved: 0.02, ..Rates::default() };
    let shop = shop_of(&Options { rates, ..options(3_000, 500) });
    let summary = &shop.summary;
    for source in [&summary.orders, &summary.interactions] {
        assert_near(source, |source| source.duplicate, 0.05);
        // A repeat on a later day is late as well.
        assert_near(source, |source| source.late, 0.05 + 0.05 * 0.75);
    }
    let placed = summary.orders_placed as f64;
    let shares = [
        (summary.orders_cancelled, 0.02),
        (summary.orders_updated, 0.08),
        (summary.orders_refunded, 0.03),
        (summary.orders_moved, 0.02),
    ];
    for (count, rate) in shares {
        let share = count as f64 / placed;
        assert!((share - rate).abs() < rate * 0.2, "{share} for {rate}");
    }
    let files: u64 = shop.sources().map(|(_, source)| source.files).iter().sum();
    let again: u64 = shop.sources().map(|(_, source)| source.redelivered_files).iter().sum();
    assert!((again as f64 / files as f64 - 0.1).abs() < 0.03);
}

#[test]
fn nothing_goes_wrong_without_rates() {
    let summary = shop_of(&flawless(300, 200)).summary;
    for source in [&summary.orders, &summary.order_items, &summary.interactions, &summary.customers] {
        let wrong = source.late + source.duplicate + source.broken + source.redelivered_files;
        assert_eq!(wrong, 0);
        assert!(source.rows > 0);
    }
    assert_eq!(summary.orders.rows, summary.orders_placed);
}

#[test]
fn mishaps_do_not_change_what_customers_do() {
    let (calm, rough) = (Rates::default(), Rates { late: 0.2, duplicate: 0.1, broken: 0.1, ..Rates::default() });
    let ids = |rates| {
        let shop = shop_of(&Options { rates, ..options(200, 60) });
        let mut ids = texts(&shop.rows("order_items"), "order_id");
        ids.sort();
        // The last days' orders may be on their way still.
        ids.retain(|id| id.as_str() < "O00000080");
        ids
    };
    assert_eq!(ids(calm), ids(rough));
}

#[test]
fn amounts_are_the_sums_of_their_lines() {
    for currency in [Currency::Rial, Currency::Euro] {
        let shop = shop_of(&Options { currency, ..options(300, 200) });
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for line in shop.rows("order_items") {
            let amount = cents(&line, "quantity") / 100 * cents(&line, "unit_price") - cents(&line, "discount");
            *sums.entry(text(&line, "order_id")).or_default() += amount;
        }
        let orders = shop.rows("orders");
        assert!(!orders.is_empty());
        for order in orders {
            assert_eq!(sums.get(&text(&order, "order_id")), Some(&cents(&order, "amount")));
            assert!(cents(&order, "refunded_amount") <= cents(&order, "amount"));
            assert!(cents(&order, "paid_amount") <= cents(&order, "amount"));
        }
    }
}

/// A number with up to two decimals, times a hundred.
fn cents(row: &read::Row, column: &str) -> i64 {
    let value = text(row, column);
    let (whole, part) = value.split_once('.').unwrap_or((&value, "0"));
    let digits: i64 = format!("{part:0<2}").parse().expect("digits");
    whole.parse::<i64>().expect("a number") * 100 + digits
}

#[test]
fn no_row_tells_of_what_lies_after_its_file() {
    let shop = shop_of(&flawless(300, 200));
    assert_told_in_time(&shop);
    assert_told_in_time(&shop_of(&options(300, 200)));
}

fn assert_told_in_time(shop: &Shop) {
    for (source, columns) in [
        ("orders", &["ordered_at", "delivered_at", "updated_at"][..]),
        ("interactions", &["occurred_at"]),
        ("customers", &["created_at", "updated_at"]),
        ("subscriptions", &["updated_at"]),
    ] {
        for (path, row) in shop.rows_with_paths(source) {
            let day = path.split(['=', '/']).nth(2).expect("a day");
            for column in columns {
                let value = text(&row, column);
                if !value.is_empty() {
                    assert!(local_day(&value).as_str() <= day, "{source} {column} {value} in {path}");
                }
            }
        }
    }
}

fn local_day(instant: &str) -> String {
    let instant = DateTime::parse_from_rfc3339(instant).expect("an instant");
    let tehran = chrono::FixedOffset::east_opt(210 * 60).expect("an offset");
    instant.with_timezone(&tehran).date_naive().to_string()
}

#[test]
fn without_mishaps_every_row_lies_in_the_file_of_its_day() {
    let shop = shop_of(&flawless(300, 100));
    for (source, column) in [("orders", "ordered_at"), ("interactions", "occurred_at")] {
        for (path, row) in shop.rows_with_paths(source) {
            assert!(path.contains(&local_day(&text(&row, column))), "{path}");
        }
    }
}

#[test]
fn everyone_and_everything_named_is_known() {
    let shop = shop_of(&flawless(400, 365));
    let known =
        |source: &str, column: &str| -> BTreeSet<String> { texts(&shop.rows(source), column).into_iter().collect() };
    let customers = known("customers", "customer_id");
    let products = known("products", "product_id");
    assert_eq!(customers.len(), 400);
    assert!(known("orders", "customer_id").is_subset(&customers));
    assert!(known("subscriptions", "customer_id").is_subset(&customers));
    assert!(known("identities", "customer_id").is_subset(&customers));
    let aliases = known("identities", "alias");
    assert!(aliases.is_disjoint(&customers));
    let people: BTreeSet<String> = customers.union(&aliases).cloned().collect();
    assert!(known("interactions", "customer_id").is_subset(&people));
    assert!(known("order_items", "product_id").is_subset(&products));
    let mut campaigns = known("campaigns", "campaign_id");
    campaigns.insert(String::new());
    assert!(known("interactions", "campaign_id").is_subset(&campaigns));
    assert!(known("orders", "campaign_id").is_subset(&campaigns));
}

#[test]
fn the_app_knows_a_few_customers_by_ids_of_its_own() {
    let shop = shop_of(&flawless(3_000, 200));
    let aliases: BTreeSet<String> = texts(&shop.rows("identities"), "alias").into_iter().collect();
    let interactions = shop.rows("interactions");
    let under_alias: Vec<_> = interactions.iter().filter(|row| aliases.contains(&text(row, "customer_id"))).collect();
    let share = under_alias.len() as f64 / interactions.len() as f64;
    assert!((0.002..0.03).contains(&share), "{share}");
    assert!(under_alias.iter().all(|row| text(row, "channel") == "app"));
}

#[test]
fn everything_that_can_happen_happens() {
    let shop = shop_of(&flawless(3_000, 500));
    let kinds: BTreeSet<String> = texts(&shop.rows("interactions"), "kind").into_iter().collect();
    assert_eq!(kinds.len(), 34, "{kinds:?}");
    let subscriptions = shop.rows("subscriptions");
    let found = |column: &str| -> BTreeSet<String> { texts(&subscriptions, column).into_iter().collect() };
    let words = |words: &[&str]| -> BTreeSet<String> { words.iter().map(|word| word.to_string()).collect() };
    assert_eq!(found("plan"), words(&["basic", "plus", "pro"]));
    assert_eq!(found("status"), words(&["active", "cancelled", "changed", "expired"]));
}

/// A version of a subscription is newer than the one before; nobody has two subscriptions on one day.
#[test]
fn subscriptions_follow_one_another() {
    let shop = shop_of(&flawless(2_000, 500));
    let mut newest: BTreeMap<String, read::Row> = BTreeMap::new();
    let mut versions = 0;
    for row in shop.rows("subscriptions") {
        versions += 1;
        let moment = text(&row, "updated_at");
        if let Some(older) = newest.insert(text(&row, "subscription_id"), row) {
            assert!(text(&older, "updated_at") < moment);
        }
    }
    assert!(versions > newest.len(), "some have changed");
    let mut lives: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in newest.values() {
        let (starts_on, ends_on) = (text(row, "starts_on"), text(row, "ends_on"));
        assert!(ends_on.is_empty() || starts_on <= ends_on);
        lives.entry(text(row, "customer_id")).or_default().push((starts_on, ends_on));
    }
    assert!(lives.values().any(|lives| lives.len() > 1), "some have come back");
    for mut lives in lives.into_values() {
        lives.sort();
        for pair in lives.windows(2) {
            assert!(!pair[0].1.is_empty() && pair[0].1 < pair[1].0, "{pair:?}");
        }
    }
}

#[test]
fn moved_orders_change_their_month() {
    let rates = Rates { moved: 0.2, ..Rates::none() };
    let shop = shop_of(&Options { rates, ..options(200, 100) });
    let mut months: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for order in shop.rows("orders") {
        let month = text(&order, "ordered_at")[..7].to_string();
        months.entry(text(&order, "order_id")).or_default().insert(month);
    }
    let moved = months.values().filter(|months| months.len() == 2).count() as u64;
    assert!(moved > 0);
    assert_eq!(moved, shop.summary.orders_moved);
}

#[test]
fn names_come_in_both_scripts_and_with_arabic_letters() {
    let shop = shop_of(&options(2_000, 10));
    let names = texts(&shop.rows("customers"), "name");
    let share = |letter: fn(char) -> bool| {
        names.iter().filter(|name| name.contains(letter)).count() as f64 / names.len() as f64
    };
    assert!((0.15..0.25).contains(&share(|letter| letter.is_ascii_alphabetic())));
    assert!(share(|letter| letter == '\u{200C}') > 0.1);
    assert!((0.01..0.06).contains(&share(|letter| matches!(letter, 'ي' | 'ك'))));
}

#[test]
fn the_satisfied_stay() {
    let shop = shop_of(&flawless(3_000, 365));
    let scores = |wanted: &str| -> Vec<f64> {
        let rows = shop.rows("interactions");
        let rows = rows.iter().filter(|row| text(row, "kind") == wanted);
        rows.map(|row| text(row, "score").parse().expect("a score")).collect()
    };
    let nps = scores("survey_nps");
    assert!(nps.iter().all(|score| (0.0..=10.0).contains(score)));
    assert!(nps.iter().any(|&score| score < 7.0) && nps.iter().any(|&score| score >= 9.0));
    assert!(scores("survey_csat").iter().all(|score| (1.0..=5.0).contains(score)));
}

#[test]
fn all_formats_tell_the_same() {
    let rows = |format| {
        let summary = shop_of(&Options { format, ..options(300, 60) }).summary;
        let told = [summary.orders, summary.order_items, summary.interactions, summary.customers];
        (told.map(|source| source.rows), [summary.subscriptions, summary.identities].map(|source| source.rows))
    };
    assert_eq!(rows(Format::Ndjson), rows(Format::Csv));
    assert_eq!(rows(Format::Ndjson), rows(Format::Parquet));
}
