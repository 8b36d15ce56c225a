//! Events and facets, as the specification shapes them.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::calendar::BusinessZone;
use crate::config::{JobRun, OpenLineage};
use crate::lake::KeyHasher;

/// Who says it.
const PRODUCER: &str = concat!("urn:bazgasht:", env!("CARGO_PKG_VERSION"));
const SPEC: &str = "https://openlineage.io/spec";

/// A facet of the specification by its version and name (`1-0-1/ErrorMessageRunFacet`).
pub fn facet(which: &str, mut fields: Value) -> Value {
    let name = which.rsplit('/').next().unwrap_or(which);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("_producer".to_owned(), PRODUCER.into());
        fields.insert("_schemaURL".to_owned(), format!("{SPEC}/facets/{which}.json#/$defs/{name}").into());
    }
    fields
}

/// What an event tells of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Start,
    Complete,
    Fail,
    /// Stopped from outside.
    Abort,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Start => "START",
            Kind::Complete => "COMPLETE",
            Kind::Fail => "FAIL",
            Kind::Abort => "ABORT",
        }
    }
}

/// A run of one of our jobs.
#[derive(Debug, Clone)]
pub struct Run {
    own: JobRun,
    /// What the job is: `PIPELINE`, `MODEL`, `TEST`.
    job_type: &'static str,
    parent: Option<JobRun>,
    root: Option<JobRun>,
}

impl Run {
    /// Of the whole pipeline; its parent is another tool's.
    pub fn main(openlineage: &OpenLineage, project: &str, run_id: Uuid) -> Self {
        let own = JobRun { namespace: openlineage.namespace.clone(), job: project.to_owned(), run_id };
        let parent = openlineage.parent.clone();
        let root = openlineage.root.clone().filter(|_| parent.is_some()).or(parent.clone());
        Run { own, job_type: "PIPELINE", parent, root }
    }

    /// Of a part of it. Its name is the same whenever it is told of.
    pub fn below(&self, part: &str, job_type: &'static str, started_at: DateTime<Utc>) -> Self {
        let mut hasher = KeyHasher::new("part of a run");
        let digest = hasher.part("run", &self.own.run_id.to_string()).part("part", part).finish();
        let mut random = [0; 10];
        random.iter_mut().zip(digest.hex().bytes()).for_each(|(byte, digit)| *byte = digit);
        let millis = u64::try_from(started_at.timestamp_millis()).unwrap_or_default();
        let run_id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let own = JobRun { job: format!("{}.{part}", self.own.job), run_id, ..self.own.clone() };
        let root = self.root.clone().unwrap_or(self.own.clone());
        Run { own, job_type, parent: Some(self.own.clone()), root: Some(root) }
    }
}

/// Something that happened to a run.
#[derive(Debug, Clone)]
pub struct Event {
    run: Run,
    kind: Kind,
    at: DateTime<Utc>,
    run_facets: Map<String, Value>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

impl Event {
    pub fn of(run: &Run, kind: Kind, at: DateTime<Utc>) -> Self {
        Event { run: run.clone(), kind, at, run_facets: Map::new(), inputs: vec![], outputs: vec![] }
    }

    pub fn with_run_facets(self, run_facets: Map<String, Value>) -> Self {
        Event { run_facets, ..self }
    }

    pub fn with(self, inputs: Vec<Value>, outputs: Vec<Value>) -> Self {
        Event { inputs, outputs, ..self }
    }

    pub fn json(&self) -> Value {
        let mut run_facets = self.run_facets.clone();
        let version = env!("CARGO_PKG_VERSION");
        let engine = json!({ "name": "Bazgasht", "version": version, "openlineageAdapterVersion": version });
        run_facets.insert("processing_engine".to_owned(), facet("1-1-1/ProcessingEngineRunFacet", engine));
        if let (Some(parent), Some(root)) = (&self.run.parent, &self.run.root) {
            let mut fields = named(parent);
            fields["root"] = named(root);
            run_facets.insert("parent".to_owned(), facet("1-2-0/ParentRunFacet", fields));
        }
        let job_type = json!({ "processingType": "BATCH", "integration": "BAZGASHT", "jobType": self.run.job_type });
        json!({
            "eventType": self.kind.as_str(),
            "eventTime": instant(self.at),
            "producer": PRODUCER,
            "schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"),
            "run": { "runId": self.run.own.run_id.to_string(), "facets": run_facets },
            "job": {
                "namespace": self.run.own.namespace,
                "name": self.run.own.job,
                "facets": { "jobType": facet("2-0-4/JobTypeJobFacet", job_type) },
            },
            "inputs": self.inputs,
            "outputs": self.outputs,
        })
    }
}

fn named(run: &JobRun) -> Value {
    json!({ "run": { "runId": run.run_id.to_string() }, "job": { "namespace": run.namespace, "name": run.job } })
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The as-of day in the project's zone, from midnight to midnight.
pub fn nominal_time(zone: &BusinessZone, as_of: NaiveDate) -> Map<String, Value> {
    let midnight = |day: NaiveDate| zone.start_of(day).map(instant);
    let mut fields = Map::new();
    if let Some(start) = midnight(as_of) {
        let mut times = json!({ "nominalStartTime": start });
        if let Some(end) = as_of.succ_opt().and_then(midnight) {
            times["nominalEndTime"] = end.into();
        }
        fields.insert("nominalTime".to_owned(), facet("1-0-1/NominalTimeRunFacet", times));
    }
    fields
}
