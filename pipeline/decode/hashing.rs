//! The content hash of an object, taken while it is being decoded.

use std::io::{self, Read};

/// The identity of an object's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHash {
    /// BLAKE3 of all bytes of the object, as stored (compressed or not).
    pub hash: blake3::Hash,
    /// How many bytes that is.
    pub size_bytes: u64,
}

/// Hashes whatever is read through it. Lend it (`&mut`) to a decoder and call [`Self::finish`] afterwards.
pub struct HashingReader<R> {
    input: R,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl<R: Read> HashingReader<R> {
    /// Starts with an empty hash at the reader's present position.
    pub fn new(input: R) -> Self {
        Self { input, hasher: blake3::Hasher::new(), size_bytes: 0 }
    }

    /// Reads what the decoder left (it may stop early, at a broken place or after the end of the
    /// compressed data), so that the hash always covers the whole object.
    ///
    /// # Errors
    /// Those of the input.
    pub fn finish(mut self) -> io::Result<ContentHash> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(ContentHash { hash: self.hasher.finalize(), size_bytes: self.size_bytes })
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read_bytes = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read_bytes]);
        self.size_bytes += read_bytes as u64;
        Ok(read_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::testing::{Opened, gzip};
    use crate::decode::{BATCH_ROWS, Format, open};

    #[test]
    fn covers_what_the_decoder_did_not_read() {
        let mut bytes = gzip(b"{\"a\":1}\n");
        bytes.extend(vec![7; 300_000]);
        let mut hashed = HashingReader::new(bytes.as_slice());
        let wanted = ["a".to_owned()];
        let mut decoder =
            open(&Opened::of(&Format::Ndjson).object(), Box::new(&mut hashed), &wanted, BATCH_ROWS).expect("opens");
        while decoder.next_batch().expect("decodes").is_some() {}
        drop(decoder);
        let content = hashed.finish().expect("drains");
        assert_eq!(content.hash, blake3::hash(&bytes));
        assert_eq!(content.size_bytes, bytes.len() as u64);
    }
}
