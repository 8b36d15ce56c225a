//! Publishing: a committed snapshot's marts, made readable.
//!
//! The snapshot names every published file with its digest and what it is made from, so everything here is a
//! repair: it brings the marts' store to what the newest snapshot says, from whatever state it is in. A run that
//! dies after its commit is healed by the next one.
//!
//! Invariant: what `current.json` names is immutable. Whoever reads through it sees one run, whole.

pub mod reports;
mod splice;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use crate::build::Built;
use crate::error::{Error, Result};
use crate::lake::{self, Digest, HashingWriter, verified};
use crate::model::{Catalog, Model, Table};
use crate::plan::Ground;
use crate::snapshot::{MartFile, MartOrigin, MartRecord, PartitionId, Snapshot, newest_number};
use crate::storage::Storage;

/// The object that says which snapshot is current.
pub const CURRENT: &str = "current.json";
const READS_AT_ONCE: usize = 8;
/// Files that are made side by side: a thread each, and disk more than memory.
const MADE_AT_ONCE: usize = 4;

/// `current.json`: one run's marts, by immutable path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    pub format: u32,
    pub snapshot: u64,
    /// The run that committed it: another lake's snapshot may have the same number.
    pub run_id: String,
    pub as_of: NaiveDate,
    pub marts: BTreeMap<String, CurrentMart>,
    /// The files of its as-of date under `history/`, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub history: BTreeMap<String, DatedFile>,
}

/// A mart's file of one as-of date: the bytes as published last for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedFile {
    pub etag: Option<String>,
    pub digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentMart {
    pub rows: u64,
    /// Column names and types, in order.
    pub columns: Vec<(String, String)>,
    pub files: Vec<CurrentFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentFile {
    /// Immutable.
    pub path: String,
    pub etag: Option<String>,
    /// The stable path for tools that want one; replaced by later runs.
    pub current: String,
    pub current_etag: Option<String>,
    pub size_bytes: u64,
    pub rows: u64,
    pub as_of: NaiveDate,
    pub digest: Digest,
}

/// Writes published files into local scratch, and remembers where.
pub struct Workshop<'a> {
    pub lake: &'a Storage,
    pub marts: &'a Storage,
    pub scratch: &'a Path,
    /// The marts of which every as-of date's file is kept.
    pub history: &'a [String],
}

/// The published files of a run, by name: made, but not yet anywhere but in local scratch.
pub struct Prepared {
    pub marts: BTreeMap<String, MartRecord>,
    local: BTreeMap<String, PathBuf>,
    _dir: tempfile::TempDir,
}

