//! What is seen of a schedule from outside: kept up by the loop's events, read by HTTP and metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::agenda::Stage;
use super::keeper::Event;

/// Without a beat for so long, the loop hangs. It beats whatever it waits for.
const SILENCE: Duration = Duration::from_secs(60);

/// The state of a schedule, shared.
#[derive(Debug)]
pub struct Watch(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    beat_at: Instant,
    /// Whether the lake could be asked the last time.
    knows_lease: bool,
    next: BTreeMap<Stage, DateTime<Utc>>,
    handled: BTreeMap<Stage, DateTime<Utc>>,
    working: Option<Stage>,
    runs: BTreeMap<(Stage, &'static str), u64>,
    is_stopping: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self(Mutex::new(Seen {
            beat_at: Instant::now(),
            knows_lease: false,
            next: BTreeMap::new(),
            handled: BTreeMap::new(),
            working: None,
            runs: BTreeMap::new(),
            is_stopping: false,
        }))
    }
}

impl Watch {
    /// The loop is alive.
    pub fn beat(&self) {
        self.seen().beat_at = Instant::now();
    }

    /// Takes note of what happens.
    pub fn note(&self, event: &Event<'_>) {
        let mut seen = self.seen();
        match event {
            Event::Looked { done, agenda } => {
                seen.knows_lease = true;
                seen.handled = done.handled.clone();
                seen.next = agenda.iter().map(|due| (due.job.stage, due.at)).collect();
            }
            Event::Unreachable(_) => seen.knows_lease = false,
            Event::Began(job) => seen.working = Some(job.stage),
            Event::Lost(_) => seen.working = None,
            Event::Ended { job, verdict, .. } => {
                seen.working = None;
                *seen.runs.entry((job.stage, verdict.as_str())).or_default() += 1;
            }
            Event::Stopping => seen.is_stopping = true,
            Event::Waiting { .. } => {}
        }
    }

    /// It was asked to stop.
    pub fn stop(&self) {
        self.seen().is_stopping = true;
    }

    /// Why the process is no good any more, if it is none.
    pub fn ailing(&self) -> Option<String> {
        let silent = self.seen().beat_at.elapsed();
        (silent > SILENCE).then(|| format!("the loop hasn't moved for {} s", silent.as_secs()))
    }

    /// Why nothing would be done if it were due now.
    pub fn unready(&self) -> Option<&'static str> {
        let seen = self.seen();
        match (seen.is_stopping, seen.knows_lease) {
            (true, _) => Some("it is stopping"),
            (false, false) => Some("the lease in the lake isn't known"),
            (false, true) => None,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch as metrics; their names get the registry's prefix.
#[derive(Debug)]
pub struct Gauges(pub std::sync::Arc<Watch>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.0.seen();
        let seconds = |moment: &DateTime<Utc>| ConstGauge::new(moment.timestamp());
        let moments = [
            ("schedule_next_timestamp", "When the stage begins next", &seen.next),
            ("schedule_handled_timestamp", "The stage's newest tick that is dealt with", &seen.handled),
        ];
        for (name, help, moments) in moments.into_iter().filter(|(_, _, moments)| !moments.is_empty()) {
            let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
            for (stage, moment) in moments {
                seconds(moment).encode(family.encode_family(&[("stage", stage.as_str())])?)?;
            }
        }
        let mut held = encoder.encode_descriptor(
            "schedule_holds_lease",
            "Whether this process has the lease, and does the stage",
            None,
            MetricType::Gauge,
        )?;
        for stage in Stage::ALL {
            let is_held = ConstGauge::new(i64::from(seen.working == Some(stage)));
            is_held.encode(held.encode_family(&[("stage", stage.as_str())])?)?;
        }
        if !seen.runs.is_empty() {
            let help = "Jobs of this process, by how they ended";
            let mut runs = encoder.encode_descriptor("schedule_jobs", help, None, MetricType::Counter)?;
            for ((stage, verdict), count) in &seen.runs {
                let labels = [("stage", stage.as_str()), ("status", *verdict)];
                ConstCounter::new(*count).encode(runs.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
