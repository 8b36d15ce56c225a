//! Tables made in Rust: columns that carry their type and documentation, as a SQL model's do.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::NaiveDate;

/// The first and last day of both tables. Fixed, so that the tables never change by themselves: what reads
/// them would be rebuilt. They cover `history_starts_on` at its earliest and leave room for a year before.
pub const CALENDAR_FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1990, 1, 1).unwrap();
pub const CALENDAR_LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2101, 3, 31).unwrap();

/// Part of the tables' keys: raise it when the same calendar and occasions would give other rows.
pub const TABLES_VERSION: &str = "1";

/// What a column is, in the words of a model's front matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnDoc {
    pub name: &'static str,
    /// `date`, `int32`, `int64`, `text` or `boolean`.
    pub data_type: &'static str,
    pub doc: &'static str,
    pub checks: &'static [&'static str],
}

/// A column of a table whose rows are made from values of `Row`.
pub(super) struct Column<Row: 'static> {
    name: &'static str,
    value: Value<Row>,
    doc: &'static str,
    not_null: bool,
}

/// How a column's value is read off a row; the variant is its type.
pub(super) enum Value<Row: 'static> {
    Date(fn(&Row) -> NaiveDate),
    Int32(fn(&Row) -> i32),
    Int64(fn(&Row) -> Option<i64>),
    Text(fn(&Row) -> Option<&str>),
    Boolean(fn(&Row) -> bool),
}

impl<Row> Column<Row> {
    pub(super) const fn new(name: &'static str, value: Value<Row>, doc: &'static str) -> Self {
        Self { name, value, doc, not_null: true }
    }

    /// A column that may hold NULL.
    pub(super) const fn nullable(name: &'static str, value: Value<Row>, doc: &'static str) -> Self {
        Self { name, value, doc, not_null: false }
    }

    pub(super) fn documentation(&self) -> ColumnDoc {
        let checks: &[&str] = if self.not_null { &["not_null"] } else { &[] };
        ColumnDoc { name: self.name, data_type: self.value.type_name(), doc: self.doc, checks }
    }

    /// Nullable whatever the checks say, as the columns of SQL models are.
    fn field(&self) -> Field {
        Field::new(self.name, self.value.data_type(), true)
    }
}

impl<Row> Value<Row> {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Date(_) => "date",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Text(_) => "text",
            Self::Boolean(_) => "boolean",
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Date(_) => DataType::Date32,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::Text(_) => DataType::Utf8,
            Self::Boolean(_) => DataType::Boolean,
        }
    }

    fn array(&self, rows: &[Row]) -> ArrayRef {
        match self {
            Self::Date(read) => {
                Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| read(row).to_epoch_days())))
            }
            Self::Int32(read) => Arc::new(Int32Array::from_iter_values(rows.iter().map(read))),
            Self::Int64(read) => Arc::new(Int64Array::from_iter(rows.iter().map(read))),
            Self::Text(read) => Arc::new(StringArray::from_iter(rows.iter().map(read))),
            Self::Boolean(read) => Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(read(row))))),
        }
    }
}

/// A batch of the rows, in their order, with the columns in theirs.
pub(super) fn batch<Row>(columns: &[Column<Row>], rows: &[Row]) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(Column::field).collect();
    let arrays = columns.iter().map(|column| column.value.array(rows)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a column's type and array come from one value")
}
