//! Explaining: how one partition came to be in one run. From the run's account and snapshot, and the partition's record.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::{self, PartitionResult, RunResults};
use crate::build;
use crate::config::nearest;
use crate::contract::SourceName;
use crate::engine::Task;
use crate::error::{Error, Result};
use crate::lake::{self, Damages, Digest};
use crate::model::{Body, Model};
use crate::plan::{Ground, Known, Resolver, Slot};
use crate::project::Project;
use crate::snapshot::{KeptSql, KeyParts, PartitionId, PartitionRecord, Snapshot, SourceState, numbers};

/// The run before now, whatever became of it.
const LATEST: &str = "latest";

/// A run, as far as it can still be told of.
pub struct PastRun {
    /// Missing of a rollback, and of a run whose account `gc` has deleted.
    pub results: Option<RunResults>,
    /// Missing of a run that committed none, and of one whose snapshot `gc` has deleted.
    pub snapshot: Option<Snapshot>,
}

/// How a partition came to be.
pub struct Explanation {
    pub slot: Slot,
    /// What the run did about this model's partitions: those that were open.
    pub settled: Vec<PartitionResult>,
    /// What it did about this one; `None` where it was reused as an earlier run had built it.
    pub result: Option<PartitionResult>,
    pub key: Digest,
    pub rows: u64,
    /// What its key was hashed from.
    pub parts: KeyParts,
    /// What is other today than it was then: the model, its parameters, input files that aren't known any more.
    pub differs: Vec<String>,
    /// Its SELECT; `None` for what no SQL makes.
    pub sql: Option<String>,
    /// Whether that is how it ran: otherwise it wasn't kept, and the model is another since.
    pub is_sql_as_run: bool,
    /// The engine's plan, made anew; or why there is none.
    pub plan: Result<String>,
}

/// Finds a run by its snapshot's number, its name, either end of its name, or `latest`.
///
/// # Errors
/// [`Error::Config`] where no run or several are meant.
pub async fn find(project: &Project, run: &str) -> Result<PastRun> {
    let numbers = numbers(&project.lake).await?;
    if let Some(number) = run.parse().ok().filter(|number| numbers.contains(number)) {
        let snapshot = Snapshot::read(&project.lake, number).await?;
        let results = account::read(&project.lake, &snapshot.run_id).await?;
        return Ok(PastRun { results, snapshot: Some(snapshot) });
    }
    let ids = account::run_ids(&project.lake).await?;
    let run_id = meant(run, &ids)?;
    let results = account::read(&project.lake, run_id).await?;
    let number = results.as_ref().and_then(|results| results.snapshot).filter(|number| numbers.contains(number));
    let snapshot = match number {
        Some(number) => Some(Snapshot::read(&project.lake, number).await?),
        None => None,
    };
    Ok(PastRun { results, snapshot })
}

fn meant<'a>(run: &str, ids: &'a [String]) -> Result<&'a str> {
    let unknown = |what: &str| {
        Error::config(format!(
            "{what} `{run}`\n  hint: `bazgasht runs` lists them; `{LATEST}` is the newest, failed or not"
        ))
    };
    if run == LATEST {
        return ids.last().map(String::as_str).ok_or_else(|| Error::config("nothing has run yet: `bazgasht run` does"));
    }
    let is_meant = |id: &&String| id.starts_with(run) || id.ends_with(run);
    let mut found = ids.iter().filter(is_meant);
    match (found.next(), found.next()) {
        _ if run.is_empty() => Err(unknown("there is no run")),
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(unknown("there are several runs")),
        (None, _) => Err(unknown("there is no run")),
    }
}

