//! Extraction: each object with unknown content is decoded once into typed, immutable Parquet, split by business
//! month, with its rejects and its keys beside it.
//!
//! Invariant: what is written depends on the object's content and on how it is decoded, on nothing else. Not on
//! its path, its time or what else there is: so a file that is copied or moved changes nothing.

mod convert;
mod iso;
mod keys;
mod lookalikes;
mod mapping;
mod numbers;
mod output;
mod privacy;
mod rows;
mod rules;

pub use mapping::{Mapping, RawShape};
pub use numbers::NumberStyle;
pub use output::put_bytes;
pub use privacy::{Key, Privacy};
pub use rules::{RULES, Rule};

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::NaiveDate;
use encoding_rs::Encoding;
use object_store::ObjectMeta;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::calendar::{BusinessCalendar, BusinessZone, DateFormat, DateReader};
use crate::config;
use crate::contract::{ColumnType, Contract};
use crate::decode::{self, DecodeError, Decoder, Format, HashingReader};
use crate::error::{Error, Result};
use crate::lake::{self, Damages, Digest, KeyHasher};
use crate::snapshot::ExtractRecord;
use crate::storage::Storage;
use output::Output;

/// How a source's objects are decoded.
pub struct Decoding {
    pub contract: Contract,
    /// What the config says; `None` reads it off each object's name.
    pub format: Option<Format>,
    /// How a CSV is written whose format its name tells.
    pub csv: decode::CsvOptions,
    /// Of text without a byte order mark.
    pub encoding: &'static Encoding,
    pub numbers: NumberStyle,
    /// Of the contract's columns that aren't written as ISO 8601.
    pub dates: BTreeMap<String, Dates>,
    pub mapping: Mapping,
    /// Of timestamps without an offset.
    pub source_zone: BusinessZone,
    /// The project's: which day and month a row belongs to.
    pub zone: BusinessZone,
    pub calendar: BusinessCalendar,
    pub currency: String,
    pub history_starts_on: Option<NaiveDate>,
    pub privacy: Privacy,
}

/// How a column's dates or times are written: the first format that fits entirely wins.
pub struct Dates {
    formats: Vec<DateFormat>,
    readers: Vec<DateReader>,
}

impl Dates {
    pub fn new(formats: Vec<DateFormat>) -> Self {
        let readers = formats.iter().map(DateFormat::reader).collect();
        Self { formats, readers }
    }
}

impl Decoding {
    /// A hash over everything here that has a say in what a content becomes.
    fn fingerprint(&self, format: &Format) -> Digest {
        let mut hasher = KeyHasher::new("decoding");
        hasher
            .part("engine", lake::ENGINE)
            .part("source", self.contract.source.as_str())
            .part("columns", &self.contract.names().collect::<Vec<_>>().join(","))
            .part("format", &format!("{format:?}"))
            .part("encoding", self.encoding.name())
            .part("numbers", &format!("{:?}", self.numbers))
            .part("dates", &format!("{:?}", self.dates.iter().map(|(c, d)| (c, &d.formats)).collect::<Vec<_>>()))
            .part("mapping", &self.mapping.fingerprint())
            .part("source zone", self.source_zone.name())
            .part("zone", self.zone.name())
            .part("calendar", self.calendar.kind.as_str())
            .part("currency", &self.currency)
            .part("history", &format!("{:?}", self.history_starts_on));
        if let Some(privacy) = self.privacy.fingerprint() {
            hasher.part("pii", &privacy);
        }
        hasher.finish()
    }

    /// Binds the mapping to a file's columns. Without a header the first row is taken for one: where raw text is
    /// withheld, the names that were found are too.
    fn bind(&self, shape: &RawShape, found: &[String]) -> Result<mapping::Bound> {
        let shown = if self.privacy.keeps_raw_text() { found } else { &[] };
        self.mapping.bind(&self.contract, shape, shown)
    }

    /// The format of an object, from the config or its name.
    pub fn format_of(&self, path: &str) -> Result<Format> {
        self.format.clone().or_else(|| format_of_name(path, &self.csv)).ok_or_else(|| {
            let source = self.contract.source;
            Error::config(format!(
                "source {source}: {path}: the name doesn't tell the format\n  hint: set `format` under [sources.{source}], or narrow \
                 `location` with a glob"
            ))
        })
    }

    /// A name for "this version of this object, decoded like this": what an interrupted run has already
    /// extracted is found again by it, without reading the object.
    pub fn sighting(&self, path: &str, size_bytes: u64, version: &str) -> Result<Digest> {
        Sightings::new(self).of(path, size_bytes, version)
    }
}

/// Names sightings of many objects: how they are decoded is hashed once for each format.
pub struct Sightings<'a> {
    decoding: &'a Decoding,
    fingerprints: Vec<(Format, Digest)>,
}

impl<'a> Sightings<'a> {
    pub fn new(decoding: &'a Decoding) -> Self {
        Self { decoding, fingerprints: vec![] }
    }

    /// As [`Decoding::sighting`].
    ///
    /// # Errors
    /// [`Error::Config`] where nothing tells the object's format.
    pub fn of(&mut self, path: &str, size_bytes: u64, version: &str) -> Result<Digest> {
        let format = self.decoding.format_of(path)?;
        let mut hasher = KeyHasher::new("sighting");
        hasher
            .part("decoding", &self.fingerprint(format).hex())
            .part("path", path)
            .part("size", &size_bytes.to_string())
            .part("version", version);
        Ok(hasher.finish())
    }

