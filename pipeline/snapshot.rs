//! Snapshots: what a run stands on, committed by creating the next numbered object.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::calendar::Month;
use crate::compact::{Flat, Shared};
use crate::engine::{TaskTable, Violation};
use crate::error::{Error, Result};
use crate::lake::{self, Damage, Digest, LakeFile};
use crate::model::Model;
use crate::storage::Storage;

/// A partition of a model or of an extracted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartitionId {
    Whole,
    Month(Month),
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionId::Whole => f.pad("all"),
            PartitionId::Month(month) => f.pad(&month.to_string()),
        }
    }
}

impl FromStr for PartitionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(PartitionId::Whole),
            _ => text.parse().map(PartitionId::Month).map_err(|_| format!("`{text}` is not a partition")),
        }
    }
}

impl Serialize for PartitionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PartitionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An input object as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    pub size_bytes: u64,
    /// The store's ETag, or its modification time where it has none: only ever the reason not to read again.
    pub version: Box<str>,
    /// A hash over path, size, version and the decoding: as long as it is the same, the object isn't read again.
    pub sighting: Digest,
    /// The key of what was extracted from it.
    pub extract: Digest,
}

/// What extracting one content gave. It depends on the content and on how it was decoded, on nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractRecord {
    pub key: Digest,
    /// Rows in the file, whatever became of them.
    pub read: u64,
    pub skipped: Flat<String, u64>,
    pub rejected: Flat<String, u64>,
    /// Typed rows by business month (`all` where the source has no business day).
    pub rows: Flat<PartitionId, LakeFile>,
    /// Sorted distinct hashes of the home keys of those rows.
    pub keys: Flat<PartitionId, LakeFile>,
    pub rejects: Option<LakeFile>,
    /// Raw columns that the mapping names and the content doesn't have; none for content without rows.
    pub absent: Box<[String]>,
    /// Why the content can't be decoded to its end, where it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// The latest moment among the rows, where the source has such.
    pub newest_at: Option<DateTime<Utc>>,
    /// Values that were set to NULL or look odd, by what is odd about them.
    pub warnings: Flat<String, u64>,
}

impl ExtractRecord {
    /// Everything in the lake that belongs to it.
    pub fn files(&self) -> Vec<&LakeFile> {
        self.rows.values().chain(self.keys.values()).chain(&self.rejects).collect()
    }

    pub fn extracted_rows(&self) -> u64 {
        self.rows.values().map(|f| f.rows).sum()
    }
}

/// Where keys that occur in several months belong. A pure function of the source's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Homes {
    /// All rows of keys that occur in more than one month: key, month, version, extract, line.
    pub contested: Option<LakeFile>,
    /// Keys that occur in this month and live in another.
    pub departed: BTreeMap<PartitionId, LakeFile>,
    /// Rows that live in this month and were found in another month's files.
    pub arrived: BTreeMap<PartitionId, LakeFile>,
    /// The extracts that those rows came from.
    pub arrived_from: BTreeMap<PartitionId, BTreeSet<Digest>>,
    /// For rows without a day of their own: the months in which their orders occur, by extract.
    pub touched: BTreeMap<Digest, BTreeSet<PartitionId>>,
    /// For rows without a day: the hashes of orders that are nowhere, once per row, by extract.
    pub orphans: BTreeMap<Digest, LakeFile>,
}

impl Homes {
    /// Everything in the lake that belongs to it.
    pub fn files(&self) -> impl Iterator<Item = &LakeFile> {
        let Homes { contested, departed, arrived, orphans, .. } = self;
        departed.values().chain(arrived.values()).chain(orphans.values()).chain(contested)
    }
}

/// Small key files of one partition in one file, so that nobody opens them one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Names the extracts whose keys it has.
    pub extracts: Digest,
    pub file: LakeFile,
}

/// A source as one snapshot knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    pub objects: BTreeMap<String, Shared<ObjectRecord>>,
    pub extracts: BTreeMap<Digest, Shared<ExtractRecord>>,
    /// What one delivery was when the homes were settled.
    pub by_folder: bool,
    pub homes: Homes,
    /// The keys of many small objects, merged: an aid that says nothing of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub merged: BTreeMap<PartitionId, Vec<Merged>>,
}

impl SourceState {
    /// The latest moment among all of its rows, where it has such.
    pub fn newest_at(&self) -> Option<DateTime<Utc>> {
        self.extracts.values().filter_map(|extract| extract.newest_at).max()
    }
}

/// What a partition's key was hashed from, kept so that `plan` can say why a partition is to be rebuilt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyParts {
    pub sql: String,
    pub engine: String,
    pub parameters: BTreeMap<String, String>,
    /// Per table read, a digest over its partitions' digests.
    pub inputs: BTreeMap<String, String>,
}

