//! The marts agree with each other: one synthetic shop with every source, and the same sums wherever they are drawn.

use std::collections::{BTreeMap, BTreeSet};

use bazgasht::snapshot::Snapshot;

use crate::made_up::{PROJECT, SOURCES, write_logs};
use crate::support::Shop;

type Row = BTreeMap<String, String>;

struct Marts {
    shop: Shop,
    snapshot: Snapshot,
}

impl Marts {
    fn of_a_made_up_shop() -> Self {
        // A shop this small sells few things together often.
        let shop = Shop::new(PROJECT, &format!("[business]\nmin_pairs = 2\n{SOURCES}"));
        let last_day = write_logs(&shop, 300, 130);
        let snapshot = shop.publish(&last_day);
        Self { shop, snapshot }
    }

    fn rows(&self, mart: &str, keep: impl Fn(&Row) -> bool) -> Vec<Row> {
        self.shop.mart(mart).into_iter().filter(|row| keep(row)).collect()
    }

    fn all(&self, mart: &str) -> Vec<Row> {
        self.shop.mart(mart)
    }

    fn ids(&self, mart: &str) -> BTreeSet<String> {
        self.all(mart).into_iter().filter_map(|mut row| row.remove("customer_id")).collect()
    }

    /// The months of a mart by period on the basis order.
    fn months(&self, mart: &str) -> Vec<Row> {
        self.rows(mart, |row| row["grain"] == "month" && row.get("basis").is_none_or(|basis| basis == "order"))
    }
}

/// A column's sum in ten-thousandths; NULL counts nothing.
fn sum(rows: &[Row], column: &str) -> i128 {
    let units = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{fraction:0<4}").parse::<i128>().unwrap_or_else(|_| panic!("{column}: {text}"))
    };
    rows.iter().map(|row| &row[column]).filter(|text| !text.is_empty()).map(|text| units(text)).sum()
}

fn is(column: &'static str, value: &'static str) -> impl Fn(&Row) -> bool {
    move |row| row[column] == value
}

#[test]
fn the_marts_agree_with_each_other() {
    let marts = Marts::of_a_made_up_shop();
    every_mart_has_rows(&marts);
    customers_orders_and_revenue_are_the_same_everywhere(&marts);
    whoever_is_listed_has_a_profile(&marts);
    campaigns_add_up_to_their_orders(&marts);
    products_add_up_to_their_lines(&marts);
    the_headline_is_drawn_from_its_marts(&marts);
}

fn every_mart_has_rows(marts: &Marts) {
    let rows = |files: &[bazgasht::snapshot::MartFile]| files.iter().map(|file| file.rows).sum::<u64>();
    let empty = marts.snapshot.marts.iter().filter(|(_, mart)| rows(&mart.files) == 0);
    let empty: Vec<&String> = empty.map(|(name, _)| name).collect();
    assert!(empty.is_empty(), "no rows in {empty:?}");
}

fn customers_orders_and_revenue_are_the_same_everywhere(marts: &Marts) {
    let rfm = marts.all("rfm");
    let (customers, orders, revenue) = (rfm.len() as i128 * 10_000, sum(&rfm, "frequency"), sum(&rfm, "monetary"));
    assert!(customers > 0 && orders > customers && revenue > orders);

    let profiles = marts.rows("customer_360", is("kind", "customer"));
    let clv = marts.all("customer_clv");
    let cohorts = marts.months("cohort_retention");
    let firsts: Vec<Row> = cohorts.iter().filter(|row| row["period_index"] == "0").cloned().collect();
    let retention = marts.rows("retention_by_period", |row| {
        row["grain"] == "month" && row["basis"] == "order" && row["base"] == "period"
    });
    for (mart, found) in [
        ("customer_360", profiles.len()),
        ("customer_clv", clv.len()),
        ("customer_ranking", marts.all("customer_ranking").len()),
        ("churn_flags", marts.all("churn_flags").len()),
    ] {
        assert_eq!(found as i128 * 10_000, customers, "{mart}");
    }
    assert_eq!(sum(&firsts, "cohort_size"), customers);
    assert_eq!(sum(&retention[retention.len() - 1..], "customers_to_date"), customers);
    for (mart, rows) in
        [("customer_360", &profiles), ("customer_clv", &clv), ("cohorts", &cohorts), ("retention", &retention)]
    {
        assert_eq!(sum(rows, "orders"), orders, "orders of {mart}");
        assert_eq!(sum(rows, "revenue"), revenue, "revenue of {mart}");
    }
    let by_dimension = marts.all("clv_by_segment");
    for dimension in by_dimension.iter().map(|row| row["dimension"].as_str()).collect::<BTreeSet<_>>() {
        let rows: Vec<Row> = by_dimension.iter().filter(|row| row["dimension"] == dimension).cloned().collect();
        assert_eq!((sum(&rows, "customers"), sum(&rows, "revenue")), (customers, revenue), "{dimension}");
    }
    let bought = marts.rows("customer_timeline", |row| !row["net_amount"].is_empty());
    assert!(sum(&bought, "net_amount") >= revenue, "the timeline also has orders that are no purchases");
}

