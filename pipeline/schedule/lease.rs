//! Which host does the work: numbered objects in the lake, each created only if it isn't there.
//!
//! ```text
//! schedule/0000000041.json     "host a publishes for the tick of 02:30, and holds this for five minutes"
//! schedule/0000000042.json     "host a, still at it"
//! schedule/0000000043.json     "done; handled: publish 02:30, extract 02:00"
//! ```
//!
//! The highest number counts. Whoever wants to take the lease, keep it or give it back creates the number after it, and
//! a number has one creator. A lease ends when it is given back, or when its number has stood for as long as it says,
//! by the observer's own clock since it saw it first: no two clocks are compared. Any store can do this; conditional
//! replacement isn't needed.
//!
//! Invariant: correctness doesn't hang on the lease. A host that is stopped for an hour and goes on, believing that it holds
//! it, meets the commit of `snapshot.rs`, where one of two wins. The lease saves doing work twice.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::agenda::{Done, Job, Stage};
use crate::error::{Error, Result};
use crate::lake;
use crate::storage::Storage;

const DIR: &str = "schedule";
/// The version of [`Record`].
const FORMAT: u32 = 1;
/// So many numbers are left. Who saw the highest one and creates the next must not find its place swept, however much
/// happened meanwhile; who does after all finds a higher number afterwards.
const KEPT: u64 = 12;

/// Who holds a lease: one for each process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub id: String,
    /// For people.
    pub host: String,
}

impl Holder {
    pub fn new(host: &str) -> Self {
        Self { id: Uuid::now_v7().to_string(), host: host.to_owned() }
    }
}

/// One number's object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    format: u32,
    number: u64,
    holder: Holder,
    /// What the lease is held for; absent when it was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
    done: Done,
    /// For people: nothing goes by it.
    written_at: DateTime<Utc>,
}

/// What a lease is held for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub stage: Stage,
    pub tick: DateTime<Utc>,
    /// How long it holds from when it is seen.
    pub for_seconds: u64,
}

/// Whose a number is.
enum Creator {
    Me,
    /// This process, with other words.
    MeBefore,
    Another,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub done: Done,
    /// The other who has the lease.
    pub other: Option<(Holder, Held)>,
}

/// The lease as one process knows it.
pub struct Lease<'a> {
    lake: &'a Storage,
    holder: Holder,
    lasts: Duration,
    /// The highest number that was seen, and when first, by the process's own clock.
    seen: (u64, Duration),
    /// The lowest number that may still be there.
    lowest: u64,
}

impl<'a> Lease<'a> {
    pub fn new(lake: &'a Storage, holder: Holder, lasts: Duration) -> Self {
        Self { lake, holder, lasts, seen: (0, Duration::ZERO), lowest: 0 }
    }

    /// How things stand. `elapsed` is the process's own clock.
    ///
    /// # Errors
    /// Storage errors; [`Error::Config`] where a newer program has written it.
    pub async fn look(&mut self, elapsed: Duration) -> Result<Standing> {
        let numbers = self.numbers().await?;
        self.lowest = numbers.first().copied().unwrap_or(0);
        let highest = numbers.last().copied().unwrap_or(0);
        if highest != self.seen.0 {
            self.seen = (highest, elapsed);
        }
        let mut done = Done::default();
        for number in numbers.into_iter().rev() {
            let Some(record) = self.read(number).await? else { continue };
            let stood = elapsed.saturating_sub(self.seen.1);
            let is_mine = record.holder.id == self.holder.id;
            let other = record.held.filter(|held| !is_mine && stood < Duration::from_secs(held.for_seconds));
            // Only what the highest number says holds; of one that can't be read, nobody knows what it said.
            let other = other.filter(|_| number == highest).map(|held| (record.holder, held));
            done = record.done;
            return Ok(Standing { done, other });
        }
        Ok(Standing { done, other: None })
    }

    /// Takes the lease after [`Lease::look`]; `false` when another one was faster.
    ///
    /// # Errors
    /// Storage errors: then nobody knows, and looking again tells.
    pub async fn take(&mut self, job: &Job, done: &Done, now: DateTime<Utc>, elapsed: Duration) -> Result<bool> {
        let held = Held { stage: job.stage, tick: job.tick, for_seconds: self.lasts.as_secs() };
        if !self.write(Some(held), done, now, elapsed).await? {
            return Ok(false);
        }
        // Who slept between looking and taking may have created a number that was long swept.
        let highest = self.numbers().await?.last().copied();
        Ok(highest == Some(self.seen.0))
    }

