//! Sorted key hashes of extracted objects, and what can be told from them without reading a row.
//!
//! Two keys with one hash only make rows contested that needn't be; rows are told apart by the key itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use twox_hash::XxHash3_64;

use crate::error::Result;
use crate::lake::{Digest, LakeFile, verified};
use crate::snapshot::{ExtractRecord, PartitionId};
use crate::storage::Storage;

/// So many hashes are held in memory at once (24 bytes each); more are looked at in several passes.
const HASHES_PER_PASS: u64 = 8_000_000;
const READS_AT_ONCE: u64 = 16;
/// Of the files that are read at once, so many bytes.
const READ_BYTES_MAX: u64 = 256 << 20;

/// The hash that stands for a key in the index.
pub fn hash_key(key: &str) -> u64 {
    XxHash3_64::oneshot(key.as_bytes())
}

/// An index file's bytes: the hashes in ascending order, eight bytes each, little end first.
pub fn encode_keys(hashes: &[u64]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect()
}

/// One index file, read.
struct KeyFile {
    extract: usize,
    partition: PartitionId,
    bytes: Bytes,
}

impl KeyFile {
    fn len(&self) -> usize {
        self.bytes.len() / 8
    }

    fn get(&self, index: usize) -> u64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[index * 8..index * 8 + 8]);
        u64::from_le_bytes(eight)
    }

    /// The index of the first hash that is not below `bound`, from `from` on.
    fn seek(&self, from: usize, bound: u64) -> usize {
        let (mut low, mut step) = (from, 1);
        while low + step < self.len() && self.get(low + step) < bound {
            low += step;
            step *= 2;
        }
        let mut high = (low + step).min(self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle) < bound { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn hashes(&self, pass: &Pass) -> impl Iterator<Item = u64> {
        let from = self.seek(0, pass.first);
        (from..self.len()).map(|i| self.get(i)).take_while(|hash| *hash <= pass.last)
    }
}

/// A range of hashes, both ends included.
struct Pass {
    first: u64,
    last: u64,
}

fn passes(hashes: u64) -> Vec<Pass> {
    let count = hashes.div_ceil(HASHES_PER_PASS).max(1);
    let width = u64::MAX / count;
    (0..count)
        .map(|i| Pass {
            first: i * width + u64::from(i > 0),
            last: if i + 1 == count { u64::MAX } else { (i + 1) * width },
        })
        .collect()
}

/// A hash and where it was found: an index into the list of extracts, and the partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    hash: u64,
    partition: PartitionId,
    extract: u32,
}

fn key_files<'a>(
    lake: &'a Storage,
    extracts: &'a [&'a ExtractRecord],
) -> impl futures::Stream<Item = Result<KeyFile>> + 'a {
    let files = || extracts.iter().enumerate().flat_map(|(i, e)| e.keys.iter().map(move |(p, f)| (i, *p, f)));
    let largest_bytes = files().map(|(_, _, file)| file.size_bytes).max().unwrap_or(0).max(1);
    let at_once = (READ_BYTES_MAX / largest_bytes).clamp(1, READS_AT_ONCE) as usize;
    futures::stream::iter(files())
        .map(move |(extract, partition, file)| async move {
            Ok(KeyFile { extract, partition, bytes: verified::read(lake, file).await? })
        })
        .buffer_unordered(at_once)
}

fn total(extracts: &[&ExtractRecord]) -> u64 {
    extracts.iter().flat_map(|e| e.keys.values()).map(|f| f.rows).sum()
}

async fn places(lake: &Storage, extracts: &[&ExtractRecord], pass: &Pass) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut files = std::pin::pin!(key_files(lake, extracts));
    while let Some(file) = files.try_next().await? {
        let (partition, extract) = (file.partition, file.extract as u32);
        places.extend(file.hashes(pass).map(|hash| Place { hash, partition, extract }));
    }
    places.sort_unstable();
    Ok(places)
}

/// Calls `hit` for every place, and its index, whose hash is in the file. Places are sorted.
fn probe(places: &[Place], file: &KeyFile, mut hit: impl FnMut(usize, &Place)) {
    let mut at = 0;
    for (index, place) in places.iter().enumerate() {
        at = file.seek(at, place.hash);
        if at == file.len() {
            return;
        }
        if file.get(at) == place.hash {
            hit(index, place);
        }
    }
}

/// Hashes that occur in more than one month, at least one of those in a fresh extract; with the old extracts
/// that hold them, also those in the same month as the fresh row. The old extracts' hashes are read once.
pub(super) async fn shared_keys(
    lake: &Storage,
    fresh: &[&ExtractRecord],
    old: &[&ExtractRecord],
) -> Result<BTreeMap<u64, BTreeSet<Digest>>> {
    let mut shared: BTreeMap<u64, BTreeSet<Digest>> = BTreeMap::new();
    if fresh.is_empty() {
        return Ok(shared);
    }
    for pass in passes(total(fresh)) {
        let places = places(lake, fresh, &pass).await?;
        for pair in places.windows(2) {
            if pair[0].hash == pair[1].hash && pair[0].partition != pair[1].partition {
                shared.entry(pair[0].hash).or_default();
            }
        }
        // A whole export delivered again hits with every hash, so a hit is two small numbers.
        let mut hits: Vec<(u32, u32)> = Vec::new();
        let mut files = std::pin::pin!(key_files(lake, old));
        while let Some(file) = files.try_next().await? {
            probe(&places, &file, |index, place| {
                hits.push((index as u32, file.extract as u32));
                if place.partition != file.partition {
                    shared.entry(place.hash).or_default();
                }
            });
        }
        for (index, extract) in hits {
            if let Some(holders) = shared.get_mut(&places[index as usize].hash) {
                holders.insert(old[extract as usize].key.clone());
            }
        }
    }
    Ok(shared)
}

