//! The account of a run: what it read and built, how long each part took and why, and how it ended, whichever way it
//! ended. It lies in the lake as `runs/<run id>/run_results.json`; whoever tells of runs (a summary, a metric, an
//! event, a message to someone's phone) tells what is in it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::archive;
use crate::backfill::Span;
use crate::error::{Error, Result};
use crate::lake::{self, Digest};
use crate::manifest;
use crate::observe::{self, Begun};
use crate::project::Project;
use crate::redact::redacted;
use crate::report::{Guard, LateSource, MartChange, PartitionSettled, Progress, SourceRead, SourceVolume};
use crate::run::{self, Outcome, Request, Surroundings};
use crate::snapshot::Snapshot;
use crate::storage::Storage;

/// The version of [`RunResults`]. A reader may rely on every field of its version; new ones may join.
pub const FORMAT: u32 = 1;

/// What a run did. Times are UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResults {
    /// The version of this format.
    pub format: u32,
    /// The run's name: a UUID of version 7, so names sort by time.
    pub run_id: String,
    /// The project's name.
    pub project: String,
    /// The version of Bazgasht.
    pub version: String,
    /// The last business day that counts.
    pub as_of: NaiveDate,
    /// The selectors that `--select` gave; absent for a whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Vec<String>>,
    /// Whether every partition was to be built anew.
    pub rebuild: bool,
    /// Whether it was to stop at the first failed check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
    /// What it was to let pass.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accepted: BTreeSet<Guard>,
    /// The backfill that it was a day of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Span>,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// How it ended.
    pub status: Status,
    /// The process's exit code.
    pub exit_code: i32,
    /// What went wrong, for a person; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The snapshot that it published, or found to stand on the same inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
    /// What the project was made of: the lake has it as `manifests/<digest>.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// What was read, by source, in order.
    pub sources: Vec<SourceResult>,
    /// The partitions that were open, in the order of their settling. Reused ones aren't listed.
    pub partitions: Vec<PartitionResult>,
    /// Sources whose newest row was older than their `max_age`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateSource>,
    /// The as-of day's rows of the sources whose volume is watched; none when it ended before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<SourceVolume>,
    /// What became of each mart since the newest snapshot before; none when nothing was to be published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marts: Vec<MartChange>,
    /// What it warned of: checks that only warn, sources that are old.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl RunResults {
    /// From its beginning to its end.
    pub fn took_seconds(&self) -> f64 {
        seconds(self.started_at, self.ended_at)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A new snapshot is published.
    Published,
    /// Everything is as the newest snapshot has it.
    NothingToDo,
    /// Built, not published: a run with `--select`.
    Built,
    /// Stopped by a signal.
    Interrupted,
    /// Failed; the marts of the run before stand.
    Failed,
}

/// A stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    pub name: String,
    pub started_at: DateTime<Utc>,
    /// Seconds; up to the failure in the stage that failed.
    pub took_seconds: f64,
}

/// What was read of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceResult {
    pub source: String,
    /// All of its objects.
    pub objects: u64,
    /// Those that were read, since their content wasn't known.
    pub objects_read: u64,
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// The latest moment among all of its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_at: Option<DateTime<Utc>>,
}

/// A partition that was settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionResult {
    pub model: String,
    /// `2025-12`, or `all`.
    pub partition: String,
    /// As of the day before the as-of date, for what compares the two.
    pub day_before: bool,
    pub action: Action,
    /// Why it was open.
    pub why: Vec<String>,
    /// Its key in the lake.
    pub key: String,
    pub rows: u64,
    pub size_bytes: u64,
    /// How many checks it passed or failed.
    pub checks: u64,
    /// Checks that failed.
    pub violations: u64,
    /// Checks that only warn and found something.
    pub warnings: u64,
    pub started_at: DateTime<Utc>,
    pub took_seconds: f64,
    /// The most memory that the engine accounted for at a time.
    pub peak_memory_bytes: u64,
    pub spilled_bytes: u64,
}

impl PartitionResult {
    /// Where its record lies in the lake.
    pub fn record_path(&self) -> String {
        lake::record_path(&lake::partition_path(&self.model, &self.partition, &self.key))
    }
}

/// What became of an open partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Built,
    /// Its inputs came out as they were.
    Unchanged,
}