    /// Gives a sign of life; `false` when another one has taken the lease.
    ///
    /// # Errors
    /// Storage errors: the lease holds for as long as the last sign says.
    pub async fn renew(&mut self, job: &Job, done: &Done, now: DateTime<Utc>, elapsed: Duration) -> Result<bool> {
        let held = Held { stage: job.stage, tick: job.tick, for_seconds: self.lasts.as_secs() };
        self.write(Some(held), done, now, elapsed).await
    }

    /// Writes down what was done and gives the lease back; `false` when another one has it.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn release(&mut self, done: &Done, now: DateTime<Utc>, elapsed: Duration) -> Result<bool> {
        self.write(None, done, now, elapsed).await
    }

    /// How long it holds.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    /// Creates the next number; `false` when it is another's.
    async fn write(&mut self, held: Option<Held>, done: &Done, now: DateTime<Utc>, elapsed: Duration) -> Result<bool> {
        loop {
            let record = Record {
                format: FORMAT,
                number: self.seen.0 + 1,
                holder: self.holder.clone(),
                held: held.clone(),
                done: done.clone(),
                written_at: now,
            };
            match self.create(&record).await? {
                Creator::Another => return Ok(false),
                Creator::Me => {
                    self.seen = (record.number, elapsed);
                    self.sweep().await;
                    return Ok(true);
                }
                // A sign that was thought lost has arrived: this is the next one.
                Creator::MeBefore => self.seen = (record.number, elapsed),
            }
        }
    }

    /// Creates a number's object, and says whose it is.
    async fn create(&self, record: &Record) -> Result<Creator> {
        let path = path(record.number);
        let created = self.lake.create(&path, Bytes::from(lake::to_json(record)?)).await;
        if matches!(created, Ok(true)) {
            return Ok(Creator::Me);
        }
        // "Already exists", or an error that leaves it open whether the object landed: what is there decides.
        match self.read(record.number).await? {
            Some(there) if there == *record => Ok(Creator::Me),
            Some(there) if there.holder.id == self.holder.id => Ok(Creator::MeBefore),
            Some(_) => Ok(Creator::Another),
            None if self.lake.head(&path).await?.is_some() => Ok(Creator::Another),
            None => {
                let unclear = Error::world(path, "the store says that it exists, and it doesn't");
                Err(created.err().unwrap_or(unclear))
            }
        }
    }

    /// Removes what nobody looks at any more. What can't be removed now can be later.
    async fn sweep(&mut self) {
        let end = self.seen.0.saturating_sub(KEPT);
        while self.lowest <= end {
            if self.lowest > 0
                && let Err(e) = self.lake.delete(&path(self.lowest)).await
            {
                tracing::debug!("{e}");
                return;
            }
            self.lowest += 1;
        }
    }

    /// A number's record; `None` where it is gone or damaged.
    async fn read(&self, number: u64) -> Result<Option<Record>> {
        let record: Record = match lake::read_json(self.lake, &path(number)).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            Err(Error::Damaged(damage)) => {
                tracing::warn!("{damage}; the one before it counts");
                return Ok(None);
            }
            Err(e) => return Err(e),
        };
        if record.format != FORMAT {
            let (path, location) = (path(number), self.lake.location());
            return Err(Error::config(format!(
                "{path} in {location} has the format {}, this binary writes format {FORMAT}\n  hint: use the binary that wrote \
                 it, or stop all schedules and delete that folder",
                record.format
            )));
        }
        Ok(Some(record))
    }

    /// The numbers that are there, ascending.
    async fn numbers(&self) -> Result<Vec<u64>> {
        let number = |path: &str| path.strip_prefix(DIR)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok();
        let listed = self.lake.list(DIR).await?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|meta| number(meta.location.as_ref())).collect();
        numbers.sort_unstable();
        // A listing may be older than what was created last. A single object's presence never is.
        let mut next = numbers.last().map_or(1, |highest| highest + 1);
        while self.lake.head(&path(next)).await?.is_some() {
            numbers.push(next);
            next += 1;
        }
        Ok(numbers)
    }
}

fn path(number: u64) -> String {
    format!("{DIR}/{number:010}.json")
}
