//! What is told of a run while it goes on, and what a person sees of it: bars on a terminal, plain lines elsewhere.
//! All of it on standard error.

mod facts;

pub use facts::{Guard, LateSource, MartChange, Move, Moves, SourceVolume, SumChange, VolumeBreach};

use std::io::IsTerminal;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};

/// Told of the work's progress. A stage has begun before its steps; what is done within it is told before its end.
pub trait Progress: Sync {
    fn begin(&self, stage: &str, steps: u64);
    fn step(&self, what: &str);
    fn end(&self);

    /// A source has been listed and extracted.
    fn source(&self, _: &SourceRead<'_>) {}

    /// An open partition has been settled.
    fn partition(&self, _: &PartitionSettled<'_>) {}

    /// These sources are late: all of them, at once.
    fn late(&self, _: &[LateSource]) {}

    /// So many rows these sources have for the as-of day: all whose volume is watched, at once.
    fn volumes(&self, _: &[SourceVolume]) {}

    /// This became of the marts: all of them, at once.
    fn marts(&self, _: &[MartChange]) {}

    /// Something is odd that doesn't keep the run from publishing. The log has it too.
    fn warning(&self, _: &str) {}
}

/// What a run read of a source.
#[derive(Debug, Clone, Copy)]
pub struct SourceRead<'a> {
    pub name: &'a str,
    /// All of its objects.
    pub objects: u64,
    /// Those that were read because their content wasn't known.
    pub objects_read: u64,
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// The latest moment among all of its rows, where it has such.
    pub newest_at: Option<DateTime<Utc>>,
}

/// A partition that a run has built, or found unchanged.
#[derive(Debug, Clone, Copy)]
pub struct PartitionSettled<'a> {
    pub model: &'a str,
    pub partition: &'a str,
    /// As of the day before the run's date.
    pub day_before: bool,
    /// Why the plan had it open.
    pub why: &'a [String],
    /// Not built, since its inputs came out as they were.
    pub is_unchanged: bool,
    pub key: &'a str,
    pub rows: u64,
    pub size_bytes: u64,
    pub checks: u64,
    pub violations: u64,
    pub warnings: u64,
    pub peak_memory_bytes: u64,
    pub spilled_bytes: u64,
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn step(&self, _: &str) {}
    fn end(&self) {}
}

/// A bar on a terminal; elsewhere one log line per stage.
#[derive(Default)]
pub struct Terminal {
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress for Terminal {
    fn begin(&self, stage: &str, steps: u64) {
        if steps == 0 {
            return;
        }
        if !std::io::stderr().is_terminal() {
            tracing::info!(steps, "{stage}");
            return;
        }
        let style = ProgressStyle::with_template("{prefix:>20} {bar:24} {pos}/{len} {wide_msg}");
        let bar = ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(stage.to_owned());
        if let Ok(mut slot) = self.bar.lock() {
            *slot = Some(bar);
        }
    }

    fn step(&self, what: &str) {
        if let Ok(slot) = self.bar.lock()
            && let Some(bar) = slot.as_ref()
        {
            bar.set_message(what.to_owned());
            bar.inc(1);
        }
    }

    fn end(&self) {
        if let Ok(mut slot) = self.bar.lock()
            && let Some(bar) = slot.take()
        {
            bar.finish_and_clear();
        }
    }
}
