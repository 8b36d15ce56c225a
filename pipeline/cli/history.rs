//! `runs`: what became of past runs, from their accounts and the run log.

use std::path::Path;

use super::RunsArgs;
use super::commands::open;
use super::summary::{duration, first_line};
use super::text::{grouped, shortened};
use crate::account::{self, RunResults, Status};
use crate::error::{Error, Result};
use crate::snapshot::{RunLogRow, Snapshot};

/// Of a failed run's name, what a terminal gets; `explain` takes it.
const NAME_COLUMNS: usize = 8;

pub(super) async fn runs(config: &Path, args: &RunsArgs) -> Result<()> {
    let project = open(config)?;
    let ids = account::run_ids(&project.lake).await?;
    let mut accounts = Vec::new();
    for run_id in ids.iter().skip(ids.len().saturating_sub(args.limit)) {
        accounts.extend(account::read(&project.lake, run_id).await?);
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&accounts).map_err(Error::bug)?);
        return Ok(());
    }
    let log = Snapshot::newest(&project.lake).await?.map(|snapshot| snapshot.run_log).unwrap_or_default();
    // Rollbacks leave no account, and those of long ago are gone.
    let untold: Vec<RunLogRow> = log.into_iter().filter(|row| !ids.contains(&row.run_id)).collect();
    say!("{}", table(&accounts, &untold, args.limit));
    Ok(())
}

/// A line for each run, oldest first; under a failed one, what went wrong.
fn table(accounts: &[RunResults], untold: &[RunLogRow], limit: usize) -> String {
    let told = accounts.iter().map(|run| (run.started_at, of_account(run)));
    let mut lines: Vec<_> = told.chain(untold.iter().map(|row| (row.started_at, of_log(row)))).collect();
    lines.sort_by_key(|(started_at, _)| *started_at);
    let newest = lines.split_off(lines.len().saturating_sub(limit));
    let header = line(["run", "as of", "started", "status", "took", "rows read", "rejected"].map(str::to_owned));
    [header].into_iter().chain(newest.into_iter().map(|(_, line)| line)).collect::<Vec<_>>().join("\n")
}

fn line([run, as_of, started, status, took, rows, rejected]: [String; 7]) -> String {
    format!("{run:<8}  {as_of:<10}  {started:<11}  {status:<11}  {took:>7}  {rows:>9}  {rejected:>9}")
        .trim_end()
        .to_owned()
}

fn of_account(run: &RunResults) -> String {
    let status = match run.status {
        Status::Published => "published".to_owned(),
        Status::NothingToDo => "unchanged".to_owned(),
        Status::Built => "built".to_owned(),
        Status::Interrupted => "interrupted".to_owned(),
        Status::Failed => format!("failed ({})", run.exit_code),
    };
    let published = run.snapshot.filter(|_| run.status == Status::Published);
    let sum = |of: fn(&account::SourceResult) -> u64| counted(run.sources.iter().map(of).sum());
    let mut text = line([
        published.map_or_else(|| short(&run.run_id).to_owned(), |number| number.to_string()),
        run.as_of.to_string(),
        run.started_at.format("%m-%d %H:%M").to_string(),
        status,
        duration(run.took_seconds()),
        sum(|s| s.rows_read),
        sum(|s| s.rows_rejected),
    ]);
    if let Some(error) = run.error.as_ref().filter(|_| run.status == Status::Failed) {
        text.push_str("\n  ");
        text.push_str(&shortened(&first_line(error), 76));
    }
    text
}

fn of_log(row: &RunLogRow) -> String {
    let status = if row.kind == "run" { "published" } else { "rollback" };
    line([
        row.snapshot.to_string(),
        row.as_of.to_string(),
        row.started_at.format("%m-%d %H:%M").to_string(),
        status.to_owned(),
        duration((row.committed_at - row.started_at).as_seconds_f64()),
        counted(row.rows_read),
        counted(row.rows_rejected),
    ])
}

/// `1,234,567`; from ten millions on `12.3 M`, `98.8 bn`.
fn counted(number: u64) -> String {
    match number {
        0..10_000_000 => grouped(number),
        10_000_000..1_000_000_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.1} bn", number as f64 / 1e9),
    }
}

/// The end of a run's name: the random part of it.
pub(super) fn short(run_id: &str) -> &str {
    run_id.len().checked_sub(NAME_COLUMNS).and_then(|start| run_id.get(start..)).unwrap_or(run_id)
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::{too_wide, wide};
    use super::*;

    #[test]
    fn the_table_fits_eighty_columns_and_says_what_failed() {
        let failed = RunResults {
            status: Status::Interrupted,
            exit_code: 143,
            snapshot: None,
            sources: wide().sources.into_iter().take(1).collect(),
            ..wide()
        };
        let failed = [
            failed.clone(),
            RunResults { status: Status::Failed, exit_code: 3, error: Some("no ".repeat(50)), ..failed },
        ];
        let table = table(&failed, &[], 9);
        assert_eq!(too_wide(&table), Vec::<&str>::new());
        assert!(table.contains("failed (3)") && table.contains("98.8 bn") && table.contains("\n  no no no"), "{table}");
        assert_eq!(table.lines().count(), 4);
    }
}
