//! What systemd is told (`Type=notify`); where there is none, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager, if one listens.
#[derive(Debug, Clone, Copy)]
pub struct Systemd {
    /// How often it wants to hear that all is well.
    watchdog: Option<Duration>,
}

impl Systemd {
    pub fn from_environment() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled() }
    }

    /// How often [`Systemd::alive`] is to be called: twice in the time that it waits, as it advises.
    pub fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    pub fn ready(&self) {
        self.say(&[NotifyState::Ready]);
    }

    pub fn status(&self, text: &str) {
        self.say(&[NotifyState::Status(text)]);
    }

    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.say(&[NotifyState::Watchdog]);
        }
    }

    pub fn stopping(&self) {
        self.say(&[NotifyState::Stopping]);
    }

    fn say(&self, state: &[NotifyState<'_>]) {
        if let Err(e) = sd_notify::notify(state) {
            tracing::debug!("systemd wasn't told: {e}");
        }
    }
}

/// What this machine is called; for people, and to tell its jitter from others'.
pub fn host_name() -> String {
    let file = |path: &str| std::fs::read_to_string(path).ok();
    let found = file("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok());
    let found = found.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    found.unwrap_or_else(|| "localhost".to_owned())
}