/// Where a run's account lies in the lake.
pub fn path(run_id: &str) -> String {
    archive::path(run_id)
}

/// The runs that left an account, oldest first.
pub async fn run_ids(lake: &Storage) -> Result<Vec<String>> {
    let objects = lake.list(archive::DIR).await?;
    let run_id = |path: &str| Some(path.strip_prefix(archive::DIR)?.strip_prefix('/')?.split_once('/')?.0.to_owned());
    let ids: BTreeSet<String> = objects.iter().filter_map(|object| run_id(object.location.as_ref())).collect();
    Ok(ids.into_iter().collect())
}

/// A run's account; `None` where it left none, or one that cannot be read any more, which is told.
///
/// # Errors
/// Storage errors.
pub async fn read(lake: &Storage, run_id: &str) -> Result<Option<RunResults>> {
    match lake::read_json(lake, &path(run_id)).await {
        Err(Error::Damaged(damage)) => {
            tracing::warn!("{damage}; it is passed over");
            Ok(None)
        }
        other => other,
    }
}

/// Runs the pipeline once and keeps an account of it. An account that cannot be kept is a warning: it doesn't change
/// how the run ended.
pub async fn run(project: &Project, request: &Request, around: &Surroundings<'_>) -> (RunResults, Result<Outcome>) {
    let started_at = (around.now)();
    let run_id = request.run_id.unwrap_or_else(Uuid::now_v7);
    let as_of = request.as_of.unwrap_or_else(|| project.zone.yesterday(started_at));
    let manifest = manifest::digest(project)
        .inspect_err(|e| tracing::warn!("the manifest of this run could not be kept: {e}"))
        .ok();
    let request = Request { run_id: Some(run_id), as_of: Some(as_of), manifest, ..request.clone() };
    observe::begun(project, &Begun { run_id, as_of, started_at, request: &request }).await;
    let recorder = Recorder { inner: around.progress, now: around.now, notes: Mutex::default() };
    let outcome = run::run(
        project,
        &request,
        &Surroundings { now: around.now, interrupt: around.interrupt, progress: &recorder },
    )
    .await;
    let ended_at = (around.now)();
    let notes = recorder.close(ended_at);
    let (status, snapshot) = match &outcome {
        Ok(Outcome::Published(snapshot, _)) => (Status::Published, Some(snapshot.number)),
        Ok(Outcome::NothingToDo(snapshot)) => (Status::NothingToDo, Some(snapshot.number)),
        Ok(Outcome::Built(_)) => (Status::Built, None),
        Err(Error::Interrupted(_)) => (Status::Interrupted, None),
        Err(_) => (Status::Failed, None),
    };
    let results = RunResults {
        format: FORMAT,
        run_id: run_id.to_string(),
        project: project.config.project.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        as_of,
        select: request.select,
        rebuild: request.rebuild,
        fail_fast: request.fail_fast,
        accepted: request.accept,
        backfill: request.backfill,
        started_at,
        ended_at,
        status,
        exit_code: outcome.as_ref().err().map_or(0, Error::exit_code),
        error: outcome.as_ref().err().map(|error| redacted(&error.to_string()).into_owned()),
        snapshot,
        manifest: request.manifest,
        stages: notes.stages,
        sources: notes.sources,
        partitions: notes.partitions,
        late: notes.late,
        volumes: notes.volumes,
        marts: notes.marts,
        warnings: notes.warnings,
    };
    // Not before the run: a store that is away is waited for once, and what can't be planned is told by the run itself.
    match keep(project, &results).await {
        Err(e) => tracing::warn!("the account of this run could not be kept: {e}"),
        Ok(()) => {
            if let Some(digest) = &results.manifest
                && let Err(e) = manifest::keep(project, digest).await
            {
                tracing::warn!("the manifest of this run could not be kept: {e}");
            }
        }
    }
    if let Ok(Outcome::Published(snapshot, _) | Outcome::NothingToDo(snapshot)) = &outcome {
        publish_account(project, snapshot, &results).await;
    }
    observe::ended(project, &results, outcome.as_ref().ok()).await;
    (results, outcome)
}

