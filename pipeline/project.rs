//! A project opened: its config made into stores, an engine, models and decoders.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::ScalarValue;

use crate::calendar::{BusinessCalendar, BusinessZone, CalendarKind, Occasions};
use crate::config::{self, Config, ParameterType, ParameterValue, StoreRoot};
use crate::contract::{Contract, SourceName};
use crate::decode;
use crate::engine::{Engine, memory};
use crate::error::{Error, Result};
use crate::extract::{Dates, Decoding, Key, Mapping, NumberStyle, Privacy};
use crate::lake::Digest;
use crate::model::{Body, Catalog, Origin};
use crate::snapshot::SourceState;
use crate::sources::{Source, Sources, delivery};
use crate::storage::Storage;

/// A year after the calendar's first day: what compares with the year before finds it.
const FIRST_HISTORY_DAY: NaiveDate = NaiveDate::from_ymd_opt(1991, 1, 1).unwrap();

/// A source's stores and how its objects are decoded.
pub struct OpenSource {
    pub config: config::Source,
    /// One per location of the config.
    pub stores: Vec<Storage>,
    pub decoding: Arc<Decoding>,
}

impl OpenSource {
    /// One delivery is a folder of objects, not one object.
    pub fn by_folder(&self) -> bool {
        self.config.delivery == config::Delivery::Folder
    }

    /// The delivery that an object belongs to.
    pub fn delivery<'a>(&self, path: &'a str) -> &'a str {
        delivery(path, self.by_folder())
    }
}

/// Everything that a run works with.
pub struct Project {
    pub config: Config,
    pub catalog: Catalog,
    pub calendar: BusinessCalendar,
    pub zone: BusinessZone,
    pub settings: BTreeMap<String, ScalarValue>,
    pub occasions: Occasions,
    pub calendar_fingerprint: String,
    pub lake: Storage,
    pub marts: Storage,
    pub engine: Engine,
    pub sources: BTreeMap<SourceName, OpenSource>,
    // Held for its end: it removes the folder.
    _scratch: Arc<tempfile::TempDir>,
}

/// The part of a project that needs no store: what `check` looks at.
pub struct Blueprint {
    pub config: Config,
    pub catalog: Catalog,
    pub calendar: BusinessCalendar,
    pub zone: BusinessZone,
    pub settings: BTreeMap<String, ScalarValue>,
    pub occasions: Occasions,
    pub calendar_fingerprint: String,
    pub decodings: BTreeMap<SourceName, Arc<Decoding>>,
}

impl Blueprint {
    /// Reads models, seeds and mappings. All complaints come in one error.
    pub fn draw(config: Config) -> Result<Self> {
        let mut complaints = config::Complaints::default();
        if let Some(first) = config.project.history_starts_on.filter(|first| *first < FIRST_HISTORY_DAY) {
            let complaint = config::Complaint::new(format!("history_starts_on = {first} is too early"));
            complaints
                .push(complaint.in_file(&config.file).hint(format!("the calendar's first is {FIRST_HISTORY_DAY}")));
        }
        let mut decodings = BTreeMap::new();
        for (name, source) in &config.sources {
            match decoding(&config, source) {
                Ok(decoding) => {
                    decodings.insert(*name, Arc::new(decoding));
                }
                Err(found) => complaints.extend(found),
            }
        }
        let origin = config.models.clone().map_or(Origin::Embedded, Origin::Folder);
        let configured = config.sources.keys().map(ToString::to_string).collect();
        let catalog = Catalog::load(&origin, config.added_models.as_deref(), &configured);
        if !complaints.is_empty() {
            let models = catalog.err().map(|e| format!("\n{e}")).unwrap_or_default();
            return Err(Error::Config(format!("{}{models}", complaints.render(false))));
        }
        let catalog = catalog?;
        history_is_small(&config, &catalog)?;
        limits_name_marts(&config, &catalog)?;
        let calendar = calendar(&config);
        let occasions = occasions(&catalog)?;
        Ok(Self {
            calendar,
            zone: BusinessZone::new(config.project.timezone),
            settings: settings(&config),
            calendar_fingerprint: format!("{calendar:?} {}", occasions.1),
            occasions: occasions.0,
            decodings,
            catalog,
            config,
        })
    }

    /// Opens the stores.
    ///
    /// # Errors
    /// [`Error::World`] for a folder or bucket that isn't there.
    pub fn open(self) -> Result<Project> {
        let storage = &self.config.storage;
        let lake = open_store(&storage.lake, &storage.options, storage, true)?;
        let marts = open_store(&storage.marts, &storage.options, storage, true)?;
        self.open_on(lake, marts)
    }

