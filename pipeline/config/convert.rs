//! From the raw tables to the typed config. A value that can't be converted is complained about and something
//! stands in for it, so that the rest is checked too; with a single complaint no config is returned.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};

use super::business::{Business, KpiBase, KpiBasis};
use super::diagnostics::{Complaints, did_you_mean, nearest, one_of};
use super::file::{
    Calendar, Delivery, File, Format, Growth, Mode, NotifyFormat, NotifyOn, OnBreach, OnRemoved, PersonalData,
    RawEngine, RawLimits, RawMartLimits, RawNotify, RawProject, RawSource, RawSources, RawStorage, RawVolume,
    RejectedShare, Share, Weekday,
};
use super::location::{Location, LocationFault, StoreKind, StoreRoot};
use super::openlineage::openlineage;
use super::read::Reader;
use super::schedule;
use super::substitute::Environment;
use super::values::{ByteSize, Currency, Day, Delimiter, Fixed, Quote, Span};
use super::wrappers::{Entries, OneOrMany, Placed, Secret};
use super::{
    Config, Csv, Dates, Engine, Expression, Limits, Mapping, MartLimits, Notify, Numbers, Observe, Pii, Project,
    Publish, SkipRule, Source, Storage, StoreOptions, Volume,
};
use crate::calendar::DateFormat;
use crate::contract::{ColumnType, Contract, SourceName};

/// Below this not even one sort gets anywhere.
pub const LEAST_MEMORY: ByteSize = ByteSize::from_mebibytes(16);
const DEFAULT_KEEP_DAYS: i64 = 30;
/// Past a store's restart, short of five minutes: a request is repeated with the credentials that it began with.
pub const DEFAULT_RETRY_FOR: Duration = Duration::from_secs(180);

/// # Errors
/// All complaints: the reader's and those of the conversion.
pub fn config(raw: File, mut reader: Reader, environment: Environment<'_>) -> Result<Config, Complaints> {
    let project = project(&mut reader, raw.project);
    let storage = storage(&mut reader, raw.storage);
    let engine = engine(&mut reader, &raw.engine);
    let mut models = |key, path: Option<Placed<String>>| path.and_then(|path| local_path(&mut reader, key, &path));
    let (models, added_models) = (models("path", raw.models.path), models("add", raw.models.add));
    let textfile = raw.observe.prometheus_textfile.as_ref();
    let observe = Observe {
        prometheus_textfile: textfile.and_then(|path| local_path(&mut reader, "prometheus_textfile", path)),
        openlineage: openlineage(&mut reader, raw.observe, environment),
    };
    let notify = raw.notify.into_iter().filter_map(|raw| notify(&mut reader, raw)).collect();
    let sources = sources(&mut reader, raw.sources, &project, &storage);
    check_basis(&mut reader, &raw.business, &sources);
    let limits = limits(&raw.publish.limits);
    let schedule = raw.schedule.map(|raw| schedule::convert(&mut reader, raw));
    let keep_days = raw.publish.keep_days.map_or(DEFAULT_KEEP_DAYS, |days| days.get());
    if !reader.complaints.is_empty() {
        return Err(reader.complaints);
    }
    Ok(Config {
        file: reader.file,
        folder: reader.folder,
        project,
        storage,
        engine,
        models,
        added_models,
        business: raw.business,
        publish: Publish {
            keep_days: u32::try_from(keep_days).unwrap_or(u32::MAX),
            history: raw.publish.history,
            limits,
        },
        schedule,
        observe,
        notify,
        sources,
    })
}

/// A mart that lost more than half of its rows lost them by mistake; of little else can that be said of every shop.
const DEFAULT_ROWS_LOST: f64 = 0.5;
const DEFAULT_LEAST_ROWS: u64 = 100;

fn limits(raw: &RawLimits) -> Limits {
    let all = MartLimits {
        rows_lost: Some(raw.rows_lost.map_or(DEFAULT_ROWS_LOST, Share::as_f64)),
        rows_gained: raw.rows_gained.map(Growth::as_f64),
        sums: raw.sums.map(Growth::as_f64),
        moved: raw.moved.map(Share::as_f64),
        least_rows: Some(raw.least_rows.map_or(DEFAULT_LEAST_ROWS, |rows| rows.get().unsigned_abs())),
    };
    let own = |raw: &RawMartLimits| MartLimits {
        rows_lost: raw.rows_lost.map(Share::as_f64),
        rows_gained: raw.rows_gained.map(Growth::as_f64),
        sums: raw.sums.map(Growth::as_f64),
        moved: raw.moved.map(Share::as_f64),
        least_rows: raw.least_rows.map(|rows| rows.get().unsigned_abs()),
    };
    Limits { all, marts: raw.marts.0.iter().map(|(name, raw)| (name.value.clone(), own(&raw.value))).collect() }
}

