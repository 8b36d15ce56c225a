//! The guards before publishing: whether what was delivered, and what became of the marts, is plausible.
//!
//! They find what no check of a row can: that nothing came, that too little came, that a mart is another than yesterday.
//! Each finding is a fact of the run's account, and keeps the run from publishing only where the config says so and
//! the request doesn't accept it. They are about what is published: a `--select` run is told of late sources and
//! goes on.

mod freshness;
mod movement;
mod sums;
mod volume;

use crate::build::Built;
use crate::check::{refusal, violations};
use crate::error::Result;
use crate::plan::Ground;
use crate::project::Project;
use crate::report::{Guard, LateSource, Progress};
use crate::run::Request;
use crate::snapshot::Snapshot;

/// What the guards of a run look at, and whom they tell.
pub struct Guards<'a> {
    pub project: &'a Project,
    pub request: &'a Request,
    pub ground: &'a Ground<'a>,
    pub progress: &'a dyn Progress,
}

impl Guards<'_> {
    /// The sources that are late, in order; told of.
    pub fn late(&self) -> Vec<LateSource> {
        let late = freshness::late(self.project, self.ground);
        self.progress.late(&late);
        late.iter().for_each(|late| self.warn(&freshness::told(late)));
        late
    }

    /// Refuses, before anything is built, deliveries that are late or unusually small or large.
    ///
    /// # Errors
    /// [`crate::error::Error::Check`], with every source that blocks and what to do about it; those of the engine.
    pub async fn admit(&self, late: &[LateSource]) -> Result<()> {
        if self.request.select.is_some() {
            return Ok(());
        }
        let volumes = volume::volumes(self.project, self.ground).await?;
        self.progress.volumes(&volumes);
        let odd = || volumes.iter().filter(|volume| volume.breach.is_some());
        odd().for_each(|volume| self.warn(&volume::told(volume, self.ground.as_of)));
        let late: Vec<String> = late.iter().filter(|late| late.blocks).map(freshness::refused).collect();
        let odd: Vec<String> =
            odd().filter(|odd| odd.blocks).map(|odd| volume::refused(odd, self.ground.as_of)).collect();
        let found = [(Guard::Late, "late", late), (Guard::Volume, "volume", odd)];
        let blocking = found.iter().filter(|(guard, _, failures)| !failures.is_empty() && !self.accepts(*guard));
        let (words, failures): (Vec<&str>, Vec<&[String]>) =
            blocking.map(|(_, word, failures)| (*word, failures.as_slice())).unzip();
        if words.is_empty() {
            return Ok(());
        }
        let (as_of, words) = (self.ground.as_of, words.join(","));
        let way_out = format!("  to publish once all the same: `bazgasht run --as-of {as_of} --accept {words}`");
        Err(refusal(failures.concat().into_iter().chain([way_out]).collect()))
    }

    /// Tells what became of each mart since the newest snapshot. What goes beyond the limits is returned, for the gate.
    /// Marts that a check has refused aren't compared.
    pub async fn compare(&self, built: &Built, prior: Option<&Snapshot>) -> Vec<String> {
        if self.request.select.is_some() || !violations(built).is_empty() {
            return vec![];
        }
        self.progress.begin("compare", 0);
        let changes = movement::changes(self.project, self.ground, self.request, built, prior).await;
        self.progress.marts(&changes);
        self.progress.end();
        let mut moved = movement::told(&changes);
        if self.accepts(Guard::Marts) {
            moved.iter().for_each(|moved| self.warn(&format!("accepted: {moved}")));
            return vec![];
        }
        if let Some(last) = moved.last_mut() {
            last.push_str(&movement::hint(self.ground.as_of));
        }
        moved
    }

    fn accepts(&self, guard: Guard) -> bool {
        self.request.accept.contains(&guard)
    }

    fn warn(&self, warning: &str) {
        tracing::warn!("{warning}");
        self.progress.warning(warning);
    }
}
