//! The rows of contested keys: which version wins, and into which month they move.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};

use super::hash_key;
use crate::contract::SourceName;
use crate::engine::{Lifetime, with_delivery, writer_properties};
use crate::error::{Error, Result};
use crate::lake::{Digest, Fingerprint, KeyHasher, LakeFile, verified};
use crate::snapshot::{ExtractRecord, Homes, PartitionId, SourceState};
use crate::sources::Source;
use crate::storage::Storage;

/// One row of a contested key, as much of it as decides where the key lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub key: String,
    pub extract: Digest,
    partition: PartitionId,
    line: i64,
    content_hash: i64,
    updated_at: Option<i64>,
    /// Days since 1970.
    day: i32,
    /// Identifies the row within its key, for order lines.
    line_no: Option<String>,
}

fn schema() -> SchemaRef {
    let field = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("key", DataType::Utf8),
        field("extract", DataType::Utf8),
        field("partition", DataType::Utf8),
        field("line", DataType::Int64),
        field("content_hash", DataType::Int64),
        field("updated_at", DataType::Int64),
        field("day", DataType::Date32),
        field("line_no", DataType::Utf8),
    ]))
}

/// Rows as the last snapshot left them.
pub(super) async fn read(lake: &Storage, file: &LakeFile) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in reader(verified::read(lake, file).await?, None)? {
        let batch = batch?;
        let text = |i: usize| batch.column(i).as_string::<i32>().clone();
        let (keys, extracts, partitions, line_nos) = (text(0), text(1), text(2), text(7));
        let lines = batch.column(3).as_primitive::<Int64Type>();
        let hashes = batch.column(4).as_primitive::<Int64Type>();
        let versions = batch.column(5).as_primitive::<Int64Type>();
        let days = batch.column(6).as_primitive::<Date32Type>();
        for i in 0..batch.num_rows() {
            rows.push(Row {
                key: keys.value(i).to_owned(),
                extract: extracts.value(i).parse().map_err(Error::bug)?,
                partition: partitions.value(i).parse().map_err(Error::bug)?,
                line: lines.value(i),
                content_hash: hashes.value(i),
                updated_at: versions.is_valid(i).then(|| versions.value(i)),
                day: days.value(i),
                line_no: line_nos.is_valid(i).then(|| line_nos.value(i).to_owned()),
            });
        }
    }
    Ok(rows)
}

