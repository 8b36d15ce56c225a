//! `run`, with backfills and dry runs; `retry`.

use std::path::Path;

use chrono::{NaiveDate, Utc};

use super::commands::{open, request, show_plan};
use super::{RunArgs, WorkArgs, summary};
use crate::account::{self, RunResults, Status};
use crate::backfill::{self, Span, Told};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::project::Project;
use crate::report::Terminal;
use crate::retry;
use crate::run::{self, Request, Surroundings};

/// What a command that runs the pipeline works with.
struct Desk {
    project: Project,
    interrupt: Interrupt,
    progress: Terminal,
}

impl Desk {
    fn open(config: &Path) -> Result<Self> {
        Ok(Self { project: open(config)?, interrupt: Interrupt::listen()?, progress: Terminal::default() })
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings { now: &Utc::now, interrupt: &self.interrupt, progress: &self.progress }
    }

    async fn run(&self, request: &Request) -> Result<()> {
        let (results, outcome) = account::run(&self.project, request, &self.around()).await;
        outcome?;
        say!("{}", summary::of(&results, self.project.marts.location()));
        Ok(())
    }

    async fn backfill(&self, span: Span, fail_fast: bool) -> Result<()> {
        let mut tell = |told: &Told<'_>| say!("{}", day_told(told));
        let plan = backfill::plan(&self.project, span, &self.around()).await?;
        say!("{}", outline(span, &plan));
        backfill::run(&self.project, span, fail_fast, &self.around(), &mut tell).await
    }
}

pub(super) async fn run(config: &Path, args: &RunArgs) -> Result<()> {
    let desk = Desk::open(config)?;
    let request =
        Request { fail_fast: args.fail_fast, accept: args.accept.iter().copied().collect(), ..request(&args.work) };
    let span = args.from.map(|from| Span { from, to: args.to.unwrap_or_else(|| yesterday(&desk.project)) });
    match (span, args.dry_run) {
        (None, false) => desk.run(&request).await,
        (None, true) => {
            show_plan(&run::plan(&desk.project, &request, &desk.around()).await?);
            Ok(())
        }
        (Some(span), false) => desk.backfill(span, args.fail_fast).await,
        (Some(span), true) => {
            let plan = backfill::plan(&desk.project, span, &desk.around()).await?;
            say!("{}", outline(span, &plan));
            plan.days.iter().for_each(|day| say!("{day}"));
            Ok(())
        }
    }
}

/// The demo's one run.
pub(super) async fn run_as_of(config: &Path, as_of: NaiveDate) -> Result<()> {
    let work = WorkArgs { as_of: Some(as_of), select: vec![], rebuild: false };
    Desk::open(config)?.run(&request(&work)).await
}

pub(super) async fn retry(config: &Path) -> Result<()> {
    let desk = Desk::open(config)?;
    let Some(failed) = retry::unsettled(&desk.project).await? else {
        say!("nothing to retry: no run has failed or was interrupted since the last one that did its work");
        return Ok(());
    };
    say!("{}", continuing(&failed));
    match failed.backfill {
        Some(span) => desk.backfill(span, failed.fail_fast).await,
        None => desk.run(&retry::request(&failed)).await,
    }
}

fn continuing(failed: &RunResults) -> String {
    let how = if failed.status == Status::Interrupted { "was interrupted" } else { "failed" };
    let what = match (&failed.backfill, &failed.select) {
        (Some(span), _) => format!("the backfill of {span}"),
        (None, Some(select)) => format!("the selection {} as of {}", select.join(","), failed.as_of),
        (None, None) => format!("the run as of {}", failed.as_of),
    };
    format!("again: {what}, which {how} on {}", failed.started_at.format("%Y-%m-%d %H:%M UTC"))
}

fn yesterday(project: &Project) -> NaiveDate {
    project.zone.yesterday(Utc::now())
}

fn outline(span: Span, plan: &backfill::Plan) -> String {
    let days = match plan.days.len() {
        0 => format!("{span}: no day is missing"),
        1 => format!("{span}: 1 day is missing"),
        days => format!("{span}: {days} days are missing"),
    };
    match plan.finally {
        Some(newest) => format!("{days}; then {newest} once more, so that the marts are as of it"),
        None => days,
    }
}

fn day_told(told: &Told<'_>) -> String {
    let results = told.results;
    let place = told.position.map_or("once more".to_owned(), |position| format!("{position} of {}", told.days));
    format!(
        "{} ({place}): {} in {}",
        results.as_of,
        summary::ending(results),
        summary::duration(results.took_seconds())
    )
}