const DEFAULT_LEAST: f64 = 0.5;
const DEFAULT_WEEKS: u32 = 8;

fn volume(raw: &RawVolume) -> Volume {
    Volume {
        least: raw.least.map_or(DEFAULT_LEAST, Fixed::as_f64),
        most: raw.most.map(Fixed::as_f64),
        weeks: raw.weeks.and_then(|weeks| u32::try_from(weeks.get()).ok()).unwrap_or(DEFAULT_WEEKS),
        on_breach: raw.on_breach.unwrap_or(OnBreach::Warn),
    }
}

fn project(reader: &mut Reader, raw: Option<Placed<RawProject>>) -> Project {
    let Some(Placed { value: raw, span }) = raw else {
        reader.missing("project", None, "add [project] with timezone and currency");
        return project_of(reader, RawProject::default(), Tz::UTC);
    };
    let timezone = match &raw.timezone {
        Some(name) => timezone(reader, name),
        None => {
            reader.missing("project.timezone", Some(span.clone()), "add an IANA name: timezone = \"Europe/London\"");
            Tz::UTC
        }
    };
    if raw.currency.is_none() {
        reader.missing("project.currency", Some(span), "add a three-letter code: currency = \"GBP\"");
    }
    project_of(reader, raw, timezone)
}

fn project_of(reader: &mut Reader, raw: RawProject, timezone: Tz) -> Project {
    let pii = pii(reader, &raw);
    let calendar = raw.calendar.unwrap_or(Calendar::Gregorian);
    let (week_start, weekend) = match calendar {
        Calendar::Gregorian => (Weekday::Monday, vec![Weekday::Saturday, Weekday::Sunday]),
        Calendar::Jalali => (Weekday::Saturday, vec![Weekday::Friday]),
    };
    let folder_name = || reader.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut weekend: Vec<_> = raw.weekend.unwrap_or(weekend).into_iter().map(weekday).collect();
    weekend.sort_by_key(chrono::Weekday::num_days_from_monday);
    weekend.dedup();
    Project {
        name: raw.name.unwrap_or_else(folder_name),
        timezone,
        calendar,
        // XXX is ISO 4217's "no currency", standing in for one that was complained about.
        currency: raw.currency.unwrap_or_else(Currency::none),
        week_start: weekday(raw.week_start.unwrap_or(week_start)),
        weekend,
        history_starts_on: raw.history_starts_on.map(Day::date),
        pii,
    }
}

/// A shorter key could be found by trying.
const LEAST_KEY_CHARS: usize = 16;

fn pii(reader: &mut Reader, raw: &RawProject) -> Pii {
    let key = raw.pii_key.as_ref();
    match (raw.pii.unwrap_or(PersonalData::Keep), key) {
        (PersonalData::Keep, None) => Pii::Keep,
        (PersonalData::Drop, None) => Pii::Drop,
        (PersonalData::Pseudonymise, Some(key)) => {
            if key.value.expose().chars().count() < LEAST_KEY_CHARS {
                let message = format!("`pii_key` has fewer than {LEAST_KEY_CHARS} characters");
                reader.complain_with_hint(key.span.clone(), message, "make one with `openssl rand -hex 32`");
            }
            Pii::Pseudonymise(key.value.clone())
        }
        (PersonalData::Pseudonymise, None) => {
            let hint = "pii = \"pseudonymise\" needs one: pii_key = \"${BAZGASHT_PII_KEY}\"";
            reader.missing("project.pii_key", None, hint);
            Pii::Drop
        }
        (PersonalData::Keep | PersonalData::Drop, Some(key)) => {
            if !reader.was_dropped("project.pii") {
                let hint = "write pii = \"pseudonymise\", or take the key out";
                reader.complain_with_hint(
                    key.span.clone(),
                    "`pii_key` is for pseudonyms, and `pii` asks for none",
                    hint,
                );
            }
            Pii::Drop
        }
    }
}

