//! Apache Parquet, with the file's own column types.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::batch::{BATCH_BYTES, LINE_COLUMN, RawBatch, Unreadable, line_column, rules, split_wanted};
use super::{DecodeError, Decoder};

/// Decodes one Parquet file.
struct ParquetDecoder {
    reader: ParquetRecordBatchReader,
    found: Vec<String>,
    /// The wanted columns among those that the reader gives, in wanted order.
    order: Vec<usize>,
    wants_line: bool,
    rows_done: u64,
    finished: bool,
}

/// Opens a local Parquet file; see [`open`](super::open), which does the same for any input.
///
/// # Errors
/// [`DecodeError::Unreadable`] for a broken footer, a schema that is not supported or a wanted name that
/// occurs twice.
pub fn open_parquet<'a>(
    file: File,
    wanted: &[String],
    object: &str,
    batch_rows: usize,
) -> Result<Box<dyn Decoder + 'a>, DecodeError> {
    let unreadable = |error: ParquetError| opening_error(error, object);
    let builder = without_panic(|| ParquetRecordBatchReaderBuilder::try_new(file))
        .map_err(|panic| DecodeError::unreadable(object, panic))?
        .map_err(unreadable)?;
    let found: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let (names, wants_line) = split_wanted(wanted);
    let roots = roots(&found, &names, object)?;
    let rows = rows_per_batch(builder.metadata(), batch_rows);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(rows).build().map_err(unreadable)?;
    Ok(Box::new(ParquetDecoder { reader, found, order: ranks(&roots), wants_line, rows_done: 0, finished: false }))
}

fn opening_error(error: ParquetError, object: &str) -> DecodeError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(inner) => DecodeError::Input(*inner),
            Err(inner) => DecodeError::unreadable(object, inner.to_string()),
        },
        error => DecodeError::unreadable(object, error.to_string()),
    }
}

/// Where in the file's schema the wanted columns are that it has.
fn roots(found: &[String], names: &[String], object: &str) -> Result<Vec<usize>, DecodeError> {
    let mut roots = Vec::new();
    for name in names {
        let mut places = (0..found.len()).filter(|&at| found[at] == *name);
        roots.extend(places.next());
        if places.next().is_some() {
            let detail = format!("the schema has the column `{name}` more than once");
            return Err(DecodeError::unreadable(object, detail));
        }
    }
    Ok(roots)
}

/// The reader gives columns in the file's order: at which place does it give each of `roots`?
fn ranks(roots: &[usize]) -> Vec<usize> {
    let rank = |root: &usize| roots.iter().filter(|other| *other < root).count();
    roots.iter().map(rank).collect()
}

/// Fewer rows than asked for where they are wide, judged by the widest row group.
fn rows_per_batch(metadata: &ParquetMetaData, batch_rows: usize) -> usize {
    let row_bytes = |group: &RowGroupMetaData| group.total_byte_size() / group.num_rows().max(1);
    let widest = metadata.row_groups().iter().map(row_bytes).max().unwrap_or(0);
    let widest = usize::try_from(widest).unwrap_or(0).max(1);
    batch_rows.min(BATCH_BYTES / widest).max(1)
}

impl ParquetDecoder {
    fn rows(&mut self, columns: &RecordBatch) -> Result<RawBatch, DecodeError> {
        let first = self.rows_done + 1;
        self.rows_done += columns.num_rows() as u64;
        let lines: Vec<u64> = (first..=self.rows_done).collect();
        let columns = columns.project(&self.order)?;
        let columns = if self.wants_line { with_lines(&columns, &lines)? } else { columns };
        Ok(RawBatch::without_text(columns, lines, Vec::new()))
    }

    /// The rows from here on, which a broken page makes unreadable.
    fn rest(&mut self, detail: String) -> RawBatch {
        self.finished = true;
        let row = self.rows_done + 1;
        let rest = Unreadable::new(row, rules::UNREADABLE_FILE, b"", detail);
        let nothing = RecordBatch::new_empty(Schema::empty().into());
        RawBatch::without_text(nothing, Vec::new(), vec![rest])
    }
}

impl Decoder for ParquetDecoder {
    fn columns_found(&self) -> &[String] {
        &self.found
    }

    fn next_batch(&mut self) -> Result<Option<RawBatch>, DecodeError> {
        if self.finished {
            return Ok(None);
        }
        match without_panic(|| self.reader.next()) {
            Ok(None) => Ok(None),
            Ok(Some(Ok(columns))) => self.rows(&columns).map(Some),
            Ok(Some(Err(ArrowError::IoError(_, error)))) => Err(DecodeError::Input(error)),
            Ok(Some(Err(error))) => Ok(Some(self.rest(error.to_string()))),
            Err(panic) => Ok(Some(self.rest(panic))),
        }
    }
}

