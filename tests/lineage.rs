//! Where columns come from: by small queries, one for each kind of node, and over all shipped models.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use bazgasht::engine::{Engine, Origins, TaskTable, Trace, Use};
use bazgasht::manifest::{self, ModelNode, Origin};
use bazgasht::model::Layer;
use bazgasht::storage::Storage;
use object_store::memory::InMemory;

use crate::made_up::{PROJECT, SOURCES};
use crate::support::{Shop, block_on};

fn trace(sql: &str) -> Trace {
    let scratch = tempfile::tempdir().expect("a folder");
    let lake = Storage::from_store(Arc::new(InMemory::new()), "nowhere");
    let engine = Engine::new(&lake, 64 << 20, 1, scratch.path().to_owned()).expect("an engine");
    let table = |name: &str, texts: &[&str], number: &str| {
        let texts = texts.iter().map(|text| Field::new(*text, DataType::Utf8, true));
        let fields: Vec<Field> = texts.chain([Field::new(number, DataType::Int64, true)]).collect();
        TaskTable::of_files(name, Arc::new(Schema::new(fields)), [])
    };
    let tables = vec![table("t", &["a", "b", "c"], "n"), table("u", &["a"], "m")];
    block_on(engine.trace(tables, [("q", sql)])).unwrap_or_else(|e| panic!("{sql}: {e}")).remove("q").expect("traced")
}

/// As `t.a identity, u.m filter`.
fn told(origins: &Origins) -> String {
    let each = origins.0.iter().flat_map(|((table, column), uses)| {
        uses.iter().map(move |how| {
            format!("{table}.{column} {}", serde_json::to_value(how).expect("a word").as_str().expect("text"))
        })
    });
    each.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_kind_of_node_is_followed_or_left_out() {
    // SQL; its columns; what decides about rows.
    let cases: &[(&str, &[&str], &str)] = &[
        ("select a, upper(b) as x, $p as p from t", &["t.a identity", "t.b transformation", ""], ""),
        ("select a from t where b = 'x'", &["t.a identity"], "t.b filter"),
        (
            "select a, sum(n) as s, count(*) as k from t group by a",
            &["t.a identity", "t.n aggregation", ""],
            "t.a group_by",
        ),
        ("select sum(n) filter (where b = 'x') as s from t", &["t.b filter, t.n aggregation"], ""),
        (
            "select a, b, max(n) as s from t group by rollup (a, b)",
            &["t.a identity", "t.b identity", "t.n aggregation"],
            "t.a group_by, t.b group_by",
        ),
        (
            "select t.b, u.m from t left join u on t.a = u.a and u.m > 1",
            &["t.b identity", "u.m identity"],
            "t.a join, u.a join, u.m join",
        ),
        (
            "select a from t where a in (select a from u where m > 1)",
            &["t.a identity"],
            "t.a filter, u.a filter, u.m filter",
        ),
        ("select b from t where exists (select 1 from u where u.a = t.a)", &["t.b identity"], "t.a filter, u.a filter"),
        ("select (select max(m) from u where u.a = t.a) as x from t", &["t.a filter, u.a filter, u.m aggregation"], ""),
        (
            "select a from t union all select b || c from t where n > 1",
            &["t.a identity, t.b transformation, t.c transformation"],
            "t.n filter",
        ),
        (
            "select sum(n) over (partition by a order by b) as s, lag(n) over (order by c) as l from t",
            &["t.a window, t.b window, t.n aggregation", "t.c window, t.n transformation"],
            "",
        ),
        (
            "select case when a = 'x' then b else c end as x from t",
            &["t.a conditional, t.b transformation, t.c transformation"],
            "",
        ),
        (
            "with x as (select a as k, n + 1 as m from t) select y.k, sum(y.m) as s from x as y group by 1",
            &["t.a identity", "t.n aggregation"],
            "t.a group_by",
        ),
        ("select distinct a from t", &["t.a identity"], ""),
        (
            "select distinct on (a) a, b from t order by a, n",
            &["t.a identity", "t.b identity"],
            "t.a sort, t.a group_by, t.n sort",
        ),
        ("select a from t order by n", &["t.a identity"], ""),
        ("select a from t order by n limit 1", &["t.a identity"], "t.n sort"),
        ("select x, a from (values (1), (2)) as v (x) cross join t", &["", "t.a identity"], ""),
        (
            "select b, unnest(make_array(a, c)) as x from t",
            &["t.b transformation", "t.a transformation, t.c transformation"],
            "",
        ),
        (
            "with recursive r as (select n from t union all select n + 1 from r where n < 3) select n, 1 as one from r",
            &["?", ""],
            "",
        ),
    ];
    for (sql, columns, rows) in cases {
        let trace = trace(sql);
        let found: Vec<String> = trace.columns.iter().map(|(_, o)| o.as_ref().map_or("?".to_owned(), told)).collect();
        assert_eq!(
            (found, told(&trace.rows)),
            (columns.iter().map(|c| (*c).to_owned()).collect(), (*rows).to_owned()),
            "{sql}"
        );
    }
}

fn manifest_of(shop: &Shop) -> manifest::Manifest {
    for source in
        ["orders", "order_items", "interactions", "customers", "products", "campaigns", "subscriptions", "identities"]
    {
        std::fs::create_dir_all(shop.path(&format!("raw/{source}"))).expect("created");
    }
    block_on(manifest::of(&shop.open())).unwrap_or_else(|e| panic!("{e}"))
}

fn uses<'a>(origins: Option<&'a Vec<Origin>>, table: &str, column: &str) -> &'a [Use] {
    let found = origins.into_iter().flatten().find(|o| o.table == table && o.column == column);
    found.map_or(&[], |origin| &origin.uses)
}