impl Workshop<'_> {
    /// Makes the published files of all marts. A file whose content, date and docs are those of the snapshot
    /// before keeps its path and isn't made again.
    pub async fn prepare(
        &self,
        number: u64,
        ground: &Ground<'_>,
        built: &Built,
        prior: Option<&Snapshot>,
    ) -> Result<Prepared> {
        let dir = tempfile::tempdir_in(self.scratch)?;
        let mut prepared = Prepared { marts: BTreeMap::new(), local: BTreeMap::new(), _dir: dir };
        let mut open = Vec::new();
        for model in ground.catalog.marts() {
            let mut record = describe(ground, model);
            let before = prior.and_then(|p| p.marts.get(&model.name)).filter(|b| same_shape(b, &record));
            for (partition, built) in built.partitions.get(&model.name).into_iter().flatten() {
                let as_of = match partition {
                    PartitionId::Whole => ground.as_of,
                    PartitionId::Month(month) => ground.calendar.last_day(*month).min(ground.as_of),
                };
                let stem = match partition {
                    PartitionId::Whole => format!("{}.parquet", model.name),
                    PartitionId::Month(month) => format!("{}/{month}.parquet", model.name),
                };
                let file = MartFile {
                    path: snapshot_path(number, &stem),
                    current: format!("current/{stem}"),
                    digest: built.file.digest.clone(),
                    size_bytes: 0,
                    rows: built.file.rows,
                    as_of,
                    origin: MartOrigin::Partition(built.file.clone()),
                };
                let unchanged = before.and_then(|b| b.files.iter().find(|f| same_content(f, &file)));
                match unchanged {
                    Some(published) => record.files.push(published.clone()),
                    None => {
                        let local = prepared._dir.path().join(stem.replace('/', "-"));
                        open.push((model.name.clone(), record.files.len(), local));
                        record.files.push(file);
                    }
                }
            }
            prepared.marts.insert(model.name.clone(), record);
        }
        let shared = |(name, mart): (&String, &MartRecord)| (name.clone(), Arc::new(mart.clone()));
        let described: BTreeMap<String, Arc<MartRecord>> = prepared.marts.iter().map(shared).collect();
        let make = |(name, place, local): (String, usize, PathBuf)| {
            let (lake, scratch, mart) = (self.lake.clone(), self.scratch.to_owned(), Arc::clone(&described[&name]));
            let (file, path) = (mart.files[place].clone(), local.clone());
            let making = tokio::spawn(async move { made(&lake, &scratch, file, &mart, &path).await });
            async move { Ok::<_, Error>((name, place, local, making.await.map_err(Error::bug)??)) }
        };
        let made: Vec<_> = futures::stream::iter(open).map(make).buffered(MADE_AT_ONCE).try_collect().await?;
        for (name, place, local, file) in made {
            prepared.local.insert(file.path.clone(), local);
            if let Some(mart) = prepared.marts.get_mut(&name) {
                mart.files[place] = file;
            }
        }
        Ok(prepared)
    }

    /// Adds the marts that tell of the snapshot itself.
    pub fn add_reports(&self, snapshot: &mut Snapshot, prepared: &mut Prepared) -> Result<()> {
        for report in &reports::REPORTS {
            let name = report.name;
            let mut file = MartFile {
                path: snapshot_path(snapshot.number, &format!("{name}.parquet")),
                current: format!("current/{name}.parquet"),
                digest: Digest::of(b""),
                size_bytes: 0,
                rows: 0,
                as_of: snapshot.as_of,
                origin: report.origin.clone(),
            };
            let mut record = describe_report(report);
            let local = prepared._dir.path().join(format!("{name}.parquet"));
            write_report(&mut file, &mut record, snapshot, &local)?;
            prepared.local.insert(file.path.clone(), local);
            record.files.push(file);
            snapshot.marts.insert(name.to_owned(), record);
        }
        Ok(())
    }

    /// The reports of a snapshot whose other marts are published already.
    pub async fn reports_of(&self, snapshot: &mut Snapshot) -> Result<Prepared> {
        let dir = tempfile::tempdir_in(self.scratch)?;
        let mut prepared = Prepared { marts: BTreeMap::new(), local: BTreeMap::new(), _dir: dir };
        self.add_reports(snapshot, &mut prepared)?;
        Ok(prepared)
    }

    /// Brings the marts' store to what the snapshot says. `prepared` saves making files that are made already.
    pub async fn publish(&self, snapshot: &Snapshot, prepared: Option<&Prepared>) -> Result<()> {
        let known: Option<Current> = lake::read_json(self.marts, CURRENT).await.unwrap_or_default();
        let there = self.listed("current").await?;
        if let Some(known) = known.as_ref().filter(|k| k.run_id == snapshot.run_id && k.is_intact(&there))
            && self.has_history(snapshot, known).await?
        {
            return Ok(());
        }
        if self.is_overtaken(snapshot).await? {
            return Ok(());
        }
        let immutable = self.listed("snapshots").await?;
        let known = known.filter(|k| k.files().all(|file| immutable.contains_key(&file.path)));
        let names: BTreeMap<&str, &MartRecord> =
            snapshot.marts.iter().map(|(name, mart)| (name.as_str(), mart)).collect();
        let files = names.values().flat_map(|mart| mart.files.iter().map(move |file| (*mart, file)));
        let published: BTreeMap<String, CurrentFile> = futures::stream::iter(files)
            .map(|(mart, file)| self.place(snapshot, mart, file, prepared, known.as_ref(), &there))
            .buffered(READS_AT_ONCE)
            .map_ok(|file| (file.path.clone(), file))
            .try_collect()
            .await?;
        let marts = names.iter().map(|(name, mart)| ((*name).to_owned(), current_mart(mart, &published))).collect();
        let history = self.keep_history(snapshot, known.as_ref()).await?;
        let current = Current {
            format: lake::FORMAT,
            snapshot: snapshot.number,
            run_id: snapshot.run_id.clone(),
            as_of: snapshot.as_of,
            marts,
            history,
        };
        self.marts.sync().await?;
        if self.is_overtaken(snapshot).await? {
            return Ok(());
        }
        self.marts.put(CURRENT, lake::to_json(&current)?).await?;
        self.remove_stale(&current, &there).await?;
        self.marts.sync().await
    }

    /// Whether another run has committed a newer snapshot meanwhile: publishing is its task then.
    async fn is_overtaken(&self, snapshot: &Snapshot) -> Result<bool> {
        Ok(newest_number(self.lake).await?.is_some_and(|newest| newest > snapshot.number))
    }

    /// Puts one file at its immutable path and at its stable one, where it isn't there yet.
    async fn place(
        &self,
        snapshot: &Snapshot,
        mart: &MartRecord,
        file: &MartFile,
        prepared: Option<&Prepared>,
        known: Option<&Current>,
        there: &BTreeMap<String, Option<String>>,
    ) -> Result<CurrentFile> {
        let before = known.and_then(|k| k.file(&file.path)).filter(|k| k.digest == file.digest);
        let etag = match before {
            Some(before) => before.etag.clone(),
            None => self.put_immutable(snapshot, mart, file, prepared).await?,
        };
        let kept = before.filter(|b| there.get(&file.current) == Some(&b.current_etag));
        let current_etag = match kept {
            Some(kept) => kept.current_etag.clone(),
            None => {
                self.marts.copy(&file.path, &file.current).await?;
                self.marts.head(&file.current).await?.and_then(|meta| meta.e_tag)
            }
        };
        Ok(CurrentFile {
            path: file.path.clone(),
            etag,
            current: file.current.clone(),
            current_etag,
            size_bytes: file.size_bytes,
            rows: file.rows,
            as_of: file.as_of,
            digest: file.digest.clone(),
        })
    }

    /// The files of which history is kept, with their paths there.
    fn dated<'s>(&self, snapshot: &'s Snapshot) -> Vec<(String, &'s MartFile)> {
        let marts = self.history.iter().filter_map(|name| Some((name, snapshot.marts.get(name)?)));
        let whole = marts.filter_map(|(name, mart)| match mart.files.as_slice() {
            [file] if file.current == format!("current/{name}.parquet") => Some((name, file)),
            _ => None,
        });
        whole.map(|(name, file)| (format!("history/{name}/as_of={}.parquet", file.as_of), file)).collect()
    }

    async fn has_history(&self, snapshot: &Snapshot, known: &Current) -> Result<bool> {
        for (path, file) in self.dated(snapshot) {
            if self.dated_file(&path, file, known).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What lies in the history, if it is what was put there of these bytes.
    async fn dated_file(&self, path: &str, file: &MartFile, known: &Current) -> Result<Option<DatedFile>> {
        let Some(before) = known.history.get(path).filter(|before| before.digest == file.digest) else {
            return Ok(None);
        };
        let there = self.marts.head(path).await?;
        Ok(there.is_some_and(|meta| meta.e_tag == before.etag).then(|| before.clone()))
    }

    /// Copies the marts of which history is kept to where their date's file belongs.
    async fn keep_history(&self, snapshot: &Snapshot, known: Option<&Current>) -> Result<BTreeMap<String, DatedFile>> {
        let mut history = BTreeMap::new();
        for (path, file) in self.dated(snapshot) {
            let before = match known {
                Some(known) => self.dated_file(&path, file, known).await?,
                None => None,
            };
            let dated = match before {
                Some(before) => before,
                None => {
                    self.marts.copy(&file.path, &path).await?;
                    let etag = self.marts.head(&path).await?.and_then(|meta| meta.e_tag);
                    DatedFile { etag, digest: file.digest.clone() }
                }
            };
            history.insert(path, dated);
        }
        Ok(history)
    }

    async fn put_immutable(
        &self,
        snapshot: &Snapshot,
        mart: &MartRecord,
        file: &MartFile,
        prepared: Option<&Prepared>,
    ) -> Result<Option<String>> {
        // What was put before may have been moved.
        match prepared.and_then(|p| p.local.get(&file.path)).filter(|local| local.exists()) {
            Some(local) => self.marts.put_file(&file.path, local).await?,
            None => {
                let dir = tempfile::tempdir_in(self.scratch)?;
                let local = dir.path().join("again.parquet");
                let mut again = file.clone();
                match &file.origin {
                    MartOrigin::Partition(_) => again = made(self.lake, self.scratch, again, mart, &local).await?,
                    MartOrigin::RunLog | MartOrigin::DataQuality => {
                        write_report(&mut again, &mut mart.clone(), snapshot, &local)?;
                    }
                }
                if again.digest != file.digest {
                    return Err(Error::bug(format!(
                        "{} was made again with other bytes than snapshot {} says",
                        file.path, snapshot.number
                    )));
                }
                self.marts.put_file(&file.path, &local).await?;
            }
        }
        Ok(self.marts.head(&file.path).await?.and_then(|meta| meta.e_tag))
    }

    async fn listed(&self, prefix: &str) -> Result<BTreeMap<String, Option<String>>> {
        let objects = self.marts.list(prefix).await?;
        Ok(objects.into_iter().map(|meta| (meta.location.to_string(), meta.e_tag)).collect())
    }

    /// Removes stable paths of marts and months that are no more.
    async fn remove_stale(&self, current: &Current, there: &BTreeMap<String, Option<String>>) -> Result<()> {
        let named: BTreeSet<&str> = current.files().map(|file| file.current.as_str()).collect();
        for path in there.keys().filter(|path| !named.contains(path.as_str())) {
            self.marts.delete(path).await?;
        }
        Ok(())
    }
}

impl Current {
    fn files(&self) -> impl Iterator<Item = &CurrentFile> {
        self.marts.values().flat_map(|mart| &mart.files)
    }

    fn file(&self, path: &str) -> Option<&CurrentFile> {
        self.files().find(|file| file.path == path)
    }

    fn is_intact(&self, there: &BTreeMap<String, Option<String>>) -> bool {
        let named: BTreeSet<&str> = self.files().map(|file| file.current.as_str()).collect();
        self.files().all(|file| there.get(&file.current) == Some(&file.current_etag))
            && there.keys().all(|path| named.contains(path.as_str()))
    }
}

/// A published file, written from its partition in the lake: with its digest and size.
async fn made(lake: &Storage, scratch: &Path, file: MartFile, mart: &MartRecord, local: &Path) -> Result<MartFile> {
    let MartOrigin::Partition(partition) = &file.origin else {
        return Err(Error::bug("a report has no partition"));
    };
    let input = verified::open(lake, partition, scratch).await?;
    let built: SchemaRef = ParquetRecordBatchReaderBuilder::try_new(input.try_clone()?)?.schema().clone();
    let sorted_by =
        mart.metadata.iter().find(|(k, _)| k == "bazgasht.grain").map_or(0, |(_, grain)| leading(&built, grain));
    let splice::Spliced { print, rows } = splice::splice(&input, local, &built, mart, file.as_of, sorted_by)?;
    Ok(MartFile { digest: print.digest, size_bytes: print.size_bytes, rows, ..file })
}

/// Where something of a snapshot lies in the marts' store, for good.
pub fn snapshot_path(number: u64, name: &str) -> String {
    format!("snapshots/{number:010}/{name}")
}

fn current_mart(mart: &MartRecord, published: &BTreeMap<String, CurrentFile>) -> CurrentMart {
    let files: Vec<CurrentFile> = mart.files.iter().filter_map(|file| published.get(&file.path)).cloned().collect();
    CurrentMart { rows: files.iter().map(|f| f.rows).sum(), columns: mart.schema.clone(), files }
}

fn same_shape(before: &MartRecord, now: &MartRecord) -> bool {
    before.schema == now.schema && before.metadata == now.metadata && before.column_metadata == now.column_metadata
}

fn same_content(before: &MartFile, now: &MartFile) -> bool {
    before.current == now.current && before.as_of == now.as_of && before.origin == now.origin
}

/// How many of the leading columns are the grain's, which the rows are sorted by.
fn leading(schema: &Schema, grain: &str) -> usize {
    let grain: Vec<&str> = grain.split(", ").collect();
    schema.fields().iter().zip(&grain).take_while(|(field, key)| field.name() == **key).count()
}

/// A mart's shape and docs, without files. A mart that stands on a source which isn't configured says so: that is why
/// it is empty, or some of its columns are NULL.
fn describe(ground: &Ground<'_>, model: &Model) -> MartRecord {
    let columns =
        model.columns.iter().map(|c| (c.name.clone(), c.data_type.to_string(), c.doc.clone(), c.unit.clone()));
    let mut mart = record(&model.description, &model.grain, columns);
    let missing: Vec<String> = ground.catalog.stands_on(model).into_iter().filter_map(|t| missing(ground, t)).collect();
    if !missing.is_empty() {
        mart.metadata.push(("bazgasht.missing_sources".to_owned(), missing.join(", ")));
    }
    mart
}

fn missing(ground: &Ground<'_>, table: Table) -> Option<String> {
    match table {
        Table::Source(name) => ground.sources.get(&name).is_some_and(|s| !s.configured).then_some(name),
        Table::Model(_) => None,
    }
}

const AS_OF_DOC: &str = "The last business day that counts in this row.";

fn describe_report(report: &reports::Report) -> MartRecord {
    let columns = report.columns.iter().map(|(name, doc)| ((*name).to_owned(), String::new(), (*doc).to_owned(), None));
    let grain: Vec<String> = report.grain.iter().map(|&column| column.to_owned()).collect();
    record(report.description, &grain, columns)
}

fn record(
    description: &str,
    grain: &[String],
    columns: impl Iterator<Item = (String, String, String, Option<String>)>,
) -> MartRecord {
    let mut mart = MartRecord {
        files: vec![],
        schema: vec![],
        metadata: vec![
            ("bazgasht.description".to_owned(), description.to_owned()),
            ("bazgasht.format".to_owned(), lake::FORMAT.to_string()),
            ("bazgasht.grain".to_owned(), grain.join(", ")),
        ],
        column_metadata: BTreeMap::new(),
    };
    let as_of = ("as_of".to_owned(), "Date32".to_owned(), AS_OF_DOC.to_owned(), None);
    for (name, data_type, doc, unit) in columns.chain([as_of]) {
        let mut about = BTreeMap::from([("doc".to_owned(), doc)]);
        about.extend(unit.map(|unit| ("unit".to_owned(), unit)));
        mart.column_metadata.insert(name.clone(), about);
        mart.schema.push((name, data_type));
    }
    let docs = serde_json::to_string(&mart.column_metadata).unwrap_or_default();
    mart.metadata.insert(0, ("bazgasht.columns".to_owned(), docs));
    mart
}

fn write_report(file: &mut MartFile, mart: &mut MartRecord, snapshot: &Snapshot, local: &Path) -> Result<()> {
    let batch = match file.origin {
        MartOrigin::RunLog => reports::run_log(snapshot)?,
        _ => reports::data_quality(snapshot)?,
    };
    let dates = arrow::array::Date32Array::from(vec![
        arrow::datatypes::Date32Type::from_naive_date(file.as_of);
        batch.num_rows()
    ]);
    let schema = splice::published_schema(&batch.schema(), mart);
    mart.schema = schema.fields().iter().map(|f| (f.name().clone(), f.data_type().to_string())).collect();
    let columns = batch.columns().iter().cloned().chain([Arc::new(dates) as arrow::array::ArrayRef]).collect();
    let schema = Arc::new(schema);
    let batch = arrow::array::RecordBatch::try_new(schema.clone(), columns)?;
    let properties = splice::published_properties(&schema, mart, file.as_of, 0)?;
    let out = HashingWriter::new(File::create(local)?);
    let mut writer = ArrowWriter::try_new(out, schema, Some(properties))?;
    writer.write(&batch)?;
    let (_, print) = writer.into_inner()?.finish();
    (file.digest, file.size_bytes, file.rows) = (print.digest, print.size_bytes, batch.num_rows() as u64);
    Ok(())
}

/// The number of the snapshot whose marts are current; 0 where none is, or where it can't be read.
///
/// A lake that lost its newest snapshots, or all of them, must not use their numbers again: what lies under them in
/// the marts' store is immutable. Ask before the lake's newest snapshot is looked for, and no run that goes on beside
/// this one can have made it newer.
pub async fn current_number(marts: &Storage) -> u64 {
    let current: Result<Option<Current>> = lake::read_json(marts, CURRENT).await;
    current.ok().flatten().map_or(0, |current| current.snapshot)
}

/// The immutable paths that `current.json` names now.
pub async fn current_paths(marts: &Storage) -> Result<Vec<String>> {
    let current: Option<Current> = lake::read_json(marts, CURRENT).await?;
    Ok(current.iter().flat_map(Current::files).map(|file| file.path.clone()).collect())
}

/// Whether the published marts have the shapes and docs that the models have now.
pub fn docs_are_published(ground: &Ground<'_>, snapshot: &Snapshot) -> bool {
    ground
        .catalog
        .marts()
        .all(|model| snapshot.marts.get(&model.name).is_some_and(|before| same_shape(before, &describe(ground, model))))
}

/// The models whose marts a catalog publishes, with the two reports.
pub fn published_names(catalog: &Catalog) -> Vec<String> {
    let mut names: Vec<String> = catalog.marts().map(|m| m.name.clone()).collect();
    names.extend(reports::REPORTS.iter().map(|report| report.name.to_owned()));
    names.sort();
    names
}
