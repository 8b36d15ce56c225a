//! What one object's content becomes: typed rows by month, their key hashes, rejects and counts.
//! First in local files, then, when the content's key is known, in the lake.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use twox_hash::XxHash3_64;

use super::keys::Keys;
use super::rows::Rows;
use super::{Decoding, schema};
use crate::calendar::{BusinessCalendar, Month};
use crate::contract::SourceName;
use crate::engine::{Lifetime, ParquetOut, Written};
use crate::error::{Error, Result};
use crate::homes::hash_key;
use crate::lake::{self, Digest, Fingerprint, HashingWriter, LakeFile};
use crate::snapshot::{ExtractRecord, PartitionId};
use crate::storage::Storage;

/// An export of many years has rows of many months at once. Past so many bytes in memory, those of the month that holds
/// most are moved to disk; likewise past so many key hashes.
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
const KEYS_HELD_MAX: usize = 1 << 20;
/// Rejects are handed to their file in batches of so many.
const REJECTS_PER_BATCH: usize = 1024;

/// What belongs in one month.
struct MonthOut {
    rows: Rows,
    keys: Keys,
}

/// The same in local files.
struct Encoded {
    rows: PathBuf,
    written: Written,
    keys: PathBuf,
    keys_print: Fingerprint,
    keys_count: u64,
}

impl MonthOut {
    /// Writes files of this name.
    fn encode(self, name: &Path, schema: &SchemaRef) -> Result<Encoded> {
        let (rows, keys) = (name.with_extension("parquet"), name.with_extension("keys"));
        let written = self.rows.write(ParquetOut::create(&rows, Arc::clone(schema), Lifetime::Kept, None)?)?;
        let mut out = HashingWriter::new(BufWriter::new(File::create(&keys)?));
        let keys_count = self.keys.write(&mut out)?;
        let (_, keys_print) = out.finish();
        Ok(Encoded { rows, written, keys, keys_print, keys_count })
    }
}

/// The local files of one object in the making.
pub(super) struct Output {
    dir: PathBuf,
    schema: SchemaRef,
    calendar: BusinessCalendar,
    key_column: usize,
    /// Undated lines keep a hash per row, so that rows whose order is nowhere can be counted.
    key_per_row: bool,
    day_column: Option<usize>,
    converter: Option<RowConverter>,
    months: BTreeMap<PartitionId, MonthOut>,
    known_days: BTreeMap<i32, Month>,
    keeps_raw_text: bool,
    rejects: Vec<(i64, &'static str, Option<String>)>,
    rejects_out: Option<(PathBuf, ParquetOut)>,
    absent: std::collections::BTreeSet<String>,
    broken: Option<String>,
    time_column: Option<usize>,
    newest_micros: Option<i64>,
    read: u64,
    skipped: BTreeMap<String, u64>,
    rejected: BTreeMap<String, u64>,
    warnings: BTreeMap<String, u64>,
}

fn rejects_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("line", DataType::Int64, true),
        Field::new("rule", DataType::Utf8, true),
        Field::new("raw", DataType::Utf8, true),
    ]))
}

impl Output {
    pub fn new(dir: &Path, decoding: &Decoding) -> Self {
        let contract = &decoding.contract;
        let schema = schema(contract);
        Self {
            dir: dir.to_owned(),
            calendar: decoding.calendar,
            key_column: schema.index_of(contract.key[0]).unwrap_or_default(),
            key_per_row: contract.source == SourceName::OrderItems && contract.time.is_none(),
            day_column: schema.index_of("day").ok().filter(|_| contract.time.is_some()),
            time_column: contract.time.and_then(|time| schema.index_of(time).ok()),
            newest_micros: None,
            absent: std::collections::BTreeSet::new(),
            broken: None,
            schema,
            converter: None,
            months: BTreeMap::new(),
            known_days: BTreeMap::new(),
            keeps_raw_text: decoding.privacy.keeps_raw_text(),
            rejects: vec![],
            rejects_out: None,
            read: 0,
            skipped: BTreeMap::new(),
            rejected: BTreeMap::new(),
            warnings: BTreeMap::new(),
        }
    }