#[test]
fn the_columns_of_the_shipped_marts_lead_back_to_sources() {
    let shop = Shop::new(PROJECT, SOURCES);
    let manifest = manifest_of(&shop);
    let marts: BTreeMap<&String, &ModelNode> = manifest
        .models
        .iter()
        .filter(|(_, node)| node.layer == Layer::Mart && node.sql_digest.is_some() && node.file.is_some())
        .collect();
    let columns: Vec<(String, &manifest::ModelColumn)> = marts
        .iter()
        .flat_map(|(name, node)| node.columns.iter().map(move |c| (format!("{name}.{}", c.name), c)))
        .collect();
    let unknown: Vec<&String> = columns.iter().filter(|(_, c)| c.origins.is_none()).map(|(name, _)| name).collect();
    let of_rows_alone: Vec<&String> =
        columns.iter().filter(|(_, c)| c.origins.as_ref().is_some_and(Vec::is_empty)).map(|(name, _)| name).collect();
    println!("{} columns, {} of rows alone", columns.len(), of_rows_alone.len());
    assert!(unknown.is_empty(), "{unknown:?}");
    // Counts of rows and constants come from no column.
    assert!(of_rows_alone.len() * 10 < columns.len(), "{of_rows_alone:?}");
    let column = |mart: &str, name: &str| {
        manifest.models[mart].columns.iter().find(|c| c.name == name).and_then(|c| c.origins.as_ref())
    };
    // Through staging, the ledger and the fold.
    assert!(uses(column("rfm", "customer_id"), "source.orders", "customer_id").contains(&Use::Transformation));
    assert!(uses(column("rfm", "monetary"), "source.orders", "amount").contains(&Use::Aggregation));
    assert!(uses(column("rfm", "segment_en"), "labels", "label_en").iter().any(|how| how.is_direct()));
    assert!(manifest.models["rfm"].row_origins.iter().any(|o| o.table == "source.orders" && o.column == "status"));
}

#[test]
fn equal_projects_are_equal_manifests_without_secrets() {
    let shop = || {
        let project =
            format!("name = \"shop\"\npii = \"pseudonymise\"\npii_key = \"Planted-Key-for-pseudonyms\"\n{PROJECT}");
        let shop = Shop::new(&project, SOURCES);
        let mapped = "[sources.orders]\nlocation = \"./raw/orders\"\n[sources.orders.columns]\namount = 'coalesce(\"Total\", \"Sum\")'";
        Shop { toml: shop.toml.replace("[sources.orders]\nlocation = \"./raw/orders\"", mapped), ..shop }
    };
    let [one, other] = [shop(), shop()].map(|shop| manifest_of(&shop));
    let bytes = bazgasht::lake::to_json(&one).expect("JSON");
    assert!(bytes == bazgasht::lake::to_json(&other).expect("JSON"));
    let text = String::from_utf8(bytes).expect("text");
    assert!(!text.contains("Planted"));
    let amount = one.sources["orders"].columns.iter().find(|c| c.name == "amount").expect("in the contract");
    assert_eq!(amount.raw_columns, ["Sum", "Total"]);
    assert_eq!(one.sources["orders"].locations, ["./raw/orders"]);
}
