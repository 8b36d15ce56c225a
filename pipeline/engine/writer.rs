//! Writing one Parquet file so that equal rows are equal bytes, checking every row on its way.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{
    BatchCoalescer, CastOptions, SortOptions, cast, cast_with_options, filter_record_batch, max, min,
};
use arrow::datatypes::{ArrowNumericType, DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow::util::display::FormatOptions;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::days::Days;
use super::{Sink, Totals};
use crate::error::{Error, Result};
use crate::lake::{Digest, Fingerprint, HashingWriter};
use crate::model::{Column, ColumnCheck};

/// Rows of a batch as it reaches the Parquet writer. Page cuts follow batches, so this is part of the format.
const BATCH_ROWS: usize = 8192;
/// Rows of a row group: small enough that a reader's filter on the leading columns skips most of a file.
const ROW_GROUP_ROWS: usize = 131_072;
/// Values of a batch from which on threads share its columns: below, starting one takes longer than it helps.
const SHARED_VALUES: usize = 100_000;
/// More threads than this have nothing to do: the rows arrive from one merge.
const ENCODING_THREADS: usize = 4;
/// How many broken rows a message shows.
const SAMPLES: usize = 3;

/// What becomes of a file, which decides how hard it is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Extracted rows: written once and kept as long as their object.
    Kept,
    /// A mart: written again most nights, and carried elsewhere.
    Published,
    /// What only the next models read, tonight and once more tomorrow.
    Passing,
}

/// Settings that every Parquet file of ours is written with.
///
/// No bounds of single pages are kept: filters are by day and rows are in another order, so that none could be skipped.
pub fn writer_properties(lifetime: Lifetime) -> Result<WriterProperties> {
    let compression = match lifetime {
        Lifetime::Kept => Compression::ZSTD(ZstdLevel::try_new(3)?),
        Lifetime::Published => Compression::ZSTD(ZstdLevel::try_new(1)?),
        Lifetime::Passing => Compression::LZ4_RAW,
    };
    Ok(WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_write_batch_size(BATCH_ROWS)
        .set_created_by("bazgasht".to_owned())
        .build())
}

/// A row-level check that rows broke.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Violation {
    pub check: String,
    pub rows: u64,
    /// A few of the broken rows, as text.
    pub samples: Vec<String>,
}

/// What is checked of each row: column rules, and that the grain ascends, so that no two rows have the same.
pub struct RowChecks {
    columns: Vec<Column>,
    grain: Vec<usize>,
    converter: Option<RowConverter>,
    last: Option<OwnedRow>,
    violations: Vec<Violation>,
}

impl RowChecks {
    /// `grain` are names of `columns`; rows must arrive sorted by them, NULL last.
    pub fn new(columns: &[Column], grain: &[String]) -> Result<Self> {
        let grain: Vec<usize> = grain.iter().filter_map(|key| columns.iter().position(|c| &c.name == key)).collect();
        let ascending = SortOptions { descending: false, nulls_first: false };
        let field = |i: &usize| SortField::new_with_options(columns[*i].data_type.clone(), ascending);
        let fields = grain.iter().map(field).collect();
        let converter = if grain.is_empty() { None } else { Some(RowConverter::new(fields)?) };
        Ok(Self { columns: columns.to_vec(), grain, converter, last: None, violations: vec![] })
    }

    fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        for index in 0..self.columns.len() {
            for check in self.columns[index].checks.clone() {
                if let Some(broken) = broken_rows(batch.column(index), &check)? {
                    self.report(&format!("{} {}", self.columns[index].name.clone(), check.name()), batch, &broken)?;
                }
            }
        }
        self.check_grain(batch)
    }

    /// # Errors
    /// Rows out of order: the ORDER BY names something else, or the engine lets it slip. Equal inputs would no longer give
    /// equal bytes, and rows of one grain might not be neighbours.
    fn check_grain(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(converter) = &self.converter else { return Ok(()) };
        let keys: Vec<ArrayRef> = self.grain.iter().map(|&i| Arc::clone(batch.column(i))).collect();
        let rows = converter.convert_columns(&keys)?;
        let mut repeats = vec![false; rows.num_rows()];
        let mut before = self.last.as_ref().map(OwnedRow::row);
        for (i, row) in rows.iter().enumerate() {
            match before.map(|before| before.cmp(&row)) {
                Some(Ordering::Greater) => {
                    let grain: Vec<&str> = self.grain.iter().map(|&i| self.columns[i].name.as_str()).collect();
                    return Err(Error::config(format!(
                        "rows come out of order at {}: the final ORDER BY must begin with the SELECT's own {}, not with \
                         another table's columns of these names, nor with what is unnested, which the engine may leave \
                         out of the order",
                        row_text(batch, i)?,
                        grain.join(", "),
                    )));
                }
                Some(Ordering::Equal) => repeats[i] = true,
                Some(Ordering::Less) | None => {}
            }
            before = Some(row);
        }
        self.last = before.map(|row| row.owned());
        if repeats.contains(&true) {
            self.report("grain is unique", batch, &BooleanArray::from(repeats))?;
        }
        Ok(())
    }

    fn report(&mut self, check: &str, batch: &RecordBatch, broken: &BooleanArray) -> Result<()> {
        let rows = filter_record_batch(batch, broken)?;
        let slot = match self.violations.iter().position(|v| v.check == check) {
            Some(slot) => slot,
            None => {
                self.violations.push(Violation { check: check.to_owned(), rows: 0, samples: vec![] });
                self.violations.len() - 1
            }
        };
        let violation = &mut self.violations[slot];
        violation.rows += rows.num_rows() as u64;
        for row in 0..rows.num_rows().min(SAMPLES.saturating_sub(violation.samples.len())) {
            violation.samples.push(row_text(&rows, row)?);
        }
        Ok(())
    }
}

