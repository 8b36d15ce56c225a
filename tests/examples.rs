//! The configs under `examples/`: each is right, and each maps lines that are written like its data's. The data
//! themselves are not here. Where `CDNOW_DIR` and `FLOWER_SHOP_DIR` say where they are, what is known about them must
//! come out; elsewhere those tests are skipped.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bazgasht::config::Config;
use bazgasht::project::Blueprint;
use bazgasht::validate;

use crate::support::{block_on, rows, run_project, tree};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Every config file of every example.
fn configs() -> Vec<PathBuf> {
    let entries = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    };
    let folders = entries(&examples()).into_iter().filter(|path| path.is_dir());
    let mut found: Vec<PathBuf> = folders.flat_map(|folder| entries(&folder)).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    found.sort();
    found
}

/// A config, with its relative paths in `folder` and every `…_DIR` of the environment being `data`.
fn blueprint(config: &Path, folder: &Path, data: &Path) -> Blueprint {
    let text = fs::read_to_string(config).expect("a config");
    let environment = |name: &str| name.ends_with("_DIR").then(|| data.display().to_string());
    let config = Config::parse(&config.display().to_string(), folder, &text, &environment)
        .unwrap_or_else(|complaints| panic!("{complaints}"));
    Blueprint::draw(config).unwrap_or_else(|e| panic!("{e}"))
}

/// An example's marts.
struct Published {
    dir: tempfile::TempDir,
    marts: &'static str,
}

impl Published {
    /// `config` is relative to `examples/`; its storage says that the marts are in `marts`.
    fn run(config: &str, marts: &'static str, data: &Path, as_of: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let project = blueprint(&examples().join(config), dir.path(), data).open().unwrap_or_else(|e| panic!("{e}"));
        if let Err(e) = run_project(&project, as_of) {
            panic!("{config}: {e}");
        }
        Self { dir, marts }
    }

    fn mart(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        rows(&self.dir.path().join(self.marts).join(format!("current/{name}.parquet")))
    }

    /// How many people of `customer_360` are of this kind.
    fn people(&self, kind: &str) -> usize {
        self.mart("customer_360").iter().filter(|row| row["kind"] == kind).count()
    }

    /// Customers, purchases and net revenue in `rfm`, the last in ten-thousandths.
    fn purchases(&self) -> (usize, i64, i64) {
        let customers = self.mart("rfm");
        (customers.len(), sum(&customers, "frequency"), sum(&customers, "monetary"))
    }

    /// Rows of a source by what became of them.
    fn rows_of(&self, source: &str, measure: &str) -> i64 {
        let mut measures = self.mart("data_quality");
        measures.retain(|row| row["subject"] == source && row["measure"] == measure);
        sum(&measures, "value")
    }
}

/// Of a column of numbers that all have as many decimals, in units of the last one.
fn sum(rows: &[BTreeMap<String, String>], column: &str) -> i64 {
    rows.iter().map(|row| row[column].replace('.', "").parse::<i64>().expect("a number")).sum()
}

/// The folder of data that nobody here may copy, if the environment knows it.
fn real_data(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED the facts of real data: {variable} is not set");
    }
    found
}

fn made_up(file: &str, text: &str) -> tempfile::TempDir {
    let data = tempfile::tempdir().expect("a temporary folder");
    fs::write(data.path().join(file), text).expect("written");
    data
}

#[test]
fn every_example_is_a_config_whose_models_plan() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let configs = configs();
    assert!(configs.len() >= 3, "{configs:?}");
    for config in configs {
        let own = config.with_file_name("own");
        let folder = if own.exists() { config.parent().expect("a folder") } else { folder.path() };
        let blueprint = blueprint(&config, folder, Path::new("/data"));
        block_on(validate::models(&blueprint)).unwrap_or_else(|e| panic!("{}: {e}", config.display()));
    }
}

#[test]
fn each_example_has_a_readme() {
    for config in configs() {
        assert!(config.with_file_name("README.md").exists(), "{}", config.display());
    }
}

#[test]
fn a_project_adds_a_mart_and_a_list_with_one_file_each() {
    let example = examples().join("own_mart");
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (path, bytes) in tree(&example) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, bytes).expect("written");
    }
    let project = blueprint(&example.join("bazgasht.toml"), dir.path(), Path::new("")).open().expect("a project");
    run_project(&project, "2026-03-10").unwrap_or_else(|e| panic!("{e}"));
    let published = Published { dir, marts: "marts" };

    let rows = published.mart("weekend_shoppers");
    let found = rows.iter().map(|row| format!("{},{},{}\n", row["customer_id"], row["orders"], row["weekend_share"]));
    let expected = fs::read_to_string(example.join("expected.csv")).expect("the expected rows");
    assert_eq!(format!("customer_id,orders,weekend_share\n{}", found.collect::<String>()), expected);

    let mut spenders = published.mart("segments");
    spenders.retain(|row| row["list"] == "big_spenders");
    let spenders: Vec<_> =
        spenders.iter().map(|row| (row["customer_id"].as_str(), row["entered_month"].as_str())).collect();
    assert_eq!(spenders, [("ann", "2026-02-01"), ("ben", "2026-03-01")]);
    let lists = published.mart("customer_360");
    assert!(lists.iter().any(|row| row["customer_id"] == "ben" && row["lists"].ends_with("big_spenders")), "{lists:?}");
}

