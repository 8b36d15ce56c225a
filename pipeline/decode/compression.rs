//! Undoes the compression that an object's first bytes announce, whatever its name says.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::DecodeError;
use super::peek::{PeekReader, Store};

const MAGIC_BYTES: usize = 10;

/// Decompressed content may be this many times as large as the object. Logs compress to a tenth or a hundredth, and
/// the same line over and over to a few hundredths of a percent at most with gzip; what goes beyond it was made to
/// fill a disk.
const RATIO_MAX: u64 = 1000;

/// Below this no ratio matters, in bytes: it is read in a few seconds and bounded memory.
const RATIO_FREE_BYTES: u64 = 1 << 30;

/// What xz may use for its dictionary, in bytes: `xz -9` needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 128 << 20;

/// A compression, by the bytes that it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    /// What it is, and what to do about it.
    Unsupported(&'static str),
}

impl Kind {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // Parallel zstd writers put their index into such a frame, possibly before the data.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            magic if <BzDecoder<PeekReader<'_>> as Member>::begins(magic) => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'P', b'K', 3 | 5, 4 | 6, ..] => {
                Self::Unsupported("a zip archive or an Excel workbook; unpack it, or export it as CSV")
            }
            [b'7', b'z', 0xbc, 0xaf, ..] => Self::Unsupported("a 7z archive; unpack it"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Unsupported("compressed with lz4; use gzip, zstd, bzip2 or xz"),
            _ => Self::Plain,
        }
    }
}

/// The content of `input` as plain bytes.
///
/// Gzip members, zstd frames, and bzip2 and xz streams may follow one another. What follows the last gzip member or
/// bzip2 stream and is not another one is ignored, as gunzip does: some writers pad with zeros.
///
/// # Errors
/// Recognised but unsupported compressions are [`DecodeError::Unreadable`]. Reading the result fails with an error that
/// [`store_error`](super::peek::store_error) knows when the store failed, and with any other when the content is broken
/// or grows beyond [`RATIO_MAX`].
pub(super) fn decompressed<'a>(
    input: Box<dyn Read + Send + 'a>,
    object: &str,
) -> Result<Box<dyn Read + Send + 'a>, DecodeError> {
    let store = Store::new(input);
    let read_bytes = store.read_bytes();
    let mut input = PeekReader::new(Box::new(store));
    let content: Box<dyn Read + Send + 'a> = match Kind::of(input.peek(MAGIC_BYTES)) {
        Kind::Plain => return Ok(Box::new(input)),
        Kind::Gzip => Box::new(Members::<GzDecoder<_>>::new(input)),
        Kind::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input).map_err(DecodeError::Input)?),
        Kind::Bzip2 => Box::new(Members::<BzDecoder<_>>::new(input)),
        Kind::Xz => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED);
            Box::new(XzDecoder::new_stream(input, stream.map_err(|e| DecodeError::Input(e.into()))?))
        }
        Kind::Unsupported(what) => return Err(DecodeError::unreadable(object, format!("the content is {what}"))),
    };
    Ok(Box::new(Bounded { content, read_bytes, given_bytes: 0, free_bytes: RATIO_FREE_BYTES }))
}

/// Decompressed content, as long as it stays in proportion to what it is made from.
struct Bounded<'a> {
    content: Box<dyn Read + Send + 'a>,
    read_bytes: Arc<AtomicU64>,
    given_bytes: u64,
    free_bytes: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.content.read(buffer)?;
        self.given_bytes += bytes as u64;
        let most = self.read_bytes.load(Ordering::Relaxed).saturating_mul(RATIO_MAX).max(self.free_bytes);
        if self.given_bytes > most {
            return Err(io::Error::other(format!("it unpacks to more than {RATIO_MAX} times its size")));
        }
        Ok(bytes)
    }
}

/// A decompressor of one of several streams that may follow one another. (The crates' own readers for that fail on
/// trailing padding.)
trait Member<'a>: Read {
    fn over(input: PeekReader<'a>) -> Self;
    fn into_input(self) -> PeekReader<'a>;
    fn begins(magic: &[u8]) -> bool;
}

impl<'a> Member<'a> for GzDecoder<PeekReader<'a>> {
    fn over(input: PeekReader<'a>) -> Self {
        GzDecoder::new(input)
    }

    fn into_input(self) -> PeekReader<'a> {
        self.into_inner()
    }

    fn begins(magic: &[u8]) -> bool {
        magic.starts_with(&[0x1f, 0x8b])
    }
}

impl<'a> Member<'a> for BzDecoder<PeekReader<'a>> {
    fn over(input: PeekReader<'a>) -> Self {
        BzDecoder::new(input)
    }

    fn into_input(self) -> PeekReader<'a> {
        self.into_inner()
    }

    /// A stream's first block, or the end of one without any.
    fn begins(magic: &[u8]) -> bool {
        matches!(
            magic,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
                | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..]
        )
    }
}