fn to_batch(rows: &[Row]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.key))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.extract.to_string()))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.partition.to_string()))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.line))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.content_hash))),
        Arc::new(rows.iter().map(|r| r.updated_at).collect::<Int64Array>()),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|r| r.day))),
        Arc::new(rows.iter().map(|r| r.line_no.clone()).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// Finds the rows of an extract whose keys' hashes are wanted.
pub(super) async fn find(
    lake: &Storage,
    source: &Source,
    extract: &ExtractRecord,
    wanted: &BTreeSet<u64>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (partition, file) in extract.rows.iter() {
        let Some(keys) = extract.keys.get(partition) else { continue };
        if !super::index::holds_any(lake, keys, wanted).await? {
            continue;
        }
        let bytes = verified::read(lake, file).await?;
        let needed = [source.home_key(), "line", "content_hash", "updated_at", "day", "line_no"];
        for batch in reader(bytes, Some(&needed))? {
            collect(&batch?, source.home_key(), wanted, &extract.key, *partition, &mut rows)?;
        }
    }
    Ok(rows)
}

fn collect(
    batch: &RecordBatch,
    key: &str,
    wanted: &BTreeSet<u64>,
    extract: &Digest,
    partition: PartitionId,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let column = |name: &str| batch.column_by_name(name);
    let require = |name: &str| column(name).ok_or_else(|| Error::bug(format!("extracted rows lack `{name}`")));
    let keys = require(key)?.as_string::<i32>();
    let lines = require("line")?.as_primitive::<Int64Type>();
    let hashes = require("content_hash")?.as_primitive::<Int64Type>();
    let days = require("day")?.as_primitive::<Date32Type>();
    let versions = column("updated_at").map(|c| c.as_primitive::<TimestampMicrosecondType>());
    let line_nos = column("line_no").map(|c| c.as_string::<i32>());
    for i in (0..batch.num_rows()).filter(|&i| wanted.contains(&hash_key(keys.value(i)))) {
        rows.push(Row {
            key: keys.value(i).to_owned(),
            extract: extract.clone(),
            partition,
            line: lines.value(i),
            content_hash: hashes.value(i),
            updated_at: versions.filter(|v| v.is_valid(i)).map(|v| v.value(i)),
            day: days.value(i),
            line_no: line_nos.filter(|n| n.is_valid(i)).map(|n| n.value(i).to_owned()),
        });
    }
    Ok(())
}

/// Sorts the rows and drops keys that lie in one month after all (their hash met another key's).
pub(super) fn keep_contested(rows: &mut Vec<Row>) {
    rows.sort();
    rows.dedup();
    let mut months: BTreeMap<String, BTreeSet<PartitionId>> = BTreeMap::new();
    for row in rows.iter() {
        months.entry(row.key.clone()).or_default().insert(row.partition);
    }
    rows.retain(|row| months[&row.key].len() > 1);
}

/// Decides each key's home and writes what leaves and what arrives, month by month. Months that `prior` has alike are
/// neither read nor written again.
pub(super) async fn resolve(
    lake: &Storage,
    source: &Source,
    rows: Vec<Row>,
    prior: Option<&SourceState>,
) -> Result<Homes> {
    let shelf = Shelf::new(lake, source, prior);
    let order = delivery_order(source);
    let mut homes = Homes::default();
    let mut departed: BTreeMap<PartitionId, Vec<String>> = BTreeMap::new();
    let mut arriving: BTreeMap<PartitionId, Vec<&Row>> = BTreeMap::new();
    for versions in rows.chunk_by(|a, b| a.key == b.key) {
        let home = home(source, versions, &order);
        for row in versions.iter().filter(|row| row.partition != home) {
            let gone = departed.entry(row.partition).or_default();
            if gone.last() != Some(&row.key) {
                gone.push(row.key.clone());
            }
            arriving.entry(home).or_default().push(row);
        }
    }
    for (partition, mut keys) in departed {
        keys.sort();
        keys.dedup();
        let column = Arc::new(StringArray::from(keys)) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([("key", column, true)])?;
        homes.departed.insert(partition, shelf.put(&batch).await?);
    }
    for (partition, rows) in arriving {
        let arrival = Arrival::of(source, partition, &rows);
        let name = arrival.name();
        let file = match shelf.known(&name) {
            Some(file) => file.clone(),
            None => shelf.put_as(&name, &arrival.rows(lake).await?).await?,
        };
        homes.arrived_from.insert(partition, rows.iter().map(|row| row.extract.clone()).collect());
        homes.arrived.insert(partition, file);
    }
    if !rows.is_empty() {
        homes.contested = Some(shelf.put(&to_batch(&rows)?).await?);
    }
    Ok(homes)
}

/// The small tables that a source's homes are kept in. What the last snapshot has of them isn't written again.
struct Shelf<'a> {
    lake: &'a Storage,
    dir: String,
    known: BTreeMap<&'a str, &'a LakeFile>,
}

impl<'a> Shelf<'a> {
    fn new(lake: &'a Storage, source: &Source, prior: Option<&'a SourceState>) -> Self {
        let files = prior.into_iter().flat_map(|prior| prior.homes.files());
        let known = files.map(|file| (file.path.as_str(), file)).collect();
        Self { lake, dir: format!("homes/{}", source.contract.source), known }
    }

    fn path(&self, name: &Digest) -> String {
        format!("{}/{name}.parquet", self.dir)
    }

    fn known(&self, name: &Digest) -> Option<&'a LakeFile> {
        self.known.get(self.path(name).as_str()).copied()
    }

    /// Stores a table under the digest of its bytes.
    async fn put(&self, batch: &RecordBatch) -> Result<LakeFile> {
        let bytes = encode(batch)?;
        let print = Fingerprint::of(&bytes);
        match self.known(&print.digest) {
            Some(file) => Ok(file.clone()),
            None => {
                let path = self.path(&print.digest);
                self.lake.put(&path, bytes).await?;
                Ok(print.at(path, batch.num_rows() as u64))
            }
        }
    }

    /// Stores a table under a name that says what it was made of.
    async fn put_as(&self, name: &Digest, batch: &RecordBatch) -> Result<LakeFile> {
        let (path, bytes) = (self.path(name), encode(batch)?);
        let print = Fingerprint::of(&bytes);
        self.lake.put(&path, bytes).await?;
        Ok(print.at(path, batch.num_rows() as u64))
    }
}

fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(writer_properties(Lifetime::Kept)?))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(bytes)
}

