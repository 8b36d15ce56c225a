//! Backfill: the business days of a stretch that were never published, one ordinary run after the other.
//!
//! A day is missing when no row of the run log is as of it. Each missing day is a run of its own with its own account
//! and snapshot, so an interrupted backfill goes on where it stopped when it is started again.
//!
//! Invariant: where a backfill ends, whether done or stopped by a failing day, the marts are as of the newest day that
//! was ever published: dashboards don't stay in the past. Only what interrupts it, or the failure of that last run too,
//! leaves them there, until the next run or the same backfill.

use std::collections::BTreeSet;
use std::fmt;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::{self, RunResults};
use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Request, Surroundings, no_future};
use crate::snapshot::{RunLogRow, Snapshot};

/// Business days from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    pub from: NaiveDate,
    pub to: NaiveDate,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// What a backfill has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The days that are missing, in order.
    pub days: Vec<NaiveDate>,
    /// The day that is published once more after them, since it is newer.
    pub finally: Option<NaiveDate>,
}

/// One run of a backfill, for whoever watches.
pub struct Told<'a> {
    /// Which of the missing days it was, from 1; `None` for the newest day, published once more.
    pub position: Option<usize>,
    pub days: usize,
    pub results: &'a RunResults,
}

/// What there is to do, by the newest snapshot's run log.
///
/// # Errors
/// [`Error::Config`] for a stretch that ends before it begins or reaches beyond today; storage errors.
pub async fn plan(project: &Project, span: Span, around: &Surroundings<'_>) -> Result<Plan> {
    if span.to < span.from {
        return Err(Error::config(format!("--from {} is after --to {}", span.from, span.to)));
    }
    no_future(project, "--to", span.to, (around.now)())?;
    let newest = Snapshot::newest(&project.lake).await?;
    Ok(outline(span, newest.as_ref().map_or(&[], |snapshot| &snapshot.run_log)))
}

/// What is to be done after these runs.
fn outline(span: Span, run_log: &[RunLogRow]) -> Plan {
    let published: BTreeSet<NaiveDate> = run_log.iter().map(|row| row.as_of).collect();
    let days: Vec<NaiveDate> =
        span.from.iter_days().take_while(|day| *day <= span.to).filter(|day| !published.contains(day)).collect();
    let last = days.last().copied().or_else(|| standing(run_log));
    let finally = published.last().copied().filter(|newest| last.is_some_and(|last| last < *newest));
    Plan { days, finally }
}

/// The day that the marts are as of, unless a person wanted them so: a rollback stands until the next run.
fn standing(run_log: &[RunLogRow]) -> Option<NaiveDate> {
    run_log.last().filter(|row| row.kind == "run").map(|row| row.as_of)
}

/// Publishes each missing day in order, and then the newest once more, if it isn't the last.
///
/// # Errors
/// That of the first run that fails: the days before it are published, the later ones are still missing.
pub async fn run(
    project: &Project,
    span: Span,
    fail_fast: bool,
    around: &Surroundings<'_>,
    tell: &mut dyn FnMut(&Told<'_>),
) -> Result<()> {
    let Plan { days, .. } = plan(project, span, around).await?;
    let request = |day| Request { as_of: Some(day), fail_fast, backfill: Some(span), ..Request::default() };
    let mut failed = Ok(());
    for (index, day) in days.iter().enumerate() {
        let (results, outcome) = account::run(project, &request(*day), around).await;
        tell(&Told { position: Some(index + 1), days: days.len(), results: &results });
        failed = outcome.map(|_| ());
        match &failed {
            Ok(()) => {}
            Err(Error::Interrupted(_)) => return failed,
            Err(_) => break,
        }
    }
    let returned = match newer(project).await? {
        Some(newest) => {
            let (results, outcome) = account::run(project, &request(newest), around).await;
            tell(&Told { position: None, days: days.len(), results: &results });
            outcome.map(|_| ())
        }
        None => Ok(()),
    };
    match (failed, returned) {
        (Err(failed), Err(returned)) => {
            tracing::warn!("the marts are as of a past day until the next run: {returned}");
            Err(failed)
        }
        (Err(e), Ok(())) | (Ok(()), Err(e)) => Err(e),
        (Ok(()), Ok(())) => Ok(()),
    }
}

/// The newest day that was ever published, if the marts are as of an earlier one.
async fn newer(project: &Project) -> Result<Option<NaiveDate>> {
    let newest = Snapshot::newest(&project.lake).await?;
    Ok(newest.and_then(|snapshot| {
        let standing = standing(&snapshot.run_log)?;
        snapshot.run_log.iter().map(|row| row.as_of).max().filter(|newest| standing < *newest)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn log(rows: &[(&str, &str)]) -> Vec<RunLogRow> {
        let row = |(number, (kind, as_of)): (usize, &(&str, &str))| RunLogRow {
            snapshot: number as u64 + 1,
            run_id: number.to_string(),
            kind: (*kind).to_owned(),
            as_of: day(as_of),
            started_at: chrono::DateTime::UNIX_EPOCH,
            committed_at: chrono::DateTime::UNIX_EPOCH,
            partitions_built: 0,
            objects_read: 0,
            rows_read: 0,
            rows_rejected: 0,
            manifest: None,
        };
        rows.iter().enumerate().map(row).collect()
    }

    fn outlined(from: &str, to: &str, rows: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let plan = outline(Span { from: day(from), to: day(to) }, &log(rows));
        (plan.days.iter().map(ToString::to_string).collect(), plan.finally.map(|day| day.to_string()))
    }

    #[test]
    fn a_day_is_missing_when_no_run_was_as_of_it() {
        let rows = [("run", "2024-02-28"), ("run", "2024-03-01")];
        let days = vec!["2024-02-29".to_owned(), "2024-03-02".to_owned()];
        assert_eq!(outlined("2024-02-28", "2024-03-02", &rows), (days, None));
    }

    #[test]
    fn past_days_are_followed_by_the_newest() {
        let (days, finally) = outlined("2024-02-27", "2024-02-28", &[("run", "2024-03-05")]);
        assert_eq!((days.len(), finally.as_deref()), (2, Some("2024-03-05")));
        // Interrupted after its last day, it still has that to do.
        let rows = [("run", "2024-03-05"), ("run", "2024-02-27")];
        assert_eq!(outlined("2024-02-27", "2024-02-27", &rows), (vec![], Some("2024-03-05".to_owned())));
    }

    #[test]
    fn a_rollback_is_left_alone_when_nothing_is_missing() {
        let rows = [("run", "2024-03-05"), ("run", "2024-03-06"), ("rollback to 1", "2024-03-05")];
        assert_eq!(outlined("2024-03-05", "2024-03-06", &rows), (vec![], None));
    }

    #[test]
    fn an_empty_lake_lacks_every_day() {
        assert_eq!(outlined("2024-12-31", "2025-01-01", &[]).0, ["2024-12-31", "2025-01-01"]);
    }
}
