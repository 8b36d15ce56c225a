//! The blocks of an Avro object container file, decompressed.
//!
//! The container is read here and not by `arrow-avro` for what its reader leaves out: it takes a truncated file for a
//! whole one, compares no sync marker, unpacks a block of any size, and forgets the rows before a broken record.

use std::io::{self, BufRead, Read};

use super::DecodeError;
use super::peek::{PeekReader, store_error};

/// What an object container file begins with.
pub(super) const MAGIC: &[u8] = b"Obj\x01";

/// Larger blocks are refused, before and after decompression; writers cut them at 64 KiB or a few MiB.
const BLOCK_BYTES_MAX: u64 = 64 << 20;
const HEADER_BYTES_MAX: u64 = 16 << 20;
const SYNC_BYTES: usize = 16;

/// Why nothing more can be read.
pub(super) enum Fault {
    Store(DecodeError),
    /// What is wrong with the content.
    Content(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match store_error(error) {
            Ok(store) => Self::Store(store),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Content("the file breaks off".to_owned())
            }
            Err(error) => Self::Content(error.to_string()),
        }
    }
}

fn content<T>(detail: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Content(detail.into()))
}

/// Records, encoded one after the other.
#[derive(Default)]
pub(super) struct Block {
    pub(super) count: usize,
    pub(super) data: Vec<u8>,
}

/// One object container file.
pub(super) struct Container<'a> {
    input: PeekReader<'a>,
    schema: String,
    codec: Codec,
    sync: [u8; SYNC_BYTES],
}

impl<'a> Container<'a> {
    /// Reads the header.
    pub(super) fn open(mut input: PeekReader<'a>) -> Result<Self, Fault> {
        let mut header = (&mut input).take(HEADER_BYTES_MAX);
        if bytes(&mut header, MAGIC.len() as u64)? != MAGIC {
            return content("it is no Avro object container file");
        }
        let (mut schema, mut codec) = (None, Codec::Null);
        loop {
            let count = long(&mut header)?;
            if count == 0 {
                break;
            }
            if count < 0 {
                long(&mut header)?;
            }
            for _ in 0..count.unsigned_abs() {
                let key = sized(&mut header)?;
                let value = sized(&mut header)?;
                match &key[..] {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = Codec::of(&value)?,
                    _ => {}
                }
            }
        }
        let mut sync = [0; SYNC_BYTES];
        header.read_exact(&mut sync)?;
        let Some(Ok(schema)) = schema.map(String::from_utf8) else {
            return content("the header has no schema");
        };
        Ok(Self { input, schema, codec, sync })
    }

    /// The schema that the records were written with, as JSON.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The next block, or `None` at the end.
    pub(super) fn next_block(&mut self) -> Result<Option<Block>, Fault> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let Ok(count) = usize::try_from(long(&mut self.input)?) else {
            return content("a block has a negative number of records");
        };
        let stored = sized(&mut self.input)?;
        let mut sync = [0; SYNC_BYTES];
        self.input.read_exact(&mut sync)?;
        if sync != self.sync {
            return content("a block does not end with the file's sync marker");
        }
        let data = self.codec.decompressed(stored)?;
        if count > data.len() {
            return content(format!("a block of {count} records has {} bytes", data.len()));
        }
        Ok(Some(Block { count, data }))
    }
}

/// A zigzag number of at most ten bytes.
fn long(input: &mut impl Read) -> Result<i64, Fault> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    content("a length is no number")
}

/// Bytes behind their length.
fn sized(input: &mut impl Read) -> Result<Vec<u8>, Fault> {
    match u64::try_from(long(input)?) {
        Ok(length) if length <= BLOCK_BYTES_MAX => bytes(input, length),
        _ => content(format!("a block of more than {BLOCK_BYTES_MAX} bytes")),
    }
}

/// Exactly so many bytes. What a broken length promises is not allocated before it is there.
fn bytes(input: &mut impl Read, length: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) } else { Ok(bytes) }
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
    Bzip2,
    Xz,
}

impl Codec {
    fn of(name: &[u8]) -> Result<Self, Fault> {
        Ok(match name {
            b"null" | b"" => Self::Null,
            b"deflate" => Self::Deflate,
            b"snappy" => Self::Snappy,
            b"zstandard" => Self::Zstandard,
            b"bzip2" => Self::Bzip2,
            b"xz" => Self::Xz,
            other => return content(format!("the codec `{}` is not supported", String::from_utf8_lossy(other))),
        })
    }

    fn decompressed(self, stored: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let unpacked = match self {
            Self::Null => Ok(stored),
            Self::Deflate => unpacked(flate2::read::DeflateDecoder::new(&stored[..])),
            Self::Snappy => snappy(&stored),
            Self::Zstandard => zstd::stream::read::Decoder::with_buffer(&stored[..]).and_then(unpacked),
            Self::Bzip2 => unpacked(bzip2::read::BzDecoder::new(&stored[..])),
            Self::Xz => unpacked(liblzma::read::XzDecoder::new(&stored[..])),
        };
        unpacked.map_err(|error| Fault::Content(format!("a block cannot be unpacked: {error}")))
    }
}

fn unpacked(from: impl Read) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    from.take(BLOCK_BYTES_MAX + 1).read_to_end(&mut data)?;
    if data.len() as u64 > BLOCK_BYTES_MAX { Err(too_large()) } else { Ok(data) }
}

/// A Snappy block has the checksum of what it holds behind it, big end first.
fn snappy(stored: &[u8]) -> io::Result<Vec<u8>> {
    let (packed, checksum) = stored.split_last_chunk::<4>().ok_or(io::ErrorKind::UnexpectedEof)?;
    if snap::raw::decompress_len(packed)? as u64 > BLOCK_BYTES_MAX {
        return Err(too_large());
    }
    let data = snap::raw::Decoder::new().decompress_vec(packed)?;
    let mut crc = flate2::Crc::new();
    crc.update(&data);
    if crc.sum() == u32::from_be_bytes(*checksum) { Ok(data) } else { Err(io::Error::other("its checksum is wrong")) }
}

fn too_large() -> io::Error {
    io::Error::other(format!("it holds more than {BLOCK_BYTES_MAX} bytes"))
}
