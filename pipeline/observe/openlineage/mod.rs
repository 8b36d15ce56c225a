//! Runs as OpenLineage events: one job for the whole run, and below it one for each model that was built and one for
//! its checks. What is in them is what the account, the manifest and the snapshot say; never a row and never a secret.

mod datasets;
mod events;
mod sink;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Begun;
use crate::account::{Action, PartitionResult, RunResults, Status};
use crate::config::OpenLineage;
use crate::lake;
use crate::manifest::{self, Manifest, ModelNode};
use crate::project::Project;
use crate::publish;
use crate::run::Outcome;
use crate::snapshot::{PartitionRecord, Snapshot};
use datasets::{Datasets, Statistics};
use events::{Event, Kind, Run, facet, nominal_time};

/// Tells of a run that has begun.
pub async fn begun(openlineage: &OpenLineage, project: &Project, run: &Begun<'_>) {
    let main = Run::main(openlineage, &project.config.project.name, run.run_id);
    let facets = nominal_time(&project.zone, run.as_of);
    let event = Event::of(&main, Kind::Start, run.started_at).with_run_facets(facets);
    send(openlineage, &run.run_id.to_string(), vec![event.json()]).await;
}

/// Tells of a run that ended: its models first, then itself.
pub async fn ended(openlineage: &OpenLineage, project: &Project, results: &RunResults, outcome: Option<&Outcome>) {
    let Ok(run_id) = results.run_id.parse() else { return };
    let main = Run::main(openlineage, &results.project, run_id);
    let mut events = Vec::new();
    if let Some(manifest) = manifest_of(project, results).await {
        let manifest = &manifest;
        let snapshot = outcome.and_then(snapshot);
        let datasets = Datasets::new(project, manifest);
        for built in built(manifest, results) {
            let tested = tested(project, &built).await;
            events.extend(of_model(&main, &datasets, &built, results.status == Status::Published));
            events.extend(of_checks(&main, &datasets, &built, tested, results.status == Status::Published));
        }
        events.push(of_run(&main, project, results).with(
            datasets.sources(&results.sources),
            snapshot.map(|snapshot| published(&datasets, snapshot, results.status)).unwrap_or_default(),
        ));
    } else {
        events.push(of_run(&main, project, results));
    }
    send(openlineage, &results.run_id, events.iter().map(Event::json).collect()).await;
}

/// Without one, the run is told of alone.
async fn manifest_of(project: &Project, results: &RunResults) -> Option<Manifest> {
    let read = manifest::read(&project.lake, results.manifest.as_ref()?).await;
    read.inspect_err(|e| tracing::warn!("{e}")).ok().flatten()
}

async fn send(openlineage: &OpenLineage, run_id: &str, events: Vec<Value>) {
    if let Err(why) = sink::send(openlineage, run_id, &events).await {
        tracing::warn!("OpenLineage was not told of this run, or not of all of it: {why}");
    }
}

fn snapshot(outcome: &Outcome) -> Option<&Snapshot> {
    match outcome {
        Outcome::Published(snapshot, _) | Outcome::NothingToDo(snapshot) => Some(snapshot),
        Outcome::Built(_) => None,
    }
}

fn of_run(main: &Run, project: &Project, results: &RunResults) -> Event {
    let kind = match results.status {
        Status::Published | Status::NothingToDo | Status::Built => Kind::Complete,
        Status::Interrupted => Kind::Abort,
        Status::Failed => Kind::Fail,
    };
    let mut facets = nominal_time(&project.zone, results.as_of);
    if let (Status::Failed, Some(error)) = (results.status, &results.error) {
        let said = json!({ "message": error, "programmingLanguage": "Rust" });
        facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", said));
    }
    Event::of(main, kind, results.ended_at).with_run_facets(facets)
}

/// The marts as they stand. Statistics are of what the run itself wrote.
fn published(datasets: &Datasets<'_>, snapshot: &Snapshot, status: Status) -> Vec<Value> {
    let of_run = publish::snapshot_path(snapshot.number, "");
    let number = |path: &str| path.split('/').nth(1).and_then(|number| number.parse::<u64>().ok());
    let marts = snapshot.marts.iter().map(|(name, mart)| {
        let written = mart.files.iter().filter(|file| status == Status::Published && file.path.starts_with(&of_run));
        let written = written.fold(Statistics::default(), |sum, file| sum.and(file.rows, file.size_bytes));
        let version = mart.files.iter().filter_map(|file| number(&file.path)).max().unwrap_or(snapshot.number);
        datasets.mart(name, mart, version, written)
    });
    marts.collect()
}

