//! What the schedule asks of a clock, and the machine's own.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// Tells the time and waits. Tests bring one that waits for nobody.
pub trait Clock: Sync {
    /// What the wall clock shows. It may be set, also back.
    fn now(&self) -> DateTime<Utc>;

    /// Since some moment of its own; this never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits until the wall clock shows a moment.
    fn sleep_until(&self, moment: DateTime<Utc>) -> impl Future<Output = ()>;

    /// Waits for so long, whatever the wall clock shows.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// The machine's.
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

/// A wall clock that is set, and a machine that slept, are noticed within so long.
const SLICE: Duration = Duration::from_secs(20);

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep_until(&self, moment: DateTime<Utc>) {
        while let Ok(left) = (moment - self.now()).to_std()
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(SLICE)).await;
        }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
