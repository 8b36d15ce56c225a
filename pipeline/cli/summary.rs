//! What a person is told of a run when it is over, from its account, within 80 columns.

use super::text::{grouped, shortened};
use crate::account::{Action, PartitionResult, RunResults, SourceResult, Status};
use crate::report::MartChange;

/// So wide is a terminal that nobody has widened.
const COLUMNS: usize = 80;
/// How many of the slowest partitions, and of the warnings, are told.
const SLOWEST: usize = 5;
const WARNINGS: usize = 5;
/// How many of the marts that moved most.
const MOVED: usize = 5;

/// The summary of a run that didn't fail.
pub(super) fn of(results: &RunResults, marts: &str) -> String {
    let mut lines = headline(results);
    lines.extend(sources(&results.sources));
    lines.extend(slowest(&results.partitions));
    lines.extend(moved(&results.marts));
    lines.extend(warnings(&results.warnings));
    if results.status == Status::Published {
        lines.push(format!("marts: {marts}"));
    }
    lines.join("\n")
}

fn headline(results: &RunResults) -> Vec<String> {
    if results.status == Status::NothingToDo {
        let ending = ending(results);
        return vec![format!("nothing to do: {ending} as of {} stands on the same inputs", results.as_of)];
    }
    let count = |action| results.partitions.iter().filter(|p| p.action == action).count() as u64;
    let sum = |of: fn(&SourceResult) -> u64| grouped(results.sources.iter().map(of).sum());
    let mut lines = vec![
        format!("{} as of {} in {}", ending(results), results.as_of, duration(results.took_seconds())),
        format!("built {} partitions; {} unchanged", grouped(count(Action::Built)), grouped(count(Action::Unchanged))),
        format!(
            "read {} objects with {} rows; {} rejected",
            sum(|s| s.objects_read),
            sum(|s| s.rows_read),
            sum(|s| s.rows_rejected)
        ),
    ];
    if results.status == Status::Built {
        lines.push("a run with --select publishes nothing".to_owned());
    }
    lines
}

/// How a run ended, in a few words.
pub(super) fn ending(results: &RunResults) -> String {
    let snapshot = results.snapshot.map_or(String::new(), |number| format!(" {number}"));
    match results.status {
        Status::Published => format!("published snapshot{snapshot}"),
        Status::NothingToDo => format!("snapshot{snapshot}"),
        Status::Built => "built".to_owned(),
        Status::Interrupted => "interrupted".to_owned(),
        Status::Failed => format!("failed with exit code {}", results.exit_code),
    }
}

/// `4.2 s`, `12 min`, `3.5 h`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// `0`, `312 kB`, `1.2 GB`.
pub(super) fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{b:.0} B"),
        b if b < 1e6 => format!("{:.0} kB", b / 1e3),
        b if b < 1e9 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}

fn sources(sources: &[SourceResult]) -> Vec<String> {
    let read: Vec<&SourceResult> = sources.iter().filter(|source| source.objects_read > 0).collect();
    if read.is_empty() {
        return vec![];
    }
    let line = |name: &str, objects: &str, rows: &str, rejected: &str| {
        format!("  {name:<24}  {objects:>12}  {rows:>16}  {rejected:>12}")
    };
    let rows = read
        .iter()
        .map(|s| line(&s.source, &grouped(s.objects_read), &grouped(s.rows_read), &grouped(s.rows_rejected)));
    ["".to_owned(), line("source", "objects", "rows read", "rejected")].into_iter().chain(rows).collect()
}