/// A model of which the run built partitions.
struct BuiltModel<'a> {
    name: &'a str,
    node: &'a ModelNode,
    partitions: Vec<&'a PartitionResult>,
}

impl BuiltModel<'_> {
    fn started_at(&self) -> DateTime<Utc> {
        self.partitions.iter().map(|partition| partition.started_at).min().unwrap_or_default()
    }

    fn ended_at(&self) -> DateTime<Utc> {
        let end = |partition: &&PartitionResult| {
            let took = std::time::Duration::try_from_secs_f64(partition.took_seconds).unwrap_or_default();
            partition.started_at + took
        };
        self.partitions.iter().map(end).max().unwrap_or_default()
    }
}

/// In the order of their building.
fn built<'a>(manifest: &'a Manifest, results: &'a RunResults) -> Vec<BuiltModel<'a>> {
    let mut models: Vec<BuiltModel<'a>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for partition in results.partitions.iter().filter(|partition| partition.action == Action::Built) {
        let Some((name, node)) = manifest.models.get_key_value(&partition.model) else { continue };
        let place = *places.entry(name).or_insert(models.len());
        if place == models.len() {
            models.push(BuiltModel { name, node, partitions: vec![] });
        }
        if let Some(model) = models.get_mut(place) {
            model.partitions.push(partition);
        }
    }
    models
}

fn of_model(main: &Run, datasets: &Datasets<'_>, built: &BuiltModel<'_>, is_published: bool) -> [Event; 2] {
    let run = main.below(built.name, "MODEL", built.started_at());
    let written = built.partitions.iter().fold(Statistics::default(), |sum, p| sum.and(p.rows, p.size_bytes));
    let inputs = datasets.read_by(built.node);
    let output = datasets.model(built.name, built.node, is_published, written);
    [
        Event::of(&run, Kind::Start, built.started_at()),
        Event::of(&run, Kind::Complete, built.ended_at()).with(inputs, vec![output]),
    ]
}

/// The names of checks, and of warnings, that found something in the partitions that were built.
async fn tested(project: &Project, built: &BuiltModel<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for partition in built.partitions.iter().filter(|partition| partition.violations + partition.warnings > 0) {
        // Where it can't be read, their number still tells that there were some.
        match lake::read_json::<PartitionRecord>(&project.lake, &partition.record_path()).await {
            Ok(Some(record)) => {
                found.extend(record.violations.into_iter().chain(record.warnings).map(|violation| violation.check));
            }
            Ok(None) => {}
            Err(e) => tracing::warn!("{e}"),
        }
    }
    found
}

fn of_checks(
    main: &Run,
    datasets: &Datasets<'_>,
    built: &BuiltModel<'_>,
    found: BTreeSet<String>,
    is_published: bool,
) -> Vec<Event> {
    let assertions = assertions(built.node, &found);
    if assertions.is_empty() {
        return vec![];
    }
    let has_failed = built.partitions.iter().any(|partition| partition.violations > 0);
    let kind = if has_failed { Kind::Fail } else { Kind::Complete };
    let run = main.below(&format!("{}.test", built.name), "TEST", built.ended_at());
    let input = datasets.checked(built.name, is_published, assertions);
    [Event::of(&run, Kind::Start, built.ended_at()), Event::of(&run, kind, built.ended_at()).with(vec![input], vec![])]
        .into()
}

fn assertions(node: &ModelNode, found: &BTreeSet<String>) -> Vec<Value> {
    let mut assertions = Vec::new();
    let of_columns = node.columns.iter().flat_map(|column| column.checks.iter().map(move |check| (column, check)));
    for (column, check) in of_columns {
        let success = !found.contains(&format!("{} {check}", column.name));
        assertions.push(json!({ "assertion": check, "column": column.name, "success": success, "severity": "error" }));
    }
    if !node.grain.is_empty() {
        let name = format!("one row per {}", node.grain.join(", "));
        let success = !found.contains("grain is unique");
        assertions.push(json!({ "assertion": "unique", "name": name, "success": success, "severity": "error" }));
    }
    for (checks, severity) in [(&node.checks, "error"), (&node.warnings, "warn")] {
        for check in checks {
            let success = !found.contains(&check.name);
            let assertion = json!({
                "assertion": "custom_sql", "name": check.name, "success": success, "severity": severity,
                "content": check.sql, "contentType": "sql",
            });
            assertions.push(assertion);
        }
    }
    assertions
}
