//! Which files to read for the key hashes of some extracts, a hundred thousand of which may have a few hashes each.
//!
//! The small key files of a partition are merged: a file with all of their hashes and where each comes from. Whose
//! hashes go into which merged file follows from the source's extracts alone, so only files with news are written
//! again, and an incremental night and a rebuild agree on them too.
//!
//! Merged files only save openings. One that is lost or damaged is made again from the extracts' own key files.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::error::Result;
use crate::extract::put_bytes;
use crate::lake::verified::Stretches;
use crate::lake::{Damages, Digest, KeyHasher, LakeFile, verified};
use crate::snapshot::{ExtractRecord, Merged, PartitionId, SourceState};
use crate::storage::Storage;

/// Key files of more hashes than this are worth an opening of their own: a merged file has twelve bytes for the eight
/// of a hash.
const SMALL_HASHES: u64 = OPENING_BYTES / 4;
/// Merged files are split in two, again and again, as long as they have more hashes than this on average: what one new
/// object makes be written again stays within some megabytes.
const MERGED_HASHES: u64 = 1 << 20;
/// Finer than this there is nothing to split.
const SPLITS_MAX: u32 = u16::BITS;
/// To open a file costs as much as to read so many bytes.
const OPENING_BYTES: u64 = 64 << 10;
const READS_AT_ONCE: usize = 16;
/// A file of more hashes is read so many at a time: what is in memory doesn't grow with a file.
const HASHES_PER_PART: u64 = 128 << 10;

/// Some extracts of a source, in the order of their keys, and the files that their hashes are read from.
pub(super) struct Keyed<'a> {
    extracts: Vec<&'a ExtractRecord>,
    reads: Vec<Read<'a>>,
}

/// One file to be read.
pub(super) struct Read<'a> {
    partition: PartitionId,
    file: &'a LakeFile,
    /// For each extract whose hashes it has, in order: which of those asked for it is, if it is.
    members: Vec<Option<u32>>,
}

/// The extracts whose hashes belong in one merged file, which may not be there.
struct Group<'a> {
    name: Digest,
    members: Vec<&'a ExtractRecord>,
    merged: Option<&'a LakeFile>,
}

type Groups<'a> = BTreeMap<PartitionId, Vec<Group<'a>>>;

/// The hashes of each partition by the extracts that have them.
fn by_partition<'a>(extracts: &[&'a ExtractRecord]) -> BTreeMap<PartitionId, Vec<(u32, &'a ExtractRecord)>> {
    let mut found: BTreeMap<PartitionId, Vec<(u32, &ExtractRecord)>> = BTreeMap::new();
    for (number, extract) in (0..).zip(extracts) {
        for partition in extract.keys.keys() {
            found.entry(*partition).or_default().push((number, extract));
        }
    }
    found
}

/// What is to be merged, partition by partition. Single files aren't.
fn grouped<'a>(extracts: &[&'a ExtractRecord]) -> BTreeMap<PartitionId, Vec<Vec<&'a ExtractRecord>>> {
    let of_partition = |(partition, extracts): (PartitionId, Vec<(u32, &'a ExtractRecord)>)| {
        let hashes = |extract: &ExtractRecord| extract.keys.get(&partition).map_or(0, |file| file.rows);
        let small: Vec<&ExtractRecord> = extracts
            .into_iter()
            .map(|(_, extract)| extract)
            .filter(|extract| hashes(extract) <= SMALL_HASHES)
            .collect();
        let splits = splits(small.iter().map(|extract| hashes(extract)).sum());
        let mut groups = vec![Vec::new(); 1 << splits];
        for extract in &small {
            groups[usize::from(extract.key.prefix()) >> (SPLITS_MAX - splits)].push(*extract);
        }
        (small.len() > 1).then_some((partition, groups))
    };
    by_partition(extracts).into_iter().filter_map(of_partition).collect()
}

/// How often the merged files of so many hashes are split in two.
fn splits(hashes: u64) -> u32 {
    (0..SPLITS_MAX).find(|splits| hashes >> splits <= MERGED_HASHES).unwrap_or(SPLITS_MAX)
}

/// A name for the extracts of a group.
fn name(partition: PartitionId, members: &[&ExtractRecord]) -> Digest {
    let mut hasher = KeyHasher::new("merged keys");
    hasher.part("partition", &partition.to_string());
    for extract in members {
        hasher.part("extract", &extract.key.hex());
    }
    hasher.finish()
}

fn extracts(state: &SourceState) -> Vec<&ExtractRecord> {
    state.extracts.values().map(|extract| &**extract).collect()
}

