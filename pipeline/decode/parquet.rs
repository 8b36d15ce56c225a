//! Apache Parquet, with the file's own column types.
//!
//! Page checksums are compared where a file has them. Timestamps as INT96 have no zone and are read as microseconds:
//! as nanoseconds, which is the reader's default, the year 9999 that some writers mean "never" by would wrap.

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{LogicalType, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::batch::{BATCH_BYTES, RawBatch, split_wanted};
use super::typed::{self, UUID, without_panic};
use super::{DecodeError, Decoder, Kind};

/// A column of a row group may unpack to so many times its size, or to so many bytes.
const RATIO_MAX: i64 = 1000;
const RATIO_FREE_BYTES: i64 = 1 << 30;

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
/// [`DecodeError::Unreadable`] for a broken footer, a schema that is not supported, a wanted name that
/// occurs twice or a column that unpacks to more than a thousand times its size.
pub fn open_parquet<'a>(
    file: File,
    wanted: &[String],
    object: &str,
    batch_rows: usize,
) -> Result<Box<dyn Decoder + 'a>, DecodeError> {
    let unreadable = |error: ParquetError| opening_error(error, object);
    let metadata = without_panic(|| metadata(&file))
        .map_err(|panic| DecodeError::unreadable(object, panic))?
        .map_err(unreadable)?;
    if metadata.metadata().row_groups().iter().any(is_out_of_proportion) {
        let detail = format!("a column unpacks to more than {RATIO_MAX} times its size");
        return Err(DecodeError::unreadable(object, detail));
    }
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let found: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let (names, wants_line) = split_wanted(wanted);
    let roots = typed::places(&found, &names, object)?;
    let rows = rows_per_batch(builder.metadata(), batch_rows);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(rows).build().map_err(unreadable)?;
    Ok(Box::new(ParquetDecoder { reader, found, order: ranks(&roots), wants_line, rows_done: 0, finished: false }))
}

/// The file's metadata, with the types in which its columns are to be read.
fn metadata(file: &File) -> Result<ArrowReaderMetadata, ParquetError> {
    let own = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    let columns = own.metadata().file_metadata().schema_descr();
    let fields = own.schema().fields().iter().enumerate();
    let fields: Vec<Arc<Field>> = fields.map(|(root, field)| read_as(root, field, columns)).collect();
    if fields == own.schema().fields().to_vec() {
        return Ok(own);
    }
    let schema = Schema::new_with_metadata(fields, own.schema().metadata().clone());
    ArrowReaderMetadata::try_new(Arc::clone(own.metadata()), ArrowReaderOptions::new().with_schema(Arc::new(schema)))
}

fn read_as(root: usize, field: &Arc<Field>, columns: &SchemaDescriptor) -> Arc<Field> {
    let leaf = (0..columns.num_columns()).find(|&leaf| columns.get_column_root_idx(leaf) == root);
    let is_flat = |column: &ColumnDescriptor| column.path().parts().len() == 1;
    let Some(column) = leaf.map(|leaf| columns.column(leaf)).filter(|column| is_flat(column)) else {
        return Arc::clone(field);
    };
    let field = Field::clone(field);
    Arc::new(match (column.physical_type(), column.logical_type_ref()) {
        (Type::INT96, _) => field.with_data_type(DataType::Timestamp(TimeUnit::Microsecond, None)),
        (_, Some(LogicalType::Uuid)) => field.with_metadata([(UUID.0.to_owned(), UUID.1.to_owned())].into()),
        _ => field,
    })
}

fn is_out_of_proportion(group: &RowGroupMetaData) -> bool {
    group.columns().iter().any(|column| {
        let allowed = column.compressed_size().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
        column.uncompressed_size() > allowed
    })
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
        let columns = typed::plain(&columns.project(&self.order)?)?;
        typed::rows(columns, &mut self.rows_done, self.wants_line)
    }

    /// The rows from here on, which a broken page makes unreadable.
    fn rest(&mut self, detail: String) -> RawBatch {
        self.finished = true;
        typed::rest(self.rows_done + 1, detail)
    }
}

