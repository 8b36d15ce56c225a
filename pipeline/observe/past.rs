//! Earlier runs, as far as what is told of one depends on them; by their accounts in the lake.

use std::time::Duration;

use crate::account::{self, RunResults};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// A lake that can't be reached made the run fail, mostly; nobody waits for it once more.
const PATIENCE: Duration = Duration::from_secs(20);
/// Runs that are looked at: a project that failed more often has no past worth telling.
const MOST_RUNS: usize = 200;

/// The newest run before `run_id` (or the newest of all) that is `wanted`.
///
/// # Errors
/// Storage errors; [`Error::World`] when the lake doesn't answer in time.
pub(super) async fn newest(
    lake: &Storage,
    run_id: Option<&str>,
    wanted: impl Fn(&RunResults) -> bool,
) -> Result<Option<RunResults>> {
    let search = async {
        let ids = account::run_ids(lake).await?;
        // Names sort by time.
        let before = ids.iter().rev().filter(|id| run_id.is_none_or(|run_id| id.as_str() < run_id));
        for id in before.take(MOST_RUNS) {
            if let Some(results) = account::read(lake, id).await?.filter(&wanted) {
                return Ok(Some(results));
            }
        }
        Ok(None)
    };
    let in_time = tokio::time::timeout(PATIENCE, search).await;
    in_time.unwrap_or_else(|_| Err(Error::world("accounts of earlier runs", "the lake doesn't answer in time")))
}
