//! `bazgasht.toml`: parsed completely and converted once into typed values.
//!
//! `file` has the tables as they are written, `read` gets them out of the text past every mistake, `convert`
//! makes them into the types below. Past [`Config::load`] nothing about the configuration is checked again, but for
//! SQL expressions: they are kept with their place, for the one who knows the engine.

mod business;
mod convert;
mod diagnostics;
mod expression;
mod file;
mod location;
mod openlineage;
mod read;
mod schedule;
mod substitute;
mod template;
#[cfg(test)]
mod tests;
mod values;
mod wrappers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::calendar::DateFormat;
use crate::contract::{Contract, SourceName};
use crate::redact;

pub use business::{Business, Parameter, ParameterType, ParameterValue};
pub use convert::{DEFAULT_RETRY_FOR, LEAST_MEMORY};
pub use diagnostics::{Complaint, Complaints, Place, TextFile, did_you_mean, nearest, one_of};
pub use expression::Expression;
pub use file::{Calendar, CatchUp, Delivery, Format, Mode, NotifyFormat, NotifyOn, OnBreach, OnRemoved, json_schema};
pub use location::{Location, Remote, StoreKind, StoreRoot};
pub use openlineage::{EventSink, JobRun, OpenLineage};
pub use schedule::{CronLine, Schedule};
pub use template::{FILE_NAME, TEMPLATE};
pub use values::{ByteSize, Currency, Delimiter, Encoding};
pub use wrappers::Secret;

/// Everything that a project says, typed. Cloning copies a few dozen short strings; share it in an `Arc` where that
/// is too much.
#[derive(Debug, Clone)]
pub struct Config {
    /// The config file, for complaints that come later.
    pub file: Arc<TextFile>,
    /// The config file's folder, absolute.
    pub folder: PathBuf,
    pub project: Project,
    pub storage: Storage,
    pub engine: Engine,
    /// A folder with the project's own models, absolute; `None`: those in the program.
    pub models: Option<PathBuf>,
    /// A folder with models that come to those, absolute.
    pub added_models: Option<PathBuf>,
    pub business: Business,
    pub publish: Publish,
    /// `None`: there is no such table.
    pub schedule: Option<Schedule>,
    pub observe: Observe,
    pub notify: Vec<Notify>,
    /// The configured sources; `orders` or `order_items` is among them.
    pub sources: BTreeMap<SourceName, Source>,
}

/// What business this is.
#[derive(Debug, Clone)]
pub struct Project {
    pub name: String,
    pub timezone: Tz,
    pub calendar: Calendar,
    pub currency: Currency,
    pub week_start: chrono::Weekday,
    pub weekend: Vec<chrono::Weekday>,
    pub history_starts_on: Option<NaiveDate>,
    pub pii: Pii,
}

/// What becomes of personal data.
#[derive(Debug, Clone)]
pub enum Pii {
    Keep,
    Drop,
    /// With the key of the keyed hash.
    Pseudonymise(Secret),
}

/// Where results go. Neither lake nor marts lies in the other.
#[derive(Debug, Clone)]
pub struct Storage {
    pub lake: StoreRoot,
    pub marts: StoreRoot,
    /// A local folder, absolute; it need not exist.
    pub scratch: PathBuf,
    pub options: StoreOptions,
    /// For how long a call to a store that fails for no lasting reason is tried again.
    pub retry_for: Duration,
}

/// What the machine may be used for.
#[derive(Debug, Clone, Copy)]
pub struct Engine {
    /// `None`: what this machine allows ([`crate::engine::memory`]).
    pub memory_limit: Option<ByteSize>,
    pub threads: usize,
}

/// What is kept of what was published.
#[derive(Debug, Clone)]
pub struct Publish {
    /// `gc` keeps the snapshots of so many days.
    pub keep_days: u32,
    /// Marts of which every as-of date's file is kept.
    pub history: Vec<String>,
    pub limits: Limits,
}

/// How far marts may move from one night to the next.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub all: MartLimits,
    /// Those of single marts, before the others.
    pub marts: BTreeMap<String, MartLimits>,
}

impl Limits {
    /// What holds for a mart. `volatile`: its rows are the day's own, so only limits that name it are for it.
    pub fn of(&self, mart: &str, volatile: bool) -> MartLimits {
        let own = self.marts.get(mart).copied().unwrap_or_default();
        let general = if volatile { MartLimits::default() } else { self.all };
        own.or(general).or(MartLimits { least_rows: self.all.least_rows, ..MartLimits::default() })
    }
}

/// How far a mart may move, as shares of what it had; `None`: as far as it will.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MartLimits {
    pub rows_lost: Option<f64>,
    pub rows_gained: Option<f64>,
    pub sums: Option<f64>,
    pub moved: Option<f64>,
    /// With fewer rows before, it isn't judged.
    pub least_rows: Option<u64>,
}

impl MartLimits {
    fn or(self, other: Self) -> Self {
        Self {
            rows_lost: self.rows_lost.or(other.rows_lost),
            rows_gained: self.rows_gained.or(other.rows_gained),
            sums: self.sums.or(other.sums),
            moved: self.moved.or(other.moved),
            least_rows: self.least_rows.or(other.least_rows),
        }
    }
}