    fn fingerprint(&mut self, format: Format) -> &Digest {
        let known = self.fingerprints.iter().position(|(known, _)| *known == format);
        let index = known.unwrap_or_else(|| {
            let fingerprint = self.decoding.fingerprint(&format);
            self.fingerprints.push((format, fingerprint));
            self.fingerprints.len() - 1
        });
        &self.fingerprints[index].1
    }
}

fn format_of_name(path: &str, csv: &decode::CsvOptions) -> Option<Format> {
    Some(match config::Format::of_path(path)? {
        config::Format::Csv => Format::Csv(csv.clone()),
        config::Format::Ndjson => Format::Ndjson,
        config::Format::Parquet => Format::Parquet,
        config::Format::Avro => Format::Avro,
    })
}

/// The columns of a source's extracted rows: the contract's, then those that extraction adds.
pub fn schema(contract: &Contract) -> SchemaRef {
    let mut fields: Vec<Field> = contract.columns.iter().map(|c| Field::new(c.name, data_type(c.kind), true)).collect();
    if contract.day_of().is_some() {
        fields.push(Field::new("day", DataType::Date32, true));
        fields.push(Field::new("hour", DataType::Int32, true));
    }
    fields.extend(contract.other_days().map(|(_, day)| Field::new(day, DataType::Date32, true)));
    fields.push(Field::new("line", DataType::Int64, true));
    fields.push(Field::new("content_hash", DataType::Int64, true));
    Arc::new(Schema::new(fields))
}

/// The Arrow type of a contract's type.
pub fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text | ColumnType::Id => DataType::Utf8,
        ColumnType::Money | ColumnType::Quantity => DataType::Decimal128(18, 4),
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Date => DataType::Date32,
        ColumnType::Int => DataType::Int64,
        ColumnType::Bool => DataType::Boolean,
    }
}

/// Extracts one object into the lake, unless its content is there already.
///
/// # Errors
/// Errors of the stores, and [`Error::Config`] for a required column that the object doesn't have.
/// Broken content is no error: it is rejected, with its line and rule, and counted.
pub async fn extract(
    raw: &Storage,
    meta: &ObjectMeta,
    lake: &Storage,
    decoding: &Arc<Decoding>,
    scratch: &Path,
    damages: &Damages,
) -> Result<ExtractRecord> {
    let source = decoding.contract.source.as_str();
    let bridge = SyncIoBridge::new(StreamReader::new(raw.read_pinned(meta).await?));
    let path = meta.location.to_string();
    let dir = tempfile::tempdir_in(scratch)?;
    let (decoding, folder, size_bytes) = (Arc::clone(decoding), dir.path().to_owned(), meta.size);
    let (key, output) = tokio::task::spawn_blocking(move || decode_into(bridge, &path, size_bytes, &decoding, &folder))
        .await
        .map_err(Error::bug)?
        .map_err(|e| e.at(format!("{}/{}", raw.location(), meta.location)))?;
    let record_path = format!("{}/extract.json", lake::extract_dir(source, &key));
    if let Some(known) = lake::read_record(lake, &record_path, ExtractRecord::files, damages).await? {
        return Ok(known);
    }
    let record = output.upload(lake, source, key).await?;
    lake.put(&record_path, lake::to_json(&record)?).await?;
    damages.mended(record.files());
    Ok(record)
}

/// Decodes and maps one object's content into local files. Returns the key of its content with them.
fn decode_into(
    input: impl Read + Send,
    path: &str,
    size_bytes: u64,
    decoding: &Decoding,
    dir: &Path,
) -> Result<(Digest, Output)> {
    let format = decoding.format_of(path)?;
    let mut input = HashingReader::new(input);
    let mut output = Output::new(dir, decoding);
    let wanted = decoding.mapping.wanted();
    let object = decode::Object {
        name: path,
        format: &format,
        format_is_stated: decoding.format.is_some(),
        encoding: decoding.encoding,
        scratch: dir,
    };
    match decode::open(&object, Box::new(&mut input), &wanted, decode::BATCH_ROWS) {
        Ok(mut decoder) => decode_rows(decoder.as_mut(), decoding, &mut output)?,
        Err(DecodeError::Unreadable { detail, .. }) => output.reject_file(&detail)?,
        Err(e) => return Err(decode_error(&e)),
    }
    let hash = input.finish().map_err(|e| Error::world("reading", e))?;
    if hash.size_bytes != size_bytes {
        return Err(Error::world(path, "it changed while it was read; run again when its delivery is complete"));
    }
    let mut hasher = KeyHasher::new("extract");
    hasher
        .part("content", &hash.hash.to_hex())
        .part("size", &hash.size_bytes.to_string())
        .part("decoding", &decoding.fingerprint(&format).hex());
    Ok((hasher.finish(), output))
}

fn decode_rows(decoder: &mut dyn Decoder, decoding: &Decoding, output: &mut Output) -> Result<()> {
    let mut bound = None;
    while let Some(batch) = decoder.next_batch().map_err(|e| decode_error(&e))? {
        rules::count(&batch, output)?;
        if batch.lines.is_empty() {
            continue;
        }
        let shape = RawShape::of(decoder.kind(), &batch.columns, decoding.numbers);
        if bound.as_ref().is_none_or(|b: &mapping::Bound| !b.fits(&batch.columns)) {
            bound = Some(decoding.bind(&shape, decoder.columns_found())?);
        }
        if let Some(bound) = &bound {
            rules::process(&batch, bound, decoding, output)?;
        }
    }
    output.note_absent(decoding.mapping.named(), decoder.columns_found());
    Ok(())
}

fn decode_error(error: &DecodeError) -> Error {
    match error {
        DecodeError::Input(cause) => Error::world("reading", cause),
        DecodeError::Options(message) => Error::config(message),
        other => Error::bug(format!("{other:?}")),
    }
}