/// Puts the account beside the marts that the run published, or found to stand; the next run tries again.
async fn publish_account(project: &Project, snapshot: &Snapshot, results: &RunResults) {
    let run_id = match results.status {
        Status::Published => &results.run_id,
        _ => &snapshot.run_id,
    };
    if let Err(e) = archive::publish(&project.lake, &project.marts, snapshot, run_id).await {
        tracing::warn!("the account of snapshot {} could not be put beside its marts: {e}", snapshot.number);
    }
}

async fn keep(project: &Project, results: &RunResults) -> Result<()> {
    project.lake.put(&path(&results.run_id), lake::to_json(results)?).await?;
    Ok(())
}

/// Takes notes of what a run tells, and passes it on.
struct Recorder<'a> {
    inner: &'a dyn Progress,
    now: &'a (dyn Fn() -> DateTime<Utc> + Sync),
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    stages: Vec<Stage>,
    sources: Vec<SourceResult>,
    partitions: Vec<PartitionResult>,
    late: Vec<LateSource>,
    volumes: Vec<SourceVolume>,
    marts: Vec<MartChange>,
    warnings: Vec<String>,
    /// The stage and the step that have begun and not ended.
    open_stage: Option<(String, DateTime<Utc>)>,
    open_step: Option<DateTime<Utc>>,
}

impl Notes {
    fn end_stage(&mut self, now: DateTime<Utc>) {
        if let Some((name, started_at)) = self.open_stage.take() {
            self.stages.push(Stage { name, started_at, took_seconds: seconds(started_at, now) });
        }
    }
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).as_seconds_f64()
}

impl Recorder<'_> {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(self, now: DateTime<Utc>) -> Notes {
        let mut notes = self.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        notes.end_stage(now);
        notes
    }
}

impl Progress for Recorder<'_> {
    fn begin(&self, stage: &str, steps: u64) {
        let now = (self.now)();
        let mut notes = self.notes();
        // A run that mends its lake begins anew in the middle of a stage.
        notes.end_stage(now);
        notes.open_stage = Some((stage.to_owned(), now));
        drop(notes);
        self.inner.begin(stage, steps);
    }

    fn step(&self, what: &str) {
        self.notes().open_step = Some((self.now)());
        self.inner.step(what);
    }

    fn end(&self) {
        self.notes().end_stage((self.now)());
        self.inner.end();
    }

    fn source(&self, read: &SourceRead<'_>) {
        self.notes().sources.push(SourceResult {
            source: read.name.to_owned(),
            objects: read.objects,
            objects_read: read.objects_read,
            rows_read: read.rows_read,
            rows_rejected: read.rows_rejected,
            newest_at: read.newest_at,
        });
        self.inner.source(read);
    }

    fn late(&self, late: &[LateSource]) {
        self.notes().late = late.to_vec();
        self.inner.late(late);
    }

    fn volumes(&self, volumes: &[SourceVolume]) {
        self.notes().volumes = volumes.to_vec();
        self.inner.volumes(volumes);
    }

    fn marts(&self, marts: &[MartChange]) {
        self.notes().marts = marts.to_vec();
        self.inner.marts(marts);
    }

    fn warning(&self, text: &str) {
        self.notes().warnings.push(redacted(text).into_owned());
        self.inner.warning(text);
    }

    fn partition(&self, settled: &PartitionSettled<'_>) {
        let now = (self.now)();
        let mut notes = self.notes();
        let started_at = notes.open_step.take().unwrap_or(now);
        notes.partitions.push(PartitionResult {
            model: settled.model.to_owned(),
            partition: settled.partition.to_owned(),
            day_before: settled.day_before,
            action: if settled.is_unchanged { Action::Unchanged } else { Action::Built },
            why: settled.why.to_vec(),
            key: settled.key.to_owned(),
            rows: settled.rows,
            size_bytes: settled.size_bytes,
            checks: settled.checks,
            violations: settled.violations,
            warnings: settled.warnings,
            started_at,
            took_seconds: seconds(started_at, now),
            peak_memory_bytes: settled.peak_memory_bytes,
            spilled_bytes: settled.spilled_bytes,
        });
        drop(notes);
        self.inner.partition(settled);
    }
}

/// The JSON Schema of [`RunResults`]; ends in a newline.
pub fn json_schema() -> String {
    let mut text = format!("{:#}", schemars::schema_for!(RunResults).as_value());
    text.push('\n');
    text
}