const fn weekday(day: Weekday) -> chrono::Weekday {
    match day {
        Weekday::Monday => chrono::Weekday::Mon,
        Weekday::Tuesday => chrono::Weekday::Tue,
        Weekday::Wednesday => chrono::Weekday::Wed,
        Weekday::Thursday => chrono::Weekday::Thu,
        Weekday::Friday => chrono::Weekday::Fri,
        Weekday::Saturday => chrono::Weekday::Sat,
        Weekday::Sunday => chrono::Weekday::Sun,
    }
}

fn timezone(reader: &mut Reader, name: &Placed<String>) -> Tz {
    if let Ok(zone) = name.value.parse() {
        return zone;
    }
    let written = reader.written(&name.span);
    let general = "write an IANA name, such as `Europe/London` or `Asia/Tehran`";
    let hint = nearest_zone(&written).map_or(general.to_owned(), did_you_mean);
    reader.complain_with_hint(name.span.clone(), format!("there is no time zone `{written}`"), hint);
    Tz::UTC
}

/// By the whole name, or by the city alone.
fn nearest_zone(written: &str) -> Option<&'static str> {
    let cities = || TZ_VARIANTS.iter().map(|zone| zone.name().rsplit('/').next().unwrap_or(zone.name()));
    nearest(written, TZ_VARIANTS.iter().map(|zone| zone.name())).or_else(|| {
        let city = nearest(written, cities())?;
        let of_city = |zone: &&Tz| zone.name().strip_suffix(city).is_some_and(|region| region.ends_with('/'));
        TZ_VARIANTS.iter().find(of_city).map(|zone| zone.name())
    })
}

fn storage(reader: &mut Reader, raw: Option<Placed<RawStorage>>) -> Storage {
    let stand_in = StoreRoot::Local(reader.folder.clone());
    let Some(Placed { value: raw, span }) = raw else {
        reader.missing("storage", None, "add [storage] with lake and marts");
        let (scratch, options) = (std::env::temp_dir(), StoreOptions::default());
        return Storage { lake: stand_in.clone(), marts: stand_in, scratch, options, retry_for: DEFAULT_RETRY_FOR };
    };
    let lake = store_root(reader, "lake", raw.lake.as_ref(), &span);
    let marts = store_root(reader, "marts", raw.marts.as_ref(), &span);
    if let (Some(lake), Some(marts), Some(written)) = (&lake, &marts, &raw.marts)
        && (lake.contains(marts) || marts.contains(lake))
    {
        let message = "`marts` and `lake` overlap: one is, or lies in, the other";
        reader.complain_with_hint(written.span.clone(), message, "give each a folder or prefix of its own");
    }
    let scratch = raw.scratch.and_then(|path| local_path(reader, "scratch", &path));
    let options = options(reader, raw.options, &StoreKind::ALL);
    let retry_for = raw.retry_for.map_or(DEFAULT_RETRY_FOR, Span::duration);
    let scratch = scratch.unwrap_or_else(std::env::temp_dir);
    let (lake, marts) = (lake.unwrap_or_else(|| stand_in.clone()), marts.unwrap_or(stand_in));
    Storage { lake, marts, scratch, options, retry_for }
}

fn store_root(
    reader: &mut Reader,
    key: &str,
    path: Option<&Placed<String>>,
    table: &Range<usize>,
) -> Option<StoreRoot> {
    let Some(path) = path else {
        let hint = format!("add a folder or prefix: {key} = \"./{key}\"");
        reader.missing(&format!("storage.{key}"), Some(table.clone()), &hint);
        return None;
    };
    match StoreRoot::parse(&path.value, &reader.folder) {
        Ok(root) if root.kind() == Some(StoreKind::Web) => {
            let hint = "write a folder, `s3://…`, `az://…` or `gs://…`; a web server is for `location` alone";
            reader.complain_with_hint(path.span.clone(), format!("`{key}` can't be on a web server"), hint);
            None
        }
        Ok(root) => Some(root),
        Err(fault) => {
            complain_location(reader, key, &path.span, &fault);
            None
        }
    }
}

fn complain_location(reader: &mut Reader, key: &str, span: &Range<usize>, fault: &LocationFault) {
    reader.complain_with_hint(span.clone(), format!("`{key}` {}", fault.what), fault.hint);
}

