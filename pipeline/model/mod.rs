//! Models: what they declare, what they read, and the order in which they are built.

mod catalog;
mod front_matter;
pub(crate) mod guard;
mod seed;
mod seed_rules;
mod sql;

pub(crate) use catalog::embedded;
pub use catalog::{Catalog, Origin, Parser};
pub use front_matter::{Check, ColumnCheck, type_name};
pub use seed::seed_batch;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a model stands. Marts are published; they may read the other layers, never the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Seed,
    Staging,
    Intermediate,
    Mart,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Seed => "seed",
            Layer::Staging => "staging",
            Layer::Intermediate => "intermediate",
            Layer::Mart => "mart",
        })
    }
}

/// A column that a model promises.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub data_type: DataType,
    pub doc: String,
    /// What one of it is: `currency`, `days`, `fraction`…
    pub unit: Option<String>,
    pub checks: Vec<ColumnCheck>,
}

/// What a model's rows are made from.
#[derive(Debug, Clone)]
pub enum Body {
    /// One SELECT, padded in front with empty lines so that the engine's line numbers are the file's.
    Sql(String),
    /// A CSV file, edited by the business.
    Seed(String),
    /// One row per day (`calendar`), made by the calendar module.
    Calendar,
    /// One row per day and grain (`calendar_periods`), made by the calendar module.
    CalendarPeriods,
}

/// Which partitions of a table a model reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The rule: the same month if both are monthly, all of it otherwise.
    Default,
    /// A model that names itself: its own previous month.
    Fold,
    /// The as-of date's month alone.
    Latest,
    /// Also the months that overlap so many days before; a parameter's name after `$`, NULL meaning none.
    Last(Span),
    /// All of an unpartitioned table, by a monthly model that accepts to be looked at again in every month whenever
    /// that table changes.
    Reference,
    /// The table as of the day before the as-of date, on the same inputs.
    Yesterday,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    Days(i64),
    Parameter(String),
}

/// A table that a model names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub table: Table,
    pub form: Form,
    /// Of its rows, only those whose `day` isn't after the as-of date.
    pub until_as_of: bool,
}

impl Read {
    /// The model that is read, if it isn't a source.
    pub fn model_name(&self) -> Option<&str> {
        match &self.table {
            Table::Model(name) => Some(name),
            Table::Source(_) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Model(String),
    /// `source.<name>`: the extracted rows of a source. Staging alone may read it.
    Source(String),
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Table::Model(name) => f.write_str(name),
            Table::Source(name) => write!(f, "source.{name}"),
        }
    }
}

/// One model: one file.
#[derive(Debug, Clone)]
pub struct Model {
    pub name: String,
    pub layer: Layer,
    /// The file, for messages: relative to `sql/`.
    pub file: String,
    pub description: String,
    pub grain: Vec<String>,
    /// Partitioned by business month, or one whole.
    pub monthly: bool,
    /// What the mart is for: numbers of `docs/features.md`.
    pub features: Vec<String>,
    /// Words by which `--select tag:…` finds it.
    pub tags: Vec<String>,
    /// Columns of which is told how many rows have another value than the night before.
    pub compare: Vec<String>,
    /// Its rows are the day's own: how many there were the night before says nothing.
    pub volatile: bool,
    /// The table whose rows, in their order, the model's are, and others in that order. Only how it is computed follows.
    pub along: Vec<String>,
    pub columns: Vec<Column>,
    pub checks: Vec<Check>,
    /// Checks whose rows are told and don't keep a run from publishing.
    pub warnings: Vec<Check>,
    pub body: Body,
    pub reads: Vec<Read>,
    /// Names of the parameters that the SELECT and its checks mention, without the `$`.
    pub parameters: BTreeSet<String>,
}

impl Model {
    /// The declared schema: what every partition's file has, whatever the engine inferred.
    pub fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// What the key hashes of the model itself: its SELECT, the types it is cast to and its checks. Not its docs.
    pub fn fingerprint(&self) -> String {
        let column = |c: &Column| format!("{} {} {:?}", c.name, c.data_type, c.checks);
        let checks = self.checks.iter().chain(&self.warnings).map(|check| format!("{}: {}", check.name, check.sql));
        let columns: Vec<String> = self.columns.iter().map(column).chain(checks).collect();
        let body = match &self.body {
            Body::Sql(text) | Body::Seed(text) => text.trim(),
            // Their calendar and occasions are hashed by whoever knows them.
            Body::Calendar | Body::CalendarPeriods => crate::calendar::TABLES_VERSION,
        };
        format!("{}\n{}\n{body}", self.grain.join(","), columns.join(","))
    }

    pub fn is_published(&self) -> bool {
        self.layer == Layer::Mart
    }
}