/// The groups of a state with the merged files that it has of them.
fn groups<'a>(state: &'a SourceState, is_whole: impl Fn(&LakeFile) -> bool) -> Groups<'a> {
    if state.merged.is_empty() {
        return Groups::new();
    }
    let known: BTreeMap<&Digest, &LakeFile> =
        state.merged.values().flatten().map(|merged| (&merged.extracts, &merged.file)).collect();
    let group = |partition, members: Vec<&'a ExtractRecord>| {
        let name = name(partition, &members);
        let merged = known.get(&name).copied().filter(|file| is_whole(file));
        Group { name, members, merged }
    };
    let grouped = grouped(&extracts(state)).into_iter();
    grouped
        .map(|(partition, all)| (partition, all.into_iter().map(|members| group(partition, members)).collect()))
        .collect()
}

/// The files to be read for the hashes that some extracts have in a partition.
fn reads<'a>(partition: PartitionId, groups: &[Group<'a>], wanted: &[(u32, &'a ExtractRecord)]) -> Vec<Read<'a>> {
    let mut reads = Vec::new();
    let mut is_read = vec![false; wanted.len()];
    for group in groups {
        let Some(file) = group.merged else { continue };
        let place = |extract: &&ExtractRecord| wanted.binary_search_by(|(_, own)| own.key.cmp(&extract.key)).ok();
        let places: Vec<Option<usize>> = group.members.iter().map(place).collect();
        let own = places.iter().flatten().filter_map(|place| wanted[*place].1.keys.get(&partition));
        let saved_bytes: u64 = own.map(|own| own.size_bytes + OPENING_BYTES).sum();
        if file.size_bytes < saved_bytes {
            places.iter().flatten().for_each(|place| is_read[*place] = true);
            let members = places.iter().map(|place| place.map(|place| wanted[place].0)).collect();
            reads.push(Read { partition, file, members });
        }
    }
    let alone = wanted.iter().zip(is_read).filter(|(_, is_read)| !is_read);
    let alone = alone.filter_map(|((number, extract), _)| Some((*number, extract.keys.get(&partition)?)));
    reads.extend(alone.map(|(number, file)| Read { partition, file, members: vec![Some(number)] }));
    reads
}

impl<'a> Keyed<'a> {
    /// Some of a source's extracts, in the order of their keys.
    pub fn some(state: &'a SourceState, extracts: Vec<&'a ExtractRecord>) -> Self {
        let groups = groups(state, |_| true);
        let of_partition = |(partition, wanted): (PartitionId, Vec<(u32, &'a ExtractRecord)>)| {
            reads(partition, groups.get(&partition).map_or(&[], Vec::as_slice), &wanted)
        };
        let reads = by_partition(&extracts).into_iter().flat_map(of_partition).collect();
        Self { extracts, reads }
    }

    pub fn all(state: &'a SourceState) -> Self {
        Self::some(state, extracts(state))
    }

    pub fn is_empty(&self) -> bool {
        self.extracts.is_empty()
    }

    /// The key of one of the extracts.
    pub fn key(&self, number: u32) -> &'a Digest {
        &self.extracts[number as usize].key
    }

    pub fn extracts(&self) -> &[&'a ExtractRecord] {
        &self.extracts
    }

    /// How many hashes they have.
    pub fn hashes(&self) -> u64 {
        self.extracts.iter().flat_map(|extract| extract.keys.values()).map(|file| file.rows).sum()
    }

    /// Reads what the files have within a range of hashes, and some around it, in any order.
    pub fn parts(&'a self, lake: &'a Storage, within: RangeInclusive<u64>) -> impl Stream<Item = Result<KeyPart<'a>>> {
        stream(lake, &self.reads, within)
    }
}

fn stream<'a>(
    lake: &'a Storage,
    reads: &'a [Read<'a>],
    within: RangeInclusive<u64>,
) -> impl Stream<Item = Result<KeyPart<'a>>> {
    futures::stream::iter(reads).map(move |read| read.parts(lake, within.clone())).flatten_unordered(READS_AT_ONCE)
}

impl<'a> Read<'a> {
    /// The file of one extract and one partition.
    pub fn of_one(file: &'a LakeFile) -> Self {
        Self { partition: PartitionId::Whole, file, members: vec![Some(0)] }
    }

