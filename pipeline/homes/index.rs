//! Sorted key hashes of extracted objects, and what can be told from them without reading a row.
//!
//! Two keys with one hash only make rows contested that needn't be; rows are told apart by the key itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use futures::TryStreamExt;
use twox_hash::XxHash3_64;

use super::keyed::{KeyPart, Keyed, Read};
use crate::error::Result;
use crate::lake::{Digest, LakeFile};
use crate::snapshot::PartitionId;
use crate::storage::Storage;

/// So many hashes are held in memory at once (24 bytes each); more are looked at in several passes, each of which reads
/// its own part of every file.
const HASHES_PER_PASS: u64 = 1_000_000;

/// The hash that stands for a key in the index.
pub fn hash_key(key: &str) -> u64 {
    XxHash3_64::oneshot(key.as_bytes())
}

/// An index file's bytes: the hashes in ascending order, eight bytes each, little end first.
pub fn encode_keys(hashes: &[u64]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect()
}

/// Ranges that together hold every hash.
fn passes(hashes: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    let count = hashes.div_ceil(HASHES_PER_PASS).max(1);
    let width = u64::MAX / count;
    (0..count).map(move |i| {
        let last = if i + 1 == count { u64::MAX } else { (i + 1) * width };
        i * width + u64::from(i > 0)..=last
    })
}

/// A hash and where it was found: an index into the list of extracts, and the partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    hash: u64,
    partition: PartitionId,
    extract: u32,
}

async fn places(lake: &Storage, keyed: &Keyed<'_>, pass: &RangeInclusive<u64>) -> Result<Vec<Place>> {
    // Hashes lie evenly, so a pass has hardly more than its share.
    let mut places = Vec::with_capacity(keyed.hashes().min(HASHES_PER_PASS + HASHES_PER_PASS / 8) as usize);
    let mut parts = std::pin::pin!(keyed.parts(lake, pass.clone()));
    while let Some(part) = parts.try_next().await? {
        let place = |(hash, index)| Some(Place { hash, partition: part.partition, extract: part.extract(index)? });
        let within = (part.seek(0, *pass.start())..part.len()).map(|index| (part.hash(index), index));
        places.extend(within.take_while(|(hash, _)| hash <= pass.end()).filter_map(place));
    }
    places.sort_unstable();
    Ok(places)
}

/// Calls `hit` for every place, with its index, and every extract whose hash in the part it is. Places are sorted.
fn probe(places: &[Place], part: &KeyPart<'_>, mut hit: impl FnMut(usize, &Place, u32)) {
    if part.len() == 0 {
        return;
    }
    let before = places.partition_point(|place| place.hash < part.hash(0));
    let mut at = 0;
    for (index, place) in places.iter().enumerate().skip(before) {
        at = part.seek(at, place.hash);
        if at == part.len() {
            return;
        }
        let same = (at..part.len()).take_while(|at| part.hash(*at) == place.hash);
        same.filter_map(|at| part.extract(at)).for_each(|extract| hit(index, place, extract));
    }
}

