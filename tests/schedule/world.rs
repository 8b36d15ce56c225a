//! Hosts that keep a schedule in a world whose time passes when all of them wait.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bazgasht::config::Config;
use bazgasht::error::{Error, Result};
use bazgasht::interrupt::Interrupt;
use bazgasht::schedule::{Clock, Event, Holder, Job, Keeper, Stage, Timetable, Verdict, Work};
use bazgasht::storage::Storage;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::faults::store::{Faulty, Script};

pub fn moment(text: &str) -> DateTime<Utc> {
    text.parse().expect("a moment")
}

/// The world's time, and who waits for which moment of it.
struct Time {
    now: Mutex<DateTime<Utc>>,
    waited_for: Mutex<BTreeMap<DateTime<Utc>, u32>>,
}

impl Time {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().expect("no panic")
    }

    /// Goes on to the first moment that somebody waits for, but not past `most`. `false` where nobody does.
    fn pass(&self, most: DateTime<Utc>) -> bool {
        let mut waited_for = self.waited_for.lock().expect("no panic");
        let Some(next) = waited_for.keys().next().copied().filter(|next| *next <= most) else {
            *self.now.lock().expect("no panic") = most;
            return false;
        };
        waited_for.retain(|moment, _| *moment > next);
        *self.now.lock().expect("no panic") = next;
        true
    }
}

struct Wait {
    time: Arc<Time>,
    until: DateTime<Utc>,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.time.now() >= self.until {
            return Poll::Ready(());
        }
        *self.time.waited_for.lock().expect("no panic").entry(self.until).or_default() += 1;
        Poll::Pending
    }
}

/// A host's clock, which may go wrong by some time.
#[derive(Clone)]
pub struct HostClock {
    time: Arc<Time>,
    ahead: TimeDelta,
}

impl Clock for HostClock {
    fn now(&self) -> DateTime<Utc> {
        self.time.now() + self.ahead
    }

    fn elapsed(&self) -> Duration {
        (self.time.now() - DateTime::UNIX_EPOCH).to_std().expect("after 1970")
    }

    async fn sleep_until(&self, moment: DateTime<Utc>) {
        Wait { time: Arc::clone(&self.time), until: moment - self.ahead }.await;
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.time.now() + TimeDelta::from_std(duration).expect("short");
        Wait { time: Arc::clone(&self.time), until }.await;
    }
}

/// A job that some host did, or began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub host: String,
    pub job: Job,
    pub began: DateTime<Utc>,
    pub ended: Option<DateTime<Utc>>,
    pub verdict: Option<Verdict>,
}

impl Deed {
    pub fn as_of(&self) -> NaiveDate {
        self.job.as_of
    }
}

/// How long a job takes, and how it ends, by the deeds so far.
pub type Nature = dyn Fn(&Job, &[Deed]) -> (TimeDelta, Result<()>) + Send + Sync;

pub struct World {
    time: Arc<Time>,
    memory: Arc<InMemory>,
    pub lake: Storage,
    toml: String,
    pub nature: Arc<Nature>,
    deeds: Arc<Mutex<Vec<Deed>>>,
}

/// A host that keeps its schedule.
type Life<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// What becomes of a host.
pub struct Fate {
    pub name: &'static str,
    pub ahead: TimeDelta,
    pub dies_at: Option<DateTime<Utc>>,
    pub stops_at: Option<DateTime<Utc>>,
    pub once: bool,
    /// What the way to the lake is like.
    pub way: Script,
}

impl Fate {
    pub fn lives(name: &'static str) -> Self {
        Self { name, ahead: TimeDelta::zero(), dies_at: None, stops_at: None, once: false, way: Script::Never }
    }

    pub fn dies(name: &'static str, at: &str) -> Self {
        Self { dies_at: Some(moment(at)), ..Self::lives(name) }
    }

    pub fn stops(name: &'static str, at: &str) -> Self {
        Self { stops_at: Some(moment(at)), ..Self::lives(name) }
    }

    pub fn once(name: &'static str) -> Self {
        Self { once: true, ..Self::lives(name) }
    }
}

impl World {
    /// `schedule` is the body of that table.
    pub fn new(zone: &str, now: &str, schedule: &str) -> Self {
        let toml = format!(
            "[project]\ntimezone = \"{zone}\"\ncurrency = \"GBP\"\n[storage]\nlake = \"./lake\"\nmarts = \"./marts\"\n\
             [schedule]\n{schedule}\n[sources.orders]\nlocation = \"./orders\"\n"
        );
        let memory = Arc::new(InMemory::new());
        Self {
            lake: Storage::from_store(Arc::clone(&memory) as Arc<dyn ObjectStore>, "memory"),
            memory,
            time: Arc::new(Time { now: Mutex::new(moment(now)), waited_for: Mutex::default() }),
            toml,
            nature: Arc::new(|_, _| (TimeDelta::minutes(10), Ok(()))),
            deeds: Arc::default(),
        }
    }