fn local_path(reader: &mut Reader, key: &str, path: &Placed<String>) -> Option<PathBuf> {
    match StoreRoot::parse(&path.value, &reader.folder) {
        Ok(StoreRoot::Local(folder)) => Some(folder),
        Ok(StoreRoot::Remote(_)) => {
            reader.complain(path.span.clone(), format!("`{key}` must be local"));
            None
        }
        Err(fault) => {
            complain_location(reader, key, &path.span, &fault);
            None
        }
    }
}

/// For hints alone; what is allowed is `object_store`'s to say.
const COMMON_OPTIONS: [&str; 21] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_region",
    "aws_endpoint",
    "aws_allow_http",
    "aws_virtual_hosted_style_request",
    "aws_skip_signature",
    "aws_role_arn",
    "aws_server_side_encryption",
    "aws_sse_kms_key_id",
    "azure_storage_account_name",
    "azure_storage_account_key",
    "azure_storage_sas_token",
    "azure_client_id",
    "azure_client_secret",
    "azure_tenant_id",
    "google_service_account",
    "google_service_account_key",
    "google_application_credentials",
    "timeout",
];

/// Options for stores of these kinds. The stores themselves would drop a key that they don't know without a word.
fn options(reader: &mut Reader, raw: Entries<Secret>, kinds: &[StoreKind]) -> StoreOptions {
    let mut options = BTreeMap::new();
    for (key, secret) in raw.0 {
        let name = key.value.to_ascii_lowercase();
        let of = |kinds: &[StoreKind]| kinds.iter().copied().find(|kind| kind.knows(&name));
        match (of(kinds), of(&StoreKind::ALL)) {
            (Some(_), _) => {}
            (None, Some(other)) => {
                let message = format!("`{}` is an option of another store: of {other}", key.value);
                reader.complain_with_hint(key.span, message, "the locations here have no such store");
            }
            (None, None) => {
                let common = || format!("common ones are {}", one_of(COMMON_OPTIONS));
                let hint = nearest(&name, COMMON_OPTIONS).map_or_else(common, did_you_mean);
                reader.complain_with_hint(key.span, format!("the store has no option `{}`", key.value), hint);
            }
        }
        options.insert(name, secret.value);
    }
    StoreOptions(options)
}

/// The options of one source: its own in the place of the storage's. Where all its locations are in stores, an
/// option must be one of theirs.
fn source_options(
    reader: &mut Reader,
    own: Option<Entries<Secret>>,
    locations: &[Location],
    storage: &Storage,
) -> StoreOptions {
    let Some(own) = own else { return storage.options.clone() };
    let kinds: Option<Vec<StoreKind>> = locations.iter().map(|location| location.root.kind()).collect();
    let kinds = kinds.filter(|kinds| !kinds.is_empty()).unwrap_or(StoreKind::ALL.to_vec());
    options(reader, own, &kinds)
}

fn engine(reader: &mut Reader, raw: &RawEngine) -> Engine {
    if let Some(limit) = &raw.memory_limit
        && limit.value < LEAST_MEMORY
    {
        reader.complain(limit.span.clone(), format!("`memory_limit` must be at least {LEAST_MEMORY}"));
    }
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    Engine {
        memory_limit: raw.memory_limit.as_ref().map(|limit| limit.value),
        threads: raw.threads.and_then(|threads| usize::try_from(threads.get()).ok()).unwrap_or_else(cores),
    }
}

fn notify(reader: &mut Reader, raw: Placed<RawNotify>) -> Option<Notify> {
    let Placed { value: raw, span } = raw;
    let Some(url) = raw.url else {
        reader.missing("notify.url", Some(span), "add where messages go: url = \"${SLACK_WEBHOOK}\"");
        return None;
    };
    let parsed = url::Url::parse(url.value.expose()).ok();
    if parsed.is_none_or(|url| !matches!(url.scheme(), "http" | "https") || !url.has_host()) {
        reader.complain_with_hint(url.span, "`url` is no http or https URL", "write url = \"${SLACK_WEBHOOK}\"");
        return None;
    }
    let all = [NotifyOn::Failure, NotifyOn::Recovery, NotifyOn::Late, NotifyOn::Blocked];
    let on = raw.on.unwrap_or_else(|| all.to_vec());
    Some(Notify { url: url.value, format: raw.format.unwrap_or(NotifyFormat::Generic), on })
}

