//! What a decoder hands out, and the builder that the text formats share.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;

use super::DecodeError;

/// The raw column that every format has: the row's line number, as text.
pub const LINE_COLUMN: &str = "_line";

/// Of a rejected row's raw text so much is kept, in bytes.
pub const RAW_BYTES_MAX: usize = 4 << 10;

/// A batch ends when so much input went into it, in bytes.
pub(super) const BATCH_BYTES: usize = 8 << 20;

/// The names of the rules that a record breaks before any mapping sees it.
pub mod rules {
    /// Broken JSON, not a JSON object, or quotes or brackets that do not match.
    pub const UNREADABLE_LINE: &str = "unreadable_line";
    /// A CSV record with more or fewer fields than the header.
    pub const WRONG_COLUMN_COUNT: &str = "wrong_column_count";
    /// Bytes that are no text in the object's encoding, by default UTF-8.
    pub const INVALID_UTF8: &str = "invalid_utf8";
    /// More than [`LINE_BYTES_MAX`](crate::decode::LINE_BYTES_MAX) in one line, or in one element of a JSON array.
    pub const LINE_TOO_LONG: &str = "line_too_long";
    /// The object from here on.
    pub const UNREADABLE_FILE: &str = "unreadable_file";
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its line (Parquet and Avro: row), from 1.
    pub line: u64,
    /// One of [`rules`].
    pub rule: &'static str,
    /// How it begins, at most [`RAW_BYTES_MAX`]; bytes that are not UTF-8 are replaced.
    pub raw: String,
    /// What is wrong with it. Quotes nothing of the content.
    pub detail: String,
}

impl Unreadable {
    pub(super) fn new(line: u64, rule: &'static str, record: &[u8], detail: impl Into<String>) -> Self {
        Self { line, rule, raw: excerpt(record), detail: detail.into() }
    }
}

/// Consecutive rows of an object.
#[derive(Debug)]
pub struct RawBatch {
    /// The wanted columns: nullable Utf8, or for Parquet and Avro the file's own types.
    pub columns: RecordBatch,
    /// Where each row begins: line of the decompressed text, or row of the Parquet or Avro file, from 1.
    pub lines: Vec<u64>,
    /// The records between these rows that could not be decoded.
    pub unreadable: Vec<Unreadable>,
    raw: RawTexts,
}

impl RawBatch {
    /// How many read rows this batch accounts for.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        (self.lines.len() + self.unreadable.len()) as u64
    }

    /// The row as it was written, at most [`RAW_BYTES_MAX`]; a Parquet or Avro row as a JSON object of its
    /// wanted columns. Empty if there is no such row.
    #[must_use]
    pub fn raw_text(&self, row: usize) -> String {
        match &self.raw {
            RawTexts::Written { text, ends } => written(text, ends, row).to_owned(),
            RawTexts::Columns => columns_as_json(&self.columns, row),
        }
    }

    /// Rows of a format that has no text of its own.
    pub(super) fn without_text(columns: RecordBatch, lines: Vec<u64>, unreadable: Vec<Unreadable>) -> Self {
        Self { columns, lines, unreadable, raw: RawTexts::Columns }
    }
}

#[derive(Debug)]
enum RawTexts {
    /// The beginnings of all records, one after the other.
    Written { text: String, ends: Vec<usize> },
    /// To be made from the columns.
    Columns,
}

fn written<'a>(text: &'a str, ends: &[usize], row: usize) -> &'a str {
    let Some(&end) = ends.get(row) else {
        return "";
    };
    let start = row.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start..end]
}

fn columns_as_json(columns: &RecordBatch, row: usize) -> String {
    if row >= columns.num_rows() {
        return String::new();
    }
    let schema = columns.schema();
    let row: serde_json::Map<_, _> = (schema.fields().iter().zip(columns.columns()))
        .filter(|(field, _)| field.name() != LINE_COLUMN)
        .map(|(field, column)| (field.name().clone(), value_as_json(column, row)))
        .collect();
    beginning(&serde_json::Value::Object(row).to_string()).to_owned()
}