/// Hashes that occur in more than one month, at least one of those in a fresh extract; with the old extracts
/// that hold them, also those in the same month as the fresh row. The old extracts' hashes are read once.
pub(super) async fn shared_keys(
    lake: &Storage,
    fresh: &Keyed<'_>,
    old: &Keyed<'_>,
) -> Result<BTreeMap<u64, BTreeSet<Digest>>> {
    let mut shared: BTreeMap<u64, BTreeSet<Digest>> = BTreeMap::new();
    if fresh.is_empty() {
        return Ok(shared);
    }
    for pass in passes(fresh.hashes()) {
        let places = places(lake, fresh, &pass).await?;
        for pair in places.windows(2) {
            if pair[0].hash == pair[1].hash && pair[0].partition != pair[1].partition {
                shared.entry(pair[0].hash).or_default();
            }
        }
        // A whole export delivered again hits with every hash, so a hit is two small numbers.
        let mut hits: Vec<(u32, u32)> = Vec::new();
        let mut parts = std::pin::pin!(old.parts(lake, pass.clone()));
        while let Some(part) = parts.try_next().await? {
            probe(&places, &part, |index, place, extract| {
                hits.push((index as u32, extract));
                if place.partition != part.partition {
                    shared.entry(place.hash).or_default();
                }
            });
        }
        for (index, extract) in hits {
            if let Some(holders) = shared.get_mut(&places[index as usize].hash) {
                holders.insert(old.key(extract).clone());
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
pub(super) async fn follow(lake: &Storage, lines: &Keyed<'_>, orders: &Keyed<'_>) -> Result<Followed> {
    let mut followed = Followed::default();
    if lines.is_empty() {
        return Ok(followed);
    }
    for pass in passes(lines.hashes()) {
        let places = places(lake, lines, &pass).await?;
        let mut matched = vec![false; places.len()];
        let mut parts = std::pin::pin!(orders.parts(lake, pass.clone()));
        while let Some(part) = parts.try_next().await? {
            probe(&places, &part, |index, place, _| {
                matched[index] = true;
                let lines = lines.key(place.extract).clone();
                followed.months.entry(lines).or_default().insert(part.partition);
            });
        }
        for (place, _) in places.iter().zip(matched).filter(|(_, matched)| !matched) {
            let lines = lines.key(place.extract).clone();
            followed.orphans.entry(lines).or_default().push(place.hash);
        }
    }
    Ok(followed)
}

/// The months of some orders, by extract of the lines that belong to them: the orders' hashes are held in
/// memory, the lines' stream past. Also the orders' hashes, for [`without`].
pub(super) async fn followers(
    lake: &Storage,
    orders: &Keyed<'_>,
    lines: &Keyed<'_>,
) -> Result<BTreeMap<Digest, BTreeSet<PartitionId>>> {
    let mut months: BTreeMap<Digest, BTreeSet<PartitionId>> = BTreeMap::new();
    if orders.is_empty() {
        return Ok(months);
    }
    for pass in passes(orders.hashes()) {
        let places = places(lake, orders, &pass).await?;
        let mut parts = std::pin::pin!(lines.parts(lake, pass.clone()));
        while let Some(part) = parts.try_next().await? {
            probe(&places, &part, |_, place, lines_extract| {
                months.entry(lines.key(lines_extract).clone()).or_default().insert(place.partition);
            });
        }
    }
    Ok(months)
}

/// The hashes that none of the extracts holds.
pub(super) async fn without(lake: &Storage, hashes: Vec<u64>, extracts: &Keyed<'_>) -> Result<Vec<u64>> {
    let places: Vec<Place> =
        hashes.iter().map(|&hash| Place { hash, partition: PartitionId::Whole, extract: 0 }).collect();
    let mut found = vec![false; places.len()];
    let mut parts = std::pin::pin!(extracts.parts(lake, 0..=u64::MAX));
    while let Some(part) = parts.try_next().await? {
        probe(&places, &part, |index, _, _| found[index] = true);
    }
    Ok(hashes.into_iter().zip(found).filter(|(_, found)| !found).map(|(hash, _)| hash).collect())
}

/// Whether an index file has one of the hashes.
pub(super) async fn holds_any(lake: &Storage, file: &LakeFile, wanted: &BTreeSet<u64>) -> Result<bool> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(false) };
    let read = Read::of_one(file);
    let mut parts = read.parts(lake, *first..=*last);
    while let Some(part) = parts.try_next().await? {
        let mut at = 0;
        let is_there = |hash: &u64| {
            at = part.seek(at, *hash);
            at < part.len() && part.hash(at) == *hash
        };
        if wanted.iter().any(is_there) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The hashes of an index file, each as often as it has rows.
pub async fn read_keys(lake: &Storage, file: &LakeFile) -> Result<Vec<u64>> {
    let read = Read::of_one(file);
    let mut hashes = Vec::with_capacity(usize::try_from(file.rows).unwrap_or_default());
    let mut parts = read.parts(lake, 0..=u64::MAX);
    while let Some(part) = parts.try_next().await? {
        hashes.extend((0..part.len()).map(|index| part.hash(index)));
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_cover_every_hash_once() {
        let all: Vec<_> = passes(3 * HASHES_PER_PASS).collect();
        assert_eq!((*all[0].start(), *all[all.len() - 1].end()), (0, u64::MAX));
        assert!(all.windows(2).all(|w| w[0].end() + 1 == *w[1].start()));
    }
}
