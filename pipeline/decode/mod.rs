//! From the bytes of one input object to batches of raw columns.
//!
//! A *read row*, the unit that conservation counts, is one record of the input: a CSV record (which may
//! span lines inside quotes), a non-blank NDJSON line, an element of a JSON array, or a Parquet or Avro row. Each read row is either a row of
//! exactly one [`RawBatch::columns`] or exactly one entry of [`RawBatch::unreadable`]. The header and blank
//! lines are not rows. Where an object breaks off (a truncated gzip, a corrupt Parquet page or Avro block, an array
//! that does not end), the unknown number of rows behind the break counts as one, with the rule `unreadable_file`.
//!
//! Nothing here guesses: CSV fields and JSON scalars come out as the text that was written, and the batches
//! are the same however the input arrives in pieces.
//!
//! Whatever the content is, memory stays within a few times [`LINE_BYTES_MAX`]: longer lines and elements are rejected,
//! Avro blocks over 64 MiB are refused, and what unpacks to more than a thousand times its size breaks off.
//!
//! Invariant: an error of the store ([`DecodeError::Input`]) is never taken for broken content, so a reset
//! connection cannot turn into a rejected row.

use std::io::{self, Read, Write};
use std::path::Path;

use arrow::error::ArrowError;
use encoding_rs::Encoding;

use peek::{PeekReader, store_error};

mod avro;
mod batch;
mod blanks;
mod compression;
mod container;
mod csv;
mod elements;
mod fields;
mod hashing;
mod lines;
mod ndjson;
mod parquet;
mod peek;
#[cfg(test)]
mod testing;
mod text;
mod typed;

pub use batch::{LINE_COLUMN, RAW_BYTES_MAX, RawBatch, Unreadable, rules};
pub use hashing::{ContentHash, HashingReader};
pub use lines::LINE_BYTES_MAX;
pub use parquet::open_parquet;

/// Rows in a batch unless the caller wants another number.
pub const BATCH_ROWS: usize = 8192;

/// How the content of an object is laid out. Compression is not part of it: that is read off the bytes. Nor is the
/// encoding of text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Format {
    /// Delimited text, one record per line (more only inside quotes).
    Csv(CsvOptions),
    /// One JSON object per line, or arrays of objects.
    Ndjson,
    /// Apache Parquet.
    Parquet,
    /// Apache Avro, as object container file.
    Avro,
}

impl Format {
    /// What a user calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => "CSV",
            Self::Ndjson => "JSON",
            Self::Parquet => "Parquet",
            Self::Avro => "Avro",
        }
    }
}

/// What the content of an object turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Csv,
    Json,
    Parquet,
    Avro,
}

/// One object to decode: what is known of it beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    /// For messages.
    pub name: &'a str,
    pub format: &'a Format,
    /// Whether someone said that this is the format. If it is only what the name suggests, content that announces
    /// another one wins.
    pub format_is_stated: bool,
    /// Of text without a byte order mark.
    pub encoding: &'static Encoding,
    /// A folder for what has to be local: a Parquet file.
    pub scratch: &'a Path,
}

/// The dialect of a delimited text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CsvOptions {
    /// What separates fields.
    pub delimiter: Delimiter,
    /// The ASCII character around fields that contain delimiters or line ends; doubled inside such a
    /// field it stands for itself. `None`: no character is special.
    pub quote: Option<u8>,
    /// Whether the first record names the columns. If not, they are `column_1`, `column_2`, ….
    pub header: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: Delimiter::Byte(b','), quote: Some(b'"'), header: true }
    }
}

/// What separates the fields of a delimited text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delimiter {
    /// One ASCII character; two in a row enclose an empty field.
    Byte(u8),
    /// Runs of spaces and tabs; those at a line's start and end separate nothing. Quoted fields end on
    /// their line.
    Blanks,
}

/// Why an object as a whole could not be decoded, divided by who must act.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The store or the scratch disk failed; the content may be fine. Rows seen so far must be discarded.
    #[error("reading failed")]
    Input(#[source] io::Error),
    /// The content is not what the format promises and no row of it can be had: one read row, rejected
    /// as `unreadable_file`.
    #[error("{object}: {detail}")]
    Unreadable {
        /// The object's name as the caller gave it.
        object: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
    /// Our own mistake: columns that do not fit together.
    #[error("decoded columns do not form a batch")]
    Internal(#[from] ArrowError),
}

impl DecodeError {
    fn unreadable(object: &str, detail: impl Into<String>) -> Self {
        Self::Unreadable { object: object.to_owned(), detail: detail.into() }
    }
}

/// The rows of one object, in order.
pub trait Decoder: Send {
    /// What the content is.
    fn kind(&self) -> Kind;

    /// The names the content has for its columns, in its order, for telling a user what there was
    /// instead of a missing one. All know them at once (none for a CSV without any record) but JSON, which has
    /// those met so far, at most 1,000.
    fn columns_found(&self) -> &[String];

    /// The next rows and unreadable records, or `None` once everything was handed out. A batch may hold
    /// unreadable records only. Errors are final.
    ///
    /// # Errors
    /// [`DecodeError::Input`] when the store fails. Broken content is never an error here.
    fn next_batch(&mut self) -> Result<Option<RawBatch>, DecodeError>;
}

/// Opens one object for decoding.
///
/// `wanted` are the raw columns to produce, without repetition: those of them that a CSV, Parquet or Avro file
/// has, all of them for JSON, in this order; [`LINE_COLUMN`] comes last. A batch ends at `batch_rows` records or about
/// 8 MiB of input, whichever comes first.
///
/// Parquet has to be read from its end, so it is first copied to an unnamed file in the object's scratch folder; use
/// [`open_parquet`] for a file that is already local.
///
/// # Errors
/// [`DecodeError::Unreadable`] for a header that cannot be read or that has a wanted name twice, an
/// encoding or compression that is not supported, a broken Parquet footer, or content that is not what the object's
/// format says; [`DecodeError::Options`] for a delimiter or quote that is not ASCII; [`DecodeError::Input`] when the
/// store or the scratch folder fails.
pub fn open<'a>(
    object: &Object<'_>,
    input: Box<dyn Read + Send + 'a>,
    wanted: &[String],
    batch_rows: usize,
) -> Result<Box<dyn Decoder + 'a>, DecodeError> {
    let name = object.name;
    let mut content = PeekReader::new(compression::decompressed(input, name)?);
    content.peek(MAGIC_BYTES);
    if let Some(error) = content.store_failed() {
        return Err(error);
    }
    let format = settled(object, content.peek(MAGIC_BYTES))?;
    Ok(match format {
        Format::Parquet => return open_parquet(spooled(content, object)?, wanted, name, batch_rows),
        Format::Avro => Box::new(avro::AvroDecoder::new(content, wanted, name, batch_rows)?),
        Format::Csv(options) => {
            let lines = lines::Lines::new(text::utf8(content, object.encoding, name)?)?;
            Box::new(csv::CsvDecoder::new(lines, options, wanted, name, batch_rows)?)
        }
        Format::Ndjson => {
            let lines = lines::Lines::new(text::utf8(content, object.encoding, name)?)?;
            Box::new(ndjson::NdjsonDecoder::new(lines, wanted, batch_rows)?)
        }
    })
}

