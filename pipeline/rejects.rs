//! Rejected rows as they are now: of the input that lies there, decoded as the config says today.
//!
//! Nothing depends on a snapshot, since a run that refused to publish for its rejects leaves none. What such a run
//! extracted is found by its sightings; what is new is extracted here, as `plan` does.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

use crate::config::nearest;
use crate::contract::SourceName;
use crate::error::{Error, Result};
use crate::extract::RULES;
use crate::gather::Extracted;
use crate::homes::{hash_key, read_keys};
use crate::lake::{Digest, LakeFile, verified};
use crate::listing::{Listed, ListedSource, shown};
use crate::project::{OpenSource, Project};
use crate::run::{Surroundings, survey};
use crate::snapshot::{ExtractRecord, PartitionId};
use crate::sources::{ORDER_MISSING, Source, Tally};

/// Which rejected rows are asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    source: Option<SourceName>,
    rule: Option<String>,
    /// Rows of each source and rule.
    limit: usize,
}

impl Wanted {
    /// # Errors
    /// A source that isn't configured, or a rule that there isn't, with the nearest name.
    pub fn new(project: &Project, source: Option<&str>, rule: Option<&str>, limit: usize) -> Result<Self> {
        let sources = || project.sources.keys().map(|name| name.as_str());
        let source = source
            .map(|name| {
                let found = project.sources.keys().find(|known| known.as_str() == name);
                found.copied().ok_or_else(|| unknown("--source", name, sources()))
            })
            .transpose()?;
        let rules = || RULES.iter().map(|rule| rule.name);
        if let Some(name) = rule.filter(|name| !rules().any(|known| known == *name)) {
            return Err(unknown("--rule", name, rules()));
        }
        Ok(Wanted { source, rule: rule.map(str::to_owned), limit })
    }

    fn takes(&self, rule: &str) -> bool {
        self.rule.as_deref().is_none_or(|wanted| wanted == rule)
    }
}

fn unknown<'a>(flag: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let hint = nearest(name, known.iter().copied())
        .map_or_else(|| format!("there are {}", known.join(", ")), |nearest| format!("did you mean `{nearest}`?"));
    Error::config(format!("{flag}: there is no `{name}`; {hint}"))
}

/// The rows of one source that broke one rule.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    pub source: String,
    pub rule: String,
    pub cause: String,
    pub remedy: String,
    /// All of them; `rows` has no more than were asked for.
    pub count: u64,
    pub rows: Vec<Rejected>,
}

/// One rejected row.
#[derive(Debug, Clone, Serialize)]
pub struct Rejected {
    /// The object, with its location.
    pub object: String,
    /// Of the decompressed text; of Parquet, the row.
    pub line: i64,
    /// How it begins; `None` where the config withholds personal data.
    pub raw: Option<String>,
    /// When the store says that the object was written, unless it is gone.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// Every source's rejected rows, by source and rule.
///
/// # Errors
/// As planning: those of the stores, of a listing that lacks known objects, and of a mapping that fits no object.
pub async fn collect(project: &Project, wanted: &Wanted, around: &Surroundings<'_>) -> Result<Vec<Group>> {
    survey(project, around, async |listed, extracted| found(project, wanted, listed, extracted).await).await
}

async fn found(project: &Project, wanted: &Wanted, listed: &Listed, extracted: &Extracted) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for (name, open) in project.sources.iter().filter(|(name, _)| wanted.source.is_none_or(|only| only == **name)) {
        let Some(source) = extracted.sources.get(name.as_str()) else { continue };
        let rejected = Tally::of(&source.state).rejected;
        let mut of_source: BTreeMap<&str, Group> = rejected
            .iter()
            .filter(|(rule, _)| wanted.takes(rule))
            .map(|(rule, &count)| group(*name, rule, count))
            .collect();
        if !of_source.is_empty() && wanted.limit > 0 {
            fill(project, (open, source, &listed.0[name]), &mut of_source, wanted.limit).await?;
        }
        groups.extend(of_source.into_values());
    }
    Ok(groups)
}

