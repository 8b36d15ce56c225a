//! What a person sees while a run goes on: bars on a terminal, plain lines elsewhere. All of it on standard error.

use std::io::IsTerminal;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

/// Told of the work's progress.
pub trait Progress: Sync {
    fn begin(&self, stage: &str, steps: u64);
    fn step(&self, what: &str);
    fn end(&self);
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
