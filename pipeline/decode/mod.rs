//! From the bytes of one input object to batches of raw columns.
//!
//! A *read row*, the unit that conservation counts, is one record of the input: a CSV record (which may
//! span lines inside quotes), a non-blank NDJSON line, or a Parquet row. Each read row is either a row of
//! exactly one [`RawBatch::columns`] or exactly one entry of [`RawBatch::unreadable`]. The header and blank
//! lines are not rows. Where an object breaks off (a truncated gzip, a corrupt Parquet page), the unknown
//! number of rows behind the break counts as one, with the rule `unreadable_file`.
//!
//! Nothing here guesses: CSV fields and JSON scalars come out as the text that was written, and the batches
//! are the same however the input arrives in pieces.
//!
//! Invariant: an error of the store ([`DecodeError::Input`]) is never taken for broken content, so a reset
//! connection cannot turn into a rejected row.

use std::io::{self, Read};

use arrow::error::ArrowError;

mod batch;
mod blanks;
mod compression;
mod csv;
mod fields;
mod hashing;
mod lines;
mod ndjson;
mod parquet;
#[cfg(test)]
mod testing;

pub use batch::{LINE_COLUMN, RAW_BYTES_MAX, RawBatch, Unreadable, rules};
pub use hashing::{ContentHash, HashingReader};
pub use lines::LINE_BYTES_MAX;
pub use parquet::open_parquet;

/// Rows in a batch unless the caller wants another number.
pub const BATCH_ROWS: usize = 8192;

/// How the content of an object is laid out. Compression is not part of it: that is read off the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Format {
    /// Delimited text, one record per line (more only inside quotes).
    Csv(CsvOptions),
    /// One JSON object per line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
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
    /// The names the content has for its columns, in its order, for telling a user what there was
    /// instead of a missing one. CSV and Parquet know them at once (none for an input without any
    /// record); NDJSON has those met so far, at most 1,000.
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
/// `wanted` are the raw columns to produce, without repetition: those of them that a CSV or Parquet file
/// has, all of them for NDJSON, in this order; [`LINE_COLUMN`] comes last. `object` names the input in
/// errors. A batch ends at `batch_rows` records or about 8 MiB of input, whichever comes first.
///
/// Parquet has to be read from its end, so it is first copied to an unnamed temporary file; use
/// [`open_parquet`] for a file that is already local.
///
/// # Errors
/// [`DecodeError::Unreadable`] for a header that cannot be read or that has a wanted name twice, an
/// encoding or compression that is not supported, or a broken Parquet footer; [`DecodeError::Options`]
/// for a delimiter or quote that is not ASCII; [`DecodeError::Input`] when the store fails.
pub fn open<'a>(
    format: &Format,
    input: Box<dyn Read + Send + 'a>,
    wanted: &[String],
    object: &str,
    batch_rows: usize,
) -> Result<Box<dyn Decoder + 'a>, DecodeError> {
    if *format == Format::Parquet {
        return open_parquet(spooled(input)?, wanted, object, batch_rows);
    }
    let text = compression::decompressed(input, object)?;
    let lines = lines::Lines::new(text, object)?;
    Ok(match format {
        Format::Csv(options) => Box::new(csv::CsvDecoder::new(lines, options, wanted, object, batch_rows)?),
        _ => Box::new(ndjson::NdjsonDecoder::new(lines, wanted, batch_rows)),
    })
}

fn spooled(mut input: impl Read) -> Result<std::fs::File, DecodeError> {
    let mut file = tempfile::tempfile().map_err(DecodeError::Input)?;
    io::copy(&mut input, &mut file).map_err(DecodeError::Input)?;
    Ok(file)
}
