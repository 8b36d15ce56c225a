//! A run, from the listing to the published marts:
//!
//! ```text
//! Config → Listed → Extracted → Planned → Built → Checked → Snapshot → Report
//! ```

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::backfill::Span;
use crate::build::{Builder, Built};
use crate::check::{Checked, check, rejections, warnings};
use crate::contract::SourceName;
use crate::error::{Error, Result};
use crate::gather::{Extracted, gather};
use crate::guards::Guards;
use crate::interrupt::Interrupt;
use crate::lake::{self, Damages, Digest};
use crate::listing::{Listed, list, shown};
use crate::plan::{Ground, Plan, Resolver};
use crate::project::Project;
use crate::publish::{Workshop, current_number, docs_are_published};
use crate::report::{Guard, Progress};
use crate::select::Selection;
use crate::snapshot::{RunLogRow, Snapshot};
use crate::sources::Sources;

/// What a run is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `None`: yesterday, in the project's zone, by the clock given to [`run`].
    pub as_of: Option<NaiveDate>,
    /// Only the models that these [selectors](Selection) ask for, and what they read; such a run never publishes.
    pub select: Option<Vec<String>>,
    pub rebuild: bool,
    /// Stop at the first partition with a failed check, instead of building everything that can be built and telling
    /// of all failures together.
    pub fail_fast: bool,
    /// What may be odd for once, and is published all the same.
    pub accept: BTreeSet<Guard>,
    /// The backfill that the run is a day of.
    pub backfill: Option<Span>,
    /// What the run is called; `None`: a new name.
    pub run_id: Option<Uuid>,
    /// The [manifest](crate::manifest) that is kept for it.
    pub manifest: Option<Digest>,
}

/// The world around a run, passed in.
pub struct Surroundings<'a> {
    pub now: &'a (dyn Fn() -> DateTime<Utc> + Sync),
    pub interrupt: &'a Interrupt,
    pub progress: &'a dyn Progress,
}

/// How a run ended, when it didn't fail.
pub enum Outcome {
    /// Everything is as the newest snapshot has it.
    NothingToDo(Box<Snapshot>),
    Published(Box<Snapshot>, Summary),
    /// A `--select` run: built, not published.
    Built(Summary),
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub built: Vec<(String, String)>,
    pub unchanged: u64,
    pub objects_read: u64,
    pub rows_read: u64,
    pub rows_rejected: u64,
}

/// Runs the pipeline once.
///
/// # Errors
/// Every kind of [`Error`]; whichever it is, the marts that were published before still stand.
pub async fn run(project: &Project, request: &Request, around: &Surroundings<'_>) -> Result<Outcome> {
    mending(project, async |damages| straight(project, request, around, damages).await).await
}

/// The straight line. What it finds damaged on its way is [`Error::Damaged`].
async fn straight(
    project: &Project,
    request: &Request,
    around: &Surroundings<'_>,
    damages: &Damages,
) -> Result<Outcome> {
    let started_at = (around.now)();
    let selection = selection(project, request)?;
    let published = current_number(&project.marts).await;
    let prior = Snapshot::newest(&project.lake).await?;
    let number = prior.as_ref().map_or(0, |prior| prior.number).max(published) + 1;
    let healed = heal(project, prior.as_ref(), damages).await;
    around.progress.begin("list", 0);
    let listed = list(project, prior.as_ref()).await?;
    around.progress.end();
    let extracted = gather(project, &listed, prior.as_ref(), around, damages).await?;
    // Of a hundred thousand objects it is large, and a snapshot is still to be written.
    drop(listed);
    refuse(project, &extracted.sources)?;
    around.progress.begin("plan", 0);
    let ground = ground(project, request, &extracted.sources, started_at)?;
    let guards = Guards { project, request, ground: &ground, progress: around.progress };
    let late = guards.late();
    let resolver = Resolver::new(ground.clone(), prior.as_ref(), &project.lake, damages, request.rebuild);
    let wanted = wanted(selection.as_ref(), &resolver).await?;
    let planned = resolver.plan(wanted.as_ref()).await?;
    around.progress.end();
    if wanted.is_none() && is_settled(&planned, prior.as_ref(), &ground) {
        healed?;
        let prior = prior.ok_or_else(|| Error::bug("settled without a snapshot"))?;
        return Ok(Outcome::NothingToDo(Box::new(prior)));
    }
    guards.admit(&late).await?;
    let builder = Builder {
        resolver: &resolver,
        engine: &project.engine,
        lake: &project.lake,
        occasions: &project.occasions,
        interrupt: around.interrupt,
        progress: around.progress,
        fail_fast: request.fail_fast,
    };
    let built = builder.build(&planned).await?;
    for warning in warnings(&built) {
        tracing::warn!("{warning}");
        around.progress.warning(&warning);
    }
    let summary = summary(&built, &extracted);
    let in_question = |name: &str| wanted.as_ref().is_none_or(|models| models.contains(&format!("stg_{name}")));
    let moved = guards.compare(&built, prior.as_ref()).await;
    let checked = check(built, &extracted.sources, in_question, moved)?;
    if wanted.is_some() {
        return Ok(Outcome::Built(summary));
    }
    around.interrupt.check()?;
    // After a commit whose publishing met damage, the name is taken.
    let taken = |id: &Uuid| prior.as_ref().is_some_and(|prior| prior.run_id == id.to_string());
    let run_id = request.run_id.filter(|id| !taken(id)).unwrap_or_else(Uuid::now_v7);
    let log_row = log_row(number, request, &ground, &summary, (run_id, started_at), around);
    let snapshot = commit(project, &ground, &checked, prior.as_ref(), log_row, around).await?;
    Ok(Outcome::Published(Box::new(snapshot), summary))
}

