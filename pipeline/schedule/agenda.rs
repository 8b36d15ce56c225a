//! What is due: a pure function of the cron lines, of what was handled, and of the time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::ticks::Ticks;
use crate::config::{CatchUp, Schedule};
use crate::lake::KeyHasher;

/// What has a cron line of its own. In the order in which they are done when several are due: publishing extracts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A whole run, as of the day before its tick.
    Publish,
    /// New files are listed and extracted.
    Extract,
    /// What no kept run needs is deleted.
    Gc,
}

impl Stage {
    pub const ALL: [Stage; 3] = [Stage::Publish, Stage::Extract, Stage::Gc];

    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Publish => "publish",
            Stage::Extract => "extract",
            Stage::Gc => "gc",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A stage to be carried out for a tick. What it is as of is settled by the tick, whenever and wherever it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    pub stage: Stage,
    pub tick: DateTime<Utc>,
    pub as_of: NaiveDate,
    /// From 1.
    pub attempt: u32,
}

/// A job and when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub job: Job,
    pub at: DateTime<Utc>,
}

/// What was done, as all hosts know it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// By stage, the newest tick that needs nobody any more; at first, the moment from which on ticks count.
    pub handled: BTreeMap<Stage, DateTime<Utc>>,
    /// Ticks that are to be tried again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<Stage, Failed>,
}

/// A tick whose work has failed for what may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub tick: DateTime<Utc>,
    pub times: u32,
    pub again_at: DateTime<Utc>,
}

impl Done {
    pub fn handle(&mut self, stage: Stage, tick: DateTime<Utc>) {
        let newest = self.handled.entry(stage).or_insert(tick);
        *newest = tick.max(*newest);
        if self.failed.get(&stage).is_some_and(|failed| failed.tick <= tick) {
            self.failed.remove(&stage);
        }
    }

    pub fn fail(&mut self, job: &Job, again_at: DateTime<Utc>) {
        self.failed.insert(job.stage, Failed { tick: job.tick, times: job.attempt, again_at });
    }
}

/// Whether somebody stays to wait for ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Since that moment: ticks from then on weren't missed.
    Since(DateTime<Utc>),
    /// What is due now is done, and that's it. What is missed and what is due are the same then.
    Once,
}

/// The schedule in its time zone, on a host.
#[derive(Debug, Clone)]
pub struct Timetable {
    lines: BTreeMap<Stage, Ticks>,
    tz: Tz,
    catch_up: CatchUp,
    jitter: Duration,
    retries: u32,
    retry_after: Duration,
    host: String,
}

impl Timetable {
    /// `host` tells this host's jitter from others'.
    pub fn new(schedule: &Schedule, tz: Tz, host: &str) -> Self {
        let lines =
            [(Stage::Extract, &schedule.extract), (Stage::Publish, &schedule.publish), (Stage::Gc, &schedule.gc)];
        let ticks = |(stage, line): (Stage, &Option<_>)| Some((stage, Ticks::new(line.as_ref()?, tz)));
        Self {
            lines: lines.into_iter().filter_map(ticks).collect(),
            tz,
            catch_up: schedule.catch_up,
            jitter: schedule.jitter,
            retries: schedule.retries,
            retry_after: schedule.retry_after,
            host: host.to_owned(),
        }
    }

    /// The stages that have a line.
    pub fn stages(&self) -> impl Iterator<Item = Stage> {
        self.lines.keys().copied()
    }

    /// A moment as clocks in the project's zone show it.
    pub fn local(&self, moment: DateTime<Utc>) -> DateTime<Tz> {
        moment.with_timezone(&self.tz)
    }

    /// What each stage does next, and when; its time is past where it is due. What begins first comes first; of what is
    /// due already, publishing.
    pub fn agenda(&self, done: &Done, now: DateTime<Utc>, stay: Stay) -> Vec<Due> {
        let mut agenda: Vec<Due> =
            self.lines.iter().filter_map(|(stage, ticks)| self.due(*stage, ticks, done, now, stay)).collect();
        agenda.sort_by_key(|due| (due.at.max(now), due.job.stage));
        agenda
    }