/// One row as `a=1, b=x`, its first few columns.
pub(crate) fn row_text(batch: &RecordBatch, row: usize) -> Result<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut parts = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()).take(8) {
        let formatter = arrow::util::display::ArrayFormatter::try_new(column, &options)?;
        parts.push(format!("{}={}", field.name(), formatter.value(row)));
    }
    // On a line of its own: who passes an error on without rows goes by lines.
    Ok(parts.join(", ").replace(['\n', '\r'], " "))
}

/// Which rows break a check, or `None` when none does.
fn broken_rows(array: &ArrayRef, check: &ColumnCheck) -> Result<Option<BooleanArray>> {
    if *check == ColumnCheck::NotNull {
        let broken = arrow::compute::is_null(array)?;
        return Ok((array.null_count() > 0).then_some(broken));
    }
    let is_outside = |value: f64| match check {
        ColumnCheck::Positive => value.is_nan() || value <= 0.0,
        ColumnCheck::NonNegative => value.is_nan() || value < 0.0,
        _ => !(0.0..=1.0).contains(&value),
    };
    let outside = |array: &ArrayRef| -> Result<BooleanArray> {
        let numbers = cast(array, &DataType::Float64)?;
        Ok(numbers.as_primitive::<Float64Type>().iter().map(|value| Some(value.is_some_and(is_outside))).collect())
    };
    let broken: BooleanArray = match check {
        ColumnCheck::OneOf(allowed) => {
            let texts = cast(array, &DataType::Utf8)?;
            texts.as_string::<i32>().iter().map(|v| Some(v.is_some_and(|v| !allowed.iter().any(|a| a == v)))).collect()
        }
        // Mostly no row does, and that two of them can tell.
        _ => match extremes(array) {
            Some(extremes) if outside(&extremes)?.true_count() == 0 => return Ok(None),
            _ => outside(array)?,
        },
    };
    Ok((broken.true_count() > 0).then_some(broken))
}

/// The smallest and the largest value, of which a NaN is one; `None` for types that it doesn't know.
fn extremes(array: &ArrayRef) -> Option<ArrayRef> {
    fn of<T: ArrowNumericType>(array: &ArrayRef) -> ArrayRef {
        let values = array.as_primitive::<T>();
        let two = PrimitiveArray::<T>::from_iter([min(values), max(values)]);
        Arc::new(two.with_data_type(values.data_type().clone()))
    }
    match array.data_type() {
        DataType::Int32 => Some(of::<Int32Type>(array)),
        DataType::Int64 => Some(of::<Int64Type>(array)),
        DataType::Float64 => Some(of::<Float64Type>(array)),
        DataType::Decimal128(..) => Some(of::<Decimal128Type>(array)),
        _ => None,
    }
}

/// A Parquet file being written: rows are cast to the declared schema, checked, and cut into equal batches.
pub struct ParquetOut {
    schema: SchemaRef,
    checks: Option<RowChecks>,
    totals: Option<Totals>,
    days: Option<Days>,
    coalescer: BatchCoalescer,
    row_groups: RowGroups<HashingWriter<BufWriter<File>>>,
    rows: u64,
}

/// A finished file.
pub struct Written {
    pub print: Fingerprint,
    pub rows: u64,
    pub violations: Vec<Violation>,
    /// Sums by column, where they were asked for.
    pub totals: Option<BTreeMap<String, String>>,
    /// A digest over each day's rows, where it was asked for.
    pub days: Option<BTreeMap<NaiveDate, Digest>>,
}

impl ParquetOut {
    pub fn create(path: &Path, schema: SchemaRef, lifetime: Lifetime, checks: Option<RowChecks>) -> Result<Self> {
        let file = HashingWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
        let row_groups = RowGroups::new(file, &schema, lifetime)?;
        let coalescer = BatchCoalescer::new(schema.clone(), BATCH_ROWS);
        Ok(Self { schema, checks, totals: None, days: None, coalescer, row_groups, rows: 0 })
    }