impl Decoder for ParquetDecoder {
    fn kind(&self) -> Kind {
        Kind::Parquet
    }

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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Int64Array, StringArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::{Int32Type, Int64Type};
    use arrow::util::display::array_value_to_string;
    use parquet::arrow::ArrowWriter;
    use parquet::data_type::{Int96, Int96Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;
    use crate::decode::testing::{Opened, gzip};
    use crate::decode::{BATCH_ROWS, Format, open, rules};

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
        let mut decoder = open(&Opened::of(&Format::Parquet).object(), Box::new(bytes), &wanted, rows)?;
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

    fn texts(batch: &RawBatch) -> Vec<Vec<String>> {
        let show = |column: &ArrayRef, row| array_value_to_string(column, row).expect("shows");
        let columns = batch.columns.columns().iter();
        columns.map(|column| (0..column.len()).map(|row| show(column, row)).collect()).collect()
    }

    fn written(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter(columns).expect("fits");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("opens");
        writer.write(&batch).expect("writes");
        writer.into_inner().expect("closes")
    }

    #[test]
    fn dictionaries_and_nanoseconds_are_plain_columns() {
        let status: DictionaryArray<Int32Type> = ["paid", "open", "paid"].into_iter().collect();
        let at = TimestampNanosecondArray::from(vec![1_700_000_000_123_456_789, 0, -1]);
        let bytes = written(vec![("status", Arc::new(status)), ("at", Arc::new(at))]);
        let batches = decode(&bytes, &["status", "at"], 10).expect("decodes");
        assert_eq!(batches[0].columns.column(0).data_type(), &DataType::Utf8);
        assert_eq!(texts(&batches[0])[0], ["paid", "open", "paid"]);
        assert_eq!(texts(&batches[0])[1][0], "2023-11-14T22:13:20.123456789");
    }

    /// Low-level, since the Arrow writer has no such types.
    fn int96_and_uuid() -> Vec<u8> {
        let message = "message m { required int96 at; required fixed_len_byte_array(16) id (UUID); }";
        let schema = Arc::new(parse_message_type(message).expect("parses"));
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).expect("opens");
        let mut group = writer.next_row_group().expect("opens");
        let mut column = group.next_column().expect("opens").expect("is there");
        // Days are Julian: 2,440,588 is 1970-01-01, 5,373,484 is 9999-12-31.
        let times = [[0, 0, 2_440_588], [0, 0, 5_373_484]].map(|[low, high, day]| {
            let mut time = Int96::new();
            time.set_data(low, high, day);
            time
        });
        column.typed::<Int96Type>().write_batch(&times, None, None).expect("writes");
        column.close().expect("closes");
        let mut column = group.next_column().expect("opens").expect("is there");
        let ids = [vec![0x6f; 16].into(), vec![1; 16].into()];
        column.typed::<parquet::data_type::FixedLenByteArrayType>().write_batch(&ids, None, None).expect("writes");
        column.close().expect("closes");
        group.close().expect("closes");
        writer.into_inner().expect("closes")
    }

    #[test]
    fn int96_is_a_time_without_a_zone_and_uuids_are_text() {
        let batches = decode(&int96_and_uuid(), &["at", "id"], 10).expect("decodes");
        let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert_eq!(batches[0].columns.column(0).data_type(), &naive);
        let texts = texts(&batches[0]);
        assert_eq!(texts[0], ["1970-01-01T00:00:00", "9999-12-31T00:00:00"]);
        assert_eq!(texts[1][0], "6f6f6f6f-6f6f-6f6f-6f6f-6f6f6f6f6f6f");
    }

    #[test]
    fn sixteen_bytes_that_are_no_uuid_stay_bytes() {
        let bytes = FixedSizeBinaryArray::try_from_iter([[7; 16]].into_iter()).expect("fits");
        let batches = decode(&written(vec![("id", Arc::new(bytes))]), &["id"], 10).expect("decodes");
        assert_eq!(batches[0].columns.column(0).data_type(), &DataType::FixedSizeBinary(16));
    }

    #[test]
    fn a_compressed_parquet_file_is_read() {
        let batches = decode(&gzip(&file(10)), &["id"], 100).expect("decodes");
        assert_eq!(batches[0].lines.len(), 10);
        let whole = gzip(&file(10));
        assert!(matches!(decode(&whole[..whole.len() / 2], &["id"], 10), Err(DecodeError::Unreadable { .. })));
    }

    /// One uncompressed column of plain values: a changed value is a value, only the checksum tells.
    #[test]
    fn a_page_with_a_wrong_checksum_is_broken() {
        let whole = include_bytes!("../../fixtures/formats/page_checksums.parquet");
        assert_eq!(decode(whole, &["id"], 1000).expect("opens")[0].lines.len(), 100);
        let mut flipped = whole.to_vec();
        let value = flipped.windows(8).position(|bytes| bytes == 1050_i64.to_le_bytes()).expect("is there");
        flipped[value] ^= 1;
        let batches = decode(&flipped, &["id"], 1000).expect("opens");
        let broken = &batches[0].unreadable[0];
        assert_eq!((broken.rule, broken.line), (rules::UNREADABLE_FILE, 1));
        assert!(broken.detail.to_lowercase().contains("crc"), "{broken:?}");
    }
}
