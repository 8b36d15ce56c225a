//! Reads the files of all formats back into rows of text.

use std::collections::BTreeMap;
use std::io::{self, Read};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::generate::{Options, Sink, SourceSummary, Summary, generate};

pub(super) type Row = BTreeMap<String, String>;

#[derive(Default)]
pub(super) struct Memory(pub BTreeMap<String, Vec<u8>>);

impl Sink for Memory {
    fn put(&mut self, path: &str, content: Vec<u8>) -> io::Result<()> {
        assert!(self.0.insert(path.to_string(), content).is_none(), "{path} was written twice");
        Ok(())
    }
}

pub(super) struct Shop {
    pub files: BTreeMap<String, Vec<u8>>,
    pub summary: Summary,
}

pub(super) fn shop_of(options: &Options) -> Shop {
    let mut files = Memory::default();
    let summary = generate(options, &mut files).expect("a shop");
    Shop { files: files.0, summary }
}

impl Shop {
    pub(super) fn sources(&self) -> [(&'static str, &SourceSummary); 8] {
        let summary = &self.summary;
        [
            ("orders", &summary.orders),
            ("order_items", &summary.order_items),
            ("interactions", &summary.interactions),
            ("customers", &summary.customers),
            ("products", &summary.products),
            ("campaigns", &summary.campaigns),
            ("subscriptions", &summary.subscriptions),
            ("identities", &summary.identities),
        ]
    }

    pub(super) fn of_source(&self, source: &str) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        let folder = format!("{source}/");
        self.files.iter().filter(move |(path, _)| path.starts_with(&folder))
    }

    /// Every line of a source's files, redelivered ones too; none for what cannot be read.
    pub(super) fn lines(&self, source: &str) -> Vec<Option<Row>> {
        self.of_source(source).flat_map(|(path, content)| lines_of(path, content)).collect()
    }

    pub(super) fn rows_with_paths(&self, source: &str) -> Vec<(String, Row)> {
        let files = self.of_source(source).filter(|(path, _)| !path.contains("-again"));
        let rows = |(path, content): (&String, &Vec<u8>)| {
            let path = path.clone();
            lines_of(&path, content).into_iter().flatten().map(move |row| (path.clone(), row)).collect::<Vec<_>>()
        };
        files.flat_map(rows).collect()
    }

    pub(super) fn rows(&self, source: &str) -> Vec<Row> {
        self.rows_with_paths(source).into_iter().map(|(_, row)| row).collect()
    }
}

/// The value of a column, empty for none.
pub(super) fn text(row: &Row, column: &str) -> String {
    row.get(column).cloned().unwrap_or_default()
}

pub(super) fn texts(rows: &[Row], column: &str) -> Vec<String> {
    rows.iter().map(|row| text(row, column)).collect()
}

fn lines_of(path: &str, content: &[u8]) -> Vec<Option<Row>> {
    if path.ends_with(".parquet") {
        return parquet_rows(content);
    }
    let mut unpacked = String::new();
    GzDecoder::new(content).read_to_string(&mut unpacked).expect("text in gzip");
    if path.ends_with(".csv.gz") { csv_rows(&unpacked) } else { unpacked.lines().map(json_row).collect() }
}

fn json_row(line: &str) -> Option<Row> {
    let values: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    let plain = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Some(values.into_iter().map(|(column, value)| (column, plain(value))).collect())
}

fn csv_rows(unpacked: &str) -> Vec<Option<Row>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(unpacked.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let row = |record: csv::StringRecord| {
        let whole = record.len() == header.len();
        let pairs = header.iter().zip(record.iter());
        whole.then(|| pairs.map(|(column, value)| (column.to_string(), value.to_string())).collect())
    };
    reader.records().map(|record| row(record.expect("text"))).collect()
}

fn parquet_rows(content: &[u8]) -> Vec<Option<Row>> {
    let file = Bytes::copy_from_slice(content);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").build().expect("columns");
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.expect("a batch");
        for place in 0..batch.num_rows() {
            let schema = batch.schema();
            let values = schema.fields().iter().zip(batch.columns());
            let values = values.map(|(field, array)| (field.name().clone(), value_of(array, place)));
            rows.push(Some(values.collect()));
        }
    }
    rows
}

fn value_of(array: &ArrayRef, place: usize) -> String {
    if array.is_null(place) {
        return String::new();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(place).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(place).to_string(),
        DataType::Decimal128(18, 4) => array.as_primitive::<Decimal128Type>().value(place).to_string(),
        DataType::Timestamp(_, Some(_)) => array.as_primitive::<TimestampMicrosecondType>().value(place).to_string(),
        DataType::Date32 => String::from("a date"),
        other => panic!("{other} is not in the contract"),
    }
}
