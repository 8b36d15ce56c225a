//! Seed tables: small CSV files that a business edits.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};

use super::{Column, ColumnCheck};
use crate::error::{Error, Result};

/// A seed's columns and rows as text; an empty cell is NULL.
pub(super) struct Cells {
    pub names: Vec<String>,
    pub rows: Vec<csv::StringRecord>,
}

pub(super) fn read(text: &str) -> Result<Cells> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let names = reader.headers().map_err(Error::config)?.iter().map(str::to_owned).collect();
    let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(Error::config)?;
    Ok(Cells { names, rows })
}

/// A seed's columns, typed by all of its cells: whole numbers, decimals and dates where every cell is one, else text.
///
/// The type of a seed's column can only change with the seed, and what reads it is then planned anew.
pub fn seed_columns(text: &str) -> Result<Vec<Column>> {
    let cells = read(text)?;
    let columns = cells.names.iter().enumerate().map(|(index, name)| {
        let values = || cells.rows.iter().filter_map(move |row| row.get(index)).filter(|cell| !cell.is_empty());
        Column {
            name: name.clone(),
            data_type: common_type(values),
            doc: "Seed column.".to_owned(),
            unit: None,
            checks: if index == 0 { vec![ColumnCheck::NotNull] } else { vec![] },
        }
    });
    Ok(columns.collect())
}

fn common_type<'a, I: Iterator<Item = &'a str>>(values: impl Fn() -> I) -> DataType {
    let whole = |v: &str| v.parse::<i64>().is_ok() && !(v.len() > 1 && v.starts_with('0'));
    let decimal =
        |v: &str| v.len() < 16 && v.split_once('.').is_none_or(|(_, f)| f.len() <= 4) && v.parse::<f64>().is_ok();
    let date = |v: &str| v.len() == 10 && chrono::NaiveDate::parse_from_str(v, "%Y-%m-%d").is_ok();
    if values().next().is_none() {
        DataType::Utf8
    } else if values().all(whole) {
        DataType::Int64
    } else if values().all(decimal) {
        DataType::Decimal128(18, 4)
    } else if values().all(date) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

/// A seed's rows, in the file's order.
pub fn seed_batch(text: &str) -> Result<RecordBatch> {
    let cells = read(text)?;
    let columns = seed_columns(text)?;
    let arrays = columns.iter().enumerate().map(|(index, column)| {
        let texts: StringArray = cells.rows.iter().map(|row| row.get(index).filter(|cell| !cell.is_empty())).collect();
        Ok(cast(&(Arc::new(texts) as ArrayRef), &column.data_type)?)
    });
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let fields: Vec<Field> = columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
