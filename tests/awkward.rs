//! Inputs as they are met: `fixtures/awkward/expected.toml` says what becomes of each.
//!
//! A case goes the way of a run up to the plan: config, listing, decoding, mapping, the rules, and the refusal of
//! sources with too many rejects. No model is built for it, so that hundreds are cheap. AWKWARD names a part of a
//! file's name to run those alone.

mod changes;
mod limits;
mod oddities;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bazgasht::config::Config;
use bazgasht::error::Error;
use bazgasht::interrupt::Interrupt;
use bazgasht::project::Blueprint;
use bazgasht::report::Silent;
use bazgasht::run::{self, Request, Surroundings};
use bazgasht::snapshot::ExtractRecord;
use serde::Deserialize;

use crate::support::{Shop, block_on, day, now, rows, tree};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    case: Vec<Case>,
}

/// A file and what becomes of it; the keys are explained where they are used, in `expected.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    file: String,
    shows: String,
    #[serde(default = "orders")]
    source: String,
    #[serde(default = "in_london")]
    project: String,
    #[serde(default)]
    config: String,
    accepted: u64,
    #[serde(default)]
    rejected: BTreeMap<String, String>,
    #[serde(default)]
    skipped: BTreeMap<String, u64>,
    #[serde(default)]
    warned: BTreeMap<String, u64>,
    #[serde(default)]
    values: BTreeMap<String, Vec<String>>,
    refused: Option<Refusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    exit: i32,
    says: String,
}

fn orders() -> String {
    "orders".to_owned()
}

fn in_london() -> String {
    "timezone = \"Europe/London\"\ncurrency = \"GBP\"".to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/awkward")
}

fn staging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sql/staging/{name}.sql"))
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(folder().join("expected.toml")).expect("the table");
    toml::from_str::<Expected>(&text).unwrap_or_else(|e| panic!("expected.toml: {e}")).case
}

/// What became of a file.
#[derive(Default)]
struct Found {
    refused: Option<(i32, String)>,
    read: u64,
    accepted: u64,
    rejected: BTreeMap<String, String>,
    rejects_counted: u64,
    skipped: BTreeMap<String, u64>,
    warned: BTreeMap<String, u64>,
    rows: Vec<BTreeMap<String, String>>,
}

impl Case {
    fn find(&self) -> Found {
        let limit = if self.refused.is_none() { "max_rejected = 1.0\n" } else { "" };
        let location = format!("[sources.{}]\nlocation = \"./raw\"\n", self.source);
        let also = if self.needs_orders() { "[sources.orders]\nlocation = \"./orders/*.csv\"\n" } else { "" };
        let shop =
            Shop::new(&self.project, &format!("[models]\npath = \"./sql\"\n{also}{location}{limit}{}", self.config));
        shop.write(&format!("raw/{}", self.file), fs::read(folder().join(&self.file)).expect("the fixture"));
        shop.write("orders/none.csv", "order_id,customer_id,ordered_at,amount\n");
        // A project has some model; this one reads nothing of the case.
        shop.write("sql/staging/stg_identities.sql", fs::read(staging("stg_identities")).expect("shipped staging"));
        let refused = plan(&shop).err().map(|e| (e.exit_code(), e.to_string()));
        Found { refused, ..extracted(&shop, &self.source) }
    }

    /// A project has orders or their lines, whatever else it has.
    fn needs_orders(&self) -> bool {
        !["orders", "order_items"].contains(&self.source.as_str())
    }