    /// Encodes on so many threads.
    pub fn on_threads(mut self, threads: usize) -> Self {
        self.row_groups.threads = threads;
        self
    }

    /// Takes sums of what is written, too.
    pub fn totalling(self, totals: Totals) -> Self {
        Self { totals: Some(totals), ..self }
    }

    /// Takes digests of what is written day by day, too.
    pub fn by_day(self, column: &str) -> Result<Self> {
        Ok(Self { days: Some(Days::new(&self.schema, column)?), ..self })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema)?;
        if let Some(checks) = &mut self.checks {
            checks.check(&batch)?;
        }
        if let Some(totals) = &mut self.totals {
            totals.add(&batch);
        }
        if let Some(days) = &mut self.days {
            days.add(&batch)?;
        }
        self.rows += batch.num_rows() as u64;
        self.coalescer.push_batch(batch)?;
        while let Some(full) = self.coalescer.next_completed_batch() {
            self.row_groups.write(&full)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Written> {
        self.coalescer.finish_buffered_batch()?;
        while let Some(rest) = self.coalescer.next_completed_batch() {
            self.row_groups.write(&rest)?;
        }
        let hashing = self.row_groups.finish()?;
        let (buffered, print) = hashing.finish();
        buffered.into_inner().map_err(|e| Error::world("local disk", e.error()))?;
        let violations = self.checks.map(|c| c.violations).unwrap_or_default();
        let (totals, days) = (self.totals.map(Totals::finish), self.days.map(Days::finish));
        Ok(Written { print, rows: self.rows, violations, totals, days })
    }
}

/// A file's rows, encoded column by column.
///
/// Where a query ends in a sort, little else is left to do meanwhile: so columns are shared out among threads, which end with
/// each batch.
struct RowGroups<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    /// Of the row group that is being written, if any.
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
    threads: usize,
}

impl<W: Write + Send> RowGroups<W> {
    fn new(file: W, schema: &SchemaRef, lifetime: Lifetime) -> Result<Self> {
        let arrow = ArrowWriter::try_new(file, Arc::clone(schema), Some(writer_properties(lifetime)?))?;
        let (writer, factory) = arrow.into_serialized_writer()?;
        Ok(Self { writer, factory, columns: vec![], rows: 0, threads: 1 })
    }

