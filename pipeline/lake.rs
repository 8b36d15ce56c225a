//! The lake: everything built, stored under its key and never overwritten.
//!
//! This module knows paths, keys and digests; nothing here knows what a model means.

use std::fmt;
use std::io::{self, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::storage::Storage;

/// The lake's format. A lake of another format is refused, not guessed at.
pub const FORMAT: u32 = 1;

/// Whatever makes the same SQL over the same rows give other bytes: our own writer's version and the engine's.
pub const ENGINE: &str = "bazgasht-2 datafusion-55.2 parquet-59";

/// A name for content or for how content was made: 128 bits of BLAKE3, in hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    pub fn from_hash(hash: blake3::Hash) -> Self {
        Digest(hash.to_hex()[..32].to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..8])
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
}

/// Passes bytes through to `inner`, counting and hashing them.
pub struct HashingWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), size_bytes: 0 }
    }

    /// The writer, the digest of all bytes and their number.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::from_hash(self.hasher.finalize()), self.size_bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Where a model partition's Parquet lies; its record lies beside it.
pub fn partition_path(model: &str, partition: &str, key: &Digest) -> String {
    format!("models/{model}/{partition}/{key}.parquet")
}

/// The record beside a file: what it holds, written after it, so that its presence says that the file is whole.
pub fn record_path(path: &str) -> String {
    format!("{}.json", path.trim_end_matches(".parquet"))
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

/// Reads a JSON object of the lake. A lake is ours alone, so one that doesn't parse is damage, said plainly.
pub async fn read_json<T: DeserializeOwned>(lake: &Storage, path: &str) -> Result<Option<T>> {
    let Some(bytes) = lake.get(path).await? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Error::world(format!("{}/{path} is damaged", lake.location()), e))
}

/// Reads a record that an earlier run left, if the files that it speaks of are there as it says. After a power
/// cut a record may be empty or its files gone: then there is no record, and the work is done again.
pub async fn read_record<T: DeserializeOwned>(
    lake: &Storage,
    path: &str,
    files: impl Fn(&T) -> Vec<&LakeFile>,
) -> Result<Option<T>> {
    let Some(bytes) = lake.get(path).await? else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<T>(&bytes) else { return Ok(None) };
    for file in files(&record) {
        let there = lake.head(&file.path).await?;
        if there.is_none_or(|meta| meta.size != file.size_bytes) {
            return Ok(None);
        }
    }
    Ok(Some(record))
}

/// The canonical bytes of a record: maps are ordered, so equal records are equal bytes.
pub fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(Error::bug)?;
    bytes.push(b'\n');
    Ok(bytes)
}