/// A model's SQL as it ran, kept once for all partitions whose keys have its digest: the model may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSql {
    pub file: String,
    pub sql: String,
}

/// Rows of a staging partition, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    pub read: u64,
    pub staged: u64,
    pub duplicate: u64,
    pub superseded: u64,
}

/// A model partition as built: it lies beside the partition's file and in every snapshot that stands on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    pub key: Digest,
    pub file: LakeFile,
    pub parts: KeyParts,
    /// Row-level checks that failed while it was written, and SQL checks that returned rows.
    pub violations: Vec<Violation>,
    /// Checks that only warn, where they found something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Violation>,
    /// Names of the checks that were made.
    pub checks: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RowCounts>,
    /// Of a mart: the exact sums of its columns of money, counts and points. Records of versions that kept none have
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<BTreeMap<String, String>>,
    /// A digest over each day's rows, where some model reads them up to the as-of date only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<BTreeMap<NaiveDate, Digest>>,
}

/// Partitions by model.
pub type Partitions = BTreeMap<String, BTreeMap<PartitionId, PartitionRecord>>;

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MartFile {
    /// Immutable; under the marts' root. An unchanged file keeps the path of the snapshot that wrote it.
    pub path: String,
    /// The stable path for BI tools.
    pub current: String,
    pub digest: Digest,
    pub size_bytes: u64,
    pub rows: u64,
    pub as_of: NaiveDate,
    pub origin: MartOrigin,
}

/// What a published file is made from; enough to make the same bytes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MartOrigin {
    Partition(LakeFile),
    RunLog,
    DataQuality,
}

/// One published mart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MartRecord {
    pub files: Vec<MartFile>,
    /// Column names and types, in order.
    pub schema: Vec<(String, String)>,
    /// The files' key-value metadata, sorted; and each column's.
    pub metadata: Vec<(String, String)>,
    pub column_metadata: BTreeMap<String, BTreeMap<String, String>>,
}

/// One line of the run log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLogRow {
    pub snapshot: u64,
    pub run_id: String,
    pub kind: String,
    pub as_of: NaiveDate,
    pub started_at: DateTime<Utc>,
    pub committed_at: DateTime<Utc>,
    pub partitions_built: u64,
    pub objects_read: u64,
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// The project as it was then, which the lake has under this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
}

/// The manifest of everything that a run stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub format: u32,
    pub number: u64,
    pub run_id: String,
    pub as_of: NaiveDate,
    pub engine: String,
    pub sources: BTreeMap<String, SourceState>,
    pub partitions: Partitions,
    /// Partitions as of the day before, where they differ and some model reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub eve: Partitions,
    pub marts: BTreeMap<String, MartRecord>,
    pub run_log: Vec<RunLogRow>,
}

impl Snapshot {
    /// All of a model's rows that this snapshot stands on.
    pub fn table(&self, model: &Model) -> TaskTable {
        let partitions = self.partitions.get(&model.name);
        let files = partitions.into_iter().flat_map(|p| p.values()).map(|record| &record.file);
        TaskTable::of_files(&model.name, model.schema(), files)
    }

    /// Every file of the lake that this snapshot stands on.
    pub fn files(&self) -> impl Iterator<Item = &LakeFile> {
        let extracted =
            self.sources.values().flat_map(|source| source.extracts.values()).flat_map(|extract| extract.files());
        let homes = self.sources.values().flat_map(|source| source.homes.files());
        let merged = self.sources.values().flat_map(|source| source.merged.values().flatten()).map(|m| &m.file);
        let records = self.partitions.values().chain(self.eve.values()).flat_map(|partitions| partitions.values());
        extracted.chain(homes).chain(merged).chain(records.map(|record| &record.file))
    }