/// How many rows the as-of day may have, as factors of the median of the same weekday in the weeks before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Volume {
    pub least: f64,
    pub most: Option<f64>,
    pub weeks: u32,
    pub on_breach: OnBreach,
}

/// Whom runs are told to.
#[derive(Debug, Clone, Default)]
pub struct Observe {
    /// Metrics as a local file, absolute.
    pub prometheus_textfile: Option<PathBuf>,
    /// `None`: nobody wants OpenLineage events.
    pub openlineage: Option<OpenLineage>,
}

/// A webhook.
#[derive(Debug, Clone)]
pub struct Notify {
    /// An http or https URL.
    pub url: Secret,
    pub format: NotifyFormat,
    pub on: Vec<NotifyOn>,
}

/// One source, with its contract.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: SourceName,
    pub contract: Contract,
    /// At least one.
    pub locations: Vec<Location>,
    /// `None`: each object's extension tells, by [`Format::of_path`].
    pub format: Option<Format>,
    /// How CSV objects are written.
    pub csv: Csv,
    /// Of text without a byte order mark.
    pub encoding: Encoding,
    /// How numbers are written.
    pub numbers: Numbers,
    /// How dates and times are written that aren't ISO 8601.
    pub dates: Vec<Dates>,
    /// The zone of timestamps without offset.
    pub timezone: Tz,
    pub mode: Mode,
    pub delivery: Delivery,
    pub on_removed: OnRemoved,
    /// A fraction, from 0 to 1.
    pub max_rejected: f64,
    pub max_age: Option<Duration>,
    /// When the newest row is older.
    pub on_late: OnBreach,
    /// `None`: how many rows a day has isn't looked at.
    pub volume: Option<Volume>,
    /// The source's own, or else the storage's.
    pub options: StoreOptions,
    /// The mapped contract columns, in the contract's order.
    pub columns: Vec<Mapping>,
    /// The skip rules, in the file's order: a row counts under the first that holds.
    pub skip: Vec<SkipRule>,
}

/// How a CSV is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csv {
    pub delimiter: Delimiter,
    /// `None`: nothing is quoted.
    pub quote: Option<u8>,
    /// Without a header, columns are `column_1`, `column_2` …
    pub header: bool,
}

/// How numbers are written: two different characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    pub decimal: char,
    pub thousands: Option<char>,
}

/// How a contract column's dates or times are written.
#[derive(Debug, Clone)]
pub struct Dates {
    /// A date or timestamp of the source's contract.
    pub column: &'static str,
    /// At least one; the first that fits wins.
    pub formats: Vec<DateFormat>,
}

/// How a contract column is made of raw columns.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// A column of the source's contract.
    pub column: &'static str,
    pub expression: Expression,
}

/// Rows that are expected and left out.
#[derive(Debug, Clone)]
pub struct SkipRule {
    /// Lower-case letters, digits and `_`.
    pub name: String,
    pub condition: Expression,
}

/// Options of an object store, by `object_store`'s own keys, in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions(BTreeMap<String, Secret>);

impl StoreOptions {
    /// The options in plain text, for the store's builder alone.
    pub fn expose(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Config {
    /// Reads the file at `path`, with `${VAR}` from the process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Config, Complaints> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&shown, &error))?;
        let absolute = std::path::absolute(path).map_err(|error| unreadable(&shown, &error))?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let environment = |name: &str| {
            let value = std::env::var(name).ok();
            value.iter().filter(|_| redact::sounds_secret(name)).for_each(|secret| redact::learn(secret));
            value
        };
        let config = Config::parse(&shown, folder, &text, &environment)?;
        config.secrets().for_each(redact::learn);
        config.notify.iter().for_each(|notify| redact::learn_url(notify.url.expose()));
        Ok(config)
    }

    /// What must never be shown.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let stores = self.sources.values().map(|source| &source.options).chain([&self.storage.options]);
        let options = stores.flat_map(|options| &options.0).filter(|(name, _)| redact::sounds_secret(name));
        let key = match &self.project.pii {
            Pii::Pseudonymise(key) => Some(key),
            Pii::Keep | Pii::Drop => None,
        };
        let api_key = self.observe.openlineage.iter().filter_map(|openlineage| openlineage.api_key.as_ref());
        options.map(|(_, secret)| secret).chain(key).chain(api_key).map(Secret::expose)
    }

    /// Reads `text`, which complaints quote as the file `shown`. Relative paths start at `folder`, an absolute one;
    /// `environment` resolves `${VAR}`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(
        shown: &str,
        folder: &Path,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Complaints> {
        let (raw, reader) = read::read(shown, folder.to_owned(), text, environment)?;
        convert::config(raw, reader, environment)
    }

    /// Every `$parameter` that the business settings give to models: the same names and types for every project.
    pub fn parameters(&self) -> Vec<Parameter> {
        let interactions = self.sources.contains_key(&SourceName::Interactions);
        self.business.parameters(self.project.history_starts_on, interactions)
    }
}

fn unreadable(shown: &str, error: &std::io::Error) -> Complaints {
    let complaint = Complaint::new(format!("cannot read {shown}: {error}"));
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            complaint.hint("write one with `bazgasht init`, or name another with `--config`").into()
        }
        _ => complaint.into(),
    }
}
