//! The sources of a run: their objects, what was extracted from them, and what each month's staging reads of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use arrow::datatypes::SchemaRef;

use crate::calendar::Month;
use crate::compact::{Flat, Shared};
use crate::contract::{Contract, SourceName};
use crate::engine::{ScanFile, TaskTable};
use crate::extract;
use crate::lake::{Digest, KeyHasher, LakeFile};
use crate::snapshot::{ObjectRecord, PartitionId, SourceState};

/// One source: its contract, and its state if it is configured.
#[derive(Debug, Clone)]
pub struct Source {
    pub contract: Contract,
    pub configured: bool,
    /// One delivery is a folder of objects, not one object.
    pub by_folder: bool,
    pub state: SourceState,
    index: OnceLock<Index>,
}

/// Which objects bring which partition's rows: every partition asks, and there may be a hundred thousand objects. It
/// tells of objects and extracts alone, which stay as they are; homes are settled later.
#[derive(Debug, Clone, Default)]
struct Index {
    /// Each extract with a path that brought it, in order.
    paths: Box<[(Digest, Box<str>)]>,
    /// Each in order.
    extracts: BTreeMap<PartitionId, Vec<Digest>>,
}

impl Index {
    fn of(state: &SourceState) -> Self {
        let brought = |(path, object): (&String, &Shared<ObjectRecord>)| (object.extract.clone(), path.as_str().into());
        let mut paths: Box<[(Digest, Box<str>)]> = state.objects.iter().map(brought).collect();
        paths.sort_unstable();
        let mut extracts: BTreeMap<PartitionId, Vec<Digest>> = BTreeMap::new();
        for same in paths.chunk_by(|(a, _), (b, _)| a == b) {
            for partition in state.extracts.get(&same[0].0).into_iter().flat_map(|record| record.rows.keys()) {
                extracts.entry(*partition).or_default().push(same[0].0.clone());
            }
        }
        Self { paths, extracts }
    }

    fn paths(&self, extract: &Digest) -> impl Iterator<Item = &str> {
        let first = self.paths.partition_point(|(own, _)| own < extract);
        self.paths[first..].iter().take_while(move |(own, _)| own == extract).map(|(_, path)| &**path)
    }
}

/// All sources, by name; one that isn't configured is an empty table with its schema.
#[derive(Debug, Clone)]
pub struct Sources(pub BTreeMap<String, Source>);

/// One object's file in a partition, with the rank of its delivery among the partition's.
#[derive(Debug, Clone, Copy)]
pub struct Delivered<'a> {
    pub rank: i64,
    pub extract: &'a Digest,
    pub file: &'a LakeFile,
}

/// The delivery that an object belongs to: itself, or its folder.
pub fn delivery(path: &str, by_folder: bool) -> &str {
    if by_folder { path.rsplit_once('/').map_or("", |(folder, _)| folder) } else { path }
}

/// A source's rows, by what extraction made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub read: u64,
    /// Good rows of content that the same delivery brought before: a file that lies twice in one folder is read once.
    pub repeated: u64,
    /// By rule, as the next two.
    pub rejected: BTreeMap<String, u64>,
    pub skipped: BTreeMap<String, u64>,
    pub warnings: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts each object once, as often as it was delivered.
    pub fn of(state: &SourceState) -> Self {
        let mut tally = Self::default();
        let mut seen = BTreeSet::new();
        for (path, object) in &state.objects {
            let Some(extract) = state.extracts.get(&object.extract) else { continue };
            tally.read += extract.read;
            add_all(&mut tally.rejected, &extract.rejected);
            add_all(&mut tally.skipped, &extract.skipped);
            add_all(&mut tally.warnings, &extract.warnings);
            if !seen.insert((delivery(path, state.by_folder), &object.extract)) {
                tally.repeated += extract.extracted_rows();
            } else if let Some(orphans) = state.homes.orphans.get(&extract.key) {
                *tally.rejected.entry(ORDER_MISSING.to_owned()).or_default() += orphans.rows;
            }
        }
        tally
    }

    pub fn rejected_rows(&self) -> u64 {
        self.rejected.values().sum()
    }

    pub fn skipped_rows(&self) -> u64 {
        self.skipped.values().sum()
    }
}

/// The rule of lines whose order no source has.
pub const ORDER_MISSING: &str = "order_missing";

fn add_all(into: &mut BTreeMap<String, u64>, counts: &Flat<String, u64>) {
    for (name, count) in counts.iter() {
        *into.entry(name.clone()).or_default() += count;
    }
}