fn check_basis(reader: &mut Reader, business: &Business, sources: &BTreeMap<SourceName, Source>) {
    if let Some(basis) = &business.kpi_basis
        && basis.value == KpiBasis::Interaction
        && !sources.contains_key(&SourceName::Interactions)
    {
        let message = "`kpi_basis` is `interaction`, but there is no [sources.interactions]";
        reader.complain_with_hint(basis.span.clone(), message, "add that source, or write `order`");
    }
    if let Some(base) = &business.kpi_base
        && base.value == KpiBase::Contract
        && !sources.contains_key(&SourceName::Subscriptions)
    {
        let message = "`kpi_base` is `contract`, but there is no [sources.subscriptions]";
        reader.complain_with_hint(base.span.clone(), message, "add that source, or write `window`");
    }
}

fn sources(
    reader: &mut Reader,
    raw: Option<Placed<RawSources>>,
    project: &Project,
    storage: &Storage,
) -> BTreeMap<SourceName, Source> {
    let hint = "add [sources.orders] or [sources.order_items] with its location";
    let Some(Placed { value: raw, span }) = raw else {
        reader.missing("sources", None, hint);
        return BTreeMap::new();
    };
    if raw.orders.is_none() && raw.order_items.is_none() && !reader.was_dropped("sources.order_items") {
        reader.missing("sources.orders", Some(span), hint);
    }
    let orders_configured = raw.orders.is_some();
    let tables = [
        (SourceName::Orders, raw.orders),
        (SourceName::OrderItems, raw.order_items),
        (SourceName::Interactions, raw.interactions),
        (SourceName::Customers, raw.customers),
        (SourceName::Products, raw.products),
        (SourceName::Campaigns, raw.campaigns),
        (SourceName::Subscriptions, raw.subscriptions),
        (SourceName::Identities, raw.identities),
    ];
    let mut sources = BTreeMap::new();
    for (name, table) in tables {
        if let Some(table) = table {
            let contract = Contract::of(name, orders_configured);
            sources.insert(name, source(reader, contract, table, project, storage));
        }
    }
    sources
}

fn source(
    reader: &mut Reader,
    contract: Contract,
    table: Placed<RawSource>,
    project: &Project,
    storage: &Storage,
) -> Source {
    let Placed { value: raw, span } = table;
    check_text_keys(reader, &raw);
    check_guards(reader, &contract, &raw);
    let locations = locations(reader, contract.source, &raw, span, storage);
    let default_rejected = const { RejectedShare::new(10_000) };
    let csv = csv(&raw);
    let numbers = numbers(reader, &raw);
    let options = source_options(reader, raw.options, &locations, storage);
    Source {
        name: contract.source,
        locations,
        format: raw.format,
        csv,
        encoding: raw.encoding.as_ref().map(|encoding| encoding.value).unwrap_or_default(),
        numbers,
        dates: dates(reader, &contract, raw.dates),
        timezone: raw.timezone.map_or(project.timezone, |name| timezone(reader, &name)),
        mode: raw.mode.unwrap_or(Mode::Changes),
        delivery: raw.delivery.unwrap_or(Delivery::Object),
        on_removed: raw.on_removed.unwrap_or(OnRemoved::Block),
        max_rejected: raw.max_rejected.unwrap_or(default_rejected).as_f64(),
        max_age: raw.max_age.map(|age| age.value.duration()),
        volume: raw.volume.as_ref().map(|raw| volume(&raw.value)),
        on_late: raw.on_late.map_or(OnBreach::Warn, |on_late| on_late.value),
        options,
        columns: mappings(reader, &contract, raw.columns),
        skip: skip_rules(reader, raw.skip),
        contract,
    }
}

fn csv(raw: &RawSource) -> Csv {
    Csv {
        delimiter: raw.delimiter.as_ref().map_or(Delimiter::Char(b','), |delimiter| delimiter.value),
        quote: raw.quote.as_ref().map_or(Quote(Some(b'"')), |quote| quote.value).0,
        header: raw.header.as_ref().is_none_or(|header| header.value),
    }
}

