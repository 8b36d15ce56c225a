//! Checking: the gate before publishing. Only a [`Checked`] can be committed, and only this module makes one.

use std::collections::BTreeMap;

use crate::build::Built;
use crate::engine::Violation;
use crate::error::{Error, Result};
use crate::extract::RULES;
use crate::plan::Slot;
use crate::snapshot::{PartitionId, Partitions, RowCounts};
use crate::sources::{Source, Sources, Tally};

/// What a run built, with every check passed.
pub struct Checked(Built);

impl Checked {
    pub fn built(&self) -> &Built {
        &self.0
    }
}

/// All rows of a source, by what became of them, over all months and whatever the as-of date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conservation {
    pub read: u64,
    pub staged: u64,
    pub duplicate: u64,
    pub superseded: u64,
    pub rejected: u64,
    pub skipped: u64,
}

impl Conservation {
    pub fn holds(&self) -> bool {
        self.read == self.staged + self.duplicate + self.superseded + self.rejected + self.skipped
    }

    /// Counts a source's rows: those read and rejected by extraction, the others by its staging's partitions.
    pub fn of(tally: &Tally, staging: impl Iterator<Item = RowCounts>) -> Self {
        let mut sum = Self {
            read: tally.read,
            duplicate: tally.repeated,
            rejected: tally.rejected_rows(),
            skipped: tally.skipped_rows(),
            ..Self::default()
        };
        for counts in staging {
            sum.staged += counts.staged;
            sum.duplicate += counts.duplicate;
            sum.superseded += counts.superseded;
        }
        sum
    }
}

/// The counts of a source's staging partitions.
pub fn staging_counts<'a>(name: &str, partitions: &'a Partitions) -> impl Iterator<Item = RowCounts> + use<'a> {
    let staging = partitions.get(&format!("stg_{name}"));
    staging.into_iter().flat_map(|p| p.values()).filter_map(|record| record.counts)
}

/// Lets a run pass whose partitions hold no violation and whose rows are all accounted for, in the sources that
/// are `in_question` (a `--select` run leaves some out). `moved` is what the guards found of marts that moved
/// implausibly.
///
/// # Errors
/// [`Error::Check`] with everything that failed. Nothing is published then: last night's marts stay.
pub fn check(
    built: Built,
    sources: &Sources,
    in_question: impl Fn(&str) -> bool,
    moved: Vec<String>,
) -> Result<Checked> {
    let mut failures = violations(&built);
    for (name, source) in sources.0.iter().filter(|(name, s)| s.configured && in_question(name)) {
        let sum = Conservation::of(&Tally::of(&source.state), staging_counts(name, &built.partitions));
        if !sum.holds() {
            failures.push(format!(
                "conservation of {name}: {} rows read, but {} staged + {} duplicate + {} superseded + {} rejected + {} skipped",
                sum.read, sum.staged, sum.duplicate, sum.superseded, sum.rejected, sum.skipped
            ));
        }
    }
    failures.extend(moved);
    if failures.is_empty() {
        return Ok(Checked(built));
    }
    Err(refusal(failures))
}

/// What keeps a run from publishing, as one error.
pub(crate) fn refusal(failures: Vec<String>) -> Error {
    Error::Check(format!("{}\n{UNPUBLISHED}", failures.join("\n")))
}

/// A failed check over all the partitions that it failed in.
#[derive(Default)]
struct Failed<'a> {
    partitions: Vec<String>,
    rows: u64,
    samples: &'a [String],
}

impl<'a> Failed<'a> {
    /// The samples are those of the latest partition.
    fn add(&mut self, partition: PartitionId, violation: &'a Violation) {
        self.partitions.push(partition.to_string());
        self.rows += violation.rows;
        self.samples = &violation.samples;
    }
}

/// What the failed checks of all partitions found, a line per model and check.
pub(crate) fn violations(built: &Built) -> Vec<String> {
    let mut failures: BTreeMap<(&str, &str), Failed<'_>> = BTreeMap::new();
    for (model, partitions) in built.partitions.iter().chain(&built.eve) {
        for (partition, record) in partitions {
            for violation in &record.violations {
                failures.entry((model, &violation.check)).or_default().add(*partition, violation);
            }
        }
    }
    let mut lines = Vec::new();
    for ((model, check), failed) in failures {
        let (partitions, samples) = (failed.partitions.join(", "), failed.samples.join("\n  "));
        lines.push(format!("{model} ({partitions}): check `{check}` failed on {} rows\n  {samples}", failed.rows));
    }
    lines
}

