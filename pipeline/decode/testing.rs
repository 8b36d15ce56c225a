//! Helpers for this module's tests.

use std::io::{Read, Write};

use arrow::array::{Array, AsArray};

use encoding_rs::{Encoding, UTF_8};

use super::{BATCH_ROWS, CsvOptions, DecodeError, Format, Object, RawBatch, open};

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

pub(super) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).expect("compresses in memory")
}

pub(super) fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(content).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

pub(super) fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(content).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

static SCRATCH: std::sync::LazyLock<std::path::PathBuf> = std::sync::LazyLock::new(std::env::temp_dir);

/// How a test's content is opened.
#[derive(Clone, Copy)]
pub(super) struct Opened<'a> {
    pub(super) format: &'a Format,
    pub(super) format_is_stated: bool,
    pub(super) encoding: &'static Encoding,
}

impl<'a> Opened<'a> {
    pub(super) fn of(format: &'a Format) -> Self {
        Self { format, format_is_stated: false, encoding: UTF_8 }
    }

    pub(super) fn object(self) -> Object<'a> {
        let Self { format, format_is_stated, encoding } = self;
        Object { name: "object", format, format_is_stated, encoding, scratch: &SCRATCH }
    }
}

/// Everything a decoder gave.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Decoded {
    pub(super) names: Vec<String>,
    /// Values of the columns, `NULL` for null, joined by `|`.
    pub(super) rows: Vec<String>,
    pub(super) lines: Vec<u64>,
    pub(super) raw: Vec<String>,
    /// Line and rule.
    pub(super) unreadable: Vec<(u64, &'static str)>,
    pub(super) details: Vec<String>,
    pub(super) batches: Vec<usize>,
}

impl Decoded {
    fn add(&mut self, batch: &RawBatch) {
        if batch.columns.num_columns() > 0 {
            self.names = batch.columns.schema().fields().iter().map(|field| field.name().clone()).collect();
        }
        assert_eq!(batch.columns.num_rows(), batch.lines.len());
        for row in 0..batch.columns.num_rows() {
            let values = batch.columns.columns().iter().map(|column| match column.is_null(row) {
                true => "NULL",
                false => column.as_string::<i32>().value(row),
            });
            self.rows.push(values.collect::<Vec<_>>().join("|"));
            self.raw.push(batch.raw_text(row));
        }
        self.lines.extend(&batch.lines);
        self.unreadable.extend(batch.unreadable.iter().map(|record| (record.line, record.rule)));
        self.details.extend(batch.unreadable.iter().map(|record| record.detail.clone()));
        self.batches.push(batch.columns.num_rows());
    }
}

/// Hands out its content in pieces of at most so many bytes, then fails if it should.
pub(super) struct Pieces<'a> {
    pub(super) content: &'a [u8],
    pub(super) bytes_max: usize,
    pub(super) then: Option<std::io::ErrorKind>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let piece = self.bytes_max.min(buffer.len()).min(self.content.len());
        match self.then {
            Some(kind) if piece == 0 => Err(kind.into()),
            _ => (&mut self.content).take(piece as u64).read(buffer),
        }
    }
}

pub(super) fn decode_from(
    format: &Format,
    input: impl Read + Send,
    wanted: &[&str],
    rows: usize,
) -> Result<Decoded, DecodeError> {
    decode_opened_from(Opened::of(format), input, wanted, rows)
}

fn decode_opened_from(
    opened: Opened<'_>,
    input: impl Read + Send,
    wanted: &[&str],
    rows: usize,
) -> Result<Decoded, DecodeError> {
    let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    let mut decoder = open(&opened.object(), Box::new(input), &wanted, rows)?;
    let mut decoded = Decoded::default();
    while let Some(batch) = decoder.next_batch()? {
        decoded.add(&batch);
    }
    assert!(decoder.next_batch()?.is_none(), "the end stays the end");
    Ok(decoded)
}

/// Decodes in one piece and byte by byte, and expects the same.
pub(super) fn decode(format: &Format, content: &[u8], wanted: &[&str]) -> Decoded {
    decode_opened(Opened::of(format), content, wanted)
}

/// As [`decode`].
pub(super) fn decode_opened(opened: Opened<'_>, content: &[u8], wanted: &[&str]) -> Decoded {
    let whole = decode_opened_from(opened, content, wanted, BATCH_ROWS).expect("decodes");
    let drops = Pieces { content, bytes_max: 1, then: None };
    if content.len() < 1 << 20 {
        assert_eq!(decode_opened_from(opened, drops, wanted, BATCH_ROWS).expect("decodes"), whole);
    }
    whole
}

pub(super) fn csv(content: impl AsRef<[u8]>, wanted: &[&str]) -> Decoded {
    decode(&Format::Csv(CsvOptions::default()), content.as_ref(), wanted)
}

pub(super) fn ndjson(content: impl AsRef<[u8]>, wanted: &[&str]) -> Decoded {
    decode(&Format::Ndjson, content.as_ref(), wanted)
}
