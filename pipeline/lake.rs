//! The lake: everything built, stored under its key and never overwritten.
//!
//! This module knows paths, keys and digests; nothing here knows what a model means.
//!
//! Invariant: no byte of the lake is used unverified. Files are read through [`verified`], records carry their
//! checksum ([`to_json`]); what doesn't hold is [`Error::Damaged`], or no record.

mod damage;
mod sealed;
mod sums;
pub mod verified;

use std::fmt;
use std::io::{self, Write};
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::storage::Storage;

pub use damage::{Damage, Damages, missing};
pub use sealed::{from_json, to_json};
pub use sums::{PIECE_BYTES, Sums};

/// The lake's format. A lake of another format is refused, not guessed at.
pub const FORMAT: u32 = 1;

/// Whatever makes the same SQL over the same rows give other bytes: our own writer's version and the engine's.
pub const ENGINE: &str = "bazgasht-5 datafusion-55.2 parquet-59";

/// A name for content or for how content was made: 128 bits of BLAKE3, written in hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

impl JsonSchema for Digest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    pub fn from_hash(hash: blake3::Hash) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        Digest(half)
    }

    pub fn hex(&self) -> Hex {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Hex(text)
    }

    /// Its first 16 bits, by which digests are spread evenly over any number of groups.
    pub fn prefix(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A digest in hexadecimal.
pub struct Hex([u8; 32]);

impl Deref for Hex {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 16];
        let is_digest = text.len() == 32
            && bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)).all(|(byte, pair)| {
                let both = digit(pair[0]).zip(digit(pair[1]));
                *byte = both.map_or(0, |(high, low)| high * 16 + low);
                both.is_some()
            });
        if is_digest { Ok(Digest(bytes)) } else { Err(format!("`{text}` is not a digest")) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex()[..8])
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hexadecimal;
        impl Visitor<'_> for Hexadecimal {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 hexadecimal digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hexadecimal)
    }
}

/// Hashes labelled parts, each with its length, so that no two lists of parts read alike.
#[derive(Default)]
pub struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    pub fn new(kind: &str) -> Self {
        let mut hasher = Self::default();
        hasher.part("kind", kind);
        hasher
    }

    pub fn part(&mut self, label: &str, value: &str) -> &mut Self {
        for text in [label, value] {
            self.0.update(&(text.len() as u64).to_le_bytes());
            self.0.update(text.as_bytes());
        }
        self
    }

    pub fn finish(&self) -> Digest {
        Digest::from_hash(self.0.finalize())
    }
}

/// One immutable object of the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeFile {
    /// Relative to the lake's root.
    pub path: String,
    /// Of its bytes.
    pub digest: Digest,
    pub size_bytes: u64,
    pub rows: u64,
    /// Of its pieces, where it has several.
    #[serde(default, skip_serializing_if = "Sums::is_empty")]
    pub sums: Sums,
}

/// What tells bytes from others, taken while they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub digest: Digest,
    pub size_bytes: u64,
    sums: Sums,
}

impl Fingerprint {
    pub fn of(bytes: &[u8]) -> Self {
        let mut writer = HashingWriter::new(io::sink());
        writer.take(bytes);
        writer.finish().1
    }

    /// The lake file that has these bytes.
    pub fn at(self, path: String, rows: u64) -> LakeFile {
        LakeFile { path, digest: self.digest, size_bytes: self.size_bytes, rows, sums: self.sums }
    }
}

/// Passes bytes through to `inner`, counting and hashing them.
pub struct HashingWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
    summing: sums::Summing,
    size_bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), summing: sums::Summing::default(), size_bytes: 0 }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.summing.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }

    /// The writer, and the fingerprint of all bytes.
    pub fn finish(self) -> (W, Fingerprint) {
        let digest = Digest::from_hash(self.hasher.finalize());
        (self.inner, Fingerprint { digest, size_bytes: self.size_bytes, sums: self.summing.finish() })
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.take(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Where a model partition's Parquet lies; its record lies beside it.
pub fn partition_path(model: &str, partition: &str, key: &impl fmt::Display) -> String {
    format!("models/{model}/{partition}/{key}.parquet")
}

/// The record beside a file: what it holds, written after it, so that its presence says that the file is whole.
pub fn record_path(path: &str) -> String {
    format!("{}.json", path.trim_end_matches(".parquet"))
}

/// Where a model's SQL lies, by the digest that keys have of it.
pub fn sql_path(digest: &str) -> String {
    format!("sql/{digest}.json")
}

pub fn extract_dir(source: &str, key: &Digest) -> String {
    format!("extracted/{source}/{key}")
}

pub fn rejected_path(source: &str, key: &Digest) -> String {
    format!("rejected/{source}/{key}.parquet")
}

pub fn snapshot_path(number: u64) -> String {
    format!("snapshots/{number:010}.json")
}

/// The second copy of a snapshot, the one kind of object here that can't be made again from others.
pub fn snapshot_copy_path(number: u64) -> String {
    format!("snapshots/{number:010}.copy.json")
}

/// Reads a record, once more if its checksum doesn't hold.
///
/// # Errors
/// [`Error::Damaged`] for one that isn't what was written.
pub async fn read_json<T: DeserializeOwned>(lake: &Storage, path: &str) -> Result<Option<T>> {
    let mut wrong = String::new();
    for _ in 0..2 {
        let Some(bytes) = lake.get(path).await? else { return Ok(None) };
        match from_json(&bytes) {
            Ok(record) => return Ok(Some(record)),
            Err(what) => wrong = what,
        }
    }
    Err(Error::Damaged(Damage::new(path, wrong)))
}

/// Reads a record that an earlier run left, if it is whole and the files that it speaks of are there as it says.
/// Otherwise there is no record, and the work is done again.
pub async fn read_record<T: DeserializeOwned>(
    lake: &Storage,
    path: &str,
    files: impl Fn(&T) -> Vec<&LakeFile>,
    damages: &Damages,
) -> Result<Option<T>> {
    let record: T = match read_json(lake, path).await {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(None),
        Err(Error::Damaged(damage)) => {
            damages.note(&damage);
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    for file in files(&record) {
        let there = lake.head(&file.path).await?;
        if damages.has(file) || there.is_none_or(|meta| meta.size != file.size_bytes) {
            return Ok(None);
        }
    }
    Ok(Some(record))
}
