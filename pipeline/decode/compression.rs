//! Undoes the compression that an object's first bytes announce, whatever its name says.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::DecodeError;

const BUFFER_BYTES: usize = 64 << 10;
const MAGIC_BYTES: usize = 10;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The content of `input` as plain bytes.
///
/// Gzip members and zstd frames may follow one another. What follows the last gzip member and is not
/// another one is ignored, as gunzip does: some writers pad with zeros.
///
/// # Errors
/// Recognised but unsupported compressions are [`DecodeError::Unreadable`]. Reading the result fails with
/// [`InputFailed`] inside when the store failed, and with any other error when the content is broken.
pub(super) fn decompressed<'a>(
    input: Box<dyn Read + Send + 'a>,
    object: &str,
) -> Result<Box<dyn Read + Send + 'a>, DecodeError> {
    let mut input = PeekReader::new(input);
    let magic = input.peek(MAGIC_BYTES).map_err(input_failed)?;
    if let Some(kind) = unsupported(magic) {
        return Err(DecodeError::unreadable(object, format!("the content is {kind}, which is not supported")));
    }
    Ok(if magic.starts_with(GZIP) {
        Box::new(GzipMembers::new(input))
    } else if magic.starts_with(ZSTD) || is_skippable_frame(magic) {
        let frames = zstd::stream::read::Decoder::with_buffer(input).map_err(DecodeError::Input)?;
        Box::new(frames)
    } else {
        Box::new(input)
    })
}

/// Parallel zstd writers put their index into such frames, possibly before the data.
fn is_skippable_frame(magic: &[u8]) -> bool {
    matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

fn unsupported(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [b'B', b'Z', b'h', _, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59] => Some("compressed with bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("compressed with xz"),
        [b'P', b'K', 3, 4, ..] => Some("a zip archive"),
        _ => None,
    }
}

/// Marks an error as the store's, so that it can be told from broken content after a decompressor
/// passed it on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InputFailed(io::Error);

/// The store's error inside `error` as [`DecodeError::Input`], or `None` if the content is to blame.
pub(super) fn store_error(error: io::Error) -> Result<DecodeError, io::Error> {
    error.downcast::<InputFailed>().map(|InputFailed(inner)| DecodeError::Input(inner))
}

fn input_failed(error: io::Error) -> DecodeError {
    store_error(error).unwrap_or_else(DecodeError::Input)
}

/// A buffered reader that can show its next few bytes without consuming them.
struct PeekReader<'a> {
    input: Box<dyn Read + Send + 'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<'a> PeekReader<'a> {
    fn new(input: Box<dyn Read + Send + 'a>) -> Self {
        Self { input, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 }
    }

    /// The next `bytes` bytes, or fewer at the end of the input.
    fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.end - self.start < bytes && self.fill()? > 0 {}
        let shown = bytes.min(self.end - self.start);
        Ok(&self.buffer[self.start..self.start + shown])
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let read_bytes = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| io::Error::other(InputFailed(error)))?,
            }
        };
        self.end += read_bytes;
        Ok(read_bytes)
    }
}

impl BufRead for PeekReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }
}

impl Read for PeekReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read_bytes = self.fill_buf()?.read(buffer)?;
        self.consume(read_bytes);
        Ok(read_bytes)
    }
}

/// One gzip member after another. (flate2's own reader for that fails on trailing padding.)
struct GzipMembers<'a> {
    member: Option<GzDecoder<PeekReader<'a>>>,
}

impl<'a> GzipMembers<'a> {
    fn new(input: PeekReader<'a>) -> Self {
        Self { member: Some(GzDecoder::new(input)) }
    }
}

impl Read for GzipMembers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read_bytes = member.read(buffer)?;
            if read_bytes > 0 || buffer.is_empty() {
                return Ok(read_bytes);
            }
            self.member = self.next_member()?;
        }
        Ok(0)
    }
}

impl<'a> GzipMembers<'a> {
    fn next_member(&mut self) -> io::Result<Option<GzDecoder<PeekReader<'a>>>> {
        let Some(member) = self.member.take() else {
            return Ok(None);
        };
        let mut input = member.into_inner();
        let follows = input.peek(GZIP.len())? == GZIP;
        Ok(follows.then(|| GzDecoder::new(input)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::testing::{decode_from, gzip, ndjson};
    use crate::decode::{Format, rules};

    const LINES: &[u8] = b"{\"a\":1}\n{\"a\":2}\n";

    fn zstd(content: &[u8]) -> Vec<u8> {
        zstd::encode_all(content, 3).expect("compresses in memory")
    }

    #[test]
    fn bytes_decide_and_members_follow_one_another() {
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd(LINES)].concat();
        let once = [gzip(LINES), zstd(LINES), skippable, LINES.to_vec()];
        for bytes in once {
            assert_eq!(ndjson(bytes, &["a"]).rows, ["1", "2"]);
        }
        for bytes in [[gzip(LINES), gzip(b""), gzip(LINES)].concat(), [zstd(LINES), zstd(LINES)].concat()] {
            assert_eq!(ndjson(bytes, &["a"]).rows, ["1", "2", "1", "2"]);
        }
    }

    #[test]
    fn what_follows_the_last_gzip_member_is_ignored() {
        for garbage in [&[0; 70_000][..], b"\x1f", b"\x1fgarbage"] {
            let decoded = ndjson([&gzip(LINES), garbage].concat(), &["a"]);
            assert_eq!((decoded.rows.len(), decoded.unreadable.len()), (2, 0));
        }
    }

    #[test]
    fn every_truncation_is_one_entry() {
        for whole in [gzip(LINES), zstd(LINES)] {
            for end in 4..whole.len() {
                let decoded = ndjson(&whole[..end], &["a"]);
                assert_eq!(decoded.unreadable.len(), 1, "{end}");
                assert_eq!(decoded.unreadable[0].1, rules::UNREADABLE_FILE, "{end}");
            }
        }
    }

    #[test]
    fn unsupported_kinds_are_named() {
        for (bytes, kind) in [(&b"\xfd7zXZ\0"[..], "xz"), (b"PK\x03\x04", "zip"), (b"BZh91AY&SY", "bzip2")] {
            let result = decode_from(&Format::Ndjson, bytes, &["a"], 10);
            assert!(matches!(result, Err(DecodeError::Unreadable { detail, .. }) if detail.contains(kind)));
        }
    }
}
