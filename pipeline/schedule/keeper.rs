//! The loop: look what is due, wait, take the lease, have it done, write down how it went.
//!
//! Invariant: one job at a time. Ticks that pass meanwhile are one when it is over.
//! Invariant: nothing about what was done is remembered from one turn to the next: the lake says it.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::agenda::{Done, Due, Job, Stage, Stay, Timetable};
use super::clock::Clock;
use super::lease::{Held, Holder, Lease, Standing};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::storage::Storage;

/// After the lake couldn't be asked, which has waited for the store already.
const PAUSE: Duration = Duration::from_secs(30);
/// Whoever waits for another's work looks at least so often.
const LOOK: Duration = Duration::from_secs(30);
/// How often it is tried to write down what was done. Undone, it would be found done by whoever does it again.
const RELEASES: u32 = 3;
/// What a run is told that has lost its lease: as if it were asked politely.
const SIGTERM: i32 = 15;

/// Does what is due.
pub trait Work {
    /// Carries out a job, until it is asked to stop; says what was done, in a few words.
    fn carry_out(&self, job: &Job, interrupt: &Interrupt) -> impl Future<Output = Result<String>>;
}

/// How a job ended, as far as the schedule is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// It failed for what may pass.
    Again(DateTime<Utc>),
    /// It failed, and another try would end the same; or there were enough.
    Failed,
    /// It was asked to stop. The tick is still to be done.
    Stopped,
    /// Another one has the lease, and the tick.
    Lost,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Done => "done",
            Verdict::Again(_) => "again",
            Verdict::Failed => "failed",
            Verdict::Stopped => "stopped",
            Verdict::Lost => "lost",
        }
    }
}

/// What is told on the way.
pub enum Event<'a> {
    /// The lake was asked; this is what was done and what comes.
    Looked {
        done: &'a Done,
        agenda: &'a [Due],
    },
    /// Another one does what is due here.
    Waiting {
        holder: &'a Holder,
        held: &'a Held,
    },
    /// The lake couldn't be asked, or not be written to.
    Unreachable(&'a Error),
    Began(&'a Job),
    /// The lease is gone: the job is asked to stop.
    Lost(&'a Job),
    Ended {
        job: &'a Job,
        result: &'a Result<String>,
        verdict: Verdict,
        next: Option<&'a Due>,
    },
    Stopping,
}

/// Keeps a schedule.
pub struct Keeper<'a, C, W> {
    pub timetable: &'a Timetable,
    pub lake: &'a Storage,
    pub holder: Holder,
    /// How long the lease lasts.
    pub lease: Duration,
    pub clock: &'a C,
    pub work: &'a W,
    pub stop: &'a Interrupt,
    pub tell: &'a dyn Fn(&Event<'_>),
}