    /// What the file has within a range of hashes, and some around it, in ascending order.
    pub fn parts(&'a self, lake: &'a Storage, within: RangeInclusive<u64>) -> BoxStream<'a, Result<KeyPart<'a>>> {
        let hashes = self.file.rows;
        if hashes <= HASHES_PER_PART {
            let whole = async move {
                let bytes = verified::read(lake, self.file).await?;
                let end = usize::try_from(hashes * 8).unwrap_or(usize::MAX).min(bytes.len());
                Ok(self.part(bytes.slice(..end), bytes.slice(end..)))
            };
            return futures::stream::once(whole).boxed();
        }
        let large = Large { read: self, stretches: Stretches::of(lake.clone(), self.file.clone()) };
        let parts = futures::stream::try_unfold((large, None), move |(large, next)| {
            let within = within.clone();
            async move {
                let from = match next {
                    Some(next) => next,
                    None => large.seek(*within.start()).await?,
                };
                if from >= hashes {
                    return Ok(None);
                }
                let until = (from + HASHES_PER_PART).min(hashes);
                let part = large.read(from..until).await?;
                let is_past = part.len().checked_sub(1).is_none_or(|last| part.hash(last) > *within.end());
                Ok(Some((part, (large, Some(if is_past { hashes } else { until })))))
            }
        });
        parts.boxed()
    }

    fn part(&'a self, hashes: Bytes, origins: Bytes) -> KeyPart<'a> {
        KeyPart { partition: self.partition, hashes, origins, members: &self.members }
    }
}

/// A file of which a part is read at a time.
struct Large<'a> {
    read: &'a Read<'a>,
    stretches: Stretches,
}

impl<'a> Large<'a> {
    async fn read(&self, part: Range<u64>) -> Result<KeyPart<'a>> {
        let hashes = self.read.file.rows;
        let bytes_of = |from: u64, each: u64| from + part.start * each..from + part.end * each;
        let has_origins = self.read.file.size_bytes > hashes * 8;
        let origins = if has_origins { bytes_of(hashes * 8, 4) } else { 0..0 };
        let mut found = self.stretches.read(&[bytes_of(0, 8), origins]).await?.into_iter();
        let (hashes, origins) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
        Ok(self.read.part(hashes, origins))
    }

    /// An index before which all hashes are below `bound`, near the first that isn't: hashes lie evenly between
    /// nought and the greatest of 64 bits, but for those of a key that has many rows.
    async fn seek(&self, bound: u64) -> Result<u64> {
        let expected = (u128::from(self.read.file.rows) * u128::from(bound)) >> 64;
        let mut step = HASHES_PER_PART / 16;
        let mut at = u64::try_from(expected).unwrap_or(0);
        loop {
            at = at.saturating_sub(step);
            if at == 0 || self.read(at..at + 1).await?.hash(0) < bound {
                return Ok(at);
            }
            step *= 2;
        }
    }
}

/// Merges a source's small key files, as far as the state before didn't. A file of its that is damaged isn't used.
pub async fn merge_keys(
    lake: &Storage,
    source: &str,
    now: &SourceState,
    prior: Option<&SourceState>,
    damages: &Damages,
) -> Result<BTreeMap<PartitionId, Vec<Merged>>> {
    let before = prior.map(|prior| groups(prior, |file| !damages.has(file))).unwrap_or_default();
    let mut merged: BTreeMap<PartitionId, Vec<Merged>> = BTreeMap::new();
    for (partition, groups) in grouped(&extracts(now)) {
        let before = before.get(&partition).map_or(&[][..], Vec::as_slice);
        for members in groups {
            let extracts = name(partition, &members);
            let known = before.iter().find(|group| group.name == extracts);
            let file = match known.and_then(|group| group.merged) {
                Some(file) => file.clone(),
                None => write(lake, source, partition, before, &members).await?,
            };
            merged.entry(partition).or_default().push(Merged { extracts, file });
        }
    }
    Ok(merged)
}