/// The newest delivery of each extract: the rank of its object's path among all of the source's.
fn delivery_order(source: &Source) -> BTreeMap<&Digest, usize> {
    let names: BTreeSet<&str> = source.state.objects.keys().map(|path| source.delivery(path)).collect();
    let ranks: BTreeMap<&str, usize> = names.into_iter().zip(0..).collect();
    let newest = source.state.objects.iter().map(|(path, object)| (&object.extract, ranks[source.delivery(path)]));
    newest.fold(BTreeMap::new(), |mut order, (extract, rank)| {
        let slot = order.entry(extract).or_insert(rank);
        *slot = rank.max(*slot);
        order
    })
}

/// The month of a key's winning version; for order lines, of the earliest winning line.
fn home(source: &Source, versions: &[Row], order: &BTreeMap<&Digest, usize>) -> PartitionId {
    let age = |row: &&Row| (row.updated_at, order.get(&row.extract).copied(), row.line, row.content_hash);
    if source.contract.source != SourceName::OrderItems {
        return versions.iter().max_by_key(age).map_or(PartitionId::Whole, |row| row.partition);
    }
    let mut winners: Vec<&Row> = Vec::new();
    let newest = versions.iter().map(|row| order.get(&row.extract)).max().flatten();
    let whole = versions.iter().all(|row| row.line_no.is_none());
    if whole {
        winners.extend(versions.iter().filter(|row| order.get(&row.extract) == newest));
    } else {
        let mut lines: BTreeMap<&Option<String>, &Row> = BTreeMap::new();
        for row in versions {
            let best = lines.entry(&row.line_no).or_insert(row);
            if age(&row) > age(&&**best) {
                *best = row;
            }
        }
        winners.extend(lines.into_values());
    }
    winners.iter().min_by_key(|row| row.day).map_or(PartitionId::Whole, |row| row.partition)
}

/// The full rows that move into a month, each once per object that brought it, with their deliveries' ranks.
struct Arrival<'a> {
    source: &'a Source,
    schema: SchemaRef,
    /// Line numbers by where they were found.
    lines: BTreeMap<(&'a Digest, PartitionId), BTreeSet<i64>>,
    ranks: BTreeMap<&'a Digest, Vec<i64>>,
}

impl<'a> Arrival<'a> {
    fn of(source: &'a Source, home: PartitionId, rows: &[&'a Row]) -> Self {
        let mut lines: BTreeMap<(&Digest, PartitionId), BTreeSet<i64>> = BTreeMap::new();
        for row in rows {
            lines.entry((&row.extract, row.partition)).or_default().insert(row.line);
        }
        let ranks = source.arrival_ranks(home, lines.keys().map(|(extract, _)| *extract));
        Self { source, schema: with_delivery(&source.schema()), lines, ranks }
    }

    /// Equal for equal rows: those of an extract never change.
    fn name(&self) -> Digest {
        let mut hasher = KeyHasher::new("arrived rows");
        for field in self.schema.fields() {
            hasher.part("column", &format!("{} {}", field.name(), field.data_type()));
        }
        for ((extract, partition), lines) in &self.lines {
            hasher.part("extract", &extract.hex()).part("partition", &partition.to_string());
            lines.iter().for_each(|line| _ = hasher.part("line", &line.to_string()));
            let ranks = self.ranks.get(extract).into_iter().flatten();
            ranks.for_each(|rank| _ = hasher.part("rank", &rank.to_string()));
        }
        hasher.finish()
    }

    async fn rows(&self, lake: &Storage) -> Result<RecordBatch> {
        let mut batches = Vec::new();
        for ((extract, partition), lines) in &self.lines {
            let Some(file) = self.source.state.extracts.get(*extract).and_then(|e| e.rows.get(partition)) else {
                continue;
            };
            for batch in reader(verified::read(lake, file).await?, None)? {
                let batch = batch?;
                let Some(numbers) = batch.column_by_name("line") else { continue };
                let chosen: BooleanArray = numbers
                    .as_primitive::<Int64Type>()
                    .iter()
                    .map(|l| Some(l.is_some_and(|l| lines.contains(&l))))
                    .collect();
                let moved = filter_record_batch(&batch, &chosen)?;
                for rank in self.ranks.get(extract).into_iter().flatten() {
                    let delivery = Arc::new(Int64Array::from(vec![*rank; moved.num_rows()])) as ArrayRef;
                    let columns = moved.columns().iter().cloned().chain([delivery]).collect();
                    batches.push(RecordBatch::try_new(self.schema.clone(), columns)?);
                }
            }
        }
        Ok(concat_batches(&self.schema, &batches)?)
    }
}

fn reader(bytes: Bytes, columns: Option<&[&str]>) -> Result<ParquetRecordBatchReader> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let builder = match columns {
        None => builder,
        Some(names) => {
            let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
            builder.with_projection(mask)
        }
    };
    Ok(builder.build()?)
}