    fn deviations(&self) -> Vec<String> {
        let found = self.find();
        let mut deviations = Vec::new();
        let mut compare = |what: &str, expected: &dyn Debug, found: &dyn Debug| {
            let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
            if expected != found {
                deviations.push(format!("  {what}: expected {expected}\n  {:>1$} {found}", "found", what.len() + 10));
            }
        };
        compare("accepted", &self.accepted, &found.accepted);
        compare("rejected", &in_order(&self.rejected), &in_order(&found.rejected));
        compare("skipped", &self.skipped, &found.skipped);
        compare("warned", &self.warned, &found.warned);
        let skipped: u64 = found.skipped.values().sum();
        compare("rows read", &found.read, &(found.accepted + found.rejects_counted + skipped));
        for (column, values) in &self.values {
            let actual: Vec<&str> = found.rows.iter().map(|row| row.get(column).map_or("?", String::as_str)).collect();
            compare(column, values, &actual);
        }
        match (&self.refused, &found.refused) {
            (Some(expected), Some((exit, message))) if message.contains(&expected.says) => {
                compare("exit code", &expected.exit, exit);
            }
            (None, None) => {}
            (expected, found) => {
                let expected = expected.as_ref().map(|refusal| &refusal.says);
                compare("refused", &expected, &found.as_ref().map(|(_, message)| message));
            }
        }
        deviations
    }

    /// The case's deviations with its name; a panic is one.
    fn outcome(&self) -> Option<String> {
        let deviations = catch_unwind(|| self.deviations()).unwrap_or_else(|_| vec!["  it panicked, see above".into()]);
        (!deviations.is_empty()).then(|| format!("{}: {}\n{}", self.file, self.shows, deviations.join("\n")))
    }
}

/// By line number, not by its digits.
fn in_order(rejected: &BTreeMap<String, String>) -> Vec<(u64, &String)> {
    let mut lines: Vec<_> = rejected.iter().map(|(line, rule)| (line.parse().expect("a line"), rule)).collect();
    lines.sort_unstable();
    lines
}

fn plan(shop: &Shop) -> Result<(), Error> {
    let config = Config::parse("bazgasht.toml", shop.dir.path(), &shop.toml, &|_| None)
        .map_err(|complaints| Error::config(complaints.to_string()))?;
    let project = Blueprint::draw(config)?.open()?;
    let request = Request { as_of: Some(day("2025-06-30")), ..Request::default() };
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress: &Silent };
    block_on(run::plan(&project, &request, &around)).map(|_| ())
}

/// What lies in the lake of the source's one object; nothing, if it was refused before that.
fn extracted(shop: &Shop, source: &str) -> Found {
    let files = tree(&shop.path(&format!("lake/extracted/{source}")));
    let Some((_, record)) = files.iter().find(|(path, _)| path.ends_with("extract.json")) else {
        return Found::default();
    };
    let record: ExtractRecord = serde_json::from_slice(record).expect("a record");
    let read_rows = |path: &str| rows(&shop.path(&format!("lake/{path}")));
    let rejects = record.rejects.as_ref().map(|file| read_rows(&file.path)).unwrap_or_default();
    let mut typed: Vec<_> = record.rows.values().flat_map(|file| read_rows(&file.path)).collect();
    typed.sort_by_key(|row| row["line"].parse::<u64>().unwrap_or_default());
    Found {
        refused: None,
        read: record.read,
        accepted: record.extracted_rows(),
        rejected: rejects.iter().map(|row| (row["line"].clone(), row["rule"].clone())).collect(),
        rejects_counted: record.rejected.values().sum(),
        skipped: record.skipped.into(),
        warned: record.warnings.into(),
        rows: typed,
    }
}

#[test]
fn every_input_becomes_what_the_table_says() {
    let only = std::env::var("AWKWARD").unwrap_or_default();
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.file.contains(&only)).collect();
    assert!(!cases.is_empty(), "no such case");
    let queue = Mutex::new(cases.iter());
    let next = || queue.lock().expect("the queue").next();
    let work = || std::iter::from_fn(next).filter_map(Case::outcome).collect::<Vec<String>>();
    let deviations: Vec<String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(deviations.is_empty(), "{} of {} cases\n{}", deviations.len(), cases.len(), deviations.join("\n"));
}

#[test]
fn the_table_and_the_folder_hold_the_same_files() {
    let mut named: Vec<String> = cases().into_iter().map(|case| case.file).collect();
    named.sort();
    named.dedup();
    let lying: Vec<String> =
        tree(&folder()).into_keys().filter(|name| !["expected.toml", "make.py"].contains(&name.as_str())).collect();
    assert_eq!(named, lying);
    assert!(named.len() >= 80);
}
