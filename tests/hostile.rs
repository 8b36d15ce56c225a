//! Texts that would read or write what they mustn't: each is refused before anything is read, with file and line.

use std::fs;

use bazgasht::config::Config;
use bazgasht::project::Blueprint;

use crate::support::{Shop, block_on, tree};

const ORDERS: &str = "[sources.orders]\nlocation = \"./raw\"\nformat = \"ndjson\"\n";

/// The lines of a model's file before its SELECT.
const HEAD_LINES: usize = 9;

fn model(head: &str, select: &str) -> String {
    format!(
        "/*---\ndescription = \"One row per customer.\"\ngrain = [\"customer_id\"]\n{head}\n[columns]\n\
         customer_id = {{ type = \"text\", doc = \"The customer.\" }}\n\n\n---*/\n{select}"
    )
}

const HARMLESS: &str = "select distinct customer_id from stg_orders order by customer_id";

/// A shop of which nothing but one model or expression is wrong.
fn shop(more: &str) -> Shop {
    let project = "timezone = \"Europe/London\"\ncurrency = \"GBP\"";
    let shop = Shop::new(project, &format!("[models]\npath = \"./sql\"\n{ORDERS}{more}"));
    for name in ["stg_identities", "stg_orders"] {
        let staging = format!("sql/staging/{name}.sql");
        shop.write(&staging, fs::read(format!("{}/{staging}", env!("CARGO_MANIFEST_DIR"))).expect("shipped staging"));
    }
    shop.write("sql/marts/hostile.sql", model("", HARMLESS));
    shop
}

/// What is said of a project before any of its data are read.
fn refusal(shop: &Shop) -> Option<String> {
    let config = match Config::parse("bazgasht.toml", shop.dir.path(), &shop.toml, &|_| None) {
        Ok(config) => config,
        Err(complaints) => return Some(complaints.to_string()),
    };
    Blueprint::draw(config).err().map(|e| {
        assert_eq!(e.exit_code(), 2, "{e}");
        e.to_string()
    })
}

