//! What the stages do: the pipeline's part of the schedule.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::agenda::{Job, Stage};
use super::keeper::Work;
use crate::account::{self, RunResults, Status};
use crate::error::{Error, Result};
use crate::gc::{self, Swept};
use crate::interrupt::Interrupt;
use crate::project::Project;
use crate::report::Progress;
use crate::run::{self, Request, Surroundings};

/// As for `bazgasht gc`: a run that is going on may need what is younger.
const GRACE_HOURS: u32 = 24;

/// A project's pipeline at work.
pub struct Pipeline {
    pub project: Arc<Project>,
    pub now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    pub progress: Arc<dyn Progress + Send + Sync>,
    /// Told of each run's account, also of one that failed.
    pub ended: Arc<dyn Fn(&RunResults) + Send + Sync>,
}

impl Work for Pipeline {
    /// On a thread of its own: whatever it computes, signs of life are given meanwhile. And a panic ends the run, not
    /// the schedule.
    async fn carry_out(&self, job: &Job, interrupt: &Interrupt) -> Result<String> {
        let (project, now, progress, ended) =
            (Arc::clone(&self.project), Arc::clone(&self.now), Arc::clone(&self.progress), Arc::clone(&self.ended));
        let (job, interrupt, runtime) = (*job, interrupt.clone(), Handle::current());
        let run = move || {
            let now = || now();
            let around = Surroundings { now: &now, interrupt: &interrupt, progress: progress.as_ref() };
            let done = runtime.block_on(carry_out(&project, &job, &around, ended.as_ref()));
            done.map(|done| done.to_string())
        };
        spawn_blocking(run).await.unwrap_or_else(|panic| Err(Error::bug(panic)))
    }
}

/// What was done.
enum Done {
    Published(Box<RunResults>),
    Extracted { objects_read: u64, rows_read: u64, rows_rejected: u64 },
    Swept(Swept),
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Done::Published(results) => {
                let number = results.snapshot.unwrap_or_default();
                match results.status {
                    Status::NothingToDo => write!(f, "nothing to do, snapshot {number} stands"),
                    _ => write!(f, "published snapshot {number}"),
                }
            }
            Done::Extracted { objects_read, rows_read, rows_rejected } => {
                write!(f, "read {objects_read} objects with {rows_read} rows, {rows_rejected} rejected")
            }
            Done::Swept(swept) => {
                let Swept { snapshots, objects, kept, .. } = swept;
                write!(f, "deleted {snapshots} snapshots and {objects} objects, kept {kept} snapshots")
            }
        }
    }
}

async fn carry_out(
    project: &Project,
    job: &Job,
    around: &Surroundings<'_>,
    ended: &(dyn Fn(&RunResults) + Send + Sync),
) -> Result<Done> {
    match job.stage {
        Stage::Publish => {
            let request = Request { as_of: Some(job.as_of), ..Request::default() };
            let (results, outcome) = account::run(project, &request, around).await;
            ended(&results);
            outcome.map(|_| Done::Published(Box::new(results)))
        }
        Stage::Extract => {
            run::survey(project, around, async |_, extracted| {
                Ok(Done::Extracted {
                    objects_read: extracted.objects_read,
                    rows_read: extracted.rows_read,
                    rows_rejected: extracted.rows_rejected,
                })
            })
            .await
        }
        Stage::Gc => {
            let swept = gc::collect(project, project.config.publish.keep_days, GRACE_HOURS, (around.now)()).await;
            swept.map(Done::Swept)
        }
    }
}
