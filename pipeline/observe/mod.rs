//! Whoever watches from outside is told of runs here: when one has begun, and how it ended.
//!
//! What is told is what the account says. Nobody who can't be reached changes how a run ended: that is a warning, after
//! a bounded time.

mod post;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::account::RunResults;
use crate::project::Project;
use crate::run::{Outcome, Request};

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
pub async fn begun(_project: &Project, _run: &Begun<'_>) {}

/// Tells of a run that ended; `outcome` is there when it didn't fail. Its account is kept already.
pub async fn ended(_project: &Project, _results: &RunResults, _outcome: Option<&Outcome>) {}