/// SQL that is no query, or more than one, or one that leads out of the lake.
const HOSTILE: &[&str] = &[
    // Statements.
    "copy (select 1) to '/tmp/stolen.csv'",
    "copy stg_orders to '/tmp/stolen.parquet' stored as parquet",
    "create external table t stored as csv location '/etc/passwd'",
    "create table t as select * from stg_orders",
    "create or replace view v as select * from stg_orders",
    "create function f(x int) returns int return x + 1",
    "create schema s",
    "create database d",
    "drop table stg_orders",
    "alter table stg_orders add column x int",
    "insert into stg_orders select * from stg_orders",
    "insert overwrite stg_orders select * from stg_orders",
    "with x as (select customer_id from stg_orders) insert into stg_orders select * from x",
    "update stg_orders set customer_id = 'x'",
    "with x as (select 1) update stg_orders set customer_id = 'x'",
    "delete from stg_orders",
    "with x as (select 1) delete from stg_orders",
    "merge into stg_orders using stg_identities on true when matched then delete",
    "truncate table stg_orders",
    "set datafusion.catalog.information_schema = true",
    "reset datafusion.catalog.information_schema",
    "show tables",
    "show all",
    "describe stg_orders",
    "explain select customer_id from stg_orders order by customer_id",
    "explain analyze select customer_id from stg_orders order by customer_id",
    "explain analyze verbose copy stg_orders to '/tmp/x'",
    "analyze table stg_orders",
    "begin",
    "commit",
    "prepare p as select customer_id from stg_orders order by customer_id",
    "execute p",
    "deallocate p",
    "use other",
    "call f()",
    "install httpfs",
    "load httpfs",
    "attach '/tmp/x.db' as x",
    "vacuum",
    "table stg_orders",
    "",
    "-- nothing",
    "select customer_id from stg_orders order by customer_id; drop table stg_orders",
    "select customer_id from stg_orders order by customer_id; select 1",
    "select customer_id into stolen from stg_orders order by customer_id",
    "select customer_id from stg_orders order by customer_id for update",
    // Files, URLs and system tables as tables.
    "select customer_id from '/etc/passwd' order by customer_id",
    "select customer_id from \"/etc/passwd\" order by customer_id",
    "select customer_id from './raw/a.ndjson' order by customer_id",
    "select customer_id from \"s3://other/bucket.parquet\" order by customer_id",
    "select customer_id from 'https://example.com/x.csv' order by customer_id",
    "select customer_id from \"lake/models/stg_orders\" order by customer_id",
    "select customer_id from \"../stg_orders\" order by customer_id",
    "select customer_id from information_schema.tables order by customer_id",
    "select customer_id from datafusion.information_schema.df_settings order by customer_id",
    "select customer_id from datafusion.public.stg_orders order by customer_id",
    "select customer_id from pg_catalog.pg_tables order by customer_id",
    "select customer_id from public.stg_orders order by customer_id",
    "select customer_id from source.\"../orders\" order by customer_id",
    // The same, hidden.
    "with x as (select * from '/etc/passwd') select customer_id from x order by customer_id",
    "select customer_id from stg_orders where customer_id in (select * from '/etc/passwd') order by customer_id",
    "select customer_id from stg_orders where exists (select 1 from information_schema.columns) order by customer_id",
    "select (select max(x) from '/etc/passwd') as customer_id from stg_orders order by customer_id",
    "select customer_id from stg_orders union all select * from \"/etc/passwd\" order by customer_id",
    "select customer_id from stg_orders union all table stg_orders order by customer_id",
    "select customer_id from stg_orders join lateral (select * from '/etc/passwd') as x on true order by customer_id",
    // Table functions.
    "select customer_id from read_csv('/etc/passwd') order by customer_id",
    "select customer_id from read_parquet('s3://b/x') order by customer_id",
    "select value as customer_id from generate_series(1, 10) order by customer_id",
    "select value as customer_id from table(generate_series(1, 10)) order by customer_id",
    "select customer_id from lateral flatten(input => x) order by customer_id",
    "select customer_id from json_table('[]', '$[*]' columns(customer_id varchar path '$')) order by customer_id",
    "select customer_id from stg_orders tablesample bernoulli (10) order by customer_id",
    // Values that differ tomorrow.
    "select customer_id from stg_orders where day < now() order by customer_id",
    "select customer_id from stg_orders where day < NOW() order by customer_id",
    "select customer_id from stg_orders where day < \"now\"() order by customer_id",
    "select customer_id from stg_orders where day < current_date order by customer_id",
    "select customer_id from stg_orders where day < current_date() order by customer_id",
    "select customer_id from stg_orders where day < today() order by customer_id",
    "select customer_id from stg_orders where ordered_at < current_timestamp order by customer_id",
    "select customer_id from stg_orders where current_time is null order by customer_id",
    "select uuid() as customer_id from stg_orders order by customer_id",
    "select customer_id from stg_orders where random() < 0.5 order by customer_id",
    "select customer_id from stg_orders group by customer_id having max(random()) < 1 order by customer_id",
    "with x as (select customer_id, random() as r from stg_orders) select customer_id from x order by customer_id",
    "select input_file_name() as customer_id from stg_orders order by customer_id",
];

#[test]
fn no_model_leads_out_of_the_lake() {
    let shop = shop("");
    assert_eq!(refusal(&shop), None, "the harmless one is taken");
    for sql in HOSTILE {
        shop.write("sql/marts/hostile.sql", model("", sql));
        let told = refusal(&shop).unwrap_or_else(|| panic!("taken as a model: {sql}"));
        let place = format!("hostile.sql:{}: ", HEAD_LINES + 1);
        assert!(told.contains(&place), "{sql}\n{told}");
        assert!(!told.contains("must end in an ORDER BY"), "{sql}\n{told}");
    }
    let lower = "select customer_id\nfrom stg_orders\nwhere day <\n  now()\norder by customer_id";
    shop.write("sql/marts/hostile.sql", model("", lower));
    let told = refusal(&shop).unwrap_or_default();
    assert!(told.contains(&format!("hostile.sql:{}: `now`", HEAD_LINES + 4)), "{told}");
}