fn group(source: SourceName, rule: &str, count: u64) -> (&str, Group) {
    let about = RULES.iter().find(|known| known.name == rule);
    let text = |of: fn(&crate::extract::Rule) -> &'static str| about.map_or("", of).to_owned();
    let (cause, remedy) = (text(|rule| rule.cause), text(|rule| rule.remedy));
    (rule, Group { source: source.to_string(), rule: rule.to_owned(), cause, remedy, count, rows: vec![] })
}

/// Reads rows object by object, in the order of their paths, until every group has enough.
async fn fill(
    project: &Project,
    (open, source, listed): (&OpenSource, &Source, &ListedSource),
    groups: &mut BTreeMap<&str, Group>,
    limit: usize,
) -> Result<()> {
    let mut orphaned: BTreeSet<(&str, &Digest)> = BTreeSet::new();
    for (path, object) in &source.state.objects {
        let Some(extract) = source.state.extracts.get(&object.extract) else { continue };
        let place = |line, raw| Rejected {
            object: shown(open, path),
            line,
            raw,
            delivered_at: listed.objects.get(path).map(|(_, meta)| meta.last_modified),
        };
        let is_open =
            |groups: &BTreeMap<&str, Group>, rule: &str| groups.get(rule).is_some_and(|g| g.rows.len() < limit);
        if let Some(file) = &extract.rejects
            && extract.rejected.keys().any(|rule| is_open(groups, rule))
        {
            for batch in batches(project, file).await? {
                for (line, rule, raw) in rows(&batch) {
                    if let Some(group) = groups.get_mut(rule).filter(|group| group.rows.len() < limit) {
                        group.rows.push(place(line, raw.map(str::to_owned)));
                    }
                }
            }
        }
        // A file that lies twice in one delivery is read once, and its lines are missing their orders once.
        if is_open(groups, ORDER_MISSING)
            && source.state.homes.orphans.contains_key(&extract.key)
            && orphaned.insert((source.delivery(path), &extract.key))
            && let Some(group) = groups.get_mut(ORDER_MISSING)
        {
            let found = orphans(project, source, extract, limit - group.rows.len()).await?;
            group.rows.extend(found.into_iter().map(|(line, order)| place(line, Some(format!("order_id = {order}")))));
        }
    }
    Ok(())
}

async fn batches(project: &Project, file: &LakeFile) -> Result<Vec<RecordBatch>> {
    let bytes = verified::read(&project.lake, file).await?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    Ok(reader.collect::<Result<_, _>>()?)
}

fn rows(batch: &RecordBatch) -> impl Iterator<Item = (i64, &str, Option<&str>)> {
    let lines = batch.column(0).as_primitive::<Int64Type>();
    let (rules, raws) = (batch.column(1).as_string::<i32>(), batch.column(2).as_string::<i32>());
    (0..batch.num_rows()).map(|row| (lines.value(row), rules.value(row), raws.is_valid(row).then(|| raws.value(row))))
}

/// Lines whose order is nowhere: they are among the good rows, and only their orders' hashes are kept apart.
async fn orphans(
    project: &Project,
    source: &Source,
    extract: &ExtractRecord,
    limit: usize,
) -> Result<Vec<(i64, String)>> {
    let (Some(hashes), Some(file)) =
        (source.state.homes.orphans.get(&extract.key), extract.rows.get(&PartitionId::Whole))
    else {
        return Ok(vec![]);
    };
    let missing: BTreeSet<u64> = read_keys(&project.lake, hashes).await?.into_iter().collect();
    let mut found = Vec::new();
    for batch in batches(project, file).await? {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| Error::bug(format!("no column {name}")));
        let (orders, lines) =
            (column(source.home_key())?.as_string::<i32>(), column("line")?.as_primitive::<Int64Type>());
        let lost =
            (0..batch.num_rows()).filter(|&row| orders.is_valid(row) && missing.contains(&hash_key(orders.value(row))));
        found.extend(lost.map(|row| (lines.value(row), orders.value(row).to_owned())).take(limit - found.len()));
    }
    Ok(found)
}