const MAGIC_BYTES: usize = 5;

/// The object's format, or the one that its content announces.
fn settled<'a>(object: &Object<'a>, magic: &[u8]) -> Result<&'a Format, DecodeError> {
    // Behind the mark comes the first page's header or the footer, which both begin with this byte; no text does.
    let announced = match magic {
        [b'P', b'A', b'R', b'1', 0x15] => Some(&Format::Parquet),
        magic if magic.starts_with(container::MAGIC) => Some(&Format::Avro),
        _ => None,
    };
    let expected = object.format;
    let says = if object.format_is_stated { "`format`" } else { "its name" };
    match (expected, announced) {
        (expected, Some(found)) if expected == found || !object.format_is_stated => Ok(found),
        (Format::Csv(_) | Format::Ndjson, None) => Ok(expected),
        (Format::Parquet, None) if magic.starts_with(b"PAR1") => Ok(expected),
        (Format::Parquet, None) if magic.starts_with(b"PARE") => {
            Err(DecodeError::unreadable(object.name, "the content is encrypted Parquet, which is not supported"))
        }
        (expected, found) => {
            let found = found.map_or(format!("not {}", expected.name()), |found| found.name().to_owned());
            let detail = format!("{says} says {}, but the content is {found}", expected.name());
            Err(DecodeError::unreadable(object.name, detail))
        }
    }
}

/// The content as a local file.
fn spooled(mut content: PeekReader<'_>, object: &Object<'_>) -> Result<std::fs::File, DecodeError> {
    let mut file = tempfile::tempfile_in(object.scratch).map_err(DecodeError::Input)?;
    let mut piece = vec![0; 256 << 10];
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok(file),
            Ok(bytes) => file.write_all(&piece[..bytes]).map_err(DecodeError::Input)?,
            Err(error) => {
                let broken = |error: io::Error| DecodeError::unreadable(object.name, error.to_string());
                return Err(store_error(error).unwrap_or_else(broken));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Opened, decode_from, gzip};
    use super::*;

    #[test]
    fn content_wins_over_a_name_and_contradicts_what_is_stated() {
        let avro = || b"Obj\x01rest".to_vec();
        let parquet = || b"PAR1\x15\0\0PAR1".to_vec();
        let csv = Format::Csv(CsvOptions::default());
        let object = |format, format_is_stated| Opened { format_is_stated, ..Opened::of(format) }.object();
        for (content, found) in [(avro(), Format::Avro), (parquet(), Format::Parquet)] {
            for named in [&csv, &Format::Ndjson, &Format::Parquet, &Format::Avro] {
                assert_eq!(settled(&object(named, false), &content[..5]).ok(), Some(&found), "{named:?}");
                let stated = settled(&object(named, true), &content[..5]);
                assert_eq!(stated.ok(), (*named == found).then_some(named), "{named:?}");
            }
        }
        for named in [&csv, &Format::Ndjson] {
            assert_eq!(settled(&object(named, true), b"PAR1,").ok(), Some(named));
        }
        let said = |object: &Object<'_>, magic: &[u8]| settled(object, magic).map_err(|e| e.to_string()).err();
        assert_eq!(
            said(&object(&csv, true), &parquet()[..5]).as_deref(),
            Some("object: `format` says CSV, but the content is Parquet")
        );
        assert_eq!(
            said(&object(&Format::Avro, false), b"a,b").as_deref(),
            Some("object: its name says Avro, but the content is not Avro")
        );
    }

    #[test]
    fn a_lying_name_costs_nothing_compressed_or_not() {
        let schema = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}"#;
        let mut file = b"Obj\x01\x02\x16avro.schema".to_vec();
        let length = schema.len() * 2;
        file.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        file.extend(schema.as_bytes());
        file.extend([&[0; 17][..], b"\x04\x08\x02x\x02y", &[0; 16]].concat());
        for content in [file.clone(), gzip(&file)] {
            let decoded = decode_from(&Format::Ndjson, &content[..], &["a"], 10).expect("opens");
            assert_eq!(decoded.rows, ["x", "y"]);
        }
    }
}
