//! What a project is made of at a run: sources, models and marts with their columns, checks and lineage. It lies in the
//! lake as `manifests/<digest>.json`, once for all runs of an unchanged project, and beside the marts of each snapshot.
//!
//! Equal models under an equal config are equal bytes: no date, no run and no secret has a part in it.

mod lineage;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive;
use crate::config::{Calendar, Delivery, Format, Location, Mode, StoreRoot};
use crate::contract::SourceName;
use crate::engine::{Origins, Use};
use crate::error::{Error, Result};
use crate::lake::{self, Digest};
use crate::model::{self, ColumnCheck, Form, Layer, Model, Read, Table, type_name};
use crate::plan::sql_digest;
use crate::project::Project;
use crate::publish::reports::{REPORTS, Report};
use crate::storage::Storage;
use lineage::Lineage;

/// The version of [`Manifest`]. A reader may rely on every field of its version; new ones may join.
pub const FORMAT: u32 = 1;

/// What a project is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The project's name.
    pub project: String,
    /// The version of Bazgasht.
    pub version: String,
    /// The engine and the file format: partitions of another one are built anew.
    pub engine: String,
    /// The business's time zone.
    pub timezone: String,
    pub calendar: Calendar,
    pub currency: String,
    /// Of the config file's text.
    pub config_digest: String,
    /// By name: all that there may be, configured or not.
    pub sources: BTreeMap<String, SourceNode>,
    /// By name: seeds, staging, intermediate models and marts, in whatever order.
    pub models: BTreeMap<String, ModelNode>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceNode {
    /// Otherwise it is an empty table.
    pub configured: bool,
    /// Where its objects are: a folder, a file or a glob; local ones relative to the config file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<String>,
    /// Where it is stated; otherwise each object's extension tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Rules of rows that are expected and left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The contract's columns, in order.
    pub columns: Vec<SourceColumn>,
}

/// A column of a source's contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceColumn {
    pub name: String,
    /// `text`, `id`, `money`, `quantity`, `timestamp`, `date`, `int` or `bool`.
    #[serde(rename = "type")]
    pub type_name: String,
    pub doc: String,
    /// A row without it is rejected.
    pub required: bool,
    /// Personal data, which `[project] pii` drops or pseudonymises.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
    /// A customer's id, pseudonymised alike in every source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub customer: bool,
    /// The columns of the raw objects that it is made of; absent where the source isn't configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw_columns: Vec<String>,
}

/// A model: a table that is built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelNode {
    pub layer: Layer,
    /// Relative to the models' folder; absent for what the program makes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    pub description: String,
    /// The columns of which no two rows have equal values.
    pub grain: Vec<String>,
    /// Partitioned by business month; otherwise it is one whole.
    pub monthly: bool,
    /// Numbers of the questions that a mart answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Words by which `--select tag:…` finds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Names of the settings and dates that its SELECT depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// Of its SELECT, declared types and checks: the lake has the SQL as `sql/<digest>.json` once it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql_digest: Option<String>,
    /// The tables that it reads.
    pub depends_on: Vec<Dependency>,
    /// In order. A mart's files have `as_of` besides.
    pub columns: Vec<ModelColumn>,
    /// Queries that must return no rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckNode>,
    /// Queries whose rows are told and keep nothing from being published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<CheckNode>,
    /// What decides which rows there are, in the tables that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows_from: Vec<Origin>,
    /// Of a mart: the same, all the way back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_origins: Vec<Origin>,
}

/// A table that a model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// A model's name, or `source.<name>`.
    pub table: String,
    /// Which of its partitions.
    pub reads: Reading,
    /// How far back, for `last`: `90 days`, or a parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Of the rows, only those whose `day` isn't after the as-of date.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_as_of: bool,
}

/// Which partitions of a table a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// All there is.
    Whole,
    /// Its own month.
    SameMonth,
    /// A fold: its own previous month.
    PreviousMonth,
    /// The as-of date's month.
    Latest,
    /// Also the months that overlap so many days before.
    Last,
    /// All of a table that is not by month, in every month.
    Reference,
    /// All there is, as of the day before.
    Yesterday,
}

/// A column of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelColumn {
    pub name: String,
    /// `text`, `date`, `int64`, `int32`, `float64`, `boolean`, `timestamp` or `decimal(p,s)`.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub type_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `not_null`, `positive`, `non_negative`, `fraction`, `one_of`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// The columns that it comes from, in the tables that the model reads; absent where that can't be followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<Origin>>,
    /// Of a mart: the same, all the way back to sources, seeds and calendars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<Origin>>,
}