/// Keys that mean nothing in the format that `format` states.
fn check_text_keys(reader: &mut Reader, raw: &RawSource) {
    fn span<T>(value: Option<&Placed<T>>) -> Option<Range<usize>> {
        value.map(|value| value.span.clone())
    }
    let Some(format) = raw.format else { return };
    let is_json = format == Format::Ndjson;
    let is_csv = format == Format::Csv;
    let for_csv = "is for CSV alone, and `format` says otherwise";
    let for_text = "is for CSV and JSON, and `format` says otherwise";
    let not_json = "isn't for JSON, whose numbers have one form";
    let keys = [
        ("delimiter", span(raw.delimiter.as_ref()), is_csv, for_csv),
        ("quote", span(raw.quote.as_ref()), is_csv, for_csv),
        ("header", span(raw.header.as_ref()), is_csv, for_csv),
        ("encoding", span(raw.encoding.as_ref()), is_csv || is_json, for_text),
        ("decimal", span(raw.decimal.as_ref()), !is_json, not_json),
        ("thousands", span(raw.thousands.as_ref()), !is_json, not_json),
    ];
    for (key, span, fits, why) in keys {
        if let Some(span) = span.filter(|_| !fits) {
            reader.complain(span, format!("`{key}` {why}"));
        }
    }
}

/// Keys that would mean nothing: of guards of days, where rows have none, and of guards that aren't set.
fn check_guards(reader: &mut Reader, contract: &Contract, raw: &RawSource) {
    let max_age = raw.max_age.as_ref().map(|age| ("max_age", age.span.clone()));
    let volume = raw.volume.as_ref().map(|volume| ("volume", volume.span.clone()));
    for (key, span) in max_age.into_iter().chain(volume).filter(|_| contract.time.is_none()) {
        let hint = "it is for orders and interactions, and for order_items without orders";
        reader.complain_with_hint(span, format!("`{key}`: the rows of {} have no day", contract.source), hint);
    }
    let has_age = raw.max_age.is_some() || reader.was_dropped(&format!("sources.{}.max_age", contract.source));
    if let Some(on_late) = raw.on_late.as_ref().filter(|_| !has_age) {
        reader.complain_with_hint(on_late.span.clone(), "`on_late` needs `max_age`", "add one: max_age = \"36h\"");
    }
}

fn numbers(reader: &mut Reader, raw: &RawSource) -> Numbers {
    let decimal = raw.decimal.as_ref().map_or('.', |decimal| decimal.value.0);
    let thousands = raw.thousands.as_ref().map(|thousands| thousands.value.0);
    if let Some(placed) = raw.thousands.as_ref().filter(|placed| placed.value.0 == decimal) {
        let message = format!("`{decimal}` cannot stand both between thousands and before decimals");
        reader.complain_with_hint(placed.span.clone(), message, "set `decimal` too, for example decimal = \",\"");
    }
    Numbers { decimal, thousands }
}

fn dates(reader: &mut Reader, contract: &Contract, raw: Entries<OneOrMany>) -> Vec<Dates> {
    let mut dates = Vec::new();
    for (key, formats) in raw.0 {
        let Some(column) = contract.column(&key.value) else {
            complain_column(reader, contract, &key);
            continue;
        };
        if !matches!(column.kind, ColumnType::Date | ColumnType::Timestamp) {
            let timed = contract.columns.iter().filter(|c| matches!(c.kind, ColumnType::Date | ColumnType::Timestamp));
            let message = format!("`{}` is no date or time", column.name);
            let hint = format!("those of {} are {}", contract.source, one_of(timed.map(|column| column.name)));
            reader.complain_with_hint(key.span, message, hint);
            continue;
        }
        let texts = match formats.value {
            OneOrMany::One(text) => vec![Placed { value: text, span: formats.span }],
            OneOrMany::Many(texts) => texts,
        };
        let formats = texts.iter().filter_map(|text| date_format(reader, text)).collect();
        dates.push(Dates { column: column.name, formats });
    }
    dates
}

fn date_format(reader: &mut Reader, text: &Placed<String>) -> Option<DateFormat> {
    match DateFormat::named(&text.value) {
        Ok(format) => Some(format),
        Err(why) => {
            let message = format!("`{}` {why}", reader.written(&text.span));
            let hint = match nearest(&text.value, DateFormat::words()) {
                Some(word) if !text.value.contains('%') => did_you_mean(word),
                _ => format!("write a strftime pattern, or {}", one_of(DateFormat::words())),
            };
            reader.complain_with_hint(text.span.clone(), message, hint);
            None
        }
    }
}