/// What the partitions built in this run found odd, a line per model and check.
pub fn warnings(built: &Built) -> Vec<String> {
    let mut found: BTreeMap<(&str, &str), Failed<'_>> = BTreeMap::new();
    for Slot { model, partition, .. } in built.built.iter().filter(|slot| !slot.eve) {
        let Some(record) = built.partitions.get(model).and_then(|p| p.get(partition)) else { continue };
        for warning in &record.warnings {
            found.entry((model, &warning.check)).or_default().add(*partition, warning);
        }
    }
    let line = |((model, check), failed): ((&str, &str), Failed<'_>)| {
        format!("{model} ({}): {check}\n  {}", failed.partitions.join(", "), failed.samples.join("\n  "))
    };
    found.into_iter().map(line).collect()
}

/// Refuses sources whose rows or files are rejected beyond what their config allows, before anything is built. `shown`
/// tells a source's object as a person finds it.
///
/// # Errors
/// [`Error::Check`], with the rules, what to do about them and where the rejected rows are kept.
pub fn rejections(
    sources: &Sources,
    max_rejected: impl Fn(&str) -> f64,
    shown: impl Fn(&str, &str) -> String,
) -> Result<()> {
    let configured = sources.0.iter().filter(|(_, s)| s.configured);
    let refused = |(name, source): (&String, &Source)| refused(name, source, max_rejected(name), &shown);
    let failures: Vec<String> = configured.filter_map(refused).collect();
    if failures.is_empty() { Ok(()) } else { Err(refusal(failures)) }
}

const UNPUBLISHED: &str = "nothing was published; marts that were published before stay as they are";

fn refused(name: &str, source: &Source, limit: f64, shown: &impl Fn(&str, &str) -> String) -> Option<String> {
    let broken = broken_files(source);
    if let Some((first, why)) = broken.first().filter(|_| limit < 1.0) {
        let others = match broken.len() - 1 {
            0 => String::new(),
            others => format!("\n  and neither can {others} more"),
        };
        let first = shown(name, first);
        return Some(format!(
            "source {name}: {first} cannot be decoded to its end: {why}{others}\n  hint: deliver it again or take it out \
             of the location; max_rejected = 1.0 accepts what could be read"
        ));
    }
    let tally = Tally::of(&source.state);
    let (considered, rejected) = (tally.read - tally.skipped_rows(), tally.rejected_rows());
    let share = rejected as f64 / considered.max(1) as f64;
    (share > limit).then(|| {
        format!(
            "source {name}: {rejected} of {considered} rows were rejected ({:.2} %), more than max_rejected allows ({:.2} %)\n{}  \
             hint: mend the mapping, skip what is expected, or raise [sources.{name}] max_rejected",
            100.0 * share,
            100.0 * limit,
            by_rule(name, source)
        )
    })
}

/// Objects that can't be decoded to their end, and why.
fn broken_files(source: &Source) -> Vec<(&str, &str)> {
    let objects = source.state.objects.iter();
    let broken = objects.filter_map(|(path, object)| {
        let extract = source.state.extracts.get(&object.extract)?;
        let why = extract.broken.as_deref().unwrap_or("it breaks off");
        extract.rejected.contains_key("unreadable_file").then_some((path.as_str(), why))
    });
    broken.collect()
}

/// A line per rule: how often, what it means and what to do.
fn by_rule(name: &str, source: &Source) -> String {
    let about = |name: &str| RULES.iter().find(|rule| rule.name == name).map_or("", |rule| rule.remedy);
    let rules = Tally::of(&source.state).rejected;
    let lines: String = rules.iter().map(|(rule, rows)| format!("  {rule}: {rows} rows. {}\n", about(rule))).collect();
    format!("{lines}  `bazgasht rejects --source {name}` shows them\n")
}