fn whoever_is_listed_has_a_profile(marts: &Marts) {
    let people = marts.ids("customer_360");
    for mart in
        ["segments", "next_actions", "contact_calendar", "loyalty_balance", "customer_timeline", "next_best_product"]
    {
        let strangers: Vec<String> = marts.ids(mart).difference(&people).cloned().collect();
        assert!(strangers.is_empty(), "{mart}: {strangers:?}");
    }
    for aliases in marts.all("customer_identity").iter().filter(|row| row["alias"] != row["customer_id"]) {
        assert!(!people.contains(&aliases["alias"]), "{aliases:?} is a person of its own");
    }
    // A list in customer_360 is a list in segments.
    let memberships = marts.all("segments");
    for person in marts.rows("customer_360", |row| !row["lists"].is_empty()) {
        for list in person["lists"].split(',') {
            let is_member = |row: &Row| row["customer_id"] == person["customer_id"] && row["list"] == list;
            assert!(memberships.iter().any(is_member), "{} in {list}", person["customer_id"]);
        }
    }
}

fn campaigns_add_up_to_their_orders(marts: &Marts) {
    let attributed = marts.all("campaign_attribution");
    let orders: BTreeSet<&str> = attributed.iter().map(|row| row["order_id"].as_str()).collect();
    assert_eq!(orders.len(), attributed.len(), "one order, at most one campaign");
    assert!(sum(&attributed, "revenue") <= sum(&marts.all("rfm"), "monetary"));
    let performance = marts.all("campaign_performance");
    for dimension in performance.iter().map(|row| row["dimension"].as_str()).collect::<BTreeSet<_>>() {
        let rows: Vec<Row> = performance.iter().filter(|row| row["dimension"] == dimension).cloned().collect();
        assert_eq!(sum(&rows, "revenue"), sum(&attributed, "revenue"), "{dimension}");
        assert_eq!(sum(&rows, "orders"), attributed.len() as i128 * 10_000, "{dimension}");
    }
    let spent = performance.iter().filter(|row| row["dimension"] == "total").cloned().collect::<Vec<_>>();
    for grain in ["week", "month", "quarter", "year"] {
        assert_eq!(sum(&marts.rows("costs_by_period", is("grain", grain)), "total_cost"), sum(&spent, "spent_cost"));
    }
}

fn products_add_up_to_their_lines(marts: &Marts) {
    let clv = marts.all("customer_clv");
    for grain in ["month", "year"] {
        let by_category =
            marts.rows("product_trends_by_period", |row| row["grain"] == grain && row["level"] == "category");
        // Every order of this shop has its lines, and an order's lines share its net amount but for rounding.
        let difference = sum(&by_category, "revenue") - sum(&clv, "revenue");
        assert!(difference.abs() <= 10_000, "{grain}: {difference}");
        let difference = sum(&by_category, "gross_profit") - sum(&clv, "gross_profit");
        assert_eq!(difference, 0, "{grain}");
    }
}

fn the_headline_is_drawn_from_its_marts(marts: &Marts) {
    let by_period = |mart: &str| -> BTreeMap<(String, String), Row> {
        let rows = marts.rows(mart, |row| {
            row.get("basis").is_none_or(|basis| basis == "any") && row.get("base").is_none_or(|base| base == "window")
        });
        rows.into_iter().map(|row| ((row["grain"].clone(), row["period_start"].clone()), row)).collect()
    };
    let (retention, nps, costs) =
        (by_period("retention_by_period"), by_period("nps_by_period"), by_period("costs_by_period"));
    let headline = by_period("kpi_by_period");
    assert_eq!(headline.len(), retention.len());
    for (period, row) in &headline {
        for column in ["retention_rate", "churn_rate", "repeat_purchase_rate", "orders", "revenue", "customers_new"] {
            assert_eq!(row[column], retention[period][column], "{period:?} {column}");
        }
        for column in ["crc", "cac", "cac_change"] {
            assert_eq!(row[column], costs[period][column], "{period:?} {column}");
        }
        assert_eq!(row["nps"], nps.get(period).map_or("", |survey| &survey["nps"]), "{period:?}");
    }
    let months: Vec<&Row> = headline.iter().filter(|((grain, _), _)| grain == "month").map(|(_, row)| row).collect();
    let last = months[months.len() - 1].clone();
    let clv = marts.all("customer_clv");
    let per_customer = sum(&clv, "gross_profit") as f64 / clv.len() as f64;
    assert!((sum(&[last], "clv") as f64 - per_customer).abs() <= 1.0, "{per_customer}");
}
