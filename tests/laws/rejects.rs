//! Law 2: every row is accounted for, and a rejected one is kept with its line and its rule.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{order, shop_with};
use crate::support::rows;

/// A line and the rule that it breaks, if any.
fn line(kind: u8, number: usize) -> (String, Option<&'static str>) {
    let id = format!("o{number}");
    let whole = |customer: &str, at: &str, amount: &str| {
        format!(r#"{{"order_id":"{id}","customer_id":{customer},"ordered_at":"{at}","amount":{amount}}}"#)
    };
    match kind {
        0 => (whole("\"c\"", "2024-01-10T10:00:00Z", "1").chars().take(30).collect(), Some("unreadable_line")),
        1 => (whole("null", "2024-01-10T10:00:00Z", "1"), Some("missing_required")),
        2 => (whole("\"c\"", "10/01/2024", "1"), Some("unparseable_date")),
        3 => (whole("\"c\"", "2024-01-10T10:00:00Z", "\"ten\""), Some("unparseable_number")),
        4 => (whole("\"c\"", "2024-01-10T10:00:00Z", "-1"), Some("negative_value")),
        5 => (whole("\"c\"", "1402-10-20T10:00:00Z", "1"), Some("looks_jalali")),
        6 => (whole("\"c\"", "1970-01-01T00:00:00Z", "1"), Some("date_out_of_range")),
        _ => (whole("\"c\"", "2024-01-10T10:00:00Z", "1"), None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_accounted_for(kinds in proptest::collection::vec(0..12u8, 1..60)) {
        let shop = shop_with("max_rejected = 1.0");
        let lines: Vec<_> = kinds.iter().enumerate().map(|(n, kind)| line(*kind, n)).collect();
        let text: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
        shop.write("raw/mixed.ndjson", text);
        let snapshot = shop.publish("2024-01-31");
        let extract = snapshot.sources["orders"].extracts.values().next().expect("one extract");
        prop_assert_eq!(extract.read, lines.len() as u64);
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for rule in lines.iter().filter_map(|(_, rule)| *rule) {
            *expected.entry(rule.to_owned()).or_default() += 1;
        }
        prop_assert_eq!(&extract.rejected, &expected);
        let broken: Vec<(String, String)> = lines
            .iter()
            .enumerate()
            .filter_map(|(n, (_, rule))| rule.map(|rule| ((n + 1).to_string(), rule.to_owned())))
            .collect();
        let kept = extract.rejects.as_ref().map(|f| rows(&shop.path(&format!("lake/{}", f.path)))).unwrap_or_default();
        let mut found: Vec<(String, String)> = kept.iter().map(|r| (r["line"].clone(), r["rule"].clone())).collect();
        found.sort_by_key(|(line, _)| line.parse::<u64>().unwrap_or(0));
        prop_assert_eq!(found, broken);
    }
}

#[test]
fn too_many_rejects_publish_nothing() {
    let shop = shop_with("");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10") + &line(4, 1).0 + "\n");
    let error = shop.run("2024-01-31").err().expect("refused");
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("max_rejected"), "{error}");
}

#[test]
fn skipped_rows_are_counted_and_expected() {
    let shop = shop_with("[sources.orders.skip]\ncancelled = \"amount = '0'\"");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10") + &order("b", "c1", "2024-01-11", "0"));
    let snapshot = shop.publish("2024-01-31");
    let extract = snapshot.sources["orders"].extracts.values().next().expect("one extract");
    assert_eq!(extract.skipped, BTreeMap::from([("cancelled".to_owned(), 1)]));
}

#[test]
fn a_missing_column_names_the_nearest() {
    let shop = shop_with("");
    let mut toml = shop.toml.clone();
    toml = toml.replace("format = \"ndjson\"", "format = \"csv\"");
    let shop = crate::support::Shop { toml, ..shop };
    shop.write("raw/a.csv", "order_id,customerid,ordered_at,amount\na,c,2024-01-10,1\n");
    let error = shop.run("2024-01-31").err().expect("refused");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("did you mean \"customerid\""), "{error}");
}