    /// Opens the sources' stores, with a lake and a marts' store of the caller's.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(self, lake: Storage, marts: Storage) -> Result<Project> {
        let Blueprint { config, catalog, calendar, zone, settings, occasions, calendar_fingerprint, decodings } = self;
        std::fs::create_dir_all(&config.storage.scratch)
            .map_err(|e| Error::world(format!("cannot create {}", config.storage.scratch.display()), e))?;
        let scratch = tempfile::Builder::new().prefix("bazgasht-").tempdir_in(&config.storage.scratch)?;
        // A quarter is left for what the engine doesn't account: decoding and encoding Parquet, windows, what the
        // allocator keeps.
        let memory = memory::limit_bytes(config.engine.memory_limit.map(config::ByteSize::bytes));
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        let engine = Engine::new(&lake, memory / 4 * 3, config.engine.threads, scratch.path().to_owned())?;
        let sources = decodings.into_iter().map(|(name, decoding)| Ok((name, open_source(&config, name, decoding)?)));
        let sources = sources.collect::<Result<_>>()?;
        Ok(Project {
            config,
            catalog,
            calendar,
            zone,
            settings,
            occasions,
            calendar_fingerprint,
            lake,
            marts,
            engine,
            sources,
            _scratch: Arc::new(scratch),
        })
    }
}

impl Project {
    /// All sources with the given states; those without a state are empty tables.
    pub fn sources_with(&self, states: BTreeMap<SourceName, SourceState>) -> Sources {
        let mut states = states;
        sources(&self.config, |name| states.remove(&name).unwrap_or_default())
    }
}

/// All sources, configured or not.
pub fn sources(config: &Config, mut state: impl FnMut(SourceName) -> SourceState) -> Sources {
    let orders = config.sources.contains_key(&SourceName::Orders);
    let all = SourceName::ALL.into_iter().map(|name| {
        let configured = config.sources.get(&name);
        let by_folder = configured.is_some_and(|s| s.delivery == config::Delivery::Folder);
        let source = Source::new(Contract::of(name, orders), configured.is_some(), by_folder, state(name));
        (name.to_string(), source)
    });
    Sources(all.collect())
}

/// A mart that is partitioned by month has its history in itself.
fn history_is_small(config: &Config, catalog: &Catalog) -> Result<()> {
    let small = || catalog.marts().filter(|model| !model.monthly).map(|model| model.name.as_str());
    let mut complaints = config::Complaints::default();
    for name in config.publish.history.iter().filter(|name| small().all(|mart| mart != *name)) {
        let (what, hint) = match catalog.marts().find(|model| model.name == **name) {
            Some(_) => (format!("`{name}` is partitioned by month"), "its past months are in it".to_owned()),
            None => {
                let nearest = config::nearest(name, small()).map_or(String::new(), config::did_you_mean);
                (format!("there is no mart `{name}`"), nearest)
            }
        };
        let complaint = config::Complaint::new(format!("[publish] history: {what}")).in_file(&config.file);
        complaints.push(if hint.is_empty() { complaint } else { complaint.hint(hint) });
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::Config(complaints.render(false))) }
}

fn limits_name_marts(config: &Config, catalog: &Catalog) -> Result<()> {
    let marts = || catalog.marts().map(|model| model.name.as_str());
    let mut complaints = config::Complaints::default();
    for name in config.publish.limits.marts.keys().filter(|name| marts().all(|mart| mart != *name)) {
        let complaint = config::Complaint::new(format!("[publish.limits.marts]: there is no mart `{name}`"));
        let complaint = complaint.in_file(&config.file);
        complaints.push(match config::nearest(name, marts()) {
            Some(nearest) => complaint.hint(config::did_you_mean(nearest)),
            None => complaint,
        });
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::Config(complaints.render(false))) }
}

fn calendar(config: &Config) -> BusinessCalendar {
    let kind = match config.project.calendar {
        config::Calendar::Gregorian => CalendarKind::Gregorian,
        config::Calendar::Jalali => CalendarKind::Jalali,
    };
    BusinessCalendar::new(kind)
        .with_week_start(config.project.week_start)
        .with_weekend(config.project.weekend.iter().copied().collect())
}

/// The occasions of the catalog's seeds, and a hash of them.
fn occasions(catalog: &Catalog) -> Result<(Occasions, Digest)> {
    let seed = |name: &str| match catalog.get(name).map(|m| &m.body) {
        Some(Body::Seed(text)) => text.as_str(),
        _ => "",
    };
    let (named, dated) = (seed("occasions"), seed("lunar_occasions"));
    let occasions = Occasions::parse(named, dated).map_err(|e| Error::config(format!("seeds/occasions.csv: {e}")))?;
    Ok((occasions, Digest::of(format!("{named}\n{dated}").as_bytes())))
}

fn settings(config: &Config) -> BTreeMap<String, ScalarValue> {
    config.parameters().into_iter().map(|p| (p.name.to_owned(), scalar(&p.value))).collect()
}

