//! The comment block at a model's head, in TOML: what the model says of itself.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, TimeUnit};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::{Column, Span};
use crate::error::{Error, Result};

const OPEN: &str = "/*---";
const CLOSE: &str = "---*/";

/// A check in SQL: a SELECT over `this` that must return no rows.
#[derive(Debug, Clone)]
pub struct Check {
    pub name: String,
    pub sql: String,
    /// The line of the model's file on which the SQL begins.
    pub line: usize,
}

/// A rule about one value of a column, checked while the partition is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnCheck {
    NotNull,
    /// Above zero, or NULL.
    Positive,
    /// Zero or above, or NULL.
    NonNegative,
    /// From 0 to 1, or NULL.
    Fraction,
    /// One of these texts, or NULL.
    OneOf(Vec<String>),
}

impl ColumnCheck {
    pub fn name(&self) -> &'static str {
        match self {
            ColumnCheck::NotNull => "not_null",
            ColumnCheck::Positive => "positive",
            ColumnCheck::NonNegative => "non_negative",
            ColumnCheck::Fraction => "fraction",
            ColumnCheck::OneOf(_) => "one_of",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FrontMatter {
    pub name: Option<String>,
    pub description: String,
    pub grain: Vec<String>,
    pub partition: Option<PartitionBy>,
    #[serde(default)]
    pub requires: Vec<String>,
    #[serde(default)]
    pub without: Vec<String>,
    /// What the mart is for: numbers of `docs/features.md`.
    #[serde(default)]
    pub features: Vec<String>,
    /// Words by which `--select tag:…` finds it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Columns of a mart of which is told how many rows have another value than the night before.
    #[serde(default)]
    pub compare: Vec<String>,
    /// Its rows are the day's own: `[publish.limits]` are for it only where they name it.
    #[serde(default)]
    pub volatile: bool,
    /// The table whose rows, in their order, its rows are, then others in that order.
    #[serde(default)]
    pub along: Vec<String>,
    #[serde(default)]
    pub reads: toml::Table,
    pub columns: toml::Table,
    #[serde(default)]
    pub checks: toml::Table,
    #[serde(default)]
    pub warnings: toml::Table,
    /// The text itself, for the lines that complaints name.
    #[serde(skip)]
    head: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum PartitionBy {
    Month,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    #[serde(rename = "type")]
    type_name: String,
    doc: String,
    unit: Option<String>,
    #[serde(default)]
    checks: Vec<String>,
    one_of: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawForm {
    Named(String),
    Spelled(Spelled),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    last: Option<String>,
    until: Option<String>,
}

/// How `[reads]` asks for a table.
pub(super) struct Asked {
    pub form: super::Form,
    pub until_as_of: bool,
}

impl FrontMatter {
    /// Splits a file into its front matter and its SELECT; the SELECT keeps the file's line numbers.
    pub fn split(text: &str) -> Result<(FrontMatter, String)> {
        let text = text.trim_start_matches('\u{feff}');
        let inner = text.strip_prefix(OPEN).ok_or_else(|| {
            Error::config(format!("a model begins with its front matter, `{OPEN}` … `{CLOSE}`, on the first line"))
        })?;
        let (head, body) = inner
            .split_once(CLOSE)
            .ok_or_else(|| Error::config(format!("the front matter has no end: expected `{CLOSE}`")))?;
        let mut front: FrontMatter = toml::from_str(head).map_err(Error::config)?;
        front.head = head.to_owned();
        let padding = "\n".repeat(head.matches('\n').count());
        Ok((front, padding + body))
    }

    pub fn columns(&self) -> Result<Vec<Column>> {
        self.columns
            .iter()
            .map(|(name, value)| {
                let raw: RawColumn =
                    value.clone().try_into().map_err(|e| Error::config(format!("column `{name}`: {e}")))?;
                column(name, raw).map_err(|e| e.at(format!("column `{name}`")))
            })
            .collect()
    }

    /// The checks that keep a run from publishing, and those that only warn.
    pub fn checks(&self) -> Result<(Vec<Check>, Vec<Check>)> {
        Ok((checks(&self.checks, "checks", &self.head)?, checks(&self.warnings, "warnings", &self.head)?))
    }

    pub fn reads(&self) -> Result<Vec<(String, Asked)>> {
        self.reads
            .iter()
            .map(|(table, value)| {
                let raw: RawForm = value.clone().try_into().map_err(|_| {
                    Error::config(format!(
                        "[reads] {table}: expected \"latest\", \"reference\", \"yesterday\" or \
                         {{ last = \"90 days\", until = \"as_of\" }}, either of the two or both"
                    ))
                })?;
                Ok((table.clone(), asked(table, &raw)?))
            })
            .collect()
    }
}

fn checks(table: &toml::Table, key: &str, head: &str) -> Result<Vec<Check>> {
    let lines = lines(key, head);
    table
        .iter()
        .map(|(name, value)| match value.as_str() {
            Some(sql) => {
                let line = lines.get(name).copied().unwrap_or(1);
                Ok(Check { name: name.clone(), sql: sql.to_owned(), line })
            }
            None => Err(Error::config(format!("check `{name}` is not a text with a SELECT"))),
        })
        .collect()
}

/// The lines on which the texts of a table of the front matter begin. Its first line is the file's.
fn lines(key: &str, head: &str) -> BTreeMap<String, usize> {
    let (root, _) = DeTable::parse_recoverable(head);
    let Some(DeValue::Table(table)) = root.get_ref().get(key).map(|value| value.get_ref()) else {
        return BTreeMap::new();
    };
    let line = |start: usize| {
        let opened = ["\"\"\"\n", "'''\n"].iter().any(|quote| head[start..].starts_with(quote));
        head[..start].matches('\n').count() + 1 + usize::from(opened)
    };
    table.iter().map(|(name, value)| (name.get_ref().to_string(), line(value.span().start))).collect()
}

fn asked(table: &str, raw: &RawForm) -> Result<Asked> {
    let named = |form| Ok(Asked { form, until_as_of: false });
    match raw {
        RawForm::Named(name) if name == "latest" => named(super::Form::Latest),
        RawForm::Named(name) if name == "reference" => named(super::Form::Reference),
        RawForm::Named(name) if name == "yesterday" => named(super::Form::Yesterday),
        RawForm::Named(name) => Err(Error::config(format!(
            "[reads] {table}: no such form as \"{name}\"; there are \"latest\", \"reference\", \"yesterday\" and \
             {{ last = \"90 days\", until = \"as_of\" }}"
        ))),
        RawForm::Spelled(Spelled { until: Some(until), .. }) if until != "as_of" => {
            Err(Error::config(format!("[reads] {table}: `until` takes \"as_of\", not \"{until}\"")))
        }
        RawForm::Spelled(Spelled { last, until }) => {
            let form = match last {
                None => super::Form::Default,
                Some(last) => span(last).map(super::Form::Last).ok_or_else(|| {
                    Error::config(format!(
                        "[reads] {table}: `last` takes \"90 days\" or \"$parameter\", not \"{last}\""
                    ))
                })?,
            };
            Ok(Asked { form, until_as_of: until.is_some() })
        }
    }
}

fn span(text: &str) -> Option<Span> {
    if let Some(parameter) = text.strip_prefix('$') {
        return Some(Span::Parameter(parameter.to_owned()));
    }
    let days = text.strip_suffix(" days").or_else(|| text.strip_suffix(" day"))?;
    days.trim().parse().ok().filter(|d| *d >= 0).map(Span::Days)
}

fn column(name: &str, raw: RawColumn) -> Result<Column> {
    let mut checks = raw.checks.iter().map(|check| column_check(check)).collect::<Result<Vec<_>>>()?;
    checks.extend(raw.one_of.map(ColumnCheck::OneOf));
    Ok(Column { name: name.to_owned(), data_type: data_type(&raw.type_name)?, doc: raw.doc, unit: raw.unit, checks })
}

impl Column {
    /// A column as front matter would declare it.
    pub(super) fn new(name: &str, type_name: &str, doc: &str, checks: &[&str]) -> Result<Self> {
        let checks = checks.iter().map(|check| (*check).to_owned()).collect();
        column(
            name,
            RawColumn { type_name: type_name.to_owned(), doc: doc.to_owned(), unit: None, checks, one_of: None },
        )
    }
}

fn column_check(name: &str) -> Result<ColumnCheck> {
    Ok(match name {
        "not_null" => ColumnCheck::NotNull,
        "positive" => ColumnCheck::Positive,
        "non_negative" => ColumnCheck::NonNegative,
        "fraction" => ColumnCheck::Fraction,
        _ => {
            return Err(Error::config(format!(
                "no such check as \"{name}\"; there are not_null, positive, non_negative, fraction (and one_of = […])"
            )));
        }
    })
}

/// The name by which front matter declares a type.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.to_string().to_lowercase(),
    }
}

fn data_type(name: &str) -> Result<DataType> {
    Ok(match name {
        "text" => DataType::Utf8,
        "date" => DataType::Date32,
        "int64" => DataType::Int64,
        "int32" => DataType::Int32,
        "float64" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => decimal(name).ok_or_else(|| {
            Error::config(format!(
                "no such type as \"{name}\"; there are text, date, int64, int32, float64, boolean, timestamp, decimal(p,s)"
            ))
        })?,
    })
}

fn decimal(name: &str) -> Option<DataType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    (precision <= 38 && scale >= 0 && scale <= precision as i8).then_some(DataType::Decimal128(precision, scale))
}