impl Source {
    pub fn new(contract: Contract, configured: bool, by_folder: bool, state: SourceState) -> Self {
        Self { contract, configured, by_folder, state, index: OnceLock::new() }
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.state))
    }

    /// The column whose hash decides a row's home month.
    pub fn home_key(&self) -> &'static str {
        self.contract.key[0]
    }

    /// Rows without a day of their own follow their order's home month.
    pub fn follows_orders(&self) -> bool {
        self.contract.source == SourceName::OrderItems && self.contract.time.is_none()
    }

    pub fn schema(&self) -> SchemaRef {
        extract::schema(&self.contract)
    }

    /// The delivery that an object belongs to.
    pub fn delivery<'a>(&self, path: &'a str) -> &'a str {
        delivery(path, self.by_folder)
    }

    /// An object's file in a partition.
    fn file_in(&self, extract: &Digest, partition: PartitionId) -> Option<&LakeFile> {
        let record = self.state.extracts.get(extract)?;
        if self.follows_orders() && partition != PartitionId::Whole {
            let touches = self.state.homes.touched.get(extract)?.contains(&partition);
            return record.rows.get(&PartitionId::Whole).filter(|_| touches);
        }
        record.rows.get(&partition)
    }

    /// The files of a partition in path order, ranked by delivery. Only the order of the paths counts,
    /// so moving a whole folder elsewhere changes nothing.
    pub fn delivered(&self, partition: PartitionId) -> Vec<Delivered<'_>> {
        let moved = self.state.homes.arrived_from.get(&partition).into_iter().flatten();
        let objects = self.objects(self.extracts_in(partition).into_iter().chain(moved));
        let ranks = self.ranks(&objects);
        let mut seen = BTreeSet::new();
        let files = objects.iter().filter_map(|(path, extract)| {
            let file = self.file_in(extract, partition)?;
            let rank = ranks[self.delivery(path)];
            seen.insert((rank, *extract)).then_some(Delivered { rank, extract, file })
        });
        files.collect()
    }

    /// The ranks, in a month, of the deliveries that brought some extracts which lie in other months' files.
    pub fn arrival_ranks<'a>(
        &self,
        home: PartitionId,
        extracts: impl Iterator<Item = &'a Digest>,
    ) -> BTreeMap<&'a Digest, Vec<i64>> {
        let arriving: BTreeSet<&Digest> = extracts.collect();
        let objects = self.objects(self.extracts_in(home).into_iter().chain(arriving.iter().copied()));
        let ranks = self.ranks(&objects);
        let of = |extract: &Digest| {
            let paths = self.index().paths(extract);
            let distinct: BTreeSet<i64> = paths.map(|path| ranks[self.delivery(path)]).collect();
            distinct.into_iter().collect()
        };
        arriving.iter().map(|extract| (*extract, of(extract))).collect()
    }

    /// The extracts that have rows of their own in a partition.
    fn extracts_in(&self, partition: PartitionId) -> Vec<&Digest> {
        if self.follows_orders() && partition != PartitionId::Whole {
            let touched = self.state.homes.touched.iter();
            return touched.filter(|(_, months)| months.contains(&partition)).map(|(extract, _)| extract).collect();
        }
        self.index().extracts.get(&partition).into_iter().flatten().collect()
    }

    /// Every object that brought one of some extracts, in lexical order of their paths.
    fn objects<'a>(&'a self, extracts: impl Iterator<Item = &'a Digest>) -> BTreeMap<&'a str, &'a Digest> {
        let of = |extract: &'a Digest| self.index().paths(extract).map(move |path| (path, extract));
        extracts.flat_map(of).collect()
    }

    /// Ranks the deliveries of some objects, in lexical order.
    fn ranks<'a>(&self, objects: &BTreeMap<&'a str, &Digest>) -> BTreeMap<&'a str, i64> {
        let deliveries: BTreeSet<&str> = objects.keys().map(|path| delivery(path, self.by_folder)).collect();
        deliveries.into_iter().zip(0..).collect()
    }

    /// Months in which the source has rows.
    pub fn months(&self) -> BTreeSet<Month> {
        let partitions = self.state.extracts.values().flat_map(|e| e.rows.keys());
        partitions
            .filter_map(|p| match p {
                PartitionId::Month(month) => Some(*month),
                PartitionId::Whole => None,
            })
            .collect()
    }

    /// A digest of everything that a staging partition reads of this source.
    fn input_digest(&self, partition: PartitionId) -> Digest {
        let mut hasher = KeyHasher::new("source");
        for delivered in self.delivered(partition) {
            hasher.part("rank", &delivered.rank.to_string()).part("digest", &delivered.file.digest.hex());
        }
        let homes = &self.state.homes;
        for (label, file) in [("departed", homes.departed.get(&partition)), ("arrived", homes.arrived.get(&partition))]
        {
            if let Some(file) = file {
                hasher.part(label, &file.digest.hex());
            }
        }
        hasher.finish()
    }

    /// The rows of a partition as staging sees them: keys that live elsewhere are gone, those that live here are here.
    pub fn task_table(&self, partition: PartitionId) -> TaskTable {
        let ranked = |d: &Delivered<'_>| ScanFile { delivery: Some(d.rank), ..ScanFile::from(d.file) };
        let homes = &self.state.homes;
        TaskTable {
            name: self.contract.source.to_string(),
            source: true,
            schema: self.schema(),
            files: self.delivered(partition).iter().map(ranked).collect(),
            departed: homes.departed.get(&partition).map(|file| (self.home_key().to_owned(), ScanFile::from(file))),
            arrived: homes.arrived.get(&partition).map(ScanFile::from),
            until: None,
            sorted_by: vec![],
        }
    }
}

impl Sources {
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }

    /// Every month in which some source has rows.
    pub fn months(&self) -> BTreeSet<Month> {
        self.0.values().flat_map(Source::months).collect()
    }

    pub fn input_digest(&self, name: &str, partition: PartitionId) -> Digest {
        match self.0.get(name) {
            Some(source) => source.input_digest(partition),
            None => KeyHasher::new("no such source").finish(),
        }
    }
}
