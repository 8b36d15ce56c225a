//! What the formats that have types of their own share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, StringBuilder, UnionArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use super::DecodeError;
use super::batch::{LINE_COLUMN, RawBatch, Unreadable, line_column, rules};

/// The key and value in a field's metadata that say that its 16 bytes are a UUID.
pub(super) const UUID: (&str, &str) = ("logicalType", "uuid");

/// Runs a reader, which meets some broken content with a panic. What it was working on must not be used
/// afterwards.
pub(super) fn without_panic<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let message = panic.downcast::<String>().map(|message| *message);
        let message = message.or_else(|panic| panic.downcast::<&str>().map(|message| message.to_string()));
        format!("broken content: {}", message.unwrap_or_default())
    })
}

/// Where in the file's schema the wanted columns are that it has.
pub(super) fn places(found: &[String], names: &[String], object: &str) -> Result<Vec<usize>, DecodeError> {
    let mut found_at = Vec::new();
    for name in names {
        let mut places = (0..found.len()).filter(|&at| found[at] == *name);
        found_at.extend(places.next());
        if places.next().is_some() {
            let detail = format!("the schema has the column `{name}` more than once");
            return Err(DecodeError::unreadable(object, detail));
        }
    }
    Ok(found_at)
}

/// The next rows; `rows_done` moves on by as many.
pub(super) fn rows(columns: RecordBatch, rows_done: &mut u64, wants_line: bool) -> Result<RawBatch, DecodeError> {
    let first = *rows_done + 1;
    *rows_done += columns.num_rows() as u64;
    let lines: Vec<u64> = (first..=*rows_done).collect();
    let columns = if wants_line { with_lines(&columns, &lines)? } else { columns };
    Ok(RawBatch::without_text(columns, lines, Vec::new()))
}

/// The rows from `row` on, which something broken makes unreadable.
pub(super) fn rest(row: u64, detail: String) -> RawBatch {
    let rest = Unreadable::new(row, rules::UNREADABLE_FILE, b"", detail);
    RawBatch::without_text(RecordBatch::new_empty(Schema::empty().into()), Vec::new(), vec![rest])
}

fn with_lines(columns: &RecordBatch, lines: &[u64]) -> Result<RecordBatch, ArrowError> {
    let lines = line_column(lines);
    let field = Field::new(LINE_COLUMN, lines.data_type().clone(), true);
    let fields = columns.schema().fields().iter().cloned().chain([field.into()]).collect::<Vec<_>>();
    let arrays = columns.columns().iter().cloned().chain([lines]).collect();
    RecordBatch::try_new(Schema::new(fields).into(), arrays)
}

/// Columns in types that expressions and casts can take: dictionaries and runs become what they hold, UUIDs and unions
/// of several scalars text.
pub(super) fn plain(columns: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = columns.schema();
    let arrays = (schema.fields().iter().zip(columns.columns())).map(|(field, array)| plain_array(field, array));
    let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, _>>()?;
    let fields = schema.fields().iter().zip(&arrays);
    let fields: Vec<Field> = fields.map(|(f, array)| Field::new(f.name(), array.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(columns.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

fn plain_array(field: &Field, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, held) => cast(array, held),
        DataType::RunEndEncoded(_, held) => cast(array, held.data_type()),
        DataType::FixedSizeBinary(16) if field.metadata().get(UUID.0).is_some_and(|kind| kind == UUID.1) => {
            let bytes = array.as_fixed_size_binary().iter();
            let texts = bytes.map(|bytes| Some(uuid::Uuid::from_slice(bytes?).ok()?.to_string()));
            Ok(Arc::new(StringArray::from_iter(texts)))
        }
        DataType::Union(..) => Ok(union_as_text(array.as_union()).unwrap_or_else(|| Arc::clone(array))),
        _ => Ok(Arc::clone(array)),
    }
}

/// `None` if a branch is nested: what it becomes is the mapping's to say.
fn union_as_text(union: &UnionArray) -> Option<ArrayRef> {
    let DataType::Union(branches, _) = union.data_type() else { return None };
    let mut texts: Vec<Option<StringArray>> = Vec::new();
    for (id, field) in branches.iter() {
        let branch = plain_array(field, union.child(id)).ok()?;
        if branch.data_type().is_nested() {
            return None;
        }
        let id = usize::try_from(id).ok()?;
        texts.resize(texts.len().max(id + 1), None);
        texts[id] = Some(cast(&branch, &DataType::Utf8).ok()?.as_string().clone());
    }
    let mut values = StringBuilder::new();
    for row in 0..union.len() {
        let branch = texts.get(usize::try_from(union.type_id(row)).ok()?)?.as_ref()?;
        let at = union.value_offset(row);
        values.append_option(branch.is_valid(at).then(|| branch.value(at)));
    }
    Some(Arc::new(values.finish()))
}
