//! A published file: a partition's column chunks as they are, the column `as_of`, and docs in the metadata.
//!
//! Nothing is decoded or encoded again, so publishing costs a copy; and editing a description rebuilds nothing.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Date32Type, Field, Schema};
use chrono::NaiveDate;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::Int32Type;
use parquet::file::metadata::{KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use crate::engine::{Lifetime, writer_properties};
use crate::error::{Error, Result};
use crate::lake::{Fingerprint, HashingWriter};
use crate::snapshot::MartRecord;

/// Of a file just written.
pub struct Spliced {
    pub print: Fingerprint,
    pub rows: u64,
}

/// The Arrow schema of a mart's files: the partition's columns with their docs and units, then `as_of`.
pub fn published_schema(built: &Schema, mart: &MartRecord) -> Schema {
    let documented = |field: &Field| {
        let metadata: HashMap<String, String> =
            mart.column_metadata.get(field.name()).cloned().unwrap_or_default().into_iter().collect();
        field.clone().with_metadata(metadata)
    };
    let mut fields: Vec<Field> = built.fields().iter().map(|f| documented(f)).collect();
    fields.push(documented(&Field::new("as_of", DataType::Date32, false)));
    Schema::new(fields)
}

/// Writer settings of a published file: its metadata as a sorted list, so that equal files are equal bytes.
pub fn published_properties(
    schema: &Schema,
    mart: &MartRecord,
    as_of: NaiveDate,
    sorted_by: usize,
) -> Result<WriterProperties> {
    let as_of = KeyValue::new("bazgasht.as_of".to_owned(), as_of.to_string());
    let docs = mart.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let pairs = std::iter::once(as_of).chain(docs).collect();
    let sorting = (0..sorted_by as i32)
        .map(|i| SortingColumn { column_idx: i, descending: false, nulls_first: false })
        .collect::<Vec<_>>();
    let mut properties = writer_properties(Lifetime::Published)?
        .into_builder()
        .set_key_value_metadata(Some(pairs))
        .set_sorting_columns((!sorting.is_empty()).then_some(sorting))
        .build();
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    Ok(properties)
}

/// Writes `output` from the partition file `input`.
pub fn splice(
    input: &File,
    output: &Path,
    built: &Schema,
    mart: &MartRecord,
    as_of: NaiveDate,
    sorted_by: usize,
) -> Result<Spliced> {
    let metadata =
        ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional).parse_and_finish(input)?;
    let schema = published_schema(built, mart);
    let descriptor = ArrowSchemaConverter::new().convert(&schema)?;
    let properties = Arc::new(published_properties(&schema, mart, as_of, sorted_by)?);
    let file = HashingWriter::new(std::io::BufWriter::with_capacity(1 << 20, File::create(output)?));
    let mut writer = SerializedFileWriter::new(file, descriptor.root_schema_ptr(), properties)?;
    for group in 0..metadata.num_row_groups() {
        let mut out = writer.next_row_group()?;
        append_group(input, &metadata, group, &mut out)?;
        append_as_of(&mut out, as_of, metadata.row_group(group).num_rows())?;
        out.close()?;
    }
    let (buffered, print) = writer.into_inner()?.finish();
    buffered.into_inner().map_err(|e| Error::world("local disk", e.error()))?;
    Ok(Spliced { print, rows: metadata.file_metadata().num_rows().cast_unsigned() })
}

fn append_group<W: std::io::Write + Send>(
    input: &File,
    metadata: &ParquetMetaData,
    group: usize,
    out: &mut SerializedRowGroupWriter<'_, W>,
) -> Result<()> {
    let row_group = metadata.row_group(group);
    for (index, column) in row_group.columns().iter().enumerate() {
        let close = ColumnCloseResult {
            bytes_written: column.compressed_size().cast_unsigned(),
            rows_written: row_group.num_rows().cast_unsigned(),
            metadata: column.clone(),
            bloom_filter: None,
            column_index: metadata.column_index().and_then(|all| all.get(group)?.get(index)).cloned(),
            offset_index: metadata.offset_index().and_then(|all| all.get(group)?.get(index)).cloned(),
        };
        out.append_column(input, close)?;
    }
    Ok(())
}

fn append_as_of<W: std::io::Write + Send>(
    out: &mut SerializedRowGroupWriter<'_, W>,
    as_of: NaiveDate,
    rows: i64,
) -> Result<()> {
    let mut column = out.next_column()?.ok_or_else(|| Error::bug("no column left for as_of"))?;
    let days = vec![Date32Type::from_naive_date(as_of); usize::try_from(rows).map_err(Error::bug)?];
    column.typed::<Int32Type>().write_batch(&days, None, None)?;
    Ok(column.close()?)
}
