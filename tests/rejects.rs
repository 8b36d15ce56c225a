//! `bazgasht rejects`: every rejected row can be seen, understood, and mended in the config alone.

use assert_cmd::Command;
use serde_json::Value;

use crate::support::{Shop, tree};

const MART: &str = "/*---\ndescription = \"One row per order.\"\ngrain = [\"order_id\"]\n[columns]\n\
    order_id = { type = \"text\", doc = \"The order.\" }\n---*/\nselect order_id from stg_orders order by order_id\n";

fn shop(sources: &str) -> Shop {
    let project = "timezone = \"Europe/London\"\ncurrency = \"GBP\"";
    let shop = Shop::new(project, &format!("[models]\npath = \"./sql\"\n{sources}"));
    for name in ["stg_identities", "stg_orders", "stg_order_items", "stg_order_items_dated"] {
        let staging = format!("sql/staging/{name}.sql");
        shop.write(
            &staging,
            std::fs::read(format!("{}/{staging}", env!("CARGO_MANIFEST_DIR"))).expect("shipped staging"),
        );
    }
    shop.write("sql/marts/all_orders.sql", MART);
    shop.write("bazgasht.toml", &shop.toml);
    shop
}

fn bazgasht(shop: &Shop, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    let output =
        command.current_dir(shop.dir.path()).env_remove("BAZGASHT_CONFIG").env("NO_COLOR", "1").args(args).output();
    let output = output.expect("it ran");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn json(shop: &Shop, args: &[&str]) -> Vec<Value> {
    let (code, out, error) = bazgasht(shop, &[&["rejects", "--json"], args].concat());
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

const ORDERS: &str = "[sources.orders]\nlocation = \"./raw\"\n";

#[test]
fn a_cause_mended_in_the_config_is_picked_up_without_touching_the_file() {
    let shop = shop(ORDERS);
    shop.write(
        "raw/jan.csv",
        "order_id,customer_id,ordered_at,amount\na,c1,31/01/2024,1\nb,c1,30/01/2024,\u{1b}[2Jten\nc,,29/01/2024,3\n",
    );
    let raw = tree(&shop.path("raw"));
    let (code, _, error) = bazgasht(&shop, &["run", "--as-of", "2024-02-01"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("bazgasht rejects --source orders"), "the way to see them is told: {error}");
    assert!(!shop.path("lake/snapshots").exists(), "a run that refused leaves no snapshot");

    let (code, out, error) = bazgasht(&shop, &["rejects"]);
    assert_eq!(code, 0, "{error}");
    for expected in
        ["orders  missing_required  1", "orders  unparseable_date  2", "line 2: a,c1,31/01/2024,1", "/raw/jan.csv (of "]
    {
        assert!(
            out.split_whitespace()
                .collect::<Vec<_>>()
                .join("  ")
                .contains(&expected.split_whitespace().collect::<Vec<_>>().join("  ")),
            "{expected} in {out}"
        );
    }
    let rule = bazgasht::extract::RULES.iter().find(|rule| rule.name == "unparseable_date").expect("a rule");
    assert!(out.contains(rule.cause) && out.contains(&format!("what to do: {}", rule.remedy)), "{out}");
    assert!(out.contains("line 3: b,c1,30/01/2024,\\u{1b}[2Jten"), "a terminal obeys nothing of it: {out}");

    let dates = json(&shop, &["--rule", "unparseable_date", "--source", "orders", "--limit", "1"]);
    assert_eq!(
        (dates.len(), &dates[0]["count"], dates[0]["rows"].as_array().map(Vec::len)),
        (1, &Value::from(2), Some(1))
    );
    assert!(dates[0]["rows"][0]["object"].as_str().is_some_and(|path| path.ends_with("/raw/jan.csv")));
    assert_eq!(json(&shop, &["--limit", "0"]).len(), 2);

    let mapping = "[sources.orders.columns]\nordered_at = \"to_timestamp(ordered_at, '%d/%m/%Y')\"\n\
                   amount = \"case when amount like '%ten' then '10' else amount end\"\n\
                   [sources.orders.skip]\nanonymous = \"customer_id is null\"\n";
    shop.write("bazgasht.toml", format!("{}{mapping}", shop.toml));
    let (_, out, error) = bazgasht(&shop, &["rejects"]);
    assert_eq!(out.trim(), "no rejected rows", "before any run: {error}");
    let (code, out, error) = bazgasht(&shop, &["run", "--as-of", "2024-02-01"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("0 rejected"), "{out}");
    assert_eq!(shop.mart("all_orders").iter().map(|row| row["order_id"].clone()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(tree(&shop.path("raw")) == raw, "the raw file was left alone");
}

#[test]
fn what_was_published_shows_its_rejects_too_and_names_are_helped_with() {
    let shop = shop(&format!("{ORDERS}format = \"ndjson\"\nmax_rejected = 1.0\n"));
    shop.write("raw/b.ndjson", "{\"order_id\":\"b\"\n");
    shop.write(
        "raw/a.ndjson",
        "\n{\"order_id\":\"a\",\"customer_id\":\"c\",\"ordered_at\":\"1402-01-01\",\"amount\":1}\n",
    );
    shop.publish("2024-02-01");
    let groups = json(&shop, &[]);
    let brief: Vec<_> = groups.iter().map(|g| (g["rule"].as_str(), g["rows"][0]["line"].as_i64())).collect();
    assert_eq!(brief, [(Some("looks_jalali"), Some(2)), (Some("unreadable_line"), Some(1))]);
    assert!(groups.iter().all(|g| g["rows"][0]["delivered_at"].is_string() && g["remedy"].as_str() != Some("")));
    for (args, expected) in [
        (["rejects", "--source", "order"], "did you mean `orders`?"),
        (["rejects", "--source", "customers"], "there is no `customers`"),
        (["rejects", "--rule", "unreadable_lines"], "did you mean `unreadable_line`?"),
    ] {
        let (code, _, error) = bazgasht(&shop, &args);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn lines_without_their_order_are_shown_until_it_comes() {
    let shop = shop(
        "[sources.orders]\nlocation = \"./raw/orders\"\nformat = \"ndjson\"\n[sources.order_items]\nlocation = \"./raw/lines\"\nmax_rejected = 1.0\n",
    );
    let order = |id: &str| {
        format!("{{\"order_id\":\"{id}\",\"customer_id\":\"c\",\"ordered_at\":\"2024-01-10\",\"amount\":1}}\n")
    };
    shop.write("raw/orders/a.ndjson", order("a"));
    shop.write("raw/lines/l.csv", "order_id,product_id,quantity,unit_price\na,p,1,1\nlater,p,1,1\nlater,q,1,1\n");
    let missing = json(&shop, &["--rule", "order_missing"]);
    assert_eq!(missing[0]["count"], 2);
    let rows: Vec<_> =
        missing[0]["rows"].as_array().into_iter().flatten().map(|r| (r["line"].as_i64(), r["raw"].as_str())).collect();
    assert_eq!(rows, [(Some(3), Some("order_id = later")), (Some(4), Some("order_id = later"))]);
    shop.write("raw/orders/b.ndjson", order("later"));
    assert_eq!(json(&shop, &["--rule", "order_missing"]).len(), 0);
}