    pub fn read(&mut self, rows: u64) {
        self.read += rows;
    }

    pub fn skip(&mut self, rule: &str, rows: u64) {
        *self.skipped.entry(rule.to_owned()).or_default() += rows;
    }

    /// Notes which of the named raw columns the content doesn't have.
    pub fn note_absent<'a>(&mut self, named: impl Iterator<Item = &'a String>, found: &[String]) {
        if self.read > 0 && !found.is_empty() {
            self.absent = named.filter(|name| !found.contains(name)).cloned().collect();
        }
    }

    /// Notes why the content can't be decoded from some place on.
    pub fn note_break(&mut self, why: &str) {
        self.broken.get_or_insert_with(|| why.to_owned());
    }

    pub fn warn(&mut self, what: &str, rows: u64) {
        if rows > 0 {
            *self.warnings.entry(what.to_owned()).or_default() += rows;
        }
    }

    /// Keeps a row that broke a rule, with its raw text where that may be kept.
    pub fn reject(&mut self, line: u64, rule: &'static str, raw: &str) -> Result<()> {
        let raw = self.keeps_raw_text.then(|| raw.to_owned());
        self.reject_with(line, rule, raw)
    }

    fn reject_with(&mut self, line: u64, rule: &'static str, raw: Option<String>) -> Result<()> {
        *self.rejected.entry(rule.to_owned()).or_default() += 1;
        self.rejects.push((line.cast_signed(), rule, raw));
        if self.rejects.len() >= REJECTS_PER_BATCH { self.write_rejects() } else { Ok(()) }
    }

    /// The object as a whole can't be decoded: one row, unreadable. `detail` quotes nothing of the content.
    pub fn reject_file(&mut self, detail: &str) -> Result<()> {
        self.read(1);
        self.note_break(detail);
        self.reject_with(1, "unreadable_file", Some(detail.to_owned()))
    }

    fn write_rejects(&mut self) -> Result<()> {
        if self.rejects_out.is_none() {
            let path = self.dir.join("rejected.parquet");
            let out = ParquetOut::create(&path, rejects_schema(), Lifetime::Kept, None)?;
            self.rejects_out = Some((path, out));
        }
        let rejects = std::mem::take(&mut self.rejects);
        let lines: Int64Array = rejects.iter().map(|r| r.0).collect();
        let rules: StringArray = rejects.iter().map(|r| Some(r.1)).collect();
        let raws: StringArray = rejects.iter().map(|r| r.2.as_deref()).collect();
        let batch = RecordBatch::try_new(rejects_schema(), vec![Arc::new(lines), Arc::new(rules), Arc::new(raws)])?;
        match &mut self.rejects_out {
            Some((_, out)) => out.write(&batch),
            None => Ok(()),
        }
    }

    /// A hash of each row's contract columns: rows with equal hashes are the same row delivered twice.
    pub fn content_hashes(&mut self, columns: &[arrow::array::ArrayRef]) -> Result<Int64Array> {
        let converter = match &self.converter {
            Some(converter) => converter,
            None => {
                let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
                self.converter.insert(RowConverter::new(fields)?)
            }
        };
        let rows = converter.convert_columns(columns)?;
        Ok(rows.iter().map(|row| XxHash3_64::oneshot(row.as_ref()).cast_signed()).collect())
    }

    /// Takes good rows, each into its month's file.
    pub fn accept(&mut self, batch: &RecordBatch) -> Result<()> {
        if let Some(time) = self.time_column {
            let newest = arrow::compute::max(batch.column(time).as_primitive::<TimestampMicrosecondType>());
            self.newest_micros = self.newest_micros.max(newest);
        }
        let Some(day_column) = self.day_column else { return self.write(PartitionId::Whole, batch) };
        let months: Vec<Month> = {
            let days = batch.column(day_column).as_primitive::<Date32Type>().clone();
            days.values().iter().map(|day| self.month_of(*day)).collect()
        };
        let mut distinct: Vec<Month> = months.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if let [only] = distinct[..] {
            return self.write(PartitionId::Month(only), batch);
        }
        for month in distinct {
            let chosen: BooleanArray = months.iter().map(|m| Some(*m == month)).collect();
            self.write(PartitionId::Month(month), &filter_record_batch(batch, &chosen)?)?;
        }
        Ok(())
    }

    fn month_of(&mut self, day: i32) -> Month {
        let calendar = self.calendar;
        *self
            .known_days
            .entry(day)
            .or_insert_with(|| calendar.month_of(Date32Type::to_naive_date_opt(day).unwrap_or_default()))
    }

    fn write(&mut self, partition: PartitionId, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let key_per_row = self.key_per_row;
        let month = self
            .months
            .entry(partition)
            .or_insert_with(|| MonthOut { rows: Rows::default(), keys: Keys::new(key_per_row) });
        let keys = batch.column(self.key_column).as_string::<i32>();
        month.keys.extend(keys.iter().flatten().map(hash_key));
        month.rows.push(batch);
        if self.months.values().map(|m| m.rows.held_bytes()).sum::<usize>() > HELD_BYTES_MAX
            && let Some(fullest) = self.months.values_mut().max_by_key(|m| m.rows.held_bytes())
        {
            fullest.rows.spill(&self.dir)?;
        }
        if self.months.values().map(|m| m.keys.held()).sum::<usize>() > KEYS_HELD_MAX
            && let Some(fullest) = self.months.values_mut().max_by_key(|m| m.keys.held())
        {
            fullest.keys.spill(&self.dir)?;
        }
        Ok(())
    }

    /// All months, one after the other, on one thread: each further one would keep memory that was freed.
    async fn encode(&mut self) -> Result<Vec<(PartitionId, Encoded)>> {
        let (months, dir, schema) = (std::mem::take(&mut self.months), self.dir.clone(), Arc::clone(&self.schema));
        let encode = move || {
            let encoded = |(partition, month): (PartitionId, MonthOut)| {
                Ok((partition, month.encode(&dir.join(partition.to_string()), &schema)?))
            };
            months.into_iter().map(encoded).collect()
        };
        tokio::task::spawn_blocking(encode).await.map_err(Error::bug)?
    }

    /// Moves everything into the lake under its key; returns the record that says so.
    pub async fn upload(mut self, lake: &Storage, source: &str, key: Digest) -> Result<ExtractRecord> {
        if !self.rejects.is_empty() {
            self.write_rejects()?;
        }
        let dir = lake::extract_dir(source, &key);
        let (mut rows, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for (partition, month) in self.encode().await? {
            let path = format!("{dir}/{partition}.parquet");
            lake.put_file(&path, &month.rows).await?;
            rows.insert(partition, month.written.print.at(path, month.written.rows));
            let path = format!("{dir}/{partition}.keys");
            lake.put_file(&path, &month.keys).await?;
            keys.insert(partition, month.keys_print.at(path, month.keys_count));
        }
        let rejects = match self.rejects_out.take() {
            Some((local, out)) => Some(upload_rejects(lake, lake::rejected_path(source, &key), &local, out).await?),
            None => None,
        };
        Ok(ExtractRecord {
            key,
            read: self.read,
            skipped: self.skipped.into(),
            rejected: self.rejected.into(),
            rows: rows.into(),
            keys: keys.into(),
            rejects,
            absent: self.absent.into_iter().collect(),
            broken: self.broken,
            newest_at: self.newest_micros.and_then(chrono::DateTime::from_timestamp_micros),
            warnings: self.warnings.into(),
        })
    }
}

async fn upload_rejects(lake: &Storage, path: String, local: &Path, out: ParquetOut) -> Result<LakeFile> {
    let written = out.finish()?;
    lake.put_file(&path, local).await?;
    Ok(written.print.at(path, written.rows))
}

/// Stores bytes under their digest in a folder of the lake.
pub async fn put_bytes(lake: &Storage, dir: &str, extension: &str, bytes: Vec<u8>, rows: u64) -> Result<LakeFile> {
    let print = Fingerprint::of(&bytes);
    let path = format!("{dir}/{}.{extension}", print.digest);
    lake.put(&path, bytes).await?;
    Ok(print.at(path, rows))
}