/// What `run` would do: the same stages up to the plan. Extracting harms nobody, so it happens here too.
pub async fn plan(project: &Project, request: &Request, around: &Surroundings<'_>) -> Result<Plan> {
    let selection = selection(project, request)?;
    let planned = async |damages: &Damages| {
        let prior = Snapshot::newest(&project.lake).await?;
        let listed = list(project, prior.as_ref()).await?;
        let extracted = gather(project, &listed, prior.as_ref(), around, damages).await?;
        refuse(project, &extracted.sources)?;
        let ground = ground(project, request, &extracted.sources, (around.now)())?;
        let resolver = Resolver::new(ground, prior.as_ref(), &project.lake, damages, request.rebuild);
        resolver.plan(wanted(selection.as_ref(), &resolver).await?.as_ref()).await
    };
    mending(project, planned).await
}

/// Goes along the straight line, again for each lake object that turns out to be damaged: it is then taken for absent
/// and made again from its inputs, with everything else left as it is.
///
/// # Errors
/// Those of the attempt; [`Error::World`] for an object that is damaged again after that.
async fn mending<T>(project: &Project, attempt: impl AsyncFn(&Damages) -> Result<T>) -> Result<T> {
    let damages = Damages::default();
    loop {
        let damage = match attempt(&damages).await {
            Err(Error::Damaged(damage)) => damage,
            other => return other,
        };
        let is_first = damages.is_empty();
        if !damages.note(&damage) {
            let again = "it was made again and is damaged again: the lake's disk or store can't be trusted";
            return Err(Error::world(damage, again));
        }
        if is_first && let Some(prior) = Snapshot::newest(&project.lake).await? {
            for damage in lake::missing(&project.lake, prior.files()).await? {
                damages.note(&damage);
            }
        }
    }
}

/// Brings the marts to what the newest snapshot says, and sees to its copy.
///
/// A repair that fails is no reason not to publish something newer; with nothing newer, it is the run's error.
async fn heal(project: &Project, prior: Option<&Snapshot>, damages: &Damages) -> Result<()> {
    let Some(prior) = prior else { return Ok(()) };
    let healed = match workshop(project).publish(prior, None).await {
        Ok(()) => prior.keep_copy(&project.lake).await,
        failed => failed,
    };
    match &healed {
        Ok(()) => {}
        Err(Error::Damaged(damage)) => _ = damages.note(damage),
        Err(e) => tracing::warn!("the newest snapshot's marts could not be repaired: {e}"),
    }
    healed
}

/// Looks at the sources as they lie there now, whatever a run would say to them.
pub(crate) async fn survey<T>(
    project: &Project,
    around: &Surroundings<'_>,
    look: impl AsyncFn(&Listed, &Extracted) -> Result<T>,
) -> Result<T> {
    let looked = async |damages: &Damages| {
        let prior = Snapshot::newest(&project.lake).await?;
        let listed = list(project, prior.as_ref()).await?;
        let extracted = gather(project, &listed, prior.as_ref(), around, damages).await?;
        look(&listed, &extracted).await
    };
    mending(project, looked).await
}

/// Refuses sources with more rejected rows than they may have, before any work for them.
fn refuse(project: &Project, sources: &Sources) -> Result<()> {
    let open = |name: &str| name.parse().ok().and_then(|name: SourceName| project.sources.get(&name));
    let max_rejected = |name: &str| open(name).map_or(0.0, |source| source.config.max_rejected);
    let shown = |name: &str, path: &str| open(name).map_or_else(|| path.to_owned(), |source| shown(source, path));
    rejections(sources, max_rejected, shown)
}

pub(crate) fn workshop(project: &Project) -> Workshop<'_> {
    Workshop {
        lake: &project.lake,
        marts: &project.marts,
        scratch: project.engine.scratch(),
        history: &project.config.publish.history,
    }
}

