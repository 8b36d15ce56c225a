//! Rollback: a new snapshot with the contents of an old one. History only ever grows.

use chrono::{DateTime, Utc};

use crate::archive;
use crate::error::Result;
use crate::listing::forgotten;
use crate::project::Project;
use crate::run::workshop;
use crate::snapshot::{RunLogRow, Snapshot};

/// Commits and publishes the contents of snapshot `number` again.
///
/// # Errors
/// [`crate::error::Error::Config`] when there is no such snapshot; storage errors; and
/// [`crate::error::Error::Lost`] when another run commits at the same moment.
pub async fn rollback(project: &Project, number: u64, now: DateTime<Utc>) -> Result<Snapshot> {
    let old = Snapshot::read(&project.lake, number).await?;
    let newest = Snapshot::newest(&project.lake).await?.unwrap_or_else(|| old.clone());
    warn_of_forgotten(project, &newest, &old).await;
    let (newest, log) = (newest.number, newest.run_log);
    let run_id = uuid::Uuid::now_v7().to_string();
    let row = RunLogRow {
        snapshot: newest + 1,
        run_id: run_id.clone(),
        kind: format!("rollback to {number}"),
        as_of: old.as_of,
        started_at: now,
        committed_at: now,
        partitions_built: 0,
        objects_read: 0,
        rows_read: 0,
        rows_rejected: 0,
        manifest: old.run_log.last().and_then(|row| row.manifest.clone()),
    };
    let mut snapshot = Snapshot { number: newest + 1, run_id, run_log: log.into_iter().chain([row]).collect(), ..old };
    let workshop = workshop(project);
    let prepared = workshop.reports_of(&mut snapshot).await?;
    snapshot.commit(&project.lake).await?;
    workshop.publish(&snapshot, Some(&prepared)).await?;
    if let Err(e) = archive::publish(&project.lake, &project.marts, &snapshot, &snapshot.run_id).await {
        tracing::warn!("the manifest of snapshot {} could not be put beside its marts: {e}", snapshot.number);
    }
    Ok(snapshot)
}

/// Rows of objects that came after the old snapshot and are gone from their source since live in newer snapshots alone.
async fn warn_of_forgotten(project: &Project, newest: &Snapshot, old: &Snapshot) {
    match forgotten(project, newest, old).await {
        Ok(lines) => {
            for line in lines {
                tracing::warn!(
                    "{line}, came after snapshot {} and are gone: the next run publishes without their rows, unless they \
                     are brought back or snapshot {} is rolled back to",
                    old.number,
                    newest.number
                );
            }
        }
        Err(e) => tracing::warn!("whether objects that came after snapshot {} are gone isn't known: {e}", old.number),
    }
}