fn scalar(value: &ParameterValue) -> ScalarValue {
    let day = |d: NaiveDate| arrow::datatypes::Date32Type::from_naive_date(d);
    match value {
        ParameterValue::Date(d) => ScalarValue::Date32(Some(day(*d))),
        ParameterValue::Int(n) => ScalarValue::Int64(Some(*n)),
        ParameterValue::Decimal(units, precision, scale) => ScalarValue::Decimal128(Some(*units), *precision, *scale),
        ParameterValue::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        ParameterValue::Bool(yes) => ScalarValue::Boolean(Some(*yes)),
        ParameterValue::NullOf(kind) => match kind {
            ParameterType::Date => ScalarValue::Date32(None),
            ParameterType::Int => ScalarValue::Int64(None),
            ParameterType::Decimal(precision, scale) => ScalarValue::Decimal128(None, *precision, *scale),
            ParameterType::Text => ScalarValue::Utf8(None),
            ParameterType::Bool => ScalarValue::Boolean(None),
        },
    }
}

fn decoding(config: &Config, source: &config::Source) -> Result<Decoding, config::Complaints> {
    let columns = source.columns.iter().map(|m| (m.column.to_owned(), m.expression.text().to_owned())).collect();
    let skip = source.skip.iter().map(|s| (s.name.clone(), s.condition.text().to_owned())).collect();
    let dated = source.dates.iter().map(|d| d.column.to_owned()).collect();
    let mapping = Mapping::new(&source.contract, columns, skip, dated).map_err(|faults| {
        let mut complaints = config::Complaints::default();
        for fault in faults {
            let mapped = source.columns.iter().find(|m| m.column == fault.key).map(|m| &m.expression);
            let skipped = source.skip.iter().find(|s| s.name == fault.key).map(|s| &s.condition);
            let expression = mapped.or(skipped);
            // The parser quotes what it reads, and that may be what a variable stands for.
            let message = match expression.filter(|expression| expression.written().contains("${")) {
                Some(_) => "with its variables filled in, it is no expression that a mapping may have".to_owned(),
                None => fault.message,
            };
            let complaint = config::Complaint::new(format!("sources.{}: `{}`: {message}", source.name, fault.key));
            complaints.push(match expression {
                Some(expression) => complaint.at(expression.place().clone()),
                None => complaint.in_file(&config.file),
            });
        }
        complaints
    })?;
    if !matches!(source.format, Some(config::Format::Parquet | config::Format::Avro))
        && let Err(e) = mapping.type_as_text(&source.contract)
    {
        let complaint = config::Complaint::new(format!("sources.{}: {e}", source.name));
        return Err(complaint.in_file(&config.file).into());
    }
    Ok(Decoding {
        contract: source.contract.clone(),
        format: source.format.map(|format| decode_format(format, source)),
        csv: csv_options(source),
        encoding: source.encoding.get(),
        numbers: NumberStyle { decimal: source.numbers.decimal, thousands: source.numbers.thousands },
        dates: source.dates.iter().map(|d| (d.column.to_owned(), Dates::new(d.formats.clone()))).collect(),
        mapping,
        source_zone: BusinessZone::new(source.timezone),
        zone: BusinessZone::new(config.project.timezone),
        calendar: calendar(config),
        currency: config.project.currency.as_str().to_owned(),
        history_starts_on: config.project.history_starts_on,
        privacy: match &config.project.pii {
            config::Pii::Keep => Privacy::Keep,
            config::Pii::Drop => Privacy::Drop,
            config::Pii::Pseudonymise(secret) => Privacy::Pseudonymise(Key::new(secret.expose())),
        },
    })
}

fn decode_format(format: config::Format, source: &config::Source) -> decode::Format {
    match format {
        config::Format::Csv => decode::Format::Csv(csv_options(source)),
        config::Format::Ndjson => decode::Format::Ndjson,
        config::Format::Parquet => decode::Format::Parquet,
        config::Format::Avro => decode::Format::Avro,
    }
}

fn csv_options(source: &config::Source) -> decode::CsvOptions {
    decode::CsvOptions {
        delimiter: match source.csv.delimiter {
            config::Delimiter::Char(byte) => decode::Delimiter::Byte(byte),
            config::Delimiter::Blanks => decode::Delimiter::Blanks,
        },
        quote: source.csv.quote,
        header: source.csv.header,
    }
}

fn open_source(config: &Config, name: SourceName, decoding: Arc<Decoding>) -> Result<OpenSource> {
    let source = config.sources.get(&name).ok_or_else(|| Error::bug("source vanished"))?.clone();
    let open = |location: &config::Location| open_store(&location.root, &source.options, &config.storage, false);
    let stores =
        source.locations.iter().map(open).collect::<Result<_>>().map_err(|e| e.at(format!("source {name}")))?;
    Ok(OpenSource { config: source, stores, decoding })
}

fn open_store(
    root: &StoreRoot,
    options: &config::StoreOptions,
    storage: &config::Storage,
    create: bool,
) -> Result<Storage> {
    match root {
        StoreRoot::Local(dir) if create => Storage::create_local(dir),
        StoreRoot::Local(dir) => Storage::open_local(dir),
        StoreRoot::Remote(remote) => Storage::open_remote(remote, &options.expose(), storage.retry_for),
    }
}