#[test]
fn no_check_and_no_warning_does_either() {
    let shop = shop("");
    for sql in HOSTILE.iter().chain(&[
        "select * from stg_products",
        "select * from source.orders",
        "select * from this, calendar",
    ]) {
        for table in ["checks", "warnings"] {
            shop.write("sql/marts/hostile.sql", check(table, sql));
            let told = refusal(&shop).unwrap_or_else(|| panic!("taken under [{table}]: {sql}"));
            assert!(told.contains("hostile.sql:7: check `odd`"), "{sql}\n{told}");
        }
    }
    shop.write("sql/marts/hostile.sql", check("warnings", "select * from this where customer_id = 'x'"));
    assert_eq!(refusal(&shop), None);
    let text = model("", HARMLESS)
        .replace("\n\n\n---", "\n[checks]\nodd = \"\"\"\nselect *\nfrom this\nwhere random() < 1\"\"\"\n---");
    shop.write("sql/marts/hostile.sql", text);
    let told = refusal(&shop).unwrap_or_default();
    assert!(told.contains("hostile.sql:11: check `odd`: `random`"), "{told}");
}

fn check(table: &str, sql: &str) -> String {
    let quoted = toml::Value::from(sql).to_string().replace('\n', "\\n");
    model("", HARMLESS).replace("\n\n\n---", &format!("\n[{table}]\nodd = {quoted}\n---")).replacen(
        "\n\n[columns]",
        "\n[columns]",
        1,
    )
}

/// Expressions that are no immutable value of one row.
const HOSTILE_EXPRESSIONS: &[&str] = &[
    "now()",
    "current_date",
    "current_timestamp",
    "random()",
    "uuid()",
    "input_file_name()",
    "case when now() > ordered_at then order_id end",
    "coalesce(order_id, cast(random() as varchar))",
    "(select 1)",
    "(select max(x) from '/etc/passwd')",
    "order_id in (select x from '/etc/passwd')",
    "exists (select 1)",
    "order_id = any (select x from t)",
    "array(select x from '/etc/passwd')",
    "count(*)",
    "max(order_id)",
    "row_number() over (order by order_id)",
    "$as_of",
    "orders.order_id",
    "information_schema.tables",
    "order_id; drop table stg_orders",
    "order_id from '/etc/passwd'",
    "read_csv('/etc/passwd')",
    "copy stg_orders to '/tmp/x'",
    "order_id,",
    "*",
];

#[test]
fn no_mapping_and_no_skip_rule_leads_out_of_its_row() {
    for sql in HOSTILE_EXPRESSIONS {
        let quoted = toml::Value::from(*sql).to_string();
        for (table, key) in [("columns", "order_id"), ("skip", "odd")] {
            let shop = shop(&format!("[sources.orders.{table}]\n{key} = {quoted}\n"));
            let told = refusal(&shop).unwrap_or_else(|| panic!("taken under [{table}]: {sql}"));
            assert!(told.contains("bazgasht.toml:13"), "{sql}\n{told}");
        }
    }
}

#[test]
fn no_name_of_a_model_or_seed_leads_out_of_its_folder() {
    for name in [
        "../../etc/cron.d/x",
        "a/b",
        "/etc/passwd",
        "..",
        "",
        "Ranks",
        "a b",
        "a\\u0000",
        "this",
        "run_log",
        "calendar",
        "1st",
    ] {
        let shop = shop("");
        shop.write("sql/marts/hostile.sql", model(&format!("name = \"{name}\""), HARMLESS));
        let told = refusal(&shop).unwrap_or_else(|| panic!("taken as a name: {name}"));
        assert!(told.contains("hostile.sql: `"), "{name}\n{told}");
    }
    for file in
        ["marts/My List.sql", "marts/..x.sql", "marts/this.sql", "seeds/a b.csv", "seeds/source.csv", "seeds/-.csv"]
    {
        let shop = shop("");
        let text = if file.starts_with("seeds") { "code\nx\n".to_owned() } else { model("", HARMLESS) };
        shop.write(&format!("sql/{file}"), text);
        let told = refusal(&shop).unwrap_or_else(|| panic!("taken as a file: {file}"));
        assert!(told.contains(file), "{file}\n{told}");
    }
}

