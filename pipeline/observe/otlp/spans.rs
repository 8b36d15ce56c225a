//! A run as spans: the run, its stages, and in them the partitions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};

use super::SCOPE;
use crate::account::{Action, PartitionResult, RunResults, Stage};
use crate::observe::gauges;
use crate::observe::words::without_rows;

/// The run's spans, as the sampler lets them through.
pub(super) fn of(results: &RunResults, parent: &Context, resource: &Resource) -> Vec<SpanData> {
    let collected = Collected::default();
    let provider =
        SdkTracerProvider::builder().with_span_processor(collected.clone()).with_resource(resource.clone()).build();
    let scribe = Scribe { tracer: provider.tracer(SCOPE) };
    scribe.run(results, parent);
    collected.take()
}

struct Scribe {
    tracer: SdkTracer,
}

impl Scribe {
    fn run(&self, results: &RunResults, parent: &Context) {
        let error = results.error.as_deref().map(without_rows).filter(|_| !is_interrupted(results));
        let run = self.begin("bazgasht run", results.started_at, of_run(results), parent);
        for (index, stage) in results.stages.iter().enumerate() {
            let is_last = index + 1 == results.stages.len();
            self.stage(stage, results, error.as_deref().filter(|_| is_last), &run);
        }
        end(&run, results.ended_at.into(), error.as_deref());
    }

    /// The stage in which a run failed has its error.
    fn stage(&self, stage: &Stage, results: &RunResults, error: Option<&str>, run: &Context) {
        let attributes = [KeyValue::new("bazgasht.stage", stage.name.clone())].into_iter();
        let attributes = attributes.chain(of_source(stage, results));
        let context = self.begin(&stage.name, stage.started_at, attributes.collect(), run);
        let ended_at = after(stage.started_at, stage.took_seconds);
        let within = |partition: &&PartitionResult| {
            partition.started_at >= stage.started_at && SystemTime::from(partition.started_at) <= ended_at
        };
        if stage.name == "build" {
            results.partitions.iter().filter(within).for_each(|partition| self.partition(partition, &context));
        }
        end(&context, ended_at, error);
    }

    fn partition(&self, partition: &PartitionResult, build: &Context) {
        let name = format!("build {}", partition.model);
        let context = self.begin(&name, partition.started_at, of_partition(partition), build);
        let failed = (partition.violations > 0).then(|| format!("{} checks failed", partition.violations));
        end(&context, after(partition.started_at, partition.took_seconds), failed.as_deref());
    }

    fn begin(&self, name: &str, at: DateTime<Utc>, attributes: Vec<KeyValue>, parent: &Context) -> Context {
        let builder = self.tracer.span_builder(name.to_owned()).with_kind(SpanKind::Internal);
        let builder = builder.with_start_time(SystemTime::from(at)).with_attributes(attributes);
        parent.with_span(builder.start_with_context(&self.tracer, parent))
    }
}

fn end(context: &Context, at: SystemTime, error: Option<&str>) {
    if let Some(error) = error {
        context.span().set_status(Status::error(error.to_owned()));
    }
    context.span().end_with_timestamp(at);
}

fn after(started_at: DateTime<Utc>, took_seconds: f64) -> SystemTime {
    SystemTime::from(started_at) + Duration::try_from_secs_f64(took_seconds).unwrap_or_default()
}

fn is_interrupted(results: &RunResults) -> bool {
    results.status == crate::account::Status::Interrupted
}

fn of_run(results: &RunResults) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("bazgasht.project", results.project.clone()),
        KeyValue::new("bazgasht.run.id", results.run_id.clone()),
        KeyValue::new("bazgasht.run.status", gauges::status(results)),
        KeyValue::new("bazgasht.as_of", results.as_of.to_string()),
        KeyValue::new("process.exit.code", i64::from(results.exit_code)),
    ];
    attributes.extend(results.snapshot.map(|number| KeyValue::new("bazgasht.snapshot", integer(number))));
    attributes.extend(results.backfill.map(|span| KeyValue::new("bazgasht.backfill", span.to_string())));
    attributes.extend(results.select.as_ref().map(|select| KeyValue::new("bazgasht.select", select.join(","))));
    if results.error.is_some() && !is_interrupted(results) {
        attributes.push(KeyValue::new("error.type", results.exit_code.to_string()));
    }
    attributes
}

/// Of the stage that extracts a source, what was read.
fn of_source(stage: &Stage, results: &RunResults) -> Vec<KeyValue> {
    let name = stage.name.strip_prefix("extract ");
    let source = name.and_then(|name| results.sources.iter().find(|source| source.source == name));
    source.map_or_else(Vec::new, |source| {
        vec![
            KeyValue::new("bazgasht.source", source.source.clone()),
            KeyValue::new("bazgasht.objects", integer(source.objects)),
            KeyValue::new("bazgasht.objects_read", integer(source.objects_read)),
            KeyValue::new("bazgasht.rows_read", integer(source.rows_read)),
            KeyValue::new("bazgasht.rows_rejected", integer(source.rows_rejected)),
        ]
    })
}

fn of_partition(partition: &PartitionResult) -> Vec<KeyValue> {
    let action = match partition.action {
        Action::Built => "built",
        Action::Unchanged => "unchanged",
    };
    vec![
        KeyValue::new("bazgasht.model", partition.model.clone()),
        KeyValue::new("bazgasht.partition", partition.partition.clone()),
        KeyValue::new("bazgasht.action", action),
        KeyValue::new("bazgasht.rows", integer(partition.rows)),
        KeyValue::new("bazgasht.size_bytes", integer(partition.size_bytes)),
        KeyValue::new("bazgasht.violations", integer(partition.violations)),
        KeyValue::new("bazgasht.peak_memory_bytes", integer(partition.peak_memory_bytes)),
        KeyValue::new("bazgasht.spilled_bytes", integer(partition.spilled_bytes)),
    ]
}

/// OpenTelemetry's integers have a sign.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Keeps spans that have ended, to be sent in one piece.
#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl Collected {
    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SpanProcessor for Collected {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