    /// A batch of [`BATCH_ROWS`] rows, of which a row group has a whole number, or the last.
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.columns.is_empty() {
            self.columns = self.factory.create_column_writers(self.writer.flushed_row_groups().len())?;
        }
        self.encode(batch)?;
        self.rows += batch.num_rows();
        if self.rows < ROW_GROUP_ROWS { Ok(()) } else { self.close() }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let is_small = batch.num_rows() * batch.num_columns() < SHARED_VALUES;
        let columns = Mutex::new(self.columns.iter_mut().zip(schema.fields()).zip(batch.columns()));
        let next = || columns.lock().unwrap_or_else(PoisonError::into_inner).next();
        let encode_some = || -> Result<()> {
            while let Some(((writer, field), values)) = next() {
                // Ours aren't nested: a column is one leaf.
                compute_leaves(field, values)?.iter().try_for_each(|leaf| writer.write(leaf))?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others = if is_small { 0 } else { self.threads.min(ENCODING_THREADS).saturating_sub(1) };
            // Where no further thread is to be had, this one does it all.
            let others = (0..others).filter_map(|_| Builder::new().spawn_scoped(scope, encode_some).ok());
            let others: Vec<_> = others.collect();
            let own = encode_some();
            let joined =
                others.into_iter().map(|other| other.join().unwrap_or_else(|_| Err(Error::bug("encoding panicked"))));
            joined.fold(own, Result::and)
        })
    }

    fn close(&mut self) -> Result<()> {
        let mut row_group = self.writer.next_row_group()?;
        for column in self.columns.drain(..) {
            column.close()?.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        self.rows = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<W> {
        if self.rows > 0 {
            self.close()?;
        }
        Ok(self.writer.into_inner()?)
    }
}

impl Sink for ParquetOut {
    fn accept(&mut self, batch: &RecordBatch) -> Result<()> {
        self.write(batch)
    }
}

/// Casts a batch to the declared columns, by position; a value that doesn't fit is an error that names its column.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::config(format!(
            "the SELECT yields {} columns, [columns] declares {}",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    let given = batch.schema();
    let columns = batch.columns().iter().zip(given.fields()).zip(schema.fields());
    let arrays = columns.map(|((array, given), declared)| {
        if given.name() != declared.name() {
            return Err(Error::config(format!(
                "the SELECT yields `{}` where [columns] declares `{}`",
                given.name(),
                declared.name()
            )));
        }
        cast_with_options(array, declared.data_type(), &options)
            .map_err(|e| Error::config(format!("column `{}`: {e}", declared.name())))
    });
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &rows)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    /// What becomes of rows of (customer_id, position), a list of them for each batch.
    fn violations(batches: &[&[(Option<&str>, i64)]]) -> Result<Vec<Violation>> {
        let column = |name: &str, data_type| Column {
            name: name.to_owned(),
            data_type,
            doc: String::new(),
            unit: None,
            checks: vec![],
        };
        let columns = [column("customer_id", DataType::Utf8), column("position", DataType::Int64)];
        let mut checks = RowChecks::new(&columns, &["customer_id".to_owned(), "position".to_owned()])?;
        for rows in batches {
            let ids: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>());
            let positions: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
            checks.check(&RecordBatch::try_from_iter([("customer_id", ids), ("position", positions)])?)?;
        }
        Ok(checks.violations)
    }

    #[test]
    fn a_grain_that_comes_twice_is_a_violation_across_batches_too() {
        let broken =
            violations(&[&[(Some("a"), 1), (Some("a"), 2)], &[], &[(Some("a"), 2), (None, 1), (None, 1)]]).unwrap();
        assert_eq!(broken.iter().map(|v| (v.check.as_str(), v.rows)).collect::<Vec<_>>(), [("grain is unique", 2)]);
        assert_eq!(broken[0].samples, ["customer_id=a, position=2", "customer_id=NULL, position=1"]);
    }

    #[test]
    fn numbers_are_judged_as_a_whole_and_then_one_by_one() {
        let decimals = |values: &[i128]| {
            let array = PrimitiveArray::<Decimal128Type>::from_iter_values(values.iter().copied());
            Arc::new(array.with_precision_and_scale(28, 4).unwrap()) as ArrayRef
        };
        let floats = |values: &[Option<f64>]| Arc::new(values.iter().copied().collect::<Float64Array>()) as ArrayRef;
        let broken = |array: &ArrayRef, check| broken_rows(array, &check).unwrap().map_or(0, |rows| rows.true_count());
        let (positive, not_negative, fraction) =
            (ColumnCheck::Positive, ColumnCheck::NonNegative, ColumnCheck::Fraction);
        for (array, check, rows) in [
            (decimals(&[1, 2]), &positive, 0),
            (decimals(&[0, -1, 2]), &positive, 2),
            (decimals(&[0, -1, 2]), &not_negative, 1),
            (decimals(&[0, 10_000]), &fraction, 0),
            (decimals(&[0, 10_001]), &fraction, 1),
            (floats(&[Some(0.5), None]), &fraction, 0),
            (floats(&[None, None]), &positive, 0),
            (floats(&[Some(f64::NAN), Some(0.5)]), &fraction, 1),
            (floats(&[Some(-f64::NAN), Some(0.5)]), &not_negative, 1),
            (floats(&[Some(f64::INFINITY)]), &positive, 0),
        ] {
            assert_eq!(broken(&array, check.clone()), rows, "{check:?} of {array:?}");
        }
    }

    #[test]
    fn threads_and_row_groups_change_no_value() {
        let rows = i64::try_from(ROW_GROUP_ROWS).unwrap() + 5;
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let columns = (0..20).map(|i| (format!("c{i}"), Arc::clone(&numbers)));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let written = [1, 3].map(|threads| {
            let path = folder.path().join(threads.to_string());
            let mut out =
                ParquetOut::create(&path, batch.schema(), Lifetime::Passing, None).unwrap().on_threads(threads);
            out.write(&batch).unwrap();
            assert_eq!(out.finish().unwrap().rows, rows.cast_unsigned());
            std::fs::read(path).unwrap()
        });
        assert!(written[0] == written[1]);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(written[0].clone())).unwrap();
        let sizes: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(sizes, [rows - 5, 5]);
        let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &read).unwrap(), batch);
    }

    #[test]
    fn rows_out_of_order_are_refused_within_a_batch_and_across() {
        assert!(violations(&[&[(Some("a"), 1)], &[(Some("b"), 1), (None, 0)]]).unwrap().is_empty());
        for (batches, at) in [
            (&[&[(Some("a"), 2), (Some("a"), 1)][..]][..], "customer_id=a, position=1"),
            (&[&[(Some("b"), 1)], &[(Some("a"), 2)]], "customer_id=a, position=2"),
            (&[&[(None, 1), (Some("a"), 2)]], "customer_id=a, position=2"),
        ] {
            let refused = violations(batches).expect_err("out of order");
            assert_eq!(refused.exit_code(), 2);
            assert!(refused.to_string().contains(at), "{refused}");
        }
    }
}
