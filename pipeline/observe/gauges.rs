//! What is measured of a run, from its account: the same numbers for whoever asks, under names of the same making.

use chrono::{DateTime, NaiveTime, Utc};

use crate::account::{Action, RunResults, Status};

/// What a number counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things; the name says which.
    Count,
    Seconds,
    Bytes,
}

/// A number that goes up and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gauge {
    /// Words with dots between, without the unit.
    pub name: &'static str,
    pub unit: Unit,
    /// What it is, without a full stop.
    pub help: &'static str,
    /// Of the last run, whatever became of it. The others are of the last one that got so far.
    pub is_of_last_run: bool,
}

const fn of_last_run(name: &'static str, unit: Unit, help: &'static str) -> Gauge {
    Gauge { name, unit, help, is_of_last_run: true }
}

const fn lasting(name: &'static str, unit: Unit, help: &'static str) -> Gauge {
    Gauge { name, unit, help, is_of_last_run: false }
}

const STARTED: Gauge = of_last_run("run.start_timestamp", Unit::Seconds, "When the last run began");
const ENDED: Gauge = of_last_run("run.end_timestamp", Unit::Seconds, "When the last run ended, however it did");
const DURATION: Gauge = of_last_run("run.duration", Unit::Seconds, "How long the last run took");
const STAGE_DURATION: Gauge = of_last_run("run.stage.duration", Unit::Seconds, "How long a stage of the last run took");
const EXIT_CODE: Gauge =
    of_last_run("run.exit_code", Unit::Count, "The last run's exit code: 0 when it published or had nothing to do");
const WARNINGS: Gauge = of_last_run("run.warnings", Unit::Count, "What the last run warned of");
const PARTITIONS: Gauge = of_last_run(
    "run.partitions",
    Unit::Count,
    "Partitions that the last run had open, by whether they were built or came out unchanged",
);
const PEAK_MEMORY: Gauge =
    of_last_run("run.peak_memory", Unit::Bytes, "The most memory that the engine accounted for in the last run");
const SPILLED: Gauge = of_last_run("run.spilled", Unit::Bytes, "What the last run spilled to disk");
const LAST_SUCCESS: Gauge =
    lasting("run.last_success_timestamp", Unit::Seconds, "When the last run ended that published or had nothing to do");
const SNAPSHOT: Gauge = lasting("published.snapshot", Unit::Count, "The number of the snapshot that the marts are of");
const AS_OF: Gauge = lasting(
    "published.as_of_timestamp",
    Unit::Seconds,
    "The last business day that counts in the marts, as its midnight in UTC",
);
const OBJECTS: Gauge = lasting("source.objects", Unit::Count, "Objects that a source consists of");
const OBJECTS_READ: Gauge = lasting("source.objects_read", Unit::Count, "Objects that were read since they were new");
const ROWS_READ: Gauge = lasting("source.rows_read", Unit::Count, "Rows of the objects that were read");
const ROWS_REJECTED: Gauge = lasting("source.rows_rejected", Unit::Count, "Rows that were rejected among those read");
const NEWEST: Gauge = lasting("source.newest_timestamp", Unit::Seconds, "The latest moment among a source's rows");

pub(super) const GAUGES: [Gauge; 17] = [
    STARTED,
    ENDED,
    DURATION,
    STAGE_DURATION,
    EXIT_CODE,
    WARNINGS,
    PARTITIONS,
    PEAK_MEMORY,
    SPILLED,
    LAST_SUCCESS,
    SNAPSHOT,
    AS_OF,
    OBJECTS,
    OBJECTS_READ,
    ROWS_READ,
    ROWS_REJECTED,
    NEWEST,
];

/// What a gauge shows. Its labels are few and of few values: a source, a stage, an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub gauge: Gauge,
    pub label: Option<(&'static str, String)>,
    pub value: f64,
}

/// Whether the marts are as the run's date has them: it is a whole run that went well.
pub(super) fn is_success(results: &RunResults) -> bool {
    matches!(results.status, Status::Published | Status::NothingToDo)
}

/// A run's status as a word.
pub(super) fn status(results: &RunResults) -> &'static str {
    match results.status {
        Status::Published => "published",
        Status::NothingToDo => "nothing_to_do",
        Status::Built => "built",
        Status::Interrupted => "interrupted",
        Status::Failed => "failed",
    }
}

/// What there is to read off a run.
pub(super) fn readings(results: &RunResults) -> Vec<Reading> {
    let mut readings = of_run(results);
    readings.extend(of_sources(results));
    if is_success(results) {
        readings.extend(of_marts(results));
    }
    readings
}

fn plain(gauge: Gauge, value: f64) -> Reading {
    Reading { gauge, label: None, value }
}

fn of_run(results: &RunResults) -> Vec<Reading> {
    let partitions = &results.partitions;
    let settled = |action| partitions.iter().filter(|p| p.action == action).count() as f64;
    let by_action = |word: &str, action| Reading {
        gauge: PARTITIONS,
        label: Some(("action", word.to_owned())),
        value: settled(action),
    };
    let peak = partitions.iter().map(|p| p.peak_memory_bytes).max().unwrap_or_default();
    let spilled: u64 = partitions.iter().map(|p| p.spilled_bytes).sum();
    let mut readings = vec![
        plain(STARTED, timestamp(results.started_at)),
        plain(ENDED, timestamp(results.ended_at)),
        plain(DURATION, results.took_seconds()),
        plain(EXIT_CODE, f64::from(results.exit_code)),
        plain(WARNINGS, results.warnings.len() as f64),
        by_action("built", Action::Built),
        by_action("unchanged", Action::Unchanged),
        plain(PEAK_MEMORY, peak as f64),
        plain(SPILLED, spilled as f64),
    ];
    readings.extend(stages(results));
    readings
}

/// A run that mends its lake goes through a stage twice.
fn stages(results: &RunResults) -> impl Iterator<Item = Reading> {
    let mut sums: Vec<(&str, f64)> = Vec::new();
    for stage in &results.stages {
        match sums.iter_mut().find(|(name, _)| *name == stage.name) {
            Some((_, sum)) => *sum += stage.took_seconds,
            None => sums.push((&stage.name, stage.took_seconds)),
        }
    }
    sums.into_iter().map(|(name, value)| Reading {
        gauge: STAGE_DURATION,
        label: Some(("stage", name.to_owned())),
        value,
    })
}

fn of_sources(results: &RunResults) -> impl Iterator<Item = Reading> {
    results.sources.iter().flat_map(|source| {
        let reading = |gauge, value| Reading { gauge, label: Some(("source", source.source.clone())), value };
        [
            Some(reading(OBJECTS, source.objects as f64)),
            Some(reading(OBJECTS_READ, source.objects_read as f64)),
            Some(reading(ROWS_READ, source.rows_read as f64)),
            Some(reading(ROWS_REJECTED, source.rows_rejected as f64)),
            source.newest_at.map(|at| reading(NEWEST, timestamp(at))),
        ]
        .into_iter()
        .flatten()
    })
}

fn of_marts(results: &RunResults) -> impl Iterator<Item = Reading> {
    let midnight = results.as_of.and_time(NaiveTime::MIN).and_utc();
    [
        Some(plain(LAST_SUCCESS, timestamp(results.ended_at))),
        Some(plain(AS_OF, timestamp(midnight))),
        results.snapshot.map(|number| plain(SNAPSHOT, number as f64)),
    ]
    .into_iter()
    .flatten()
}

fn timestamp(at: DateTime<Utc>) -> f64 {
    at.timestamp_micros() as f64 / 1e6
}