fn ground<'a>(project: &'a Project, request: &Request, sources: &'a Sources, now: DateTime<Utc>) -> Result<Ground<'a>> {
    let as_of = request.as_of.unwrap_or_else(|| project.zone.yesterday(now));
    no_future(project, "--as-of", as_of, now)?;
    Ok(Ground {
        catalog: &project.catalog,
        calendar: project.calendar,
        as_of,
        settings: &project.settings,
        sources,
        calendar_fingerprint: project.calendar_fingerprint.clone(),
        source_months: sources.months(),
    })
}

/// Refuses a day that hasn't begun.
pub(crate) fn no_future(project: &Project, flag: &str, day: NaiveDate, now: DateTime<Utc>) -> Result<()> {
    let yesterday = project.zone.yesterday(now);
    match yesterday.succ_opt().is_some_and(|today| day > today) {
        true => Err(Error::config(format!("{flag} {day} lies in the future; the last whole day is {yesterday}"))),
        false => Ok(()),
    }
}

/// Nothing to build, the same date, the same objects: the newest snapshot says it all already.
fn is_settled(plan: &Plan, prior: Option<&Snapshot>, ground: &Ground<'_>) -> bool {
    let Some(prior) = prior else { return false };
    let same_objects = ground.sources.0.iter().all(|(name, source)| {
        prior.sources.get(name).map_or(source.state.objects.is_empty(), |before| *before == source.state)
    });
    let same_models = prior.partitions.len() == ground.catalog.names().count();
    let same = same_objects && same_models && docs_are_published(ground, prior);
    plan.is_empty() && prior.as_of == ground.as_of && same && prior.engine == lake::ENGINE
}

fn selection(project: &Project, request: &Request) -> Result<Option<Selection>> {
    request.select.as_deref().map(|selectors| Selection::parse(selectors, &project.catalog)).transpose()
}

/// The models that a selection asks for, with everything that they read; `None`: all.
async fn wanted(selection: Option<&Selection>, resolver: &Resolver<'_>) -> Result<Option<BTreeSet<String>>> {
    let Some(selection) = selection else { return Ok(None) };
    let changed = match selection.asks_for_changed() {
        true => resolver.plan(None).await?.open().map(|step| step.slot.model.clone()).collect(),
        false => BTreeSet::new(),
    };
    Ok(Some(selection.models(resolver.ground(false).catalog, &changed)))
}

fn summary(built: &Built, extracted: &Extracted) -> Summary {
    Summary {
        built: built.built.iter().map(|slot| (slot.model.clone(), slot.partition.to_string())).collect(),
        unchanged: built.unchanged,
        objects_read: extracted.objects_read,
        rows_read: extracted.rows_read,
        rows_rejected: extracted.rows_rejected,
    }
}

fn log_row(
    number: u64,
    request: &Request,
    ground: &Ground<'_>,
    summary: &Summary,
    (run_id, started_at): (Uuid, DateTime<Utc>),
    around: &Surroundings<'_>,
) -> RunLogRow {
    RunLogRow {
        snapshot: number,
        run_id: run_id.to_string(),
        kind: "run".to_owned(),
        as_of: ground.as_of,
        started_at,
        committed_at: (around.now)(),
        partitions_built: summary.built.len() as u64,
        objects_read: summary.objects_read,
        rows_read: summary.rows_read,
        rows_rejected: summary.rows_rejected,
        manifest: request.manifest.clone(),
    }
}

/// Commits what was checked as the snapshot that its row of the log names, and publishes it.
async fn commit(
    project: &Project,
    ground: &Ground<'_>,
    checked: &Checked,
    prior: Option<&Snapshot>,
    log_row: RunLogRow,
    around: &Surroundings<'_>,
) -> Result<Snapshot> {
    let workshop = workshop(project);
    around.progress.begin("publish", 1);
    let mut prepared = workshop.prepare(log_row.snapshot, ground, checked.built(), prior).await?;
    let sources = ground.sources.0.iter().filter(|(_, s)| s.configured);
    let mut snapshot = Snapshot {
        format: lake::FORMAT,
        number: log_row.snapshot,
        run_id: log_row.run_id.clone(),
        as_of: ground.as_of,
        engine: lake::ENGINE.to_owned(),
        sources: sources.map(|(name, source)| (name.clone(), source.state.clone())).collect(),
        partitions: checked.built().partitions.clone(),
        eve: checked.built().eve.clone(),
        marts: prepared.marts.clone(),
        run_log: prior.map(|p| p.run_log.clone()).unwrap_or_default().into_iter().chain([log_row]).collect(),
    };
    workshop.add_reports(&mut snapshot, &mut prepared)?;
    snapshot.commit(&project.lake).await?;
    workshop.publish(&snapshot, Some(&prepared)).await?;
    around.progress.end();
    Ok(snapshot)
}