/// Explains `model`, or `model:partition`. Of several partitions, the one that took longest; of none that were open,
/// the last.
///
/// # Errors
/// [`Error::Config`] for a model or partition that the run didn't have; storage errors.
pub async fn explain(project: &Project, run: &PastRun, what: &str) -> Result<Explanation> {
    let (name, partition) = what.split_once(':').map_or((what, None), |(name, partition)| (name, Some(partition)));
    let model = project.catalog.get(name).ok_or_else(|| {
        let hint = nearest(name, project.catalog.names()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        Error::config(format!("there is no model `{name}`{hint}"))
    })?;
    let partition: Option<PartitionId> = partition
        .map(str::parse)
        .transpose()
        .map_err(|e: String| Error::config(format!("{e}\n  hint: a month as in `{name}:2025-12`, or nothing")))?;
    let settled: Vec<PartitionResult> = run.partitions().filter(|p| p.model == name).cloned().collect();
    let result = chosen(&settled, partition).cloned();
    let (slot, record) = match &result {
        Some(result) => of_result(project, result).await?,
        None => of_snapshot(run, name, partition)?,
    };
    let resolved = Resolved::new(project, run, model, &slot).await?;
    let differs = resolved.differs_from(&record.parts);
    let kept = sql_as_run(project, &record.parts).await?;
    let is_sql_as_run = kept.is_some() || resolved.parts.sql == record.parts.sql;
    let sql = match &model.body {
        Body::Sql(sql) => Some(kept.unwrap_or_else(|| sql.trim().to_owned())),
        Body::Seed(_) | Body::Calendar | Body::CalendarPeriods => None,
    };
    Ok(Explanation {
        plan: resolved.plan(project, model, &slot, sql.as_deref()).await,
        is_sql_as_run,
        settled,
        result,
        key: record.key,
        rows: record.file.rows,
        parts: record.parts,
        differs,
        sql,
        slot,
    })
}

impl PastRun {
    fn partitions(&self) -> impl Iterator<Item = &PartitionResult> {
        self.results.iter().flat_map(|results| &results.partitions)
    }
}

fn chosen(settled: &[PartitionResult], partition: Option<PartitionId>) -> Option<&PartitionResult> {
    let asked = settled.iter().filter(|p| partition.is_none_or(|partition| partition.to_string() == p.partition));
    // The run's own day before its eve, then the longest.
    asked.max_by(|a, b| b.day_before.cmp(&a.day_before).then(a.took_seconds.total_cmp(&b.took_seconds)))
}

async fn of_result(project: &Project, result: &PartitionResult) -> Result<(Slot, PartitionRecord)> {
    let record: Option<PartitionRecord> = lake::read_json(&project.lake, &result.record_path()).await?;
    let record = record.ok_or_else(|| {
        Error::config(format!(
            "{} ({}) was built by that run and is gone from the lake: `gc` deletes what no kept snapshot needs",
            result.model, result.partition
        ))
    })?;
    let partition = result.partition.parse().map_err(Error::bug)?;
    Ok((Slot { model: result.model.clone(), partition, eve: result.day_before }, record))
}

fn of_snapshot(run: &PastRun, model: &str, partition: Option<PartitionId>) -> Result<(Slot, PartitionRecord)> {
    let had = run.snapshot.as_ref().and_then(|snapshot| snapshot.partitions.get(model));
    let found = had.and_then(|partitions| match partition {
        Some(partition) => partitions.get_key_value(&partition),
        None => partitions.last_key_value(),
    });
    let (partition, record) = found.ok_or_else(|| {
        let which = partition.map_or(String::new(), |partition| format!(" ({partition})"));
        let kept = if run.snapshot.is_some() { "" } else { ", as far as is kept of it" };
        Error::config(format!("that run didn't come to {model}{which}{kept}"))
    })?;
    Ok((Slot { model: model.to_owned(), partition: *partition, eve: false }, record.clone()))
}

/// The model's SQL as it was, if it is kept.
async fn sql_as_run(project: &Project, parts: &KeyParts) -> Result<Option<String>> {
    let kept: Result<Option<KeptSql>> = lake::read_json(&project.lake, &lake::sql_path(&parts.sql)).await;
    match kept {
        Ok(kept) => Ok(kept.map(|kept| kept.sql)),
        Err(Error::Damaged(_)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a partition's key is made from, found out anew from what the run stood on.
struct Resolved {
    parts: KeyParts,
    task: Option<Result<Task>>,
}

impl Resolved {
    /// A run without a snapshot stood on the snapshot before it and on what it built itself.
    async fn new(project: &Project, run: &PastRun, model: &Model, slot: &Slot) -> Result<Self> {
        let base = match (&run.snapshot, &run.results) {
            (Some(snapshot), _) => Some(snapshot.clone()),
            (None, Some(results)) => snapshot_before(project, results).await?,
            (None, None) => None,
        };
        let as_of = run.results.as_ref().map(|r| r.as_of).or(base.as_ref().map(|s| s.as_of));
        let as_of = as_of.ok_or_else(|| Error::bug("a run with neither account nor snapshot"))?;
        let sources = project.sources_with(base.as_ref().map(states).unwrap_or_default());
        let ground = Ground {
            catalog: &project.catalog,
            calendar: project.calendar,
            as_of,
            settings: &project.settings,
            sources: &sources,
            calendar_fingerprint: project.calendar_fingerprint.clone(),
            source_months: sources.months(),
        };
        let damages = Damages::default();
        let resolver = Resolver::new(ground, None, &project.lake, &damages, false);
        let known = known(project, run, base.as_ref(), model).await?;
        // Where not even the partitions that it read are known, none of its inputs is.
        let parts = match resolver.key_parts(model, slot, &known)? {
            Ok(parts) => parts,
            Err(_) => resolver.own_parts(model, slot)?,
        };
        let is_sql = matches!(model.body, Body::Sql(_));
        Ok(Self { parts, task: is_sql.then(|| build::task(&resolver, model, slot, &known)) })
    }

    fn differs_from(&self, then: &KeyParts) -> Vec<String> {
        let now = &self.parts;
        let mut differs = Vec::new();
        if now.sql != then.sql {
            differs.push("its SQL or declared types have changed since".to_owned());
        }
        if now.engine != then.engine {
            differs.push(format!("the engine was {}", then.engine));
        }
        if now.parameters != then.parameters {
            differs.push("its parameters' values have changed since".to_owned());
        }
        let others = then.inputs.iter().filter(|(table, digest)| now.inputs.get(*table) != Some(*digest));
        differs.extend(others.map(|(table, _)| format!("which files of {table} it read isn't known any more")));
        differs
    }

    async fn plan(self, project: &Project, model: &Model, slot: &Slot, sql: Option<&str>) -> Result<String> {
        match (self.task, sql) {
            (Some(task), Some(sql)) => project.engine.explain(&Task { sql: sql.to_owned(), ..task? }).await,
            _ => Err(Error::config(format!("no SQL makes {} ({})", model.name, slot.partition))),
        }
    }
}

fn states(snapshot: &Snapshot) -> BTreeMap<SourceName, SourceState> {
    let named = snapshot.sources.iter().filter_map(|(name, state)| Some((name.parse().ok()?, state.clone())));
    named.collect()
}

/// The newest snapshot that was committed by an earlier run.
async fn snapshot_before(project: &Project, results: &RunResults) -> Result<Option<Snapshot>> {
    for number in numbers(&project.lake).await?.into_iter().rev() {
        let snapshot = Snapshot::read(&project.lake, number).await?;
        if snapshot.run_id < results.run_id {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

/// The partitions that the run had of what the model reads: those of the snapshot, or what it built in their place.
async fn known(project: &Project, run: &PastRun, base: Option<&Snapshot>, model: &Model) -> Result<Known> {
    let mut known = Known::default();
    let both = base.into_iter().flat_map(|s| [(&s.partitions, false), (&s.eve, true)]);
    for (partitions, eve) in both {
        for (name, records) in partitions {
            for (partition, record) in records {
                let slot = Slot { model: name.clone(), partition: *partition, eve };
                known.insert(slot, Some(record.clone()));
            }
        }
    }
    if run.snapshot.is_some() {
        return Ok(known);
    }
    let read: BTreeSet<&str> = model.reads.iter().filter_map(|read| read.model_name()).collect();
    for result in run.partitions().filter(|p| read.contains(p.model.as_str())) {
        let record = lake::read_json::<PartitionRecord>(&project.lake, &result.record_path()).await?;
        let partition = result.partition.parse().map_err(Error::bug)?;
        known.insert(Slot { model: result.model.clone(), partition, eve: result.day_before }, record);
    }
    Ok(known)
}