impl<C: Clock, W: Work> Keeper<'_, C, W> {
    /// Does whatever comes due, until it is asked to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] in the end; [`Error::Config`] for a lake of another version.
    pub async fn keep(&self) -> Result<()> {
        self.told(self.turn(Stay::Since(self.clock.now())).await)
    }

    /// Does what is due now; on a new lake, each stage once. What another one is doing is waited for.
    ///
    /// # Errors
    /// That of the first job that failed, of the lake, or [`Error::Interrupted`].
    pub async fn once(&self) -> Result<()> {
        self.told(self.turn(Stay::Once).await)
    }

    fn told(&self, ended: Result<()>) -> Result<()> {
        if matches!(ended, Err(Error::Interrupted(_))) {
            (self.tell)(&Event::Stopping);
        }
        ended
    }

    async fn turn(&self, stay: Stay) -> Result<()> {
        let mut lease = Lease::new(self.lake, self.holder.clone(), self.lease);
        // Of `once`: what was tried is not tried again.
        let mut tried: BTreeSet<Stage> = BTreeSet::new();
        let mut failed = None;
        loop {
            self.stop.check()?;
            let Some(standing) = self.passing(stay, lease.look(self.clock.elapsed()).await).await? else { continue };
            if let Some(begun) = self.beginning(&standing, stay) {
                let written = lease.release(&begun, self.clock.now(), self.clock.elapsed()).await;
                self.passing(stay, written).await?;
                continue;
            }
            let now = self.clock.now();
            let mut agenda = self.timetable.agenda(&standing.done, now, stay);
            agenda.retain(|due| !tried.contains(&due.job.stage));
            (self.tell)(&Event::Looked { done: &standing.done, agenda: &agenda });
            let Some(Due { job, at }) = agenda.first().copied() else {
                return failed.map_or(Ok(()), Err);
            };
            if at > now {
                self.wait(self.clock.sleep_until(at)).await?;
                continue;
            }
            if let Some((holder, held)) = &standing.other {
                (self.tell)(&Event::Waiting { holder, held });
                self.wait(self.clock.sleep(LOOK.min(self.lease / 3))).await?;
                continue;
            }
            let taken = lease.take(&job, &standing.done, now, self.clock.elapsed()).await;
            if self.passing(stay, taken).await? != Some(true) {
                continue;
            }
            let (result, verdict) = self.carry_out(&mut lease, &job, standing.done, stay).await;
            match (result, verdict) {
                (Err(Error::Interrupted(number)), Verdict::Stopped) => return Err(Error::Interrupted(number)),
                (Err(e), Verdict::Again(_) | Verdict::Failed) if stay == Stay::Once => {
                    tried.insert(job.stage);
                    failed.get_or_insert(e);
                }
                _ => {}
            }
        }
    }

    /// What is to be written down before anything else: from when on a stage's ticks count that has none yet. Without
    /// it, a host that dies before the first one would never know that it was missed.
    fn beginning(&self, standing: &Standing, stay: Stay) -> Option<Done> {
        let Stay::Since(start) = stay else { return None };
        let mut done = standing.done.clone();
        self.timetable.stages().for_each(|stage| _ = done.handled.entry(stage).or_insert(start));
        (standing.other.is_none() && done != standing.done).then_some(done)
    }

    /// What the lake said; `None`, after a pause, where it couldn't be asked.
    async fn passing<T>(&self, stay: Stay, said: Result<T>) -> Result<Option<T>> {
        match said {
            Ok(said) => Ok(Some(said)),
            Err(e @ (Error::World { .. } | Error::Damaged(_))) if stay != Stay::Once => {
                (self.tell)(&Event::Unreachable(&e));
                self.wait(self.clock.sleep(PAUSE)).await?;
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Waits, unless it is asked to stop.
    async fn wait(&self, sleep: impl Future<Output = ()>) -> Result<()> {
        tokio::select! {
            biased;
            _ = self.stop.raised() => self.stop.check(),
            () = sleep => Ok(()),
        }
    }

    /// Has a job done under the lease, and writes down how it went.
    async fn carry_out(
        &self,
        lease: &mut Lease<'_>,
        job: &Job,
        mut done: Done,
        stay: Stay,
    ) -> (Result<String>, Verdict) {
        let began_at = self.clock.now();
        (self.tell)(&Event::Began(job));
        let (result, is_lost) = self.attend(lease, job, &done).await;
        let verdict = match &result {
            _ if is_lost => Verdict::Lost,
            Ok(_) => {
                let covered = self.timetable.covered(job, began_at);
                covered.into_iter().for_each(|(stage, tick)| done.handle(stage, tick));
                Verdict::Done
            }
            Err(Error::Interrupted(_)) => Verdict::Stopped,
            Err(e) => match self.timetable.again_at(job, e.exit_code(), self.clock.now()) {
                Some(again_at) => {
                    done.fail(job, again_at);
                    Verdict::Again(again_at)
                }
                None => {
                    done.handle(job.stage, job.tick);
                    Verdict::Failed
                }
            },
        };
        if !is_lost {
            self.release(lease, &done).await;
        }
        let agenda = self.timetable.agenda(&done, self.clock.now(), stay);
        let next = agenda.iter().find(|due| due.job.stage == job.stage);
        (self.tell)(&Event::Ended { job, result: &result, verdict, next });
        (result, verdict)
    }

    /// Has a job done, with signs of life from time to time. Whether the lease was lost meanwhile.
    async fn attend(&self, lease: &mut Lease<'_>, job: &Job, done: &Done) -> (Result<String>, bool) {
        let interrupt = Interrupt::default();
        let mut work = pin!(self.work.carry_out(job, &interrupt));
        let (mut is_lost, mut is_stopped) = (false, false);
        let mut heard = self.clock.elapsed();
        loop {
            tokio::select! {
                biased;
                result = &mut work => return (result, is_lost),
                number = self.stop.raised(), if !is_stopped => {
                    is_stopped = true;
                    interrupt.raise(number);
                }
                () = self.clock.sleep(self.lease / 3), if !is_lost => {
                    is_lost = !self.renew(lease, job, done, &mut heard).await;
                    if is_lost {
                        (self.tell)(&Event::Lost(job));
                        interrupt.raise(SIGTERM);
                    }
                }
            }
        }
    }

    /// A sign of life; `false` once the lease is another's or has run out. `heard` is when the last one came through.
    async fn renew(&self, lease: &mut Lease<'_>, job: &Job, done: &Done, heard: &mut Duration) -> bool {
        let began = self.clock.elapsed();
        let sign = tokio::select! {
            biased;
            sign = lease.renew(job, done, self.clock.now(), began) => sign,
            // It may arrive yet; the next one will find out.
            () = self.clock.sleep(self.lease / 3) => Err(Error::world("the lease", "the lake's store doesn't answer")),
        };
        match sign {
            Ok(is_mine) => {
                *heard = began;
                is_mine
            }
            Err(e) => {
                (self.tell)(&Event::Unreachable(&e));
                self.clock.elapsed().saturating_sub(*heard) < lease.lasts()
            }
        }
    }

    /// Writes down what was done. What can't be is found out by whoever does it again.
    async fn release(&self, lease: &mut Lease<'_>, done: &Done) {
        for left in (0..RELEASES).rev() {
            match lease.release(done, self.clock.now(), self.clock.elapsed()).await {
                Ok(_) => return,
                Err(e) => (self.tell)(&Event::Unreachable(&e)),
            }
            if left > 0 && self.wait(self.clock.sleep(PAUSE / 6)).await.is_err() {
                return;
            }
        }
    }
}