#[cfg(unix)]
#[test]
fn no_link_leads_out_of_a_folder() {
    use std::os::unix::fs::symlink;

    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secrets.csv"), "code\nhunter2\n").expect("written");
    fs::write(outside.path().join("a.ndjson"), "{\"order_id\":\"hunter2\"}\n").expect("written");
    for folder in ["path", "add"] {
        let shop = shop("");
        let (dir, shop) = match folder {
            "path" => (shop.path("sql"), shop),
            _ => (shop.path("own"), Shop { toml: shop.toml.replace("path = \"./sql\"", "add = \"./own\""), ..shop }),
        };
        fs::create_dir_all(dir.join("seeds")).expect("created");
        symlink(outside.path().join("secrets.csv"), dir.join("seeds/secrets.csv")).expect("linked");
        let told = refusal(&shop).unwrap_or_else(|| panic!("read through a link in [models] {folder}"));
        assert!(told.contains("seeds/secrets.csv") && !told.contains("hunter2"), "{told}");
        fs::remove_dir_all(dir.join("seeds")).expect("removed");
        symlink(outside.path(), dir.join("seeds")).expect("linked");
        assert!(refusal(&shop).is_some_and(|told| told.contains("leads out")), "a folder that is a link");
    }
    let shop = shop("");
    shop.write("raw/b.ndjson", "");
    symlink(outside.path().join("a.ndjson"), shop.path("raw/a.ndjson")).expect("linked");
    let error = shop.run("2024-01-31").err().expect("refused");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("a.ndjson is a link"), "{error}");
    let held = tree(&shop.path("lake"));
    assert!(held.values().all(|bytes| !String::from_utf8_lossy(bytes).contains("hunter2")));
}

#[test]
fn no_location_climbs_out_of_where_it_starts() {
    for location in [
        "./raw/*/../../../etc/*",
        "s3://bucket/raw/../../other/*",
        "s3://bucket/../raw",
        "./raw/**/../x.csv",
        "s3://bucket/..",
    ] {
        let shop = shop("");
        let shop =
            Shop { toml: shop.toml.replace("location = \"./raw\"", &format!("location = \"{location}\"")), ..shop };
        let told = refusal(&shop).unwrap_or_else(|| panic!("taken as a location: {location}"));
        assert!(told.contains("`location`") && told.contains(".."), "{location}\n{told}");
    }
    let shop = shop("");
    let shop = Shop { toml: shop.toml.replace("\"./raw\"", "\"./raw/../lake/models\""), ..shop };
    assert!(refusal(&shop).is_some_and(|told| told.contains("lies in the lake")), "the lake by another name");
}

#[test]
fn the_engine_itself_runs_queries_alone() {
    use bazgasht::engine::{Engine, Task};

    let scratch = tempfile::tempdir().expect("a folder");
    let stolen = scratch.path().join("stolen.csv");
    let nowhere = bazgasht::storage::Storage::create_local(&scratch.path().join("lake")).expect("a lake");
    let engine = Engine::new(&nowhere, 64 << 20, 1, scratch.path().to_owned()).expect("an engine");
    let copy = format!("copy (select 1 as a) to '{}'", stolen.display());
    for sql in [
        copy.as_str(),
        "create external table t stored as csv location '/etc/passwd'",
        "create table t as select 1",
        "set datafusion.execution.batch_size = 1",
    ] {
        let task = Task { label: "t".into(), sql: sql.into(), parameters: Default::default(), tables: vec![] };
        assert!(block_on(engine.collect(&task)).is_err(), "{sql}");
    }
    assert!(!stolen.exists());
}