/// A column that another stands on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// A model's name, or `source.<name>`.
    pub table: String,
    pub column: String,
    pub uses: Vec<Use>,
}

/// A check in SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckNode {
    pub name: String,
    /// Over the model as `this`.
    pub sql: String,
}

/// What the project's manifest is called: a digest of all that its lineage follows from.
///
/// # Errors
/// [`Error::Bug`](crate::error::Error::Bug) for what JSON can't say.
pub fn digest(project: &Project) -> Result<Digest> {
    Ok(Digest::of(&lake::to_json(&with_lineage(project, &Lineage::default()))?))
}

/// Sees to it that the lake has the project's manifest, of this [`digest`]. Lineage is looked for only where it hasn't.
///
/// # Errors
/// A model that can't be planned; storage errors.
pub async fn keep(project: &Project, digest: &Digest) -> Result<()> {
    let path = archive::manifest_path(digest);
    if project.lake.head(&path).await?.is_none() {
        project.lake.put(&path, lake::to_json(&of(project).await?)?).await?;
    }
    Ok(())
}

/// A kept manifest; `None` where it is gone, or damaged, which is told.
///
/// # Errors
/// Storage errors.
pub async fn read(lake: &Storage, digest: &Digest) -> Result<Option<Manifest>> {
    match lake::read_json(lake, &archive::manifest_path(digest)).await {
        Err(Error::Damaged(damage)) => {
            tracing::warn!("{damage}; it is passed over");
            Ok(None)
        }
        other => other,
    }
}

/// The manifest of a project.
///
/// # Errors
/// A model that can't be planned.
pub async fn of(project: &Project) -> Result<Manifest> {
    let sources = project.sources_with(BTreeMap::new());
    Ok(with_lineage(project, &Lineage::of(&project.engine, &project.catalog, &sources).await?))
}

/// All of it, with this lineage. What lineage depends on is all in the rest: the models' SQL, what they read, versions.
fn with_lineage(project: &Project, lineage: &Lineage) -> Manifest {
    let mut models: BTreeMap<String, ModelNode> =
        project.catalog.in_order().map(|model| (model.name.clone(), node(project, model, lineage))).collect();
    models.extend(REPORTS.iter().map(|report| (report.name.to_owned(), report_node(report))));
    let config = &project.config;
    Manifest {
        format: FORMAT,
        project: config.project.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine: lake::ENGINE.to_owned(),
        timezone: config.project.timezone.name().to_owned(),
        calendar: config.project.calendar,
        currency: config.project.currency.as_str().to_owned(),
        config_digest: Digest::of(config.file.text().as_bytes()).to_string(),
        sources: SourceName::ALL.iter().map(|name| (name.to_string(), source_node(project, *name))).collect(),
        models,
    }
}

/// The JSON Schema of [`Manifest`]; ends in a newline.
pub fn json_schema() -> String {
    let mut text = format!("{:#}", schemars::schema_for!(Manifest).as_value());
    text.push('\n');
    text
}

fn source_node(project: &Project, name: SourceName) -> SourceNode {
    let open = project.sources.get(&name);
    let orders = project.config.sources.contains_key(&SourceName::Orders);
    let contract = crate::contract::Contract::of(name, orders);
    let config = open.map(|open| &open.config);
    let locations = config.into_iter().flat_map(|source| &source.locations);
    let columns = contract.columns.iter().map(|column| SourceColumn {
        name: column.name.to_owned(),
        type_name: column.kind.as_str().to_owned(),
        doc: column.doc.to_owned(),
        required: column.required,
        personal: column.pii,
        customer: column.customer,
        raw_columns: open.map(|open| open.decoding.mapping.raw_columns(column.name)).unwrap_or_default(),
    });
    SourceNode {
        configured: open.is_some(),
        locations: locations.map(|location| written(location, &project.config.folder)).collect(),
        format: config.and_then(|source| source.format),
        mode: config.map(|source| source.mode),
        delivery: config.map(|source| source.delivery),
        skip: config.into_iter().flat_map(|source| &source.skip).map(|rule| rule.name.clone()).collect(),
        key: contract.key.iter().map(|&column| column.to_owned()).collect(),
        columns: columns.collect(),
    }
}