fn value_as_json(column: &ArrayRef, row: usize) -> serde_json::Value {
    if column.is_null(row) {
        return serde_json::Value::Null;
    }
    array_value_to_string(column, row).map_or(serde_json::Value::Null, Into::into)
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(RAW_BYTES_MAX)]
}

/// The beginning of bytes that may not be text.
fn excerpt(bytes: &[u8]) -> String {
    let mut end = bytes.len().min(RAW_BYTES_MAX);
    let is_inside_character = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    for _ in 0..3 {
        end -= usize::from(end > 0 && is_inside_character(end));
    }
    beginning(&String::from_utf8_lossy(&bytes[..end])).to_owned()
}

/// Collects text rows into a [`RawBatch`].
pub(super) struct BatchBuilder {
    schema: SchemaRef,
    texts: Vec<StringBuilder>,
    wants_line: bool,
    lines: Vec<u64>,
    raw: String,
    raw_ends: Vec<usize>,
    unreadable: Vec<Unreadable>,
    bytes: usize,
    rows_max: usize,
}

impl BatchBuilder {
    /// `names` without [`LINE_COLUMN`].
    pub(super) fn new(names: &[String], wants_line: bool, rows_max: usize) -> Self {
        let line_column = wants_line.then(|| LINE_COLUMN.to_owned());
        let fields: Vec<Field> =
            (names.iter().cloned().chain(line_column)).map(|name| Field::new(name, DataType::Utf8, true)).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            texts: names.iter().map(|_| StringBuilder::new()).collect(),
            wants_line,
            lines: Vec::new(),
            raw: String::new(),
            raw_ends: Vec::new(),
            unreadable: Vec::new(),
            bytes: 0,
            rows_max: rows_max.max(1),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() + self.unreadable.len() >= self.rows_max || self.bytes >= BATCH_BYTES
    }

    /// Adds one value of the row at hand. Every column needs exactly one before [`Self::end_row`].
    pub(super) fn append(&mut self, column: usize, value: Option<&str>) {
        self.texts[column].append_option(value);
    }

    /// Ends the row that `record` (without its terminator) was decoded into.
    pub(super) fn end_row(&mut self, line: u64, record: &str) {
        self.bytes += record.len();
        self.lines.push(line);
        self.raw.push_str(beginning(record));
        self.raw_ends.push(self.raw.len());
    }

    pub(super) fn reject(&mut self, record: Unreadable) {
        self.bytes += record.raw.len();
        self.unreadable.push(record);
    }

    /// What was collected, or `None` if that is nothing.
    pub(super) fn finish(&mut self) -> Result<Option<RawBatch>, DecodeError> {
        if self.lines.is_empty() && self.unreadable.is_empty() {
            return Ok(None);
        }
        self.bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        Ok(Some(RawBatch {
            columns: RecordBatch::try_new_with_options(self.schema.clone(), self.arrays(&lines), &options)?,
            lines,
            unreadable: std::mem::take(&mut self.unreadable),
            raw: RawTexts::Written { text: std::mem::take(&mut self.raw), ends: std::mem::take(&mut self.raw_ends) },
        }))
    }

    fn arrays(&mut self, lines: &[u64]) -> Vec<ArrayRef> {
        let texts = self.texts.iter_mut().map(|text| Arc::new(text.finish()) as ArrayRef);
        texts.chain(self.wants_line.then(|| line_column(lines))).collect()
    }
}

/// Line numbers as the text column [`LINE_COLUMN`].
pub(super) fn line_column(lines: &[u64]) -> ArrayRef {
    let texts = lines.iter().map(|line| Some(line.to_string()));
    Arc::new(arrow::array::StringArray::from_iter(texts))
}

/// Splits off [`LINE_COLUMN`] and drops repetitions: the names to look for, and whether lines are wanted.
pub(super) fn split_wanted(wanted: &[String]) -> (Vec<String>, bool) {
    let mut names: Vec<String> = Vec::with_capacity(wanted.len());
    for name in wanted {
        if name != LINE_COLUMN && !names.contains(name) {
            names.push(name.clone());
        }
    }
    (names, wanted.iter().any(|name| name == LINE_COLUMN))
}
