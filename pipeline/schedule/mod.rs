//! The schedule: stages on cron lines of their own, by one or several processes that share a lake.
//!
//! A *tick* is a moment of a cron line. Each tick's work is done by whoever takes the lease first, and is settled by
//! the tick: what is published at 02:30 is as of the day before that tick, be it done at 02:30, after midnight in the
//! third try, or by the host that takes over from a dead one.
//!
//! - `ticks` knows clocks that change, `agenda` what is due: both are pure.
//! - `lease` says in the lake who does it, and keeps what was done: nothing else remembers.
//! - `keeper` is the loop. It knows neither the pipeline nor the machine's clock: it is handed a [`Work`] and a [`Clock`].
//! - `work` is the pipeline's, `watch` what is seen from outside, `http` and `systemd` who is told.

mod agenda;
mod clock;
mod http;
mod keeper;
mod lease;
mod systemd;
mod ticks;
mod watch;
mod work;

pub use agenda::{Done, Due, Failed, Job, Stage, Stay, Timetable};
pub use clock::{Clock, SystemClock};
pub use http::Endpoint;
pub use keeper::{Event, Keeper, Verdict, Work};
pub use lease::{Held, Holder, Lease, Standing};
pub use systemd::{Systemd, host_name};
pub use ticks::Ticks;
pub use watch::{Gauges, Watch};
pub use work::Pipeline;