/// A location as a config would have it.
fn written(location: &Location, folder: &Path) -> String {
    let root = match &location.root {
        StoreRoot::Local(dir) => match dir.strip_prefix(folder) {
            Ok(inside) => format!("./{}", inside.display()),
            Err(_) => dir.display().to_string(),
        },
        StoreRoot::Remote(remote) => remote.to_string(),
    };
    match location.pattern() {
        Some(pattern) => format!("{}/{pattern}", root.trim_end_matches('/')),
        None => root,
    }
}

fn node(project: &Project, model: &Model, lineage: &Lineage) -> ModelNode {
    let is_made = matches!(model.body, model::Body::Calendar | model::Body::CalendarPeriods);
    let checks = |checks: &[model::Check]| {
        checks.iter().map(|check| CheckNode { name: check.name.clone(), sql: check.sql.clone() }).collect()
    };
    let ends = model.is_published() && !is_made;
    ModelNode {
        layer: model.layer,
        file: (!is_made).then(|| model.file.clone()),
        description: model.description.clone(),
        grain: model.grain.clone(),
        monthly: model.monthly,
        features: model.features.clone(),
        tags: model.tags.clone(),
        parameters: model.parameters.iter().cloned().collect(),
        sql_digest: Some(sql_digest(model, &project.calendar_fingerprint).to_string()),
        depends_on: model.reads.iter().map(|read| dependency(project, model, read)).collect(),
        columns: model.columns.iter().map(|column| column_node(model, column, lineage, ends)).collect(),
        checks: checks(&model.checks),
        warnings: checks(&model.warnings),
        rows_from: lineage.rows(&model.name).map(origins).unwrap_or_default(),
        row_origins: lineage.row_ends(&model.name).filter(|_| ends).map(origins).unwrap_or_default(),
    }
}

fn column_node(model: &Model, column: &model::Column, lineage: &Lineage, ends: bool) -> ModelColumn {
    let one_of = column.checks.iter().find_map(|check| match check {
        ColumnCheck::OneOf(words) => Some(words.clone()),
        _ => None,
    });
    ModelColumn {
        name: column.name.clone(),
        type_name: type_name(&column.data_type),
        doc: column.doc.clone(),
        unit: column.unit.clone(),
        checks: column.checks.iter().map(|check| check.name().to_owned()).collect(),
        one_of: one_of.unwrap_or_default(),
        from: lineage.step(&model.name, &column.name).map(origins),
        origins: lineage.end(&model.name, &column.name).filter(|_| ends).map(origins),
    }
}

fn origins(origins: &Origins) -> Vec<Origin> {
    let origin = |((table, column), uses): (&(String, String), &std::collections::BTreeSet<Use>)| Origin {
        table: table.clone(),
        column: column.clone(),
        uses: uses.iter().copied().collect(),
    };
    origins.0.iter().map(origin).collect()
}

fn dependency(project: &Project, model: &Model, read: &Read) -> Dependency {
    let is_monthly = match &read.table {
        Table::Model(name) => project.catalog.get(name).is_some_and(|read| read.monthly),
        // Undated sources have one partition, and their staging reads it.
        Table::Source(_) => model.monthly,
    };
    let reads = match &read.form {
        Form::Default if model.monthly && is_monthly => Reading::SameMonth,
        Form::Default => Reading::Whole,
        Form::Fold => Reading::PreviousMonth,
        Form::Latest => Reading::Latest,
        Form::Last(_) => Reading::Last,
        Form::Reference => Reading::Reference,
        Form::Yesterday => Reading::Yesterday,
    };
    let last = match &read.form {
        Form::Last(model::Span::Days(days)) => Some(format!("{days} days")),
        Form::Last(model::Span::Parameter(name)) => Some(format!("${name}")),
        _ => None,
    };
    Dependency { table: read.table.to_string(), reads, last, until_as_of: read.until_as_of }
}

/// `run_log` and `data_quality` are made of the snapshot itself.
fn report_node(report: &Report) -> ModelNode {
    let column = |(name, doc): &(&str, &str)| ModelColumn {
        name: (*name).to_owned(),
        type_name: String::new(),
        doc: (*doc).to_owned(),
        unit: None,
        checks: vec![],
        one_of: vec![],
        from: None,
        origins: None,
    };
    ModelNode {
        layer: Layer::Mart,
        file: None,
        description: report.description.to_owned(),
        grain: report.grain.iter().map(|&column| column.to_owned()).collect(),
        monthly: false,
        features: vec![],
        tags: vec![],
        parameters: vec![],
        sql_digest: None,
        depends_on: vec![],
        columns: report.columns.iter().map(column).collect(),
        checks: vec![],
        warnings: vec![],
        rows_from: vec![],
        row_origins: vec![],
    }
}