/// One member after another.
struct Members<D> {
    member: Option<D>,
}

impl<'a, D: Member<'a>> Members<D> {
    fn new(input: PeekReader<'a>) -> Self {
        Self { member: Some(D::over(input)) }
    }

    fn next_member(&mut self) -> Option<D> {
        let mut input = self.member.take()?.into_input();
        D::begins(input.peek(MAGIC_BYTES)).then(|| D::over(input))
    }
}

impl<'a, D: Member<'a>> Read for Members<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read_bytes = member.read(buffer)?;
            if read_bytes > 0 || buffer.is_empty() {
                return Ok(read_bytes);
            }
            self.member = self.next_member();
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::rules;
    use crate::decode::testing::{Pieces, bzip2, decode_from, gzip, ndjson, xz, zstd};
    use crate::decode::{BATCH_ROWS, Format};

    const LINES: &[u8] = b"{\"a\":1}\n{\"a\":2}\n";
    type Compress = fn(&[u8]) -> Vec<u8>;
    const ALL: [Compress; 4] = [gzip, zstd, bzip2, xz];

    #[test]
    fn bytes_decide_and_members_follow_one_another() {
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd(LINES)].concat();
        for bytes in [skippable, LINES.to_vec()].into_iter().chain(ALL.map(|compress| compress(LINES))) {
            assert_eq!(ndjson(bytes, &["a"]).rows, ["1", "2"]);
        }
        for compress in ALL {
            let bytes = [compress(LINES), compress(b""), compress(LINES)].concat();
            assert_eq!(ndjson(bytes, &["a"]).rows, ["1", "2", "1", "2"]);
            assert_eq!(ndjson(compress(b""), &["a"]).rows, [""; 0]);
        }
    }

    #[test]
    fn what_follows_the_last_member_is_ignored_as_gunzip_and_bunzip2_do() {
        for compress in [gzip, bzip2] {
            for garbage in [&[0; 70_000][..], b"\x1f", b"\x1fgarbage"] {
                let decoded = ndjson([&compress(LINES), garbage].concat(), &["a"]);
                assert_eq!((decoded.rows.len(), decoded.unreadable.len()), (2, 0));
            }
        }
    }

    #[test]
    fn every_truncation_is_one_entry() {
        for compress in ALL {
            let whole = compress(LINES);
            for end in 10..whole.len() {
                let decoded = ndjson(&whole[..end], &["a"]);
                assert_eq!(decoded.unreadable.len(), 1, "{end}");
                assert_eq!(decoded.unreadable[0].1, rules::UNREADABLE_FILE, "{end}");
            }
        }
    }

    #[test]
    fn a_flipped_byte_is_an_entry_or_changes_nothing() {
        // Zstandard's frames mostly have no checksum: there a changed byte may be another text.
        for compress in [gzip, bzip2, xz] {
            let whole = compress(LINES);
            for at in 12..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x10;
                let decoded = ndjson(&bytes, &["a"]);
                assert!(decoded.rows == ["1", "2"] || !decoded.unreadable.is_empty(), "{at}: {decoded:?}");
            }
        }
    }

    #[test]
    fn a_failing_store_is_never_broken_content() {
        for compress in ALL {
            let whole = compress(&LINES.repeat(20_000));
            for end in [0, 1, 5, 40, whole.len() - 1] {
                let then = Some(io::ErrorKind::ConnectionReset);
                let pieces = Pieces { content: &whole[..end], bytes_max: 7, then };
                let result = decode_from(&Format::Ndjson, pieces, &["a"], BATCH_ROWS);
                assert!(matches!(result, Err(DecodeError::Input(_))), "{end}: {result:?}");
            }
        }
    }

    #[test]
    fn unsupported_kinds_are_named() {
        for (bytes, kind) in [(&b"7z\xbc\xaf\x27\x1c"[..], "7z"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip")] {
            let result = decode_from(&Format::Ndjson, bytes, &["a"], 10);
            assert!(matches!(result, Err(DecodeError::Unreadable { detail, .. }) if detail.contains(kind)));
        }
    }

    #[test]
    fn what_grows_out_of_proportion_breaks_off() {
        let bounded = |size_bytes: u64, free_bytes| {
            let bomb = zstd(&vec![b'\n'; 4 << 20]);
            let read_bytes = Arc::new(AtomicU64::new(size_bytes));
            let content: Box<dyn Read + Send> = Box::new(io::Cursor::new(zstd::stream::decode_all(&bomb[..]).unwrap()));
            io::copy(&mut Bounded { content, read_bytes, given_bytes: 0, free_bytes }, &mut io::sink())
        };
        assert!(bounded(100, 0).is_err());
        assert_eq!(bounded(100, 8 << 20).expect("is small enough"), 4 << 20);
        assert_eq!(bounded(5000, 0).expect("is in proportion"), 4 << 20);
    }
}