/// What following their orders tells of undated lines, by extract of the lines.
#[derive(Default)]
pub(super) struct Followed {
    /// The months of their orders.
    pub months: BTreeMap<Digest, BTreeSet<PartitionId>>,
    /// Hashes of orders that are nowhere, each as often as it has lines.
    pub orphans: BTreeMap<Digest, Vec<u64>>,
}

/// Where the orders of some lines lie: the lines' hashes are held in memory, the orders' stream past.
pub(super) async fn follow(lake: &Storage, lines: &[&ExtractRecord], orders: &[&ExtractRecord]) -> Result<Followed> {
    let mut followed = Followed::default();
    if lines.is_empty() {
        return Ok(followed);
    }
    for pass in passes(total(lines)) {
        let places = places(lake, lines, &pass).await?;
        let mut matched = vec![false; places.len()];
        let mut files = std::pin::pin!(key_files(lake, orders));
        while let Some(file) = files.try_next().await? {
            probe(&places, &file, |index, place| {
                matched[index] = true;
                let lines = lines[place.extract as usize].key.clone();
                followed.months.entry(lines).or_default().insert(file.partition);
            });
        }
        for (place, _) in places.iter().zip(matched).filter(|(_, matched)| !matched) {
            let lines = lines[place.extract as usize].key.clone();
            followed.orphans.entry(lines).or_default().push(place.hash);
        }
    }
    Ok(followed)
}

/// The months of some orders, by extract of the lines that belong to them: the orders' hashes are held in
/// memory, the lines' stream past. Also the orders' hashes, for [`without`].
pub(super) async fn followers(
    lake: &Storage,
    orders: &[&ExtractRecord],
    lines: &[&ExtractRecord],
) -> Result<BTreeMap<Digest, BTreeSet<PartitionId>>> {
    let mut months: BTreeMap<Digest, BTreeSet<PartitionId>> = BTreeMap::new();
    if orders.is_empty() {
        return Ok(months);
    }
    for pass in passes(total(orders)) {
        let places = places(lake, orders, &pass).await?;
        let mut files = std::pin::pin!(key_files(lake, lines));
        while let Some(file) = files.try_next().await? {
            probe(&places, &file, |_, place| {
                months.entry(lines[file.extract].key.clone()).or_default().insert(place.partition);
            });
        }
    }
    Ok(months)
}

/// The hashes that none of the extracts holds.
pub(super) async fn without(lake: &Storage, hashes: Vec<u64>, extracts: &[&ExtractRecord]) -> Result<Vec<u64>> {
    let places: Vec<Place> =
        hashes.iter().map(|&hash| Place { hash, partition: PartitionId::Whole, extract: 0 }).collect();
    let mut found = vec![false; places.len()];
    let mut files = std::pin::pin!(key_files(lake, extracts));
    while let Some(file) = files.try_next().await? {
        probe(&places, &file, |index, _| found[index] = true);
    }
    Ok(hashes.into_iter().zip(found).filter(|(_, found)| !found).map(|(hash, _)| hash).collect())
}

/// Whether an index file has one of the hashes.
pub(super) async fn holds_any(lake: &Storage, file: &LakeFile, wanted: &BTreeSet<u64>) -> Result<bool> {
    let file = KeyFile { extract: 0, partition: PartitionId::Whole, bytes: verified::read(lake, file).await? };
    let mut at = 0;
    Ok(wanted.iter().any(|hash| {
        at = file.seek(at, *hash);
        at < file.len() && file.get(at) == *hash
    }))
}

/// The hashes of an index file, each as often as it has rows.
pub async fn read_keys(lake: &Storage, file: &LakeFile) -> Result<Vec<u64>> {
    let file = KeyFile { extract: 0, partition: PartitionId::Whole, bytes: verified::read(lake, file).await? };
    Ok((0..file.len()).map(|i| file.get(i)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_cover_every_hash_once() {
        let all = passes(3 * HASHES_PER_PASS);
        assert_eq!((all[0].first, all[all.len() - 1].last), (0, u64::MAX));
        assert!(all.windows(2).all(|w| w[0].last + 1 == w[1].first));
    }

    #[test]
    fn seek_finds_the_first_hash_that_is_not_below() {
        let hashes: Vec<u64> = (0..1000).map(|i| i * 10).collect();
        let file = KeyFile { extract: 0, partition: PartitionId::Whole, bytes: encode_keys(&hashes).into() };
        for bound in 0..10_050 {
            let expected = hashes.partition_point(|h| *h < bound);
            assert_eq!(file.seek(0, bound), expected);
            assert_eq!(file.seek(expected / 2, bound), expected);
        }
    }
}
