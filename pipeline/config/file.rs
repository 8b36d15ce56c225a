//! The config file as it is written: one type for each table. The JSON Schema is generated from these types,
//! so a key's name, type, range, default and documentation have this one home.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde::{Deserialize, Serialize};

use super::business::Business;
use super::values::{ByteSize, Currency, Day, Delimiter, Encoding, Fixed, Jitter, Quote, Separator, Span, Whole};
use super::wrappers::{Entries, OneOrMany, Placed, Secret};

/// Declares a table of the file: unknown keys are refused, and every key may be absent here, since conversion tells
/// what is missing.
macro_rules! table {
    ($(#[$attribute:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        $(#[$attribute])*
        #[serde(deny_unknown_fields)]
        #[schemars(inline)]
        pub struct $name { $($fields)* }
    };
}

/// Declares a choice between words, written in lower case.
macro_rules! choice {
    ($(#[$attribute:meta])* pub enum $name:ident { $($variants:tt)* }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        #[schemars(inline)]
        pub enum $name { $($variants)* }
    };
}

table! {
    /// A Bazgasht project: where its logs are, what they mean and where its marts go. `${VAR}` in any string
    /// is replaced by the environment's variable; `$${` stands for `${`.
    pub struct File {
        /// What business this is.
        #[schemars(with = "RawProject")]
        pub project: Option<Placed<RawProject>>,
        /// Where results go.
        #[schemars(with = "RawStorage")]
        pub storage: Option<Placed<RawStorage>>,
        /// What the machine may be used for.
        #[serde(default)]
        pub engine: RawEngine,
        /// Where the SQL models come from.
        #[serde(default)]
        pub models: RawModels,
        /// Thresholds and windows, each with a default.
        #[serde(default)]
        pub business: Business,
        /// What is kept of what was published.
        #[serde(default)]
        pub publish: RawPublish,
        /// When `bazgasht schedule` does what.
        #[schemars(with = "RawSchedule")]
        pub schedule: Option<Placed<RawSchedule>>,
        /// Whom runs are told to.
        #[serde(default)]
        pub observe: RawObserve,
        /// Whom a message is sent to when a person should know.
        #[serde(default)]
        #[schemars(with = "Vec<RawNotify>")]
        pub notify: Vec<Placed<RawNotify>>,
        /// Where the logs are: `orders` or `order_items`, and whatever else there is.
        #[schemars(with = "RawSources")]
        pub sources: Option<Placed<RawSources>>,
    }
}

table! {
    /// What business this is.
    pub struct RawProject {
        /// A name for reports. By default the name of the folder that the config file is in.
        pub name: Option<String>,
        /// The business's time zone, an IANA name such as `Europe/London`. It decides which business day
        /// an order belongs to.
        #[schemars(with = "String")]
        pub timezone: Option<Placed<String>>,
        /// The calendar in which the business closes its books.
        #[schemars(with = "Option<Calendar>")]
        pub calendar: Option<Calendar>,
        /// The one currency of all amounts, a three-letter code. Rows in another one are rejected.
        #[schemars(with = "Currency")]
        pub currency: Option<Currency>,
        /// The first day of the week. By default Monday, with the Jalali calendar Saturday.
        pub week_start: Option<Weekday>,
        /// The days on which the business rests. By default Saturday and Sunday, with the Jalali calendar Friday.
        pub weekend: Option<Vec<Weekday>>,
        /// The first business day of the history. Rows before it are rejected, and it is where left-censoring
        /// is counted from. By default 2000-01-01 and the first purchase.
        pub history_starts_on: Option<Day>,
        /// What becomes of personal data (names, birth dates, phone numbers, e-mail addresses, the words of `reason`)
        /// before anything is written. With `drop` or `pseudonymise` the raw text of rejected rows isn't kept
        /// either, and birthdays are unknown. By default `keep`.
        pub pii: Option<PersonalData>,
        /// The secret that pseudonyms are hashed with, at least 16 characters: `${BAZGASHT_PII_KEY}`. With another one
        /// everything is read again, and nobody has the pseudonym that they had.
        pub pii_key: Option<Placed<Secret>>,
    }
}

choice! {
    /// What becomes of personal data.
    pub enum PersonalData {
        /// It is kept as it is.
        Keep,
        /// It becomes NULL; customers' ids stay.
        Drop,
        /// Texts and customers' ids become keyed hashes, the same in every source; dates become NULL.
        Pseudonymise,
    }
}

choice! {
    /// A calendar.
    pub enum Calendar { Gregorian, Jalali }
}

choice! {
    /// A day of the week.
    pub enum Weekday { Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday }
}

table! {
    /// Where results go.
    pub struct RawStorage {
        /// Where everything built is kept between runs: a folder (relative to this file), `file://…`,
        /// `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`.
        #[schemars(with = "String")]
        pub lake: Option<Placed<String>>,
        /// Where the marts are published for BI tools: a folder or a store, as for `lake`, and not necessarily
        /// the same.
        #[schemars(with = "String")]
        pub marts: Option<Placed<String>>,
        /// A local folder with room for the largest input object and for spilling. By default the system's
        /// folder for temporary files.
        pub scratch: Option<Placed<String>>,
        /// For how long a call to a store that throttles, breaks off or doesn't answer is tried again, such as
        /// `3m`. By default 3m.
        pub retry_for: Option<Span>,
        /// Options of the object stores (`aws_endpoint`, `azure_storage_account_key`, `google_service_account` …),
        /// before the environment's `AWS_…`, `AZURE_…` and `GOOGLE_…`. Values are never shown.
        #[serde(default)]
        pub options: Entries<Secret>,
    }
}

table! {
    /// What the machine may be used for.
    pub struct RawEngine {
        /// Memory for building models, such as `2GiB`; beyond it they spill to disk. By default 2GiB, or half of
        /// what the container or service may have where that is less.
        pub memory_limit: Option<Placed<ByteSize>>,
        /// How many threads to use. By default one for each core.
        pub threads: Option<Whole<1, 1024>>,
    }
}

table! {
    /// Where the SQL models come from.
    pub struct RawModels {
        /// A folder with models of the project's own, in the place of all those in the program.
        pub path: Option<Placed<String>>,
        /// A folder with models that come to the others, or replace the one of the same layer and file name:
        /// `marts/my_list.sql`, `seeds/ranking_points.csv`.
        pub add: Option<Placed<String>>,
    }
}

table! {
    /// What is kept of what was published.
    pub struct RawPublish {
        /// `gc` keeps the snapshots of so many days, to roll back to. By default 30.
        pub keep_days: Option<Whole<0, 36_500>>,
        /// Small marts of which every night's file is kept, as `history/<mart>/as_of=YYYY-MM-DD.parquet` beside
        /// `current`, for trends. Not those that are partitioned by month.
        #[serde(default)]
        pub history: Vec<String>,
        /// How far a mart may move from one night to the next. Beyond it, nothing is published.
        #[serde(default)]
        pub limits: RawLimits,
    }
}

/// A share of what there was.
pub type Share = Fixed<0, 1_000_000, 6>;
/// A share of what there was, which may be more than all of it.
pub type Growth = Fixed<0, 1_000_000_000, 6>;

table! {
    /// How far marts may move from one night to the next.
    pub struct RawLimits {
        /// The share of its rows that a mart, or a closed month of it, may lose. By default 0.5; 1 is no limit.
        pub rows_lost: Option<Share>,
        /// The share of its rows that a mart may gain: 1 is twice as many. By default there is no limit, as for the
        /// next two.
        pub rows_gained: Option<Growth>,
        /// The share by which the sum of a column of money, counts or points may differ, either way.
        pub sums: Option<Growth>,
        /// The share of rows that may have another value in a column under `compare`, such as a customer's segment.
        pub moved: Option<Share>,
        /// Marts and months that had fewer rows aren't judged. By default 100.
        pub least_rows: Option<Whole<0, 1_000_000_000>>,
        /// Limits of single marts, by name, in the place of those above.
        #[serde(default)]
        pub marts: Entries<RawMartLimits>,
    }
}

table! {
    /// How far this mart may move from one night to the next.
    pub struct RawMartLimits {
        /// The share of its rows that it, or a closed month of it, may lose; 1 is no limit.
        pub rows_lost: Option<Share>,
        /// The share of its rows that it may gain: 1 is twice as many.
        pub rows_gained: Option<Growth>,
        /// The share by which the sum of a column of money, counts or points may differ, either way.
        pub sums: Option<Growth>,
        /// The share of rows that may have another value in a column under `compare`.
        pub moved: Option<Share>,
        /// With fewer rows before, it isn't judged.
        pub least_rows: Option<Whole<0, 1_000_000_000>>,
    }
}

table! {
    /// How many rows the as-of day may have, against the same weekday in the weeks before.
    pub struct RawVolume {
        /// So many times the median are too few rows. By default 0.5.
        pub least: Option<Fixed<0, 1_000_000, 6>>,
        /// So many times the median are too many rows. By default there is no limit.
        pub most: Option<Fixed<1_000_000, 1_000_000_000, 6>>,
        /// How many weeks to look back. By default 8.
        pub weeks: Option<Whole<4, 104>>,
        /// What to do then. By default `warn`.
        pub on_breach: Option<OnBreach>,
    }
}

table! {
    /// Whom runs are told to.
    pub struct RawObserve {
        /// A local file that is written at the end of each run, with metrics in Prometheus' text format: for
        /// node_exporter's textfile collector, which reads those that end in `.prom`. Each project needs its own.
        pub prometheus_textfile: Option<Placed<String>>,
        /// Where OpenLineage events go: a local file that they are appended to, a folder (written with a slash at its end)
        /// that gets a file for each run, or the `https://…` address of a receiver. By default what `OPENLINEAGE_URL` and
        /// `OPENLINEAGE_ENDPOINT` say; `OPENLINEAGE_DISABLED=true` turns them off.
        pub openlineage: Option<Placed<String>>,
        /// The namespace of the jobs in them. By default what `OPENLINEAGE_NAMESPACE` says, or `default`.
        pub openlineage_namespace: Option<String>,
        /// The key for that receiver: `${OPENLINEAGE_API_KEY}`, which is the default.
        pub openlineage_api_key: Option<Secret>,
    }
}

table! {
    /// A webhook.
    pub struct RawNotify {
        /// Where messages are posted to, mostly `${SLACK_WEBHOOK}`: whoever knows it may write there, so it is never shown.
        #[schemars(with = "Secret")]
        pub url: Option<Placed<Secret>>,
        /// How they are written. By default `generic`.
        pub format: Option<NotifyFormat>,
        /// What they tell of. By default everything.
        pub on: Option<Vec<NotifyOn>>,
    }
}

choice! {
    /// How a message is written.
    pub enum NotifyFormat {
        /// JSON, by the schema in docs/webhook.schema.json.
        Generic,
        /// As Slack and what is compatible takes it.
        Slack,
    }
}

choice! {
    /// What a message tells of.
    pub enum NotifyOn {
        /// A run failed: exit code 2, 3, 4 or 70.
        Failure,
        /// A run went well after one that failed or was blocked.
        Recovery,
        /// Sources have no row as new as their `max_age` asks for.
        Late,
        /// The data was refused, exit code 1: the marts of before stand.
        Blocked,
    }
}

table! {
    /// When `bazgasht schedule` does what. Cron lines have five fields (minute, hour, day of the month, month, day of the
    /// week) in the project's time zone; a sixth before them is the second. At least one of `extract`, `publish` and
    /// `gc` is needed.
    pub struct RawSchedule {
        /// When new files are read into the lake, so that the night finds that done: `*/30 * * * *`.
        #[schemars(with = "Option<String>")]
        pub extract: Option<Placed<String>>,
        /// When the marts are built and published, as of the day before: `30 2 * * *`.
        #[schemars(with = "Option<String>")]
        pub publish: Option<Placed<String>>,
        /// When what no kept run needs is deleted: `0 5 * * *`.
        #[schemars(with = "Option<String>")]
        pub gc: Option<Placed<String>>,
        /// What becomes of nights that were missed while nobody ran the schedule. By default `latest`.
        pub catch_up: Option<CatchUp>,
        /// Each beginning is put off by up to so long, by a length that hangs on host and time alone. By default 0s.
        #[schemars(with = "Option<String>")]
        pub jitter: Option<Jitter>,
        /// How often a run is tried again that failed for want of a store, a source or memory, or since another one was
        /// first (exit codes 3 and 4). By default 3.
        pub retries: Option<Whole<0, 1000>>,
        /// How long after it. By default 15m.
        pub retry_after: Option<Span>,
        /// How long a host that isn't heard of any more is waited for, before another one does its work. By default 5m.
        #[schemars(with = "Option<Span>")]
        pub lease: Option<Placed<Span>>,
        /// An address for `/healthz`, `/readyz` and `/metrics`, such as `127.0.0.1:9187`. By default none.
        #[schemars(with = "Option<String>")]
        pub listen: Option<Placed<String>>,
    }
}

choice! {
    /// What becomes of nights that were missed while nobody ran the schedule.
    pub enum CatchUp {
        /// Nothing: the next night comes.
        None,
        /// The newest one is made up for.
        Latest,
        /// Each one is published as of its own day, in order.
        All,
    }
}

table! {
    /// Where the logs are.
    #[schemars(extend("anyOf" = [{ "required": ["orders"] }, { "required": ["order_items"] }]))]
    pub struct RawSources {
        /// Orders, one row for each version of an order.
        #[schemars(with = "Option<RawSource>")]
        pub orders: Option<Placed<RawSource>>,
        /// Order lines; without `orders`, orders are derived from them.
        #[schemars(with = "Option<RawSource>")]
        pub order_items: Option<Placed<RawSource>>,
        /// What customers did, and what was done for them.
        #[schemars(with = "Option<RawSource>")]
        pub interactions: Option<Placed<RawSource>>,
        /// Profiles of customers and leads.
        #[schemars(with = "Option<RawSource>")]
        pub customers: Option<Placed<RawSource>>,
        /// The catalogue: names, categories, costs, what goes with what.
        #[schemars(with = "Option<RawSource>")]
        pub products: Option<Placed<RawSource>>,
        /// Campaigns with their days, cost and holdout.
        #[schemars(with = "Option<RawSource>")]
        pub campaigns: Option<Placed<RawSource>>,
        /// Subscriptions or contracts with their days and monthly value.
        #[schemars(with = "Option<RawSource>")]
        pub subscriptions: Option<Placed<RawSource>>,
        /// Which ids are one person.
        #[schemars(with = "Option<RawSource>")]
        pub identities: Option<Placed<RawSource>>,
    }
}

/// The fraction of a source's rows that may be rejected.
pub type RejectedShare = Fixed<0, 1_000_000, 6>;

/// A source: where its objects are, how they are written, and how they map onto the contract.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source")]
pub struct RawSource {
    /// A folder, a file or a glob (`./orders/**/*.csv.gz`), local or in a store (`s3://…`, `az://…`, `gs://…`), a file
    /// of a web server (`https://…/a.csv`), or a list of them.
    #[schemars(with = "OneOrMany")]
    pub location: Option<Placed<OneOrMany>>,
    /// How objects are written. By default each object's extension tells, unless its content says otherwise.
    pub format: Option<Format>,
    /// CSV and JSON: how text without a byte order mark is encoded: `utf-8`, `utf-16le`, `windows-1256`,
    /// `windows-1252` and whatever else web browsers know. By default UTF-8.
    #[schemars(with = "Option<Encoding>")]
    pub encoding: Option<Placed<Encoding>>,
    /// CSV: what separates fields: one character, `tab`, or `blanks` for any run of spaces and tabs.
    /// By default a comma.
    #[schemars(with = "Option<Delimiter>")]
    pub delimiter: Option<Placed<Delimiter>>,
    /// CSV: what surrounds a field that holds delimiters, or `none`. By default `"`.
    #[schemars(with = "Option<Quote>")]
    pub quote: Option<Placed<Quote>>,
    /// CSV: whether the first line names the columns; without it they are `column_1`, `column_2` … By default
    /// true.
    #[schemars(with = "Option<bool>")]
    pub header: Option<Placed<bool>>,
    /// CSV, and text in Parquet and Avro: what stands before a number's decimals. By default a point.
    #[schemars(with = "Option<Separator>")]
    pub decimal: Option<Placed<Separator>>,
    /// CSV, and text in Parquet and Avro: what may stand between a number's groups of three digits. By default nothing.
    #[schemars(with = "Option<Separator>")]
    pub thousands: Option<Placed<Separator>>,
    /// The time zone of timestamps that have no offset. By default the project's.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Placed<String>>,
    /// Whether each delivery brings what changed, or everything there is. By default `changes`.
    pub mode: Option<Mode>,
    /// What one delivery is, for rows that have no identity of their own. By default `object`.
    pub delivery: Option<Delivery>,
    /// What to do when an object that was read before is gone. By default `block`.
    pub on_removed: Option<OnRemoved>,
    /// A run in which a greater fraction of rows is rejected does not publish. By default 0.01.
    pub max_rejected: Option<RejectedShare>,
    /// How old the newest row may be at the end of the as-of day, such as `36h` or `2d`. For sources whose rows have a
    /// day.
    #[schemars(with = "Option<Span>")]
    pub max_age: Option<Placed<Span>>,
    /// What to do when it is older. By default `warn`.
    #[schemars(with = "Option<OnBreach>")]
    pub on_late: Option<Placed<OnBreach>>,
    /// A check of how many rows the as-of day has, against the same weekday in the weeks before. For sources whose rows
    /// have a day. By default there is none.
    #[schemars(with = "Option<RawVolume>")]
    pub volume: Option<Placed<RawVolume>>,
    /// Options of the object store for this source alone, in the place of `[storage.options]`. Values are never
    /// shown.
    pub options: Option<Entries<Secret>>,
    /// For a column of the contract, the SQL expression over the raw columns that makes it. A raw column that
    /// already has a contract column's name need not be mapped.
    #[serde(default)]
    pub columns: Entries<String>,
    /// For a date or time of the contract that comes as text or number, how it is written where it isn't ISO 8601: a
    /// strftime pattern (`%d/%m/%Y %H:%M`), `iso`, `jalali`, `epoch_seconds`, `epoch_millis` or `epoch_micros`, or a
    /// list of them, of which the first that fits entirely wins.
    #[serde(default)]
    pub dates: Entries<OneOrMany>,
    /// For a rule's name, the SQL condition over the raw columns of rows that are expected and left out.
    #[serde(default)]
    pub skip: Entries<String>,
}

choice! {
    /// How an object is written. It may be compressed with gzip, zstd, bzip2 or xz. NDJSON is one JSON object per line;
    /// arrays of objects are read too.
    pub enum Format { Csv, Ndjson, Parquet, Avro }
}

impl Format {
    /// The format that a path's extension tells, with or without that of a compression.
    pub fn of_path(path: &str) -> Option<Self> {
        let lower = path.to_ascii_lowercase();
        let plain = [".gz", ".zst", ".zstd", ".bz2", ".xz"].iter().find_map(|suffix| lower.strip_suffix(suffix));
        let (_, extension) = plain.unwrap_or(&lower).rsplit_once('.')?;
        match extension {
            "csv" => Some(Format::Csv),
            "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
            "parquet" => Some(Format::Parquet),
            "avro" => Some(Format::Avro),
            _ => None,
        }
    }
}

choice! {
    /// What a delivery brings.
    pub enum Mode {
        /// New and changed rows.
        Changes,
        /// All rows; only the newest delivery counts.
        Snapshot,
    }
}

choice! {
    /// What one delivery is.
    pub enum Delivery {
        /// One object.
        Object,
        /// All objects of one folder: an export in parts.
        Folder,
    }
}

choice! {
    /// What to do when an object that was read before is gone.
    pub enum OnRemoved {
        /// Stop: an emptied listing must not publish empty marts.
        Block,
        /// Rebuild without its rows.
        Forget,
        /// Keep its rows.
        Keep,
    }
}

choice! {
    /// What to do when something is odd.
    pub enum OnBreach {
        /// Tell of it, and publish.
        Warn,
        /// Publish nothing: exit code 1.
        Block,
    }
}

/// The JSON Schema of the config file, for editors; ends in a newline.
pub fn json_schema() -> String {
    let settings = SchemaSettings::draft07().with_transform(ForToml);
    let schema = settings.into_generator().into_root_schema_for::<File>();
    let mut text = format!("{:#}", schema.as_value());
    text.push('\n');
    text
}

/// TOML has no null: an optional key is absent or has its type. And a description's line breaks are the source's.
#[derive(Debug, Clone)]
struct ForToml;

impl Transform for ForToml {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(serde_json::Value::String(text)) = object.get_mut("description") {
            *text = text.replace('\n', " ");
        }
        if object.get("default").is_some_and(serde_json::Value::is_null) {
            object.remove("default");
        }
        if let Some(serde_json::Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(serde_json::Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        unwrap_single_choice(object);
    }
}

/// `anyOf: [X, null]` is `X`.
fn unwrap_single_choice(object: &mut serde_json::Map<String, serde_json::Value>) {
    let Some(serde_json::Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    let [serde_json::Value::Object(only)] = choices.as_slice() else { return };
    let only = only.clone();
    object.remove("anyOf");
    for (key, value) in only {
        object.entry(key).or_insert(value);
    }
}