fn slowest(partitions: &[PartitionResult]) -> Vec<String> {
    let mut built: Vec<&PartitionResult> = partitions.iter().filter(|p| p.action == Action::Built).collect();
    if built.is_empty() {
        return vec![];
    }
    built.sort_by(|a, b| b.took_seconds.total_cmp(&a.took_seconds));
    let line = |name: &str, rows: &str, time: &str, memory: &str, spilled: &str| {
        format!("  {name:<34}  {rows:>13}  {time:>7}  {memory:>7}  {spilled:>7}")
    };
    let rows = built.iter().take(SLOWEST).map(|p| {
        line(
            &shortened(&format!("{} {}", p.model, p.partition), 34),
            &grouped(p.rows),
            &duration(p.took_seconds),
            &size(p.peak_memory_bytes),
            &size(p.spilled_bytes),
        )
    });
    ["".to_owned(), line("slowest partitions", "rows", "time", "memory", "spilled")].into_iter().chain(rows).collect()
}

/// The marts that moved most: beyond their limits, then by the share of their rows that came, went or changed.
fn moved(marts: &[MartChange]) -> Vec<String> {
    let known = || marts.iter().filter(|mart| mart.rows_before.is_some());
    let mut moved: Vec<(&MartChange, f64)> =
        known().map(|mart| (mart, share(mart))).filter(|(_, s)| *s > 0.0).collect();
    if known().next().is_none() {
        return vec![];
    }
    moved.sort_by(|(a, a_share), (b, b_share)| {
        b.breaches.len().cmp(&a.breaches.len()).then(b_share.total_cmp(a_share)).then(a.mart.cmp(&b.mart))
    });
    let changed = known().filter(|mart| mart.changed).count();
    let headline = format!("marts that changed since the snapshot before: {changed} of {}", marts.len());
    let line = |name: &str, before: &str, now: &str, values: &str| {
        format!("  {name:<24}  {before:>13}  {now:>13}  {values}").trim_end().to_owned()
    };
    let row = |(mart, _): &(&MartChange, f64)| {
        let moves = mart.moves.iter().max_by_key(|moves| moves.moved).filter(|moves| moves.moved > 0);
        let values = moves.map_or(String::new(), |moves| format!("{} in {}", grouped(moves.moved), moves.column));
        line(
            &shortened(&mart.mart, 24),
            &grouped(mart.rows_before.unwrap_or(0)),
            &grouped(mart.rows),
            &shortened(&values, 20),
        )
    };
    let table = [line("moved most", "rows before", "rows", "rows that moved")].into_iter();
    let table = table.chain(moved.iter().take(MOVED).map(row)).filter(|_| !moved.is_empty());
    [String::new(), headline].into_iter().chain(table).collect()
}

/// The share of a mart's rows that came, went or moved.
fn share(mart: &MartChange) -> f64 {
    let before = mart.rows_before.unwrap_or(0);
    let rows = mart.rows.abs_diff(before) as f64 / before.max(1) as f64;
    let moved = mart.moves.iter().map(|moves| moves.moved as f64 / moves.compared.max(1) as f64);
    moved.fold(rows, f64::max)
}

fn warnings(warnings: &[String]) -> Vec<String> {
    if warnings.is_empty() {
        return vec![];
    }
    let first = warnings.iter().take(WARNINGS).map(|w| format!("  {}", shortened(&first_line(w), COLUMNS - 2)));
    let rest = warnings.len().saturating_sub(WARNINGS);
    let rest = (rest > 0).then(|| format!("  and {rest} more: `bazgasht runs --json` has all"));
    [String::new(), format!("warnings: {}", warnings.len())].into_iter().chain(first).chain(rest).collect()
}

