//! Sums over the pieces of a file, so that a part of it can be verified without reading the rest.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one sum covers. Smaller pieces would make snapshots longer, larger ones would make a reader of few columns
/// read what it doesn't want: at most this much before and after each stretch.
pub const PIECE_BYTES: u64 = 256 * 1024;

/// 64 bits of BLAKE3 over each piece of a file, in order. Empty for a file of one piece: its digest serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(Box<[u64]>);

impl Sums {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a piece's bytes are those that were written.
    pub fn fits(&self, piece: usize, bytes: &[u8]) -> bool {
        self.0.get(piece) == Some(&sum(&blake3::hash(bytes)))
    }
}

fn sum(hash: &blake3::Hash) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(eight)
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|sum| write!(f, "{sum:016x}"))
    }
}

impl Serialize for Sums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len() * 16);
        write!(text, "{self}").map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Sums {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let sixteen = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let sums = text.as_bytes().chunks(16).map(sixteen).collect::<Option<Box<[u64]>>>();
        sums.map(Sums).ok_or_else(|| serde::de::Error::custom("not a list of sums in hexadecimal"))
    }
}

/// Takes the sums of bytes that come in any portions.
#[derive(Default)]
pub(super) struct Summing {
    piece: blake3::Hasher,
    filled_bytes: u64,
    sums: Vec<u64>,
}

impl Summing {
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(PIECE_BYTES - self.filled_bytes).unwrap_or(usize::MAX);
            let (own, rest) = bytes.split_at(room.min(bytes.len()));
            self.piece.update(own);
            self.filled_bytes += own.len() as u64;
            if self.filled_bytes == PIECE_BYTES {
                self.end_piece();
            }
            bytes = rest;
        }
    }

    fn end_piece(&mut self) {
        self.sums.push(sum(&self.piece.finalize()));
        self.piece.reset();
        self.filled_bytes = 0;
    }

    pub fn finish(mut self) -> Sums {
        if self.filled_bytes > 0 {
            self.end_piece();
        }
        if self.sums.len() > 1 { Sums(self.sums.into()) } else { Sums::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(bytes: &[u8], portion: usize) -> Sums {
        let mut summing = Summing::default();
        bytes.chunks(portion).for_each(|part| summing.update(part));
        summing.finish()
    }

    #[test]
    fn portions_change_no_sum() {
        let bytes: Vec<u8> = (0..2 * PIECE_BYTES + 5).map(|i| (i % 251) as u8).collect();
        let whole = sums(&bytes, bytes.len());
        assert_eq!(whole.0.len(), 3);
        for portion in [1000, PIECE_BYTES as usize, PIECE_BYTES as usize + 1] {
            assert_eq!(sums(&bytes, portion), whole);
        }
        for (piece, bytes) in bytes.chunks(PIECE_BYTES as usize).enumerate() {
            assert!(whole.fits(piece, bytes));
            assert!(!whole.fits(piece, &bytes[1..]));
        }
        assert!(!whole.fits(3, b""));
    }

    #[test]
    fn one_piece_needs_no_sums() {
        assert!(sums(b"", 1).is_empty());
        assert!(sums(&vec![7; PIECE_BYTES as usize], 999).is_empty());
    }

    #[test]
    fn sums_are_read_as_written() {
        let sums = sums(&vec![7; 3 * PIECE_BYTES as usize], 4096);
        let text = serde_json::to_string(&sums).expect("JSON");
        assert_eq!(serde_json::from_str::<Sums>(&text).expect("sums"), sums);
        assert!(serde_json::from_str::<Sums>("\"xyz\"").is_err());
    }
}