/// Writes a merged file: all hashes in ascending order, eight bytes each, then as many numbers of members, four bytes
/// each, little end first.
async fn write(
    lake: &Storage,
    source: &str,
    partition: PartitionId,
    before: &[Group<'_>],
    members: &[&ExtractRecord],
) -> Result<LakeFile> {
    let wanted: Vec<(u32, &ExtractRecord)> = (0..).zip(members.iter().copied()).collect();
    let reads = reads(partition, before, &wanted);
    let mut entries: Vec<(u64, u32)> = Vec::new();
    let mut parts = std::pin::pin!(stream(lake, &reads, 0..=u64::MAX));
    while let Some(part) = parts.try_next().await? {
        entries.extend((0..part.len()).filter_map(|index| Some((part.hash(index), part.extract(index)?))));
    }
    entries.sort_unstable();
    let mut bytes = Vec::with_capacity(entries.len() * 12);
    entries.iter().for_each(|(hash, _)| bytes.extend_from_slice(&hash.to_le_bytes()));
    entries.iter().for_each(|(_, member)| bytes.extend_from_slice(&member.to_le_bytes()));
    put_bytes(lake, &format!("homes/{source}"), "merged", bytes, entries.len() as u64).await
}

/// Some hashes of one file, or all, in ascending order.
pub(super) struct KeyPart<'a> {
    pub partition: PartitionId,
    hashes: Bytes,
    /// Which member each hash comes from, where there are several.
    origins: Bytes,
    members: &'a [Option<u32>],
}