/// Runs the Parquet reader, which meets some broken pages with a panic. What it was working on must not be
/// used afterwards.
fn without_panic<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let message = panic.downcast::<String>().map(|message| *message);
        let message = message.or_else(|panic| panic.downcast::<&str>().map(|message| message.to_string()));
        format!("broken page: {}", message.unwrap_or_default())
    })
}

fn with_lines(columns: &RecordBatch, lines: &[u64]) -> Result<RecordBatch, ArrowError> {
    let lines = line_column(lines);
    let field = Field::new(LINE_COLUMN, lines.data_type().clone(), true);
    let fields = columns.schema().fields().iter().cloned().chain([field.into()]).collect::<Vec<_>>();
    let arrays = columns.columns().iter().cloned().chain([lines]).collect();
    RecordBatch::try_new(Schema::new(fields).into(), arrays)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Int64Type};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::decode::{BATCH_ROWS, Format, open};

    fn file(rows: i64) -> Vec<u8> {
        let id: ArrayRef = Arc::new(Int64Array::from_iter((0..rows).map(|n| (n % 3 > 0).then_some(n))));
        let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("t\"{n}"))));
        let other: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("id", id), ("other", other), ("text", text)]).expect("fits");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("opens");
        writer.write(&batch).expect("writes");
        writer.into_inner().expect("closes")
    }

    fn decode(bytes: &[u8], wanted: &[&str], rows: usize) -> Result<Vec<RawBatch>, DecodeError> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let mut decoder = open(&Format::Parquet, Box::new(bytes), &wanted, "object", rows)?;
        std::iter::from_fn(|| decoder.next_batch().transpose()).collect()
    }

    #[test]
    fn wanted_columns_come_with_their_types_in_wanted_order() {
        let batches = decode(&file(10), &["text", "_line", "absent", "id"], 4).expect("decodes");
        assert_eq!(batches.iter().map(|batch| batch.lines.clone()).collect::<Vec<_>>()[2], [9, 10]);
        let columns = &batches[1].columns;
        let types: Vec<_> = columns.columns().iter().map(|column| column.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Int64, DataType::Utf8]);
        assert_eq!(columns.column(1).as_primitive::<Int64Type>().value(0), 4);
        assert_eq!(columns.column(2).as_string::<i32>().value(0), "5");
        assert_eq!(batches[1].raw_text(0), r#"{"id":"4","text":"t\"4"}"#);
        assert_eq!(batches[0].raw_text(0), r#"{"id":null,"text":"t\"0"}"#);
        assert_eq!(batches[0].raw_text(99), "");
    }

    #[test]
    fn without_wanted_columns_rows_still_count() {
        let batches = decode(&file(10), &["absent"], BATCH_ROWS).expect("decodes");
        assert_eq!((batches[0].columns.num_columns(), batches[0].rows_read()), (0, 10));
    }

    #[test]
    fn a_file_without_rows_has_columns() {
        let mut local = tempfile::tempfile().expect("creates");
        local.write_all(&file(0)).expect("writes");
        let mut decoder = open_parquet(local, &["id".to_owned()], "object", BATCH_ROWS).expect("opens");
        assert_eq!(decoder.columns_found(), ["id", "other", "text"]);
        assert!(decoder.next_batch().expect("decodes").is_none());
    }

    #[test]
    fn a_broken_footer_is_an_unreadable_file() {
        let whole = file(10);
        for bytes in [&whole[..whole.len() - 1], &whole[..3], b"", b"a,b\n1,2\n"] {
            assert!(matches!(decode(bytes, &["id"], 10), Err(DecodeError::Unreadable { .. })));
        }
    }

    #[test]
    fn a_broken_page_keeps_the_rows_before_it() {
        let mut bytes = file(100_000);
        let middle = bytes.len() / 4 * 3;
        bytes[middle..middle + 2000].fill(0xff);
        let batches = decode(&bytes, &["id", "text"], 1000).expect("opens");
        let broken: Vec<_> = batches.iter().flat_map(|batch| &batch.unreadable).collect();
        let rows: usize = batches.iter().map(|batch| batch.lines.len()).sum();
        assert_eq!((broken.len(), broken[0].rule, broken[0].line), (1, rules::UNREADABLE_FILE, rows as u64 + 1));
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let whole = file(20);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            let _ = decode(&bytes, &["id", "text"], 7);
        }
    }
}