fn locations(
    reader: &mut Reader,
    name: SourceName,
    raw: &RawSource,
    table: Range<usize>,
    storage: &Storage,
) -> Vec<Location> {
    let texts = match &raw.location {
        Some(Placed { value: OneOrMany::One(text), span }) => vec![(text, span)],
        Some(Placed { value: OneOrMany::Many(list), .. }) => {
            list.iter().map(|text| (&text.value, &text.span)).collect()
        }
        None => {
            let hint = "add a folder, a file or a glob: location = \"./orders/*.csv\"";
            reader.missing(&format!("sources.{name}.location"), Some(table), hint);
            vec![]
        }
    };
    let mut locations = Vec::new();
    for (text, span) in texts {
        match Location::parse(text, &reader.folder) {
            Ok(location) => {
                check_location(reader, &location, span, raw.format, storage);
                locations.push(location);
            }
            Err(fault) => complain_location(reader, "location", span, &fault),
        }
    }
    locations
}

fn check_location(
    reader: &mut Reader,
    location: &Location,
    span: &Range<usize>,
    format: Option<Format>,
    storage: &Storage,
) {
    for (name, output) in [("lake", &storage.lake), ("marts", &storage.marts)] {
        if output.contains(&location.root) && !is_stand_in(reader, output) {
            reader.complain(span.clone(), format!("`location` lies in the {name}: a run would read its own results"));
        } else if location.is_folder() && location.root.contains(output) {
            let message = format!("`location` holds the {name}: a run would read its own results");
            reader.complain_with_hint(span.clone(), message, "move one of them, or write a glob");
        }
    }
    if format.is_none() && location.pattern().is_some_and(has_unknown_extension) {
        let message = "`location` doesn't tell how its objects are written";
        reader.complain_with_hint(span.clone(), message, "add `format`: csv, ndjson, parquet or avro");
    }
}

/// The config's own folder stands in for outputs that were complained about.
fn is_stand_in(reader: &Reader, output: &StoreRoot) -> bool {
    output.local_dir() == Some(reader.folder.as_path())
}

fn has_unknown_extension(pattern: &str) -> bool {
    let last = Path::new(pattern).components().next_back();
    let Some(Component::Normal(name)) = last else { return false };
    let name = name.to_string_lossy();
    Format::of_path(&name).is_none() && !name.ends_with(['*', ']', '?'])
}

fn mappings(reader: &mut Reader, contract: &Contract, raw: Entries<String>) -> Vec<Mapping> {
    let mut mappings = Vec::new();
    for (key, text) in raw.0 {
        let Some(column) = contract.column(&key.value) else {
            complain_column(reader, contract, &key);
            continue;
        };
        if let Some(expression) = expression(reader, text) {
            mappings.push(Mapping { column: column.name, expression });
        }
    }
    mappings.sort_by_key(|mapping| contract.names().position(|name| name == mapping.column));
    mappings
}

fn complain_column(reader: &mut Reader, contract: &Contract, key: &Placed<String>) {
    let message = format!("the contract of {} has no column `{}`", contract.source, key.value);
    let beside_orders = contract.source == SourceName::OrderItems && contract.time.is_none();
    let in_orders = beside_orders && Contract::of(SourceName::Orders, true).column(&key.value).is_some();
    let hint = match nearest(&key.value, contract.names()) {
        _ if in_orders => "beside [sources.orders], lines take it from their order".to_owned(),
        Some(name) => did_you_mean(name),
        None => format!("it has {}", one_of(contract.names())),
    };
    reader.complain_with_hint(key.span.clone(), message, hint);
}

fn skip_rules(reader: &mut Reader, raw: Entries<String>) -> Vec<SkipRule> {
    let mut rules = Vec::new();
    for (key, text) in raw.0 {
        if !is_rule_name(&key.value) {
            let message = format!("`{}` cannot name a skip rule", key.value);
            reader.complain_with_hint(key.span, message, "use lower-case letters, digits and `_`");
        }
        if let Some(condition) = expression(reader, text) {
            rules.push(SkipRule { name: key.value, condition });
        }
    }
    rules
}

/// The name stands in reports and marts beside the names of built-in rules.
fn is_rule_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(word) && name.starts_with(|c: char| c.is_ascii_lowercase())
}

fn expression(reader: &mut Reader, text: Placed<String>) -> Option<Expression> {
    if text.value.trim().is_empty() {
        reader.complain_with_hint(text.span, "there is no SQL expression", "write one, or leave the key out");
        return None;
    }
    Some(Expression::new(text.value, reader.place(text.span)))
}