impl KeyPart<'_> {
    pub fn len(&self) -> usize {
        self.hashes.len() / 8
    }

    pub fn hash(&self, index: usize) -> u64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.hashes[index * 8..index * 8 + 8]);
        u64::from_le_bytes(eight)
    }

    /// Which of the extracts asked for a hash comes from, if it does.
    pub fn extract(&self, index: usize) -> Option<u32> {
        let member = self.origins.get(index * 4..index * 4 + 4).map_or(0, |bytes| {
            let mut four = [0; 4];
            four.copy_from_slice(bytes);
            u32::from_le_bytes(four)
        });
        self.members.get(member as usize).copied().flatten()
    }

    /// The index of the first hash that is not below `bound`, from `from` on.
    pub fn seek(&self, from: usize, bound: u64) -> usize {
        let (mut low, mut step) = (from, 1);
        while low + step < self.len() && self.hash(low + step) < bound {
            low += step;
            step *= 2;
        }
        let mut high = (low + step).min(self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.hash(middle) < bound { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::compact::Shared;
    use crate::homes::encode_keys;
    use crate::lake::{Damage, Fingerprint};

    /// Of each extract: few enough that to open its own file costs more than to read it among others.
    const HASHES: u64 = 1024;
    /// So many extracts have more hashes than belong in one merged file.
    const MANY: u64 = MERGED_HASHES / HASHES + 1;

    fn month() -> PartitionId {
        PartitionId::Month("2024-01".parse().expect("a month"))
    }

    /// Extract number `n` has the hashes that give `n` when divided by `MANY`.
    async fn extract(lake: &Storage, n: u64) -> ExtractRecord {
        let key = Digest::of(&n.to_le_bytes());
        let bytes = encode_keys(&(0..HASHES).map(|i| i * MANY + n).collect::<Vec<_>>());
        let path = format!("{key}.keys");
        let file = Fingerprint::of(&bytes).at(path.clone(), HASHES);
        lake.put(&path, bytes).await.expect("put");
        let record = serde_json::json!({
            "key": key, "read": 1, "skipped": {}, "rejected": {}, "rows": {}, "keys": { (month().to_string()): file },
            "rejects": null, "absent": [], "newest_at": null, "warnings": {},
        });
        serde_json::from_value(record).expect("a record")
    }

    /// A source of some extracts, its keys merged after it was as `prior`.
    async fn state(lake: &Storage, extracts: &[ExtractRecord], prior: Option<&SourceState>) -> SourceState {
        let mut state = SourceState::default();
        state.extracts.extend(extracts.iter().map(|extract| (extract.key.clone(), Shared::new(extract.clone()))));
        state.merged = merge_keys(lake, "orders", &state, prior, &Damages::default()).await.expect("merged");
        state
    }

    #[tokio::test]
    async fn merged_files_follow_from_the_extracts_alone() {
        let lake = Storage::from_store(Arc::new(InMemory::new()), "memory");
        let mut extracts = Vec::new();
        for n in 0..MANY {
            extracts.push(extract(&lake, n).await);
        }
        let (last, others) = extracts.split_last().expect("many");
        let first_night = state(&lake, others, None).await;
        assert_eq!(first_night.merged[&month()].len(), 1);
        let rebuilt = state(&lake, &extracts, None).await;
        assert_eq!(rebuilt.merged[&month()].len(), 2);
        // From here on the old ones' own files are gone: nobody needs them.
        for extract in others {
            lake.delete(&extract.keys.values().next().expect("keys").path).await.expect("deleted");
        }
        let second_night = state(&lake, &extracts, Some(&first_night)).await;
        assert_eq!(second_night, rebuilt);
        assert_eq!(state(&lake, others, Some(&second_night)).await, first_night);

        let numbers: BTreeMap<&Digest, u64> = extracts.iter().map(|extract| &extract.key).zip(0..).collect();
        let wanted = rebuilt.extracts.values().map(|extract| &**extract).filter(|extract| extract.key != last.key);
        let keyed = Keyed::some(&rebuilt, wanted.collect());
        let mut found = vec![0; extracts.len()];
        let mut parts = std::pin::pin!(keyed.parts(&lake, 0..=u64::MAX));
        while let Some(part) = parts.try_next().await.expect("read") {
            for (hash, extract) in (0..part.len()).filter_map(|i| Some((part.hash(i), part.extract(i)?))) {
                assert_eq!(hash % MANY, numbers[keyed.key(extract)]);
                found[(hash % MANY) as usize] += 1;
            }
        }
        assert_eq!(found.pop(), Some(0), "the one that wasn't asked for");
        assert!(found.iter().all(|hashes| *hashes == HASHES));
    }

    #[tokio::test]
    async fn a_damaged_merged_file_is_made_again_from_the_own_ones() {
        let lake = Storage::from_store(Arc::new(InMemory::new()), "memory");
        let extracts = [extract(&lake, 0).await, extract(&lake, 1).await];
        let whole = state(&lake, &extracts, None).await;
        let file = &whole.merged[&month()][0].file;
        lake.put(&file.path, vec![7; 100]).await.expect("put");
        let damages = Damages::default();
        damages.note(&Damage::new(&file.path, "flipped"));
        let again = merge_keys(&lake, "orders", &whole, Some(&whole), &damages).await.expect("merged");
        assert_eq!(again, whole.merged);
        assert!(verified::read(&lake, file).await.is_ok());
    }

    fn part(hashes: &[u64]) -> KeyPart<'static> {
        let hashes = encode_keys(hashes).into();
        KeyPart { partition: PartitionId::Whole, hashes, origins: Bytes::new(), members: &[Some(0)] }
    }

    #[test]
    fn seek_finds_the_first_hash_that_is_not_below() {
        let hashes: Vec<u64> = (0..1000).map(|i| i * 10).collect();
        let part = part(&hashes);
        for bound in 0..10_050 {
            let expected = hashes.partition_point(|h| *h < bound);
            assert_eq!(part.seek(0, bound), expected);
            assert_eq!(part.seek(expected / 2, bound), expected);
        }
    }

    /// Hashes as they come, of a key with very many rows, and of keys that all lie close together.
    #[tokio::test]
    async fn a_large_file_is_read_in_parts_and_only_where_it_is_wanted() {
        const HASHES: u64 = 5 * HASHES_PER_PART + 17;
        let spread = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shapes: [fn(u64, u64) -> u64; 3] =
            [|_, hash| hash, |i, hash| if i % 3 > 0 { 1 << 60 } else { hash }, |i, _| u64::MAX - i / 2];
        let lake = Storage::from_store(Arc::new(InMemory::new()), "memory");
        for (number, shape) in shapes.into_iter().enumerate() {
            let mut hashes: Vec<u64> = (0..HASHES).map(|i| shape(i, spread(i))).collect();
            hashes.sort_unstable();
            let bytes = encode_keys(&hashes);
            lake.put("large.keys", bytes.clone()).await.expect("put");
            let file = Fingerprint::of(&bytes).at("large.keys".to_owned(), HASHES);
            let bounds = [0, 5, 1 << 60, (1 << 60) + 1, u64::MAX / 3, u64::MAX - HASHES / 4, u64::MAX];
            for (first, last) in bounds.iter().flat_map(|first| bounds.iter().map(move |last| (*first, *last))) {
                let read = Read::of_one(&file);
                let parts: Vec<KeyPart<'_>> = read.parts(&lake, first..=last).try_collect().await.expect("read");
                assert!(parts.iter().all(|part| part.len() as u64 <= HASHES_PER_PART));
                let found: Vec<u64> = parts
                    .iter()
                    .flat_map(|part| (0..part.len()).map(|i| part.hash(i)))
                    .filter(|hash| (first..=last).contains(hash))
                    .collect();
                let wanted: Vec<u64> = hashes.iter().copied().filter(|hash| (first..=last).contains(hash)).collect();
                assert!(found == wanted, "{first} to {last}: {} instead of {}", found.len(), wanted.len());
                let needed = wanted.len() as u64 / HASHES_PER_PART + 3;
                assert!(number > 0 || parts.len() as u64 <= needed, "{first} to {last}: {} parts", parts.len());
            }
        }
    }
}