    fn due(&self, stage: Stage, ticks: &Ticks, done: &Done, now: DateTime<Utc>, stay: Stay) -> Option<Due> {
        let missed = self.missed(stage, ticks, done.handled.get(&stage).copied(), now, stay);
        let tick = match (missed, stay) {
            (Some(tick), _) => tick,
            (None, Stay::Since(_)) => ticks.after(now)?,
            (None, Stay::Once) => return None,
        };
        let failed = done.failed.get(&stage).filter(|failed| failed.tick == tick);
        let at = match (failed, stay) {
            (_, Stay::Once) => now,
            (Some(failed), _) => failed.again_at,
            (None, _) => tick + self.jitter(stage, ticks, tick),
        };
        let attempt = failed.map_or(0, |failed| failed.times) + 1;
        Some(Due { job: Job { stage, tick, as_of: ticks.as_of(tick), attempt }, at })
    }

    /// The tick up to now that is still to be done. Several are one, the newest; unless each of their days is wanted.
    fn missed(
        &self,
        stage: Stage,
        ticks: &Ticks,
        handled: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        stay: Stay,
    ) -> Option<DateTime<Utc>> {
        let newest = || ticks.until(now);
        let after = |moment| newest().filter(|tick| *tick > moment);
        match (handled, stay) {
            (None, Stay::Once) => newest(),
            (None, Stay::Since(start)) => after(start),
            (Some(handled), Stay::Since(start)) if self.catch_up == CatchUp::None => after(handled.max(start)),
            (Some(handled), _) if self.catch_up == CatchUp::All && stage == Stage::Publish => {
                oldest_day(ticks, handled, now)
            }
            (Some(handled), _) => after(handled),
        }
    }

    /// By how much a beginning is put off: the same each time for a host and a tick, and never past the next tick.
    fn jitter(&self, stage: Stage, ticks: &Ticks, tick: DateTime<Utc>) -> TimeDelta {
        let room = ticks.after(tick).and_then(|next| (next - tick).to_std().ok()).unwrap_or(Duration::MAX);
        let most_ms = u64::try_from(self.jitter.min(room).as_millis()).unwrap_or(u64::MAX);
        if most_ms == 0 {
            return TimeDelta::zero();
        }
        let mut hasher = KeyHasher::new("jitter");
        hasher.part("host", &self.host).part("stage", stage.as_str()).part("tick", &tick.to_rfc3339());
        let drawn = u64::from_str_radix(&hasher.finish().hex()[..16], 16).unwrap_or(0);
        TimeDelta::milliseconds(i64::try_from(drawn % most_ms).unwrap_or(0))
    }

    /// Whether a job that failed is to be tried again, and when.
    pub fn again_at(&self, job: &Job, exit_code: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A store, a source or memory; another run was first. The others would end the same.
        let may_pass = matches!(exit_code, 3 | 4);
        (may_pass && job.attempt <= self.retries).then(|| now + self.retry_after)
    }

    /// What else a job that went well has done: publishing has read whatever lay there when it began.
    pub fn covered(&self, job: &Job, began_at: DateTime<Utc>) -> Vec<(Stage, DateTime<Utc>)> {
        let extract = self.lines.get(&Stage::Extract).filter(|_| job.stage == Stage::Publish);
        let newest = extract.and_then(|ticks| ticks.until(began_at)).map(|tick| (Stage::Extract, tick));
        [(job.stage, job.tick)].into_iter().chain(newest).collect()
    }
}

/// The first tick after a moment, or the last one that is as of the same day.
fn oldest_day(ticks: &Ticks, handled: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut tick = ticks.after(handled).filter(|tick| *tick <= now)?;
    while let Some(next) = ticks.after(tick).filter(|next| *next <= now && ticks.as_of(*next) == ticks.as_of(tick)) {
        tick = next;
    }
    Some(tick)
}
