//! Typed columns: money as DECIMAL(18,4), instants in microseconds UTC, text, dates.

use std::io;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Decimal128Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Encoded;
use crate::generate::row::{Fields, Id, Row, World, Zone};

/// Bounds what is held twice, as rows and as columns.
const BATCH_ROWS: usize = 65_536;
const MONEY_PRECISION: u8 = 18;
const MONEY_SCALE: u32 = 4;

pub(super) fn encode<R: Row>(world: &World, rows: &[R]) -> io::Result<Encoded> {
    let mut writer = None;
    for rows in rows.chunks(BATCH_ROWS) {
        let batch = batch_of(world, rows)?;
        if writer.is_none() {
            let opened = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties()?));
            writer = Some(opened.map_err(io::Error::other)?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&batch).map_err(io::Error::other)?;
        }
    }
    let content = writer.map_or(Ok(Vec::new()), ArrowWriter::into_inner);
    Ok(Encoded { content: content.map_err(io::Error::other)?, broken: 0 })
}

fn properties() -> io::Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(io::Error::other)?;
    Ok(WriterProperties::builder().set_compression(Compression::ZSTD(level)).build())
}

fn batch_of<R: Row>(world: &World, rows: &[R]) -> io::Result<RecordBatch> {
    let mut columns = Columns::new(world);
    for row in rows {
        columns.next = 0;
        row.write(world, &mut columns);
    }
    columns.finish()
}

enum Builder {
    Text(StringBuilder),
    Money(Decimal128Builder),
    Integer(Int64Builder),
    Instant(TimestampMicrosecondBuilder),
    Date(Date32Builder),
}

impl Builder {
    fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::Money(_) => DataType::Decimal128(MONEY_PRECISION, MONEY_SCALE as i8),
            Self::Integer(_) => DataType::Int64,
            Self::Instant(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date(_) => DataType::Date32,
        }
    }

    fn finish(&mut self, data_type: DataType) -> ArrayRef {
        match self {
            Self::Text(values) => Arc::new(values.finish()),
            Self::Money(values) => Arc::new(values.finish().with_data_type(data_type)),
            Self::Integer(values) => Arc::new(values.finish()),
            Self::Instant(values) => Arc::new(values.finish().with_timezone("UTC")),
            Self::Date(values) => Arc::new(values.finish()),
        }
    }
}

/// The columns of a batch. The first row makes them, the others follow its order.
struct Columns {
    names: Vec<&'static str>,
    builders: Vec<Builder>,
    /// The place of the next value in its row.
    next: usize,
    money_factor: i64,
    scratch: String,
}

/// The builder of the next column, made by the first row.
macro_rules! builder {
    ($columns:ident, $column:ident, $variant:ident, $new:expr) => {{
        let place = $columns.next;
        $columns.next += 1;
        if place == $columns.builders.len() {
            $columns.names.push($column);
            $columns.builders.push(Builder::$variant($new));
        }
        match &mut $columns.builders[place] {
            Builder::$variant(builder) => builder,
            _ => unreachable!("a source's rows write the same columns in the same order"),
        }
    }};
}

impl Columns {
    fn new(world: &World) -> Self {
        let money_factor = 10_i64.pow(MONEY_SCALE - world.options.currency.digits());
        Self { names: Vec::new(), builders: Vec::new(), next: 0, money_factor, scratch: String::new() }
    }

    fn finish(mut self) -> io::Result<RecordBatch> {
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for (name, builder) in self.names.iter().zip(&mut self.builders) {
            let data_type = builder.data_type();
            fields.push(Field::new(*name, data_type.clone(), true));
            arrays.push(builder.finish(data_type));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(io::Error::other)
    }
}

impl Fields for Columns {
    fn text(&mut self, column: &'static str, value: Option<&str>) {
        builder!(self, column, Text, StringBuilder::new()).append_option(value);
    }

    fn id(&mut self, column: &'static str, value: Option<Id>) {
        use std::fmt::Write;
        self.scratch.clear();
        if let Some(Id(letter, number)) = value {
            // Writing to a string cannot fail.
            let _ = write!(self.scratch, "{letter}{number:08}");
        }
        let text = value.map(|_| self.scratch.as_str());
        builder!(self, column, Text, StringBuilder::new()).append_option(text);
    }

    fn money(&mut self, column: &'static str, value: Option<i64>) {
        let factor = self.money_factor;
        let value = value.map(|value| i128::from(value) * i128::from(factor));
        builder!(self, column, Money, Decimal128Builder::new()).append_option(value);
    }

    fn integer(&mut self, column: &'static str, value: Option<i64>) {
        builder!(self, column, Integer, Int64Builder::new()).append_option(value);
    }

    fn instant(&mut self, column: &'static str, value: Option<i64>, _: Zone) {
        let value = value.map(|seconds| seconds * 1_000_000);
        builder!(self, column, Instant, TimestampMicrosecondBuilder::new()).append_option(value);
    }

    fn date(&mut self, column: &'static str, value: Option<NaiveDate>) {
        let value = value.map(|date| (date - NaiveDate::default()).num_days() as i32);
        builder!(self, column, Date, Date32Builder::new()).append_option(value);
    }
}
