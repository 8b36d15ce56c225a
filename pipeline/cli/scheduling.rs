//! `schedule`: stays, and does each stage when its cron line says so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::commands::open;
use super::{ScheduleArgs, summary};
use crate::account::RunResults;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::observe;
use crate::observe::prometheus::Metrics;
use crate::project::Project;
use crate::report::Terminal;
use crate::schedule::{
    Due, Endpoint, Event, Gauges, Holder, Job, Keeper, Pipeline, Stage, SystemClock, Systemd, Timetable, Verdict,
    Watch, host_name,
};

/// Whether the loop is alive is looked at at least so often.
const BEAT: Duration = Duration::from_secs(10);

pub(super) async fn schedule(config: &Path, args: &ScheduleArgs) -> Result<()> {
    let project = Arc::new(open(config)?);
    let Some(schedule) = &project.config.schedule else {
        let hint = "  hint: add [schedule] with publish = \"30 2 * * *\"";
        return Err(Error::config(format!("there is no [schedule] in {}\n{hint}", config.display())));
    };
    let stop = Interrupt::listen()?;
    let host = host_name();
    let timetable = Timetable::new(schedule, project.config.project.timezone, &host);
    let (watch, systemd) = (Arc::new(Watch::default()), Systemd::from_environment());
    let metrics = Arc::new(metrics(&project, &watch).await);
    // What is done once may be done beside a process that stays, and has the port.
    if let Some(address) = schedule.listen.filter(|_| !args.once) {
        let endpoint = Endpoint::bind(address).await?;
        let address = endpoint.address().unwrap_or(address);
        tracing::info!("listening on http://{address}: /healthz, /readyz, /metrics");
        endpoint.serve(Arc::clone(&watch), project.lake.clone(), Arc::clone(&metrics));
    }
    let crier = Crier { timetable: &timetable, systemd };
    let tell = |event: &Event<'_>| {
        watch.note(event);
        crier.tell(event);
    };
    let keeper = Keeper {
        timetable: &timetable,
        lake: &project.lake,
        holder: Holder::new(&host),
        lease: schedule.lease,
        clock: &SystemClock::default(),
        work: &pipeline(&project, metrics),
        stop: &stop,
        tell: &tell,
    };
    systemd.ready();
    let asked = async {
        stop.raised().await;
        watch.stop();
        systemd.stopping();
        std::future::pending().await
    };
    let beating = async {
        loop {
            watch.beat();
            systemd.alive();
            tokio::time::sleep(systemd.interval().unwrap_or(BEAT).min(BEAT)).await;
        }
    };
    // All in one task: when the loop hangs, so does the beat.
    tokio::select! {
        // In this order: systemd hears of it while a job still drains.
        biased;
        () = asked => Ok(()),
        () = beating => Ok(()),
        ended = async { if args.once { keeper.once().await } else { keeper.keep().await } } => ended,
    }
}

/// The metrics of the runs to come, and of the schedule itself. Until one ends, the last that went well is shown.
async fn metrics(project: &Project, watch: &Arc<Watch>) -> Metrics {
    let mut metrics = Metrics::new();
    metrics.registry().register_collector(Box::new(Gauges(Arc::clone(watch))));
    match observe::last_success(&project.lake, None).await {
        Ok(last) => last.iter().for_each(|last| metrics.recall(last)),
        Err(e) => tracing::warn!("the last run isn't among the metrics: {e}"),
    }
    metrics
}

/// The project's pipeline, with the ordinary summary of each run.
fn pipeline(project: &Arc<Project>, metrics: Arc<Metrics>) -> Pipeline {
    let marts = project.marts.location().to_owned();
    Pipeline {
        project: Arc::clone(project),
        now: Arc::new(Utc::now),
        progress: Arc::new(Terminal::default()),
        ended: Arc::new(move |results: &RunResults| {
            metrics.record(results);
            if results.error.is_none() {
                say!("{}", summary::of(results, &marts));
            }
        }),
    }
}

/// Tells a person, and systemd.
struct Crier<'a> {
    timetable: &'a Timetable,
    systemd: Systemd,
}

impl Crier<'_> {
    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Looked { agenda, .. } => {
                let next: Vec<String> = agenda.iter().map(|due| self.next(due)).collect();
                if !next.is_empty() {
                    self.systemd.status(&format!("next: {}", next.join(", ")));
                }
            }
            Event::Waiting { holder, held } => {
                let what = format!("{} of {} is being done by {}", held.stage, self.shown(held.tick), holder.host);
                tracing::debug!("{what}");
                self.systemd.status(&what);
            }
            Event::Unreachable(e) => tracing::warn!("{e}"),
            Event::Began(job) => {
                let what = self.named(job);
                if job.stage == Stage::Publish {
                    tracing::info!("{what}");
                }
                self.systemd.status(&what);
            }
            Event::Lost(job) => tracing::warn!("{}: another host has taken it over; stopping", self.named(job)),
            Event::Ended { job, result, verdict, next } => {
                let next = next.map_or(String::new(), |due| format!("; next {}", self.shown(due.at)));
                self.ended(job, result, *verdict, &next);
            }
            // Once more, if it heard already: asked between two looks at the loop, this may be the first that is known of it.
            Event::Stopping => self.systemd.stopping(),
        }
    }

    fn ended(&self, job: &Job, result: &Result<String>, verdict: Verdict, next: &str) {
        let what = self.named(job);
        match (result, verdict) {
            (_, Verdict::Lost) => tracing::warn!("{what}: left to the other host{next}"),
            (Ok(done), _) => tracing::info!("{what}: {done}{next}"),
            (Err(e), Verdict::Again(at)) => tracing::warn!("{what}: {e}; again at {}", self.shown(at)),
            (Err(e), Verdict::Stopped) => tracing::info!("{what}: {e}"),
            (Err(e), _) => tracing::error!(exit_code = e.exit_code(), "{what}: {e}{next}"),
        }
    }

    fn named(&self, job: &Job) -> String {
        let as_of = if job.stage == Stage::Publish { format!(", as of {}", job.as_of) } else { String::new() };
        let attempt = if job.attempt > 1 { format!(", attempt {}", job.attempt) } else { String::new() };
        format!("{} of {}{as_of}{attempt}", job.stage, self.shown(job.tick))
    }

    fn next(&self, due: &Due) -> String {
        format!("{} {}", due.job.stage, self.shown(due.at))
    }

    fn shown(&self, moment: DateTime<Utc>) -> String {
        self.timetable.local(moment).format("%Y-%m-%d %H:%M").to_string()
    }
}
