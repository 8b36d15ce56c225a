//! Ctrl-C and SIGTERM: noticed between two steps, never in the middle of one.

use tokio::sync::watch;

use crate::error::{Error, Result};

/// Whether the run was asked to stop. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(watch::Sender<i32>);

impl Interrupt {
    /// Listens for signals until the process ends. A second signal ends it at once: nothing that is committed
    /// can be harmed by that.
    pub fn listen() -> std::io::Result<Self> {
        let interrupt = Self::default();
        for (kind, number) in
            [(tokio::signal::unix::SignalKind::interrupt(), 2), (tokio::signal::unix::SignalKind::terminate(), 15)]
        {
            let mut signals = tokio::signal::unix::signal(kind)?;
            let flag = interrupt.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if flag.0.send_replace(number) != 0 {
                        std::process::exit(128 + number);
                    }
                    tracing::warn!("stopping after this step; once more to stop at once");
                }
            });
        }
        Ok(interrupt)
    }

    /// Asks to stop, as signal `number` would.
    pub fn raise(&self, number: i32) {
        self.0.send_replace(number);
    }

    /// # Errors
    /// [`Error::Interrupted`] once a signal came.
    pub fn check(&self) -> Result<()> {
        match *self.0.borrow() {
            0 => Ok(()),
            number => Err(Error::Interrupted(number)),
        }
    }

    /// Waits until a signal comes; its number.
    pub async fn raised(&self) -> i32 {
        let mut receiver = self.0.subscribe();
        // Its sender, `self`, outlives the wait.
        receiver.wait_for(|number| *number != 0).await.map_or(0, |number| *number)
    }
}