#[test]
fn lines_like_those_of_cdnow_are_purchases_unless_they_cost_nothing() {
    let lines = " customer_id  date number_of_cds  dollar_value\r\n 70001 19970105  1   10.00\r\n \
                 70001 19970105  2   25.50\r\n 70002 19970131  1    0.00\r\n";
    let data = made_up("CDNOW_master.txt", lines);
    let published = Published::run("cdnow/bazgasht.toml", "marts", data.path(), "1997-01-31");
    assert_eq!(published.purchases(), (1, 2, 355_000));
    assert_eq!((published.people("customer"), published.people("former_buyer")), (1, 1));
    let months = published.mart("retention_by_period");
    assert!(months.iter().any(|row| row["period_label"] == "1997-01" && row["customers_end"] == "1"), "{months:?}");
}

#[test]
fn lines_like_those_of_the_cdnow_sample_need_no_header() {
    let data = made_up("CDNOW_sample.txt", " 70001 0001 19970105  1   10.00\r\n 70009 0002 19970131  1    9.99\r\n");
    let published = Published::run("cdnow/sample.toml", "sample/marts", data.path(), "1997-01-31");
    assert_eq!(published.purchases(), (2, 2, 199_900));
}

/// One file feeds two sources; 1714590000000 is 2024-05-01 19:00 UTC.
#[test]
fn events_like_those_of_the_flower_shop_are_orders_or_interactions() {
    let events = "index,event_id,customer_id,event_time,event_name,event_value,additional_details,platform,campaign_id\n\
                  0,1,7,1714590000000,install,0.0,,Android,13.0\n\
                  1,2,7,1714590060000,add_to_cart,0.0,,Android,\n\
                  2,3,7,1714590120000,place_order,99.12345678901,\"{'flowers': 99.12, 'vase': 0.0}\",Android,\n\
                  3,4,8,1714590180000,go_to_checkout,0.0,,iOS,\n";
    let data = made_up("raw_inapp_events.csv", events);
    let customers = "id,first_name,last_name,email,gender,address_id\n7,A,B,a@example.com,,1\n8,C,D,c@example.com,,2\n";
    fs::write(data.path().join("raw_customers.csv"), customers).expect("written");
    let published = Published::run("flower_shop/bazgasht.toml", "marts", data.path(), "2024-05-21");
    assert_eq!(published.purchases(), (1, 1, 991_235));
    assert_eq!((published.people("customer"), published.people("lead")), (1, 1));
    assert_eq!((published.rows_of("orders", "staged"), published.rows_of("interactions", "staged")), (1, 3));
}

#[test]
fn the_known_facts_of_cdnow_come_out() {
    let Some(data) = real_data("CDNOW_DIR") else { return };
    let published = Published::run("cdnow/bazgasht.toml", "marts", &data, "1998-06-30");
    assert_eq!(published.rows_of("orders", "staged"), 69_659);
    assert_eq!(published.mart("customer_360").len(), 23_570);
    // 80 lines cost nothing, and 68 people have no other line.
    assert_eq!(published.purchases(), (23_502, 69_579, 25_003_156_300));
    let people = published.mart("customer_360");
    let with = |column: &str, least: i64| {
        people.iter().filter(|row| row[column].parse::<i64>().is_ok_and(|n| n >= least)).count()
    };
    assert_eq!((with("order_rows", 2), with("orders", 2)), (11_662, 11_659));
    // Of purchase days more than one: a gap between them is known.
    assert_eq!(people.iter().filter(|row| !row["average_gap_days"].is_empty()).count(), 11_513);

    let sample = Published::run("cdnow/sample.toml", "sample/marts", &data, "1998-06-30");
    assert_eq!(sample.rows_of("orders", "staged"), 6_919);
    assert_eq!(sample.mart("customer_360").len(), 2_357);
    assert_eq!(sample.purchases(), (2_349, 6_911, 2_440_919_400));
}

#[test]
fn the_known_facts_of_the_flower_shop_come_out() {
    let Some(data) = real_data("FLOWER_SHOP_DIR") else { return };
    let published = Published::run("flower_shop/bazgasht.toml", "marts", &data, "2024-05-21");
    // Each order's float is rounded to four decimals: 469,669.0419 as floats.
    assert_eq!(published.purchases(), (952, 2_960, 4_696_690_436));
    assert_eq!((published.people("customer"), published.people("lead")), (952, 48));
    assert_eq!(published.rows_of("interactions", "staged"), 13_040);
    assert_eq!(published.rows_of("orders", "skipped:not_an_order"), 13_040);
}
