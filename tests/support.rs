//! A project in a temporary folder, run in this process.

pub mod json_schema;
pub mod receiver;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bazgasht::config::Config;
use bazgasht::error::Error;
use bazgasht::interrupt::Interrupt;
use bazgasht::plan::Plan;
use bazgasht::project::{Blueprint, Project};
use bazgasht::report::Silent;
use bazgasht::run::{self, Outcome, Request, Surroundings};
use bazgasht::snapshot::Snapshot;
use bazgasht::storage::Storage;
use chrono::{DateTime, NaiveDate, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The instant that every test's clock shows.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

/// A project's folder with its config.
pub struct Shop {
    pub dir: tempfile::TempDir,
    pub toml: String,
}

impl Shop {
    /// `sources` is the config from `[sources…]` on; lake and marts are folders beside the raw files.
    pub fn new(project: &str, sources: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let toml = format!("[project]\n{project}\n[storage]\nlake = \"./lake\"\nmarts = \"./marts\"\n{sources}");
        Self { dir, toml }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, content).expect("written");
    }

    pub fn remove(&self, relative: &str) {
        fs::remove_file(self.path(relative)).expect("removed");
    }

    pub fn blueprint(&self) -> Blueprint {
        let config = Config::parse("bazgasht.toml", self.dir.path(), &self.toml, &|_| None)
            .unwrap_or_else(|complaints| panic!("{complaints}"));
        Blueprint::draw(config).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn open(&self) -> Project {
        self.blueprint().open().unwrap_or_else(|e| panic!("{e}"))
    }

    /// The same project over another lake and other marts.
    pub fn open_on(&self, lake: Storage, marts: Storage) -> Project {
        self.blueprint().open_on(lake, marts).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn run(&self, as_of: &str) -> Result<Outcome, Error> {
        run_project(&self.open(), as_of)
    }

    /// Runs and demands that a snapshot is published or stands.
    pub fn publish(&self, as_of: &str) -> Snapshot {
        match self.run(as_of) {
            Ok(Outcome::Published(snapshot, _) | Outcome::NothingToDo(snapshot)) => *snapshot,
            Ok(Outcome::Built(_)) => panic!("built, not published"),
            Err(e) => panic!("{e}"),
        }
    }

    pub fn plan(&self, as_of: &str) -> Plan {
        let request = Request { as_of: Some(day(as_of)), ..Request::default() };
        let interrupt = Interrupt::default();
        let around = Surroundings { now: &now, interrupt: &interrupt, progress: &Silent };
        block_on(run::plan(&self.open(), &request, &around)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The rows of a published mart, as text by column name.
    pub fn mart(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let path = self.path(&format!("marts/current/{name}.parquet"));
        if path.exists() {
            return rows(&path);
        }
        let mut files: Vec<PathBuf> = fs::read_dir(self.path(&format!("marts/current/{name}")))
            .unwrap_or_else(|e| panic!("no mart {name}: {e}"))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        files.iter().flat_map(|file| rows(file)).collect()
    }
}

pub fn run_project(project: &Project, as_of: &str) -> Result<Outcome, Error> {
    run_interruptibly(project, as_of, &Interrupt::default())
}

pub fn run_interruptibly(project: &Project, as_of: &str, interrupt: &Interrupt) -> Result<Outcome, Error> {
    let request = Request { as_of: Some(day(as_of)), ..Request::default() };
    let around = Surroundings { now: &now, interrupt, progress: &Silent };
    block_on(run::run(project, &request, &around))
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// The rows of a Parquet file as text by column name; NULL is the empty text.
pub fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    batches(path).iter().flat_map(texts).collect()
}

pub fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    reader.map(|batch| batch.expect("a batch")).collect()
}

fn texts(batch: &RecordBatch) -> Vec<BTreeMap<String, String>> {
    let options = FormatOptions::default();
    let formatters: Vec<(String, ArrayFormatter<'_>)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().clone(), ArrayFormatter::try_new(column, &options).expect("printable")))
        .collect();
    (0..batch.num_rows())
        .map(|row| formatters.iter().map(|(name, f)| (name.clone(), f.value(row).to_string())).collect())
        .collect()
}

/// Every file under a folder, by relative path, with its bytes.
pub fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).expect("inside").display().to_string();
                found.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

/// The published bytes but for the run log, which tells of the runs themselves.
pub fn published(shop: &Shop) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(&shop.path("marts/current"));
    files.remove("run_log.parquet");
    files
}
