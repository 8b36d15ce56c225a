//! Checking: the gate before publishing. Only a [`Checked`] can be committed, and only this module makes one.

use crate::build::Built;
use crate::error::{Error, Result};
use crate::snapshot::{PartitionId, PartitionRecord, RowCounts};
use crate::sources::{Source, Sources};

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

    /// Counts a source's rows: those read and rejected from its extracts, the others from its staging's partitions.
    pub fn of(source: &Source, staging: &[RowCounts]) -> Self {
        let mut sum = Self::default();
        for (extract, repeats) in source.delivered_extracts() {
            sum.read += extract.read;
            sum.rejected += extract.rejected.values().sum::<u64>();
            sum.skipped += extract.skipped.values().sum::<u64>();
            if repeats {
                sum.duplicate += extract.extracted_rows();
                continue;
            }
            sum.rejected += source.state.homes.orphans.get(&extract.key).map_or(0, |orphans| orphans.rows);
        }
        for counts in staging {
            sum.staged += counts.staged;
            sum.duplicate += counts.duplicate;
            sum.superseded += counts.superseded;
        }
        sum
    }
}

/// The counts of a source's staging partitions.
pub fn staging_counts<'a>(name: &str, built: &'a Built) -> Vec<RowCounts> {
    let partitions: Option<&'a std::collections::BTreeMap<PartitionId, PartitionRecord>> =
        built.partitions.get(&format!("stg_{name}"));
    partitions.into_iter().flat_map(|p| p.values()).filter_map(|record| record.counts).collect()
}

/// Lets a run pass whose partitions hold no violation and whose rows are all accounted for, in the sources that
/// are `in_question` (a `--select` run leaves some out).
///
/// # Errors
/// [`Error::Check`] with everything that failed. Nothing is published then: last night's marts stay.
pub fn check(
    built: Built,
    sources: &Sources,
    in_question: impl Fn(&str) -> bool,
    max_rejected: impl Fn(&str) -> f64,
) -> Result<Checked> {
    let mut failures = violations(&built);
    for (name, source) in sources.0.iter().filter(|(name, s)| s.configured && in_question(name)) {
        let sum = Conservation::of(source, &staging_counts(name, &built));
        if !sum.holds() {
            failures.push(format!(
                "conservation of {name}: {} rows read, but {} staged + {} duplicate + {} superseded + {} rejected + {} skipped",
                sum.read, sum.staged, sum.duplicate, sum.superseded, sum.rejected, sum.skipped
            ));
        }
        failures.extend(too_many_rejected(name, sum, max_rejected(name)));
    }
    if failures.is_empty() {
        return Ok(Checked(built));
    }
    failures.push("nothing was published; the marts of the run before stay".to_owned());
    Err(Error::Check(failures.join("\n")))
}

fn violations(built: &Built) -> Vec<String> {
    let mut failures = Vec::new();
    for (model, partitions) in &built.partitions {
        for (partition, record) in partitions {
            for violation in &record.violations {
                failures.push(format!(
                    "{model} ({partition}): check `{}` failed on {} rows\n  {}",
                    violation.check,
                    violation.rows,
                    violation.samples.join("\n  ")
                ));
            }
        }
    }
    failures
}

fn too_many_rejected(name: &str, sum: Conservation, limit: f64) -> Option<String> {
    let considered = sum.read - sum.skipped;
    let share = sum.rejected as f64 / considered.max(1) as f64;
    (share > limit).then(|| {
        format!(
            "source {name}: {} of {considered} rows were rejected ({:.2} %), more than max_rejected allows ({:.2} %)\n  \
             hint: mend the mapping, skip what is expected, or raise [sources.{name}] max_rejected",
            sum.rejected,
            100.0 * share,
            100.0 * limit
        )
    })
}