/// The first line of a text of several.
pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::report::Moves;

    /// An account with large numbers and long names everywhere.
    pub(in crate::cli) fn wide() -> RunResults {
        let started_at = DateTime::UNIX_EPOCH;
        let source = |name: &str| SourceResult {
            source: name.to_owned(),
            objects: 123_456,
            objects_read: 123_456,
            rows_read: 98_765_432_100,
            rows_rejected: 123_456_789,
            newest_at: None,
        };
        let partition = |model: &str, took_seconds| PartitionResult {
            model: model.to_owned(),
            partition: "1404-12".to_owned(),
            day_before: false,
            action: Action::Built,
            why: vec!["new".to_owned()],
            key: String::new(),
            rows: 9_876_543_210,
            size_bytes: 0,
            checks: 3,
            violations: 0,
            warnings: 0,
            started_at,
            took_seconds,
            peak_memory_bytes: 123_456_789_000,
            spilled_bytes: 999_499_999,
        };
        RunResults {
            format: 1,
            run_id: "0192d0b8-0000-7000-8000-000012345678".to_owned(),
            project: "shop".to_owned(),
            version: "1".to_owned(),
            as_of: "2025-12-31".parse().expect("a day"),
            select: None,
            rebuild: false,
            fail_fast: false,
            accepted: Default::default(),
            backfill: None,
            started_at,
            ended_at: started_at + TimeDelta::seconds(359_999),
            status: Status::Published,
            exit_code: 0,
            error: None,
            snapshot: Some(1_234_567_890),
            manifest: None,
            stages: vec![],
            sources: vec![source("orders"), source("interactions")],
            partitions: vec![
                partition("quick", 0.1),
                partition("a_model_whose_name_is_as_long_as_a_name_may_reasonably_be", 99_999.0),
                partition("churn_reasons_by_period", 5_999.0),
            ],
            late: vec![],
            volumes: vec![],
            marts: marts(),
            warnings: vec!["a warning that goes on and on ".repeat(9), "another\nwith samples".to_owned()],
        }
    }

    fn marts() -> Vec<MartChange> {
        let mart = |mart: &str, rows_before, rows, moved| MartChange {
            mart: mart.to_owned(),
            changed: true,
            rows,
            rows_before,
            moves: vec![Moves { column: "segment".to_owned(), compared: 1_000_000_000, moved, largest: vec![] }],
            ..MartChange::default()
        };
        vec![
            mart("rfm", Some(1_000_000_000), 1_000_000_001, 123_456_789),
            mart("a_model_whose_name_is_as_long_as_a_name_may_reasonably_be", Some(0), 9_876_543_210, 0),
            mart("new", None, 5, 0),
            mart("same", Some(5), 5, 0),
        ]
    }

    #[test]
    fn the_marts_that_moved_most_come_first() {
        let mut marts = marts();
        let lines = moved(&marts);
        assert_eq!(lines[1], "marts that changed since the snapshot before: 3 of 4");
        let first =
            |lines: &[String]| lines[3..].iter().map(|l| l.trim().chars().take(3).collect()).collect::<Vec<String>>();
        assert_eq!(first(&lines), ["a_m", "rfm"]);
        marts[0].breaches.push("far".to_owned());
        assert_eq!(first(&moved(&marts)), ["rfm", "a_m"]);
        assert_eq!(moved(&marts[2..3]), Vec::<String>::new(), "a first night has nothing to compare with");
    }

    pub(in crate::cli) fn too_wide(text: &str) -> Vec<&str> {
        text.lines().filter(|line| line.chars().count() > COLUMNS).collect()
    }

    #[test]
    fn the_summary_fits_eighty_columns() {
        let text = of(&wide(), "s3://shop-marts/retention");
        assert_eq!(too_wide(&text), Vec::<&str>::new());
        assert!(!text.contains("with samples"), "{text}");
    }

    #[test]
    fn the_slowest_come_first() {
        let lines = slowest(&wide().partitions);
        let first = |line: &String| line.trim().chars().take(5).collect::<String>();
        assert_eq!(lines[2..].iter().map(first).collect::<Vec<_>>(), ["a_mod", "churn", "quick"]);
    }

    #[test]
    fn quantities_are_short() {
        assert_eq!([0.04, 99.94, 100.0, 6000.0].map(duration), ["0.0 s", "99.9 s", "2 min", "1.7 h"]);
        assert_eq!([0, 999, 1_000, 2_500_000, 1_500_000_000].map(size), ["0 B", "999 B", "1 kB", "2 MB", "1.5 GB"]);
    }
}
