//! Every mart on small inputs whose answers a reader can check by eye: see `fixtures/marts/*/README.md`.
//!
//! Each folder has the sources' rows as CSV, `settings.toml` with the project's settings and the as-of date, and
//! `expected.csv` with the mart's rows: of the columns named there, all rows, in the mart's own order.
//!
//! To try things out without building: FIXTURE names the one folder to run, FIXTURES another folder of fixtures, and
//! FIXTURE_MODELS a folder of models in place of the embedded ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bazgasht::contract::SourceName;
use bazgasht::model::{Catalog, Origin};

use crate::support::Shop;

fn fixtures() -> Vec<PathBuf> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/marts");
    let root = std::env::var_os("FIXTURES").map_or_else(own, PathBuf::from);
    let mut dirs: Vec<PathBuf> = fs::read_dir(root).expect("fixtures").map(|e| e.expect("an entry").path()).collect();
    dirs.sort();
    dirs
}

/// A shop of a fixture's rows, with its settings and as-of date.
fn shop(dir: &Path) -> (Shop, String) {
    let settings: toml::Table = fs::read_to_string(dir.join("settings.toml")).expect("settings").parse().expect("TOML");
    let text = |key: &str| settings.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let mut project = format!(
        "timezone = \"{}\"\ncalendar = \"{}\"\ncurrency = \"{}\"",
        text("timezone").unwrap_or_else(|| "UTC".to_owned()),
        text("calendar").unwrap_or_else(|| "gregorian".to_owned()),
        text("currency").unwrap_or_else(|| "EUR".to_owned()),
    );
    if let Some(start) = text("week_start") {
        project += &format!("\nweek_start = \"{start}\"");
    }
    if let Some(day) = text("history_starts_on") {
        project += &format!("\nhistory_starts_on = {day}");
    }
    let mut sources = String::new();
    if let Some(business) = settings.get("business").and_then(|v| v.as_table()) {
        sources += &format!("[business]\n{business}\n");
    }
    sources += "[models]\npath = \"./sql\"\n";
    let names = SourceName::ALL.map(SourceName::as_str);
    let present: Vec<&str> = names.into_iter().filter(|n| dir.join(format!("{n}.csv")).exists()).collect();
    for name in &present {
        sources += &format!("[sources.{name}]\nlocation = \"./raw/{name}.csv\"\n");
    }
    let shop = Shop::new(&project, &sources);
    for file in models(mart(dir), &present.iter().map(|&name| name.to_owned()).collect()) {
        shop.write(&format!("sql/{file}"), fs::read(models_dir().join(&file)).expect("a model"));
    }
    for name in present {
        shop.write(&format!("raw/{name}.csv"), fs::read(dir.join(format!("{name}.csv"))).expect("rows"));
    }
    (shop, text("as_of").expect("an as-of date"))
}

fn models_dir() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    std::env::var_os("FIXTURE_MODELS").map_or_else(own, PathBuf::from)
}

/// The files of a mart, of the sources' staging and of all that they stand on: a run of those alone is quick.
fn models(mart: &str, sources: &BTreeSet<String>) -> BTreeSet<String> {
    let catalog = Catalog::load(&Origin::Folder(models_dir()), None, sources).unwrap_or_else(|e| panic!("{e}"));
    let staging = sources.iter().map(|source| format!("stg_{source}"));
    let roots: Vec<String> = staging.chain([mart.to_owned()]).collect();
    let tables = roots.iter().flat_map(|name| {
        let model = catalog.get(name).unwrap_or_else(|| panic!("no model {name}"));
        catalog.stands_on(model).into_iter().map(|table| table.to_string()).chain([name.clone()])
    });
    let files = tables.filter_map(|name| Some(catalog.get(&name)?.file.clone()));
    let occasions = ["seeds/occasions.csv", "seeds/lunar_occasions.csv"].map(str::to_owned);
    files.chain(occasions).filter(|file| models_dir().join(file).exists()).collect()
}

/// `retention_by_period-textbook` tests retention_by_period.
fn mart(dir: &Path) -> &str {
    let name = dir.file_name().and_then(|n| n.to_str()).expect("a name");
    name.split('-').next().unwrap_or(name)
}

/// Numbers compare as numbers: `0.5` is `0.5000`.
fn same(expected: &str, found: &str) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
    expected == found || matches!((expected.parse(), found.parse()), (Ok(a), Ok(b)) if close(a, b))
}

fn compare(dir: &Path, found: &[BTreeMap<String, String>]) -> Vec<String> {
    let mut reader = csv::Reader::from_path(dir.join("expected.csv")).expect("expected.csv");
    let header = reader.headers().expect("a header").clone();
    let expected: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    let mut complaints = Vec::new();
    if expected.len() != found.len() {
        complaints.push(format!("expected {} rows, found {}", expected.len(), found.len()));
    }
    for (number, row) in expected.iter().enumerate() {
        let Some(actual) = found.get(number) else { continue };
        for (name, value) in header.iter().zip(row) {
            match actual.get(name) {
                Some(got) if same(value, got) => {}
                got => {
                    complaints.push(format!("row {} ({}): {name} is {got:?}, expected {value:?}", number + 1, &row[0]))
                }
            }
        }
    }
    complaints
}

#[test]
fn marts_are_as_the_fixtures_say() {
    let only = std::env::var("FIXTURE").ok();
    let named = |dir: &PathBuf| only.as_ref().is_none_or(|only| dir.ends_with(only));
    let dirs: Vec<PathBuf> = fixtures().into_iter().filter(named).collect();
    assert!(!dirs.is_empty(), "no such fixture");
    let queue = Mutex::new(dirs.iter());
    let next = || queue.lock().expect("the queue").next();
    let work = || std::iter::from_fn(next).flat_map(|dir| outcome(dir)).collect::<Vec<String>>();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is wrong with one fixture; a run that fails doesn't take the others down.
fn outcome(dir: &Path) -> Vec<String> {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    catch_unwind(|| complaints(dir)).unwrap_or_else(|_| vec![format!("{name}: its run failed, see above")])
}

/// Runs one fixture; what differs from its expected rows.
fn complaints(dir: &Path) -> Vec<String> {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (shop, as_of) = shop(dir);
    shop.publish(&as_of);
    let filter = where_clause(dir);
    let rows: Vec<_> =
        shop.mart(mart(dir)).into_iter().filter(|row| filter.iter().all(|(k, v)| row.get(k) == Some(v))).collect();
    compare(dir, &rows).into_iter().map(|complaint| format!("{name}: {complaint}")).collect()
}

/// `[where]` in the settings narrows the mart to the rows that the fixture is about.
fn where_clause(dir: &Path) -> BTreeMap<String, String> {
    let settings: toml::Table = fs::read_to_string(dir.join("settings.toml")).expect("settings").parse().expect("TOML");
    let table = settings.get("where").and_then(|v| v.as_table()).cloned().unwrap_or_default();
    table.into_iter().map(|(k, v)| (k, v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect()
}
