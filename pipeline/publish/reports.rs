//! The two marts that tell of the pipeline itself: `run_log` and `data_quality`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};

use crate::check::{Conservation, staging_counts};
use crate::error::Result;
use crate::snapshot::{MartOrigin, PartitionId, PartitionRecord, Snapshot, SourceState};
use crate::sources::Tally;

/// A column of such a mart: name and doc.
pub type ReportColumn = (&'static str, &'static str);

/// A mart that tells of the pipeline.
pub struct Report {
    pub name: &'static str,
    pub description: &'static str,
    pub grain: &'static [&'static str],
    pub columns: &'static [ReportColumn],
    pub origin: MartOrigin,
}

pub const REPORTS: [Report; 2] = [
    Report {
        name: "data_quality",
        description: "One row per source or model partition and measure of this snapshot.",
        grain: &["subject_kind", "subject", "partition", "measure"],
        columns: DATA_QUALITY,
        origin: MartOrigin::DataQuality,
    },
    Report {
        name: "run_log",
        description: "One row per run that committed a snapshot.",
        grain: &["snapshot"],
        columns: RUN_LOG,
        origin: MartOrigin::RunLog,
    },
];

const RUN_LOG: &[ReportColumn] = &[
    ("snapshot", "Number of the snapshot that the run committed."),
    ("run_id", "The run; sorts by time."),
    ("kind", "run or rollback."),
    ("run_as_of", "The business date that the run was as of."),
    ("started_at", "When the run started, UTC."),
    ("committed_at", "When its snapshot was committed, UTC."),
    ("partitions_built", "Model partitions that had to be built."),
    ("objects_read", "Input objects that had to be read."),
    ("rows_read", "Rows in those objects."),
    ("rows_rejected", "Rows rejected among them."),
];

const DATA_QUALITY: &[ReportColumn] = &[
    ("subject_kind", "source or model."),
    ("subject", "The source's or model's name."),
    ("partition", "The model's partition; all for a source."),
    (
        "measure",
        "read, staged, duplicate, superseded; rejected:<rule>, skipped:<rule>, warning:<what>; rows, checks, failed and warning:<check> of a model.",
    ),
    ("value", "How many rows, or checks."),
    ("is_ok", "False where the measure is a failed check."),
];

/// One row per run, oldest first.
pub fn run_log(snapshot: &Snapshot) -> Result<RecordBatch> {
    let log = &snapshot.run_log;
    let number = |of: fn(&crate::snapshot::RunLogRow) -> u64| signed(log.iter().map(of));
    let time = |of: fn(&crate::snapshot::RunLogRow) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(log.iter().map(of)).with_timezone("UTC"))
    };
    let days = Date32Array::from_iter_values(log.iter().map(|r| Date32Type::from_naive_date(r.as_of)));
    table(
        RUN_LOG,
        vec![
            number(|r| r.snapshot)?,
            Arc::new(StringArray::from_iter_values(log.iter().map(|r| &r.run_id))),
            Arc::new(StringArray::from_iter_values(log.iter().map(|r| &r.kind))),
            Arc::new(days),
            time(|r| r.started_at.timestamp_micros()),
            time(|r| r.committed_at.timestamp_micros()),
            number(|r| r.partitions_built)?,
            number(|r| r.objects_read)?,
            number(|r| r.rows_read)?,
            number(|r| r.rows_rejected)?,
        ],
    )
}

struct Measure {
    kind: &'static str,
    subject: String,
    partition: String,
    measure: String,
    value: u64,
    is_ok: bool,
}

/// What this snapshot's sources and checks were like, by subject, partition and measure.
pub fn data_quality(snapshot: &Snapshot) -> Result<RecordBatch> {
    let mut measures = Vec::new();
    for (name, source) in &snapshot.sources {
        source_measures(snapshot, name, source, &mut measures);
    }
    for (model, partitions) in &snapshot.partitions {
        for (partition, record) in partitions {
            model_measures(model, *partition, record, &mut measures);
        }
    }
    measures.sort_by(|a, b| {
        (a.kind, &a.subject, &a.partition, &a.measure).cmp(&(b.kind, &b.subject, &b.partition, &b.measure))
    });
    let text =
        |of: fn(&Measure) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(measures.iter().map(of))) };
    table(
        DATA_QUALITY,
        vec![
            text(|m| m.kind),
            text(|m| &m.subject),
            text(|m| &m.partition),
            text(|m| &m.measure),
            signed(measures.iter().map(|m| m.value))?,
            Arc::new(measures.iter().map(|m| Some(m.is_ok)).collect::<BooleanArray>()),
        ],
    )
}

fn source_measures(snapshot: &Snapshot, name: &str, source: &SourceState, measures: &mut Vec<Measure>) {
    let tally = Tally::of(source);
    let sum = Conservation::of(&tally, staging_counts(name, &snapshot.partitions));
    let totals =
        [("read", sum.read), ("staged", sum.staged), ("duplicate", sum.duplicate), ("superseded", sum.superseded)];
    let totals = totals.map(|(measure, value)| (measure.to_owned(), value));
    let by_rule = [("rejected", &tally.rejected), ("skipped", &tally.skipped), ("warning", &tally.warnings)];
    let by_rule = by_rule
        .into_iter()
        .flat_map(|(kind, counts)| counts.iter().map(move |(rule, rows)| (format!("{kind}:{rule}"), *rows)));
    measures.extend(totals.into_iter().chain(by_rule).map(|(measure, value)| Measure {
        kind: "source",
        subject: name.to_owned(),
        partition: "all".to_owned(),
        measure,
        value,
        is_ok: true,
    }));
}

fn model_measures(model: &str, partition: PartitionId, record: &PartitionRecord, measures: &mut Vec<Measure>) {
    let failed = record.violations.len() as u64;
    let totals = [("rows", record.file.rows, true), ("checks", record.checks, true), ("failed", failed, failed == 0)];
    let totals = totals.map(|(measure, value, is_ok)| (measure.to_owned(), value, is_ok));
    let warnings = record.warnings.iter().map(|w| (format!("warning:{}", w.check), w.rows, true));
    measures.extend(totals.into_iter().chain(warnings).map(|(measure, value, is_ok)| Measure {
        kind: "model",
        subject: model.to_owned(),
        partition: partition.to_string(),
        measure,
        value,
        is_ok,
    }));
}

/// BI tools know no unsigned integers.
fn signed(values: impl Iterator<Item = u64>) -> Result<ArrayRef> {
    Ok(cast(&UInt64Array::from_iter_values(values), &DataType::Int64)?)
}

fn table(columns: &[ReportColumn], arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    let named = columns.iter().zip(arrays).map(|((name, _), array)| (*name, array, true));
    Ok(RecordBatch::try_from_iter_with_nullable(named)?)
}
