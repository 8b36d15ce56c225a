//! Retry: the newest run that failed or was interrupted, once more, as it was asked for.

use crate::account::{self, RunResults, Status};
use crate::error::Result;
use crate::project::Project;
use crate::run::Request;
use crate::snapshot::{RunLogRow, Snapshot};

/// The newest failed or interrupted run, unless what came after it has settled the matter; by the accounts in the
/// lake. A process that was killed outright leaves none.
///
/// # Errors
/// Storage errors.
pub async fn unsettled(project: &Project) -> Result<Option<RunResults>> {
    let mut later = Vec::new();
    for run_id in account::run_ids(&project.lake).await?.into_iter().rev() {
        let Some(results) = account::read(&project.lake, &run_id).await? else { continue };
        if has_failed(&results) {
            let log = Snapshot::newest(&project.lake).await?.map(|snapshot| snapshot.run_log).unwrap_or_default();
            return Ok(Some(results).filter(|failed| !is_settled(failed, &later, &log)));
        }
        later.push(results);
    }
    Ok(None)
}

/// What the run was asked to do, but for its name.
pub fn request(failed: &RunResults) -> Request {
    Request {
        as_of: Some(failed.as_of),
        select: failed.select.clone(),
        rebuild: failed.rebuild,
        fail_fast: failed.fail_fast,
        accept: failed.accepted.clone(),
        backfill: failed.backfill,
        run_id: None,
        manifest: None,
    }
}

fn has_failed(results: &RunResults) -> bool {
    matches!(results.status, Status::Failed | Status::Interrupted)
}

/// A later run settles a failed one if it did the same or more: the same selection or everything, as of the same day or
/// a later one. A day of a backfill is settled by its own day alone.
fn is_settled(failed: &RunResults, later: &[RunResults], log: &[RunLogRow]) -> bool {
    let after = |row: &&RunLogRow| row.kind == "run" && row.run_id > failed.run_id;
    if failed.backfill.is_some() {
        return log.iter().filter(after).any(|row| row.as_of == failed.as_of);
    }
    let whole = log.iter().filter(after).any(|row| row.as_of >= failed.as_of);
    whole || later.iter().any(|run| run.select == failed.select && run.as_of >= failed.as_of)
}
