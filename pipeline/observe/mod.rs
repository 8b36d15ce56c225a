//! Whoever watches from outside is told of runs here: when one has begun, and how it ended.
//!
//! What is told is what the account says. Nobody who can't be reached changes how a run ended: that is a warning, after
//! a bounded time.

mod gauges;
mod openlineage;
mod otlp;
mod past;
mod post;
pub mod prometheus;
pub mod webhook;
mod words;

use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::account::RunResults;
use crate::error::Result;
use crate::project::Project;
use crate::run::{Outcome, Request};
use crate::storage::Storage;

/// A run that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    pub run_id: Uuid,
    /// Settled for the run, however long it takes.
    pub as_of: NaiveDate,
    pub started_at: DateTime<Utc>,
    pub request: &'a Request,
}

/// Tells of a run that has begun.
pub async fn begun(project: &Project, run: &Begun<'_>) {
    if let Some(openlineage) = &project.config.observe.openlineage {
        openlineage::begun(openlineage, project, run).await;
    }
}

/// Tells of a run that ended; `outcome` is there when it didn't fail. Its account is kept already.
pub async fn ended(project: &Project, results: &RunResults, outcome: Option<&Outcome>) {
    if let Some(path) = &project.config.observe.prometheus_textfile
        && results.select.is_none()
        && let Err(error) = write_metrics(path, project, results).await
    {
        tracing::warn!("the metrics of this run could not be written: {error}");
    }
    let environment = |name: &str| std::env::var(name).ok();
    let lineage = async {
        if let Some(openlineage) = &project.config.observe.openlineage {
            openlineage::ended(openlineage, project, results, outcome).await;
        }
    };
    tokio::join!(lineage, otlp::send(results, &environment), webhook::send(project, results));
}

async fn write_metrics(path: &Path, project: &Project, results: &RunResults) -> Result<()> {
    let success = match gauges::is_success(results) {
        true => None,
        false => last_success(&project.lake, Some(&results.run_id)).await.unwrap_or_else(|error| {
            tracing::debug!("the last success is taken from the file alone: {error}");
            None
        }),
    };
    prometheus::write(path, results, success.as_ref())
}

/// The newest whole run that published or had nothing to do; of those before `run_id`, if that is given.
///
/// # Errors
/// Storage errors.
pub async fn last_success(lake: &Storage, run_id: Option<&str>) -> Result<Option<RunResults>> {
    past::newest(lake, run_id, |run| run.select.is_none() && gauges::is_success(run)).await
}
