//! Rows into files.

mod lines;
mod parquet;

use std::io;

use super::deliver::Trouble;
use super::options::Format;
use super::row::{Row, World};

/// One file: its bytes, and how many of its lines were cut short.
pub(super) struct Encoded {
    pub content: Vec<u8>,
    pub broken: u64,
}

pub(super) fn encode<R: Row>(world: &World, rows: &[R], trouble: &mut Trouble) -> io::Result<Encoded> {
    match world.options.format {
        Format::Ndjson => lines::encode::<lines::Json, R>(world, rows, trouble),
        Format::Csv => lines::encode::<lines::Csv, R>(world, rows, trouble),
        Format::Parquet => parquet::encode(world, rows),
    }
}

/// The ending of a file's name.
pub(super) fn suffix(format: Format) -> &'static str {
    match format {
        Format::Ndjson => "ndjson.gz",
        Format::Csv => "csv.gz",
        Format::Parquet => "parquet",
    }
}