    /// The newest committed snapshot, if there is one.
    pub async fn newest(lake: &Storage) -> Result<Option<Snapshot>> {
        match newest_number(lake).await? {
            Some(number) => Self::read(lake, number).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads a snapshot; if it is damaged or gone, its copy, which is then put in its place.
    ///
    /// # Errors
    /// [`Error::World`] when the copy is no better. An older snapshot isn't taken instead: objects that only this one
    /// knew, and that are gone from their source since, would be forgotten without a word.
    pub async fn read(lake: &Storage, number: u64) -> Result<Snapshot> {
        let found = match Self::read_at(lake, &lake::snapshot_path(number)).await {
            Ok(Some(snapshot)) => return Ok(snapshot),
            Ok(None) => None,
            Err(Error::Damaged(damage)) => Some(damage),
            Err(e) => return Err(e),
        };
        match Self::read_at(lake, &lake::snapshot_copy_path(number)).await {
            Ok(Some(copy)) => {
                let what = found.unwrap_or_else(|| Damage::new(&lake::snapshot_path(number), "it is gone"));
                tracing::warn!("{what}; its copy is put in its place");
                if let Err(e) = lake.put(&lake::snapshot_path(number), lake::to_json(&copy)?).await {
                    tracing::warn!("{e}");
                }
                Ok(copy)
            }
            Ok(None) if found.is_none() => {
                Err(Error::config(format!("there is no snapshot {number} in {}", lake.location())))
            }
            Ok(None) => Err(beyond_mending(lake, number, "has no copy")),
            Err(Error::Damaged(_)) => Err(beyond_mending(lake, number, "so is its copy")),
            Err(e) => Err(e),
        }
    }

    async fn read_at(lake: &Storage, path: &str) -> Result<Option<Snapshot>> {
        let Some(snapshot) = lake::read_json::<Snapshot>(lake, path).await? else { return Ok(None) };
        if snapshot.format != lake::FORMAT {
            return Err(Error::config(format!(
                "{} has the lake format {}, this binary writes format {}; use the binary that made it, or a new lake \
                 (everything in a lake can be rebuilt)",
                lake.location(),
                snapshot.format,
                lake::FORMAT
            )));
        }
        Ok(Some(snapshot))
    }

    /// Writes the copy, if it isn't there. A snapshot is the one object of the lake that no inputs can make again.
    pub async fn keep_copy(&self, lake: &Storage) -> Result<()> {
        let path = lake::snapshot_copy_path(self.number);
        let own = lake.head(&lake::snapshot_path(self.number)).await?;
        let copy = lake.head(&path).await?;
        // The own object was read or written whole a moment ago.
        if own.zip(copy).is_none_or(|(own, copy)| own.size != copy.size) {
            lake.put(&path, lake::to_json(self)?).await?;
        }
        Ok(())
    }

    /// Creates the snapshot's numbered object, then its copy. Exactly one of several runs that try the same number
    /// succeeds.
    ///
    /// # Errors
    /// [`Error::Lost`] when another run's snapshot is there; storage errors when it cannot be told.
    pub async fn commit(&self, lake: &Storage) -> Result<()> {
        lake.sync().await?;
        self.create(lake).await?;
        if let Err(e) = self.keep_copy(lake).await {
            tracing::warn!("snapshot {} is committed, and the next run will write its copy: {e}", self.number);
        }
        lake.sync().await
    }

    async fn create(&self, lake: &Storage) -> Result<()> {
        let path = lake::snapshot_path(self.number);
        let bytes = Bytes::from(lake::to_json(self)?);
        let mut tries = 0;
        loop {
            let attempt = lake.create(&path, bytes.clone()).await;
            if matches!(attempt, Ok(true)) {
                return Ok(());
            }
            // "Already exists", or an error that leaves it open whether the object landed: what is there decides.
            match lake::read_json::<Snapshot>(lake, &path).await? {
                Some(there) if there.run_id == self.run_id => return Ok(()),
                Some(_) => return Err(Error::Lost(self.number)),
                None if tries < 3 => {
                    tries += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(200 << tries)).await;
                }
                None => {
                    let unreadable = Error::world(&path, "the store says that it exists, and it cannot be read");
                    return Err(attempt.err().unwrap_or(unreadable));
                }
            }
        }
    }
}

fn beyond_mending(lake: &Storage, number: u64, copy: &str) -> Error {
    let (own, other) = (lake::snapshot_path(number), lake::snapshot_copy_path(number));
    Error::world(
        format!("snapshot {number} in {} is damaged, and {copy}", lake.location()),
        format!(
            "nothing was published, the marts stand as they are\n  hint: bring {own} back from a backup or an older \
             version of the object. Or move {own} and {other} away: the next run goes on from the snapshot before, reads \
             again what came since, and doesn't know of objects that only snapshot {number} had seen and that are gone"
        ),
    )
}

/// Numbers of all committed snapshots, ascending; also of those of which only the copy is left.
pub async fn numbers(lake: &Storage) -> Result<BTreeSet<u64>> {
    let objects = lake.list("snapshots").await?;
    let number = |path: &str| {
        let name = path.strip_prefix("snapshots/")?.strip_suffix(".json")?;
        name.strip_suffix(".copy").unwrap_or(name).parse().ok()
    };
    let mut numbers: BTreeSet<u64> = objects.iter().filter_map(|o| number(o.location.as_ref())).collect();
    // A listing may be older than what was committed last. A single object's presence never is.
    let mut next = numbers.last().map_or(1, |newest| newest + 1);
    while lake.head(&lake::snapshot_path(next)).await?.is_some() {
        numbers.insert(next);
        next += 1;
    }
    Ok(numbers)
}

/// The number of the newest committed snapshot.
pub async fn newest_number(lake: &Storage) -> Result<Option<u64>> {
    Ok(numbers(lake).await?.last().copied())
}
