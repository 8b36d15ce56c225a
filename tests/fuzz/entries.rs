//! What the fuzz targets and the bounded test in CI do with arbitrary bytes. None may panic, hang or disagree with
//! itself, whatever the bytes say.

use std::path::Path;

use bazgasht::config::Config;
use bazgasht::contract::{Contract, SourceName};
use bazgasht::decode::{self, CsvOptions, DecodeError, Delimiter, Format, Object};
use bazgasht::extract::Mapping;
use bazgasht::model::Parser;
use encoding_rs::Encoding;

/// A config file, and the complaints about it.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = |name: &str| (name == "SET").then(|| "value".to_owned());
    if let Err(complaints) = Config::parse("bazgasht.toml", Path::new("/shop"), text, &environment) {
        assert!(!complaints.is_empty());
        assert!(!complaints.render(false).is_empty());
    }
}

/// An input object: the first byte chooses the format.
pub fn decode(data: &[u8]) {
    let Some((&choice, content)) = data.split_first() else { return };
    let csv = |delimiter, quote, header| Format::Csv(CsvOptions { delimiter, quote, header });
    let format = match choice % 7 {
        0 => csv(Delimiter::Byte(b','), Some(b'"'), true),
        1 => csv(Delimiter::Byte(b';'), None, false),
        2 => csv(Delimiter::Blanks, Some(b'\''), true),
        3 | 4 => Format::Ndjson,
        5 => Format::Avro,
        _ => Format::Parquet,
    };
    let encoding = [encoding_rs::UTF_8, encoding_rs::UTF_16LE, encoding_rs::WINDOWS_1256][usize::from(choice / 7) % 3];
    // Of text, the same rows come out however many there are in a batch. A broken page or block takes its batch with it.
    let (many, few) = (decoded(&format, encoding, content, 8192), decoded(&format, encoding, content, 1));
    let is_text = !matches!(format, Format::Parquet | Format::Avro);
    assert!(!is_text || many == few, "{many:?} in large batches, {few:?} in small ones");
}

/// The lines of the rows that were read, and of those that couldn't be with the rules that they broke.
type Lines = (Vec<u64>, Vec<(u64, &'static str)>);

fn decoded(format: &Format, encoding: &'static Encoding, content: &[u8], batch_rows: usize) -> Option<Lines> {
    let wanted = ["a", "b.c", "column_1", "_line"].map(str::to_owned);
    let scratch = std::env::temp_dir();
    let object = Object { name: "fuzzed", format, format_is_stated: true, encoding, scratch: &scratch };
    let mut decoder = match decode::open(&object, Box::new(content), &wanted, batch_rows) {
        Ok(decoder) => decoder,
        Err(DecodeError::Unreadable { .. }) => return None,
        Err(other) => panic!("{other:?}"),
    };
    let (mut lines, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(batch) = decoder.next_batch().unwrap_or_else(|e| panic!("{e:?}")) {
        assert_eq!(batch.columns.num_rows(), batch.lines.len());
        assert_eq!(batch.rows_read(), (batch.lines.len() + batch.unreadable.len()) as u64);
        (0..batch.lines.len()).for_each(|row| assert!(batch.raw_text(row).len() <= decode::RAW_BYTES_MAX));
        unreadable.extend(batch.unreadable.iter().map(|record| (record.line, record.rule)));
        lines.extend(batch.lines);
    }
    Some((lines, unreadable))
}

/// A model's file, front matter and SELECT. What has no front matter gets one that is right.
pub fn model(data: &[u8]) {
    thread_local!(static PARSER: Parser = Parser::new(&["orders".to_owned()].into()));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let whole = match text.starts_with("/*---") {
        true => text.to_owned(),
        false => format!("{FRONT_MATTER}{text}"),
    };
    PARSER.with(|parser| {
        if let Err(complaint) = parser.parse("marts/fuzzed.sql", &whole) {
            assert!(complaint.starts_with("marts/fuzzed.sql:"), "{complaint}");
        }
        let _ = parser.parse("seeds/fuzzed.csv", text);
    });
}

const FRONT_MATTER: &str = "/*---\ndescription = \"One row per x.\"\ngrain = [\"x\"]\n[columns]\nx = { type = \"text\", doc = \"X.\" }\n---*/\n";

/// An expression of a mapping.
pub fn mapping(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let contract = Contract::of(SourceName::Orders, true);
    if let Ok(mapping) = Mapping::new(&contract, vec![("order_id".to_owned(), text.to_owned())], vec![], [].into()) {
        let _ = mapping.type_as_text(&contract);
    }
}