    pub fn that(mut self, nature: impl Fn(&Job, &[Deed]) -> (TimeDelta, Result<()>) + Send + Sync + 'static) -> Self {
        self.nature = Arc::new(nature);
        self
    }

    pub fn timetable(&self, host: &str) -> (Timetable, Duration) {
        let config = Config::parse("bazgasht.toml", "/shop".as_ref(), &self.toml, &|_| None);
        let config = config.unwrap_or_else(|complaints| panic!("{complaints}"));
        let schedule = config.schedule.expect("it has one");
        (Timetable::new(&schedule, config.project.timezone, host), schedule.lease)
    }

    /// Lets hosts live until a moment; how each ended that did.
    pub fn until(&self, until: &str, fates: Vec<Fate>) -> Vec<Option<Result<()>>> {
        let until = moment(until);
        let stops: Vec<Interrupt> = fates.iter().map(|_| Interrupt::default()).collect();
        let mut hosts: Vec<Option<Life<'_>>> = vec![];
        for (fate, stop) in fates.iter().zip(&stops) {
            hosts.push(Some(Box::pin(self.host(fate, stop.clone()))));
        }
        let mut ended: Vec<Option<Result<()>>> = fates.iter().map(|_| None).collect();
        loop {
            let now = self.time.now();
            for (index, fate) in fates.iter().enumerate() {
                if fate.stops_at.is_some_and(|at| at <= now) && stops[index].check().is_ok() {
                    stops[index].raise(15);
                }
                if fate.dies_at.is_some_and(|at| at <= now) {
                    hosts[index] = None;
                }
            }
            for (host, ended) in hosts.iter_mut().zip(&mut ended) {
                if let Some(future) = host
                    && let Poll::Ready(result) = poll(future.as_mut())
                {
                    *ended = Some(result);
                    *host = None;
                }
            }
            let fatal = fates.iter().flat_map(|fate| [fate.dies_at, fate.stops_at]).flatten().filter(|at| *at > now);
            let most = fatal.min().map_or(until, |at| at.min(until));
            if !fates.is_empty() && fates.iter().all(|fate| fate.once) && ended.iter().all(Option::is_some) {
                return ended;
            }
            if !self.time.pass(most) && most == until {
                return ended;
            }
        }
    }

    async fn host(&self, fate: &Fate, stop: Interrupt) -> Result<()> {
        let (timetable, lease) = self.timetable(fate.name);
        let clock = HostClock { time: Arc::clone(&self.time), ahead: fate.ahead };
        let work = Chores { world: self, host: fate.name, clock: clock.clone() };
        let tell = |event: &Event<'_>| {
            if let Event::Ended { job, verdict, .. } = event {
                let mut deeds = self.all();
                let mine = deeds.iter_mut().rev().find(|deed| deed.host == fate.name && deed.job == **job);
                mine.expect("begun").verdict = Some(*verdict);
            }
        };
        let lake = Faulty::storage(fate.name, &self.memory, vec![], fate.way.clone(), &Arc::default());
        let keeper = Keeper {
            timetable: &timetable,
            lake: &lake,
            holder: Holder::new(fate.name),
            lease,
            clock: &clock,
            work: &work,
            stop: &stop,
            tell: &tell,
        };
        if fate.once { keeper.once().await } else { keeper.keep().await }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Deed>> {
        self.deeds.lock().expect("no panic")
    }

    /// All that was begun of a stage.
    pub fn deeds(&self, stage: Stage) -> Vec<Deed> {
        self.all().iter().filter(|deed| deed.job.stage == stage).cloned().collect()
    }

    /// What was published, in order: the days that went well.
    pub fn published(&self) -> Vec<String> {
        let done = self.deeds(Stage::Publish).into_iter().filter(|deed| deed.verdict == Some(Verdict::Done));
        done.map(|deed| deed.as_of().to_string()).collect()
    }
}

/// Polls until it waits for nothing but the world.
fn poll(mut future: Pin<&mut (dyn Future<Output = Result<()>> + '_)>) -> Poll<Result<()>> {
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    while woken.0.swap(false, Ordering::SeqCst) {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Poll::Ready(result);
        }
    }
    Poll::Pending
}

struct Chores<'a> {
    world: &'a World,
    host: &'static str,
    clock: HostClock,
}

impl Work for Chores<'_> {
    async fn carry_out(&self, job: &Job, interrupt: &Interrupt) -> Result<String> {
        let now = || self.world.time.now();
        let (lasts, result) = (self.world.nature)(job, &self.world.all());
        let deed = Deed { host: self.host.to_owned(), job: *job, began: now(), ended: None, verdict: None };
        let index = {
            let mut deeds = self.world.all();
            deeds.push(deed);
            deeds.len() - 1
        };
        let result = tokio::select! {
            number = interrupt.raised() => Err(Error::Interrupted(number)),
            () = self.clock.sleep(lasts.to_std().expect("not negative")) => result,
        };
        self.world.all()[index].ended = Some(now());
        result.map(|()| "done".to_owned())
    }
}
