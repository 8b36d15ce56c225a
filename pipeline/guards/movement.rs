//! Movement: what became of each mart since the newest snapshot.
//!
//! Rows and sums are in the records of the partitions, so comparing them reads nothing. Marts whose front matter says
//! `compare = ["segment"]` are joined with what they were, on their grain, if they changed: one query each, of the
//! grain and those columns.
//!
//! The rule for `[publish.limits]`: a mart is judged if it was published before with at least `least_rows` rows, as of
//! the same day or an earlier one, from the same SQL and settings all the way up; what a person changed is not
//! implausible. Days of a backfill aren't judged, nor is a rollback. Of a mart that is partitioned by month, each month
//! that was closed already is judged for rows lost besides, and a month that is gone has lost all. A sum that was zero
//! or isn't known is no measure. Marts that say `volatile = true` are judged only by limits of their own.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::NaiveDate;

use super::sums::{self, Exact};
use crate::build::Built;
use crate::config::MartLimits;
use crate::engine::{Engine, Task, TaskTable};
use crate::error::Result;
use crate::model::{Model, Table};
use crate::plan::Ground;
use crate::project::Project;
use crate::report::{MartChange, Move, Moves, SumChange};
use crate::run::Request;
use crate::snapshot::{PartitionId, PartitionRecord, Partitions, Snapshot};

type Records = BTreeMap<PartitionId, PartitionRecord>;

/// How many moves of a column are told of.
const LARGEST: usize = 10;
/// After more nights than this between two as-of dates, whatever looks back some weeks may well be another.
const MOST_NIGHTS: i64 = 7;
/// Parameters that are dates of the run, not settings.
const DATES: [&str; 3] = ["as_of", "period_start", "period_end"];

/// What became of every mart, in order of their names.
pub(super) async fn changes(
    project: &Project,
    ground: &Ground<'_>,
    request: &Request,
    built: &Built,
    prior: Option<&Snapshot>,
) -> Vec<MartChange> {
    let none = Records::new();
    let limits = &project.config.publish.limits;
    let nights = prior.map(|prior| (ground.as_of - prior.as_of).num_days());
    let judges = request.backfill.is_none() && nights.is_some_and(|nights| (0..=MOST_NIGHTS).contains(&nights));
    let remade = prior.map(|prior| remade(&prior.partitions, &built.partitions)).unwrap_or_default();
    let mut changes = Vec::new();
    for mart in ground.catalog.marts() {
        let now = built.partitions.get(&mart.name).unwrap_or(&none);
        let before = prior.and_then(|prior| prior.partitions.get(&mart.name));
        let mut change = measured(&mart.name, before, now);
        if let Some(before) = before.filter(|_| change.changed) {
            change.moves = moves(&project.engine, mart, before, now).await;
        }
        let is_remade = || {
            let above = ground.catalog.stands_on(mart);
            let is_in = |table: &Table| matches!(table, Table::Model(name) if remade.contains(name.as_str()));
            remade.contains(mart.name.as_str()) || above.iter().any(is_in)
        };
        if let (Some(before), Some(prior)) = (before, prior)
            && judges
            && !is_remade()
        {
            let limits = limits.of(&mart.name, mart.volatile);
            let closed = |partition: &PartitionId| match partition {
                PartitionId::Month(month) => ground.calendar.last_day(*month) <= prior.as_of,
                PartitionId::Whole => false,
            };
            change.breaches = breaches(&limits, &change, before, now, closed);
        }
        changes.push(change);
    }
    changes.sort_by(|a, b| a.mart.cmp(&b.mart));
    changes
}

/// Models that another SQL or other settings have made than before.
fn remade<'a>(before: &Partitions, now: &'a Partitions) -> BTreeSet<&'a str> {
    fn own(record: &PartitionRecord) -> (&str, Vec<(&String, &String)>) {
        let settings = record.parts.parameters.iter().filter(|(name, _)| !DATES.contains(&name.as_str()));
        (record.parts.sql.as_str(), settings.collect())
    }
    let last = |partitions: &'a Records| partitions.values().next_back();
    let is_same = |name: &String, now: &PartitionRecord| {
        before.get(name).and_then(|before| before.values().next_back()).is_some_and(|before| own(before) == own(now))
    };
    let records = now.iter().filter_map(|(name, partitions)| Some((name, last(partitions)?)));
    records.filter(|(name, now)| !is_same(name, now)).map(|(name, _)| name.as_str()).collect()
}

fn rows(records: &Records) -> u64 {
    records.values().map(|record| record.file.rows).sum()
}

fn measured(mart: &str, before: Option<&Records>, now: &Records) -> MartChange {
    fn digests(records: &Records) -> Vec<(&PartitionId, &crate::lake::Digest)> {
        records.iter().map(|(partition, record)| (partition, &record.file.digest)).collect()
    }
    let changed = before.is_none_or(|before| digests(before) != digests(now));
    let mut change = MartChange {
        mart: mart.to_owned(),
        changed,
        rows: rows(now),
        rows_before: before.map(rows),
        ..MartChange::default()
    };
    if changed {
        let earlier = before.map(|before| sums::of(before.values())).unwrap_or_default();
        let sum = |(column, sum): (String, Exact)| SumChange {
            before: earlier.get(&column).map(ToString::to_string),
            sum: sum.to_string(),
            column,
        };
        change.sums = sums::of(now.values()).into_iter().map(sum).collect();
    }
    change
}

/// In which ways a mart went beyond its limits.
fn breaches(
    limits: &MartLimits,
    change: &MartChange,
    before: &Records,
    now: &Records,
    closed: impl Fn(&PartitionId) -> bool,
) -> Vec<String> {
    let rows_before = change.rows_before.unwrap_or(0);
    let least_rows = limits.least_rows.unwrap_or(0).max(1);
    if rows_before < least_rows {
        return vec![];
    }
    let mut found: Vec<String> = rows_breach(limits, rows_before, change.rows).into_iter().collect();
    for (month, record) in before.iter().filter(|(month, record)| closed(month) && record.file.rows >= least_rows) {
        let after = now.get(month).map_or(0, |record| record.file.rows);
        found.extend(lost(limits, record.file.rows, after).map(|what| format!("{month}: {what}")));
    }
    let exact = |text: &str| text.parse::<Exact>().ok().map(Exact::as_f64);
    for sum in &change.sums {
        let (Some(was), Some(is)) = (sum.before.as_deref().and_then(exact), exact(&sum.sum)) else { continue };
        if let Some(limit) = limits.sums.filter(|limit| was != 0.0 && (is - was).abs() > limit * was.abs()) {
            let (before, by) = (sum.before.as_deref().unwrap_or_default(), percent((is - was).abs() / was.abs()));
            found.push(format!(
                "the sum of {} was {before} and is {}, {by} off where `sums` allows {}",
                sum.column,
                sum.sum,
                percent(limit)
            ));
        }
    }
    for moves in &change.moves {
        let share = moves.moved as f64 / moves.compared.max(1) as f64;
        if let Some(limit) = limits.moved.filter(|limit| share > *limit) {
            found.push(format!(
                "{} of {} rows have another {}, {} where `moved` allows {}",
                moves.moved,
                moves.compared,
                moves.column,
                percent(share),
                percent(limit)
            ));
        }
    }
    found
}

fn rows_breach(limits: &MartLimits, before: u64, now: u64) -> Option<String> {
    let gained = now.saturating_sub(before) as f64 / before.max(1) as f64;
    let too_many = limits.rows_gained.filter(|limit| gained > *limit).map(|limit| {
        format!(
            "it had {before} rows and has {now}, {} more where `rows_gained` allows {}",
            percent(gained),
            percent(limit)
        )
    });
    lost(limits, before, now).or(too_many)
}

fn lost(limits: &MartLimits, before: u64, now: u64) -> Option<String> {
    let share = before.saturating_sub(now) as f64 / before.max(1) as f64;
    limits.rows_lost.filter(|limit| share > *limit).map(|limit| {
        let (share, limit) = (percent(share), percent(limit));
        format!("it had {before} rows and has {now}, {share} less where `rows_lost` allows {limit}")
    })
}

/// `62.4 %`
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// What is told of marts that went beyond their limits, a line for each.
pub(super) fn told(changes: &[MartChange]) -> Vec<String> {
    let odd = changes.iter().filter(|change| !change.breaches.is_empty());
    odd.map(|change| format!("{} moved: {}", change.mart, change.breaches.join("; "))).collect()
}

/// What is told besides when they block.
pub(super) fn hint(as_of: NaiveDate) -> String {
    format!(
        "\n  hint: look for what was delivered and what wasn't (`bazgasht plan`, `bazgasht rejects`). If the marts are \
         right, publish them once: `bazgasht run --as-of {as_of} --accept marts`; or widen [publish.limits]"
    )
}

/// The moves of a mart's columns, between what was published before and what is now; none where they can't be told:
/// its SQL has changed, or the earlier file is gone or damaged.
async fn moves(engine: &Engine, mart: &Model, before: &Records, now: &Records) -> Vec<Moves> {
    let (Some(before), Some(now)) = (before.get(&PartitionId::Whole), now.get(&PartitionId::Whole)) else {
        return vec![];
    };
    if before.parts.sql != now.parts.sql {
        return vec![];
    }
    let mut found = Vec::new();
    for column in &mart.compare {
        match moves_of(engine, mart, column, before, now).await {
            Ok(moves) => found.push(moves),
            Err(e) => tracing::warn!("how many rows of {} moved isn't known: {e}", mart.name),
        }
    }
    found
}

async fn moves_of(
    engine: &Engine,
    mart: &Model,
    column: &str,
    before: &PartitionRecord,
    now: &PartitionRecord,
) -> Result<Moves> {
    let compared = quoted(column);
    let on: Vec<String> =
        mart.grain.iter().map(|key| quoted(key)).map(|key| format!("earlier.{key} = later.{key}")).collect();
    let sql = format!(
        "select cast(earlier.{compared} as varchar) as was, cast(later.{compared} as varchar) as becomes, count(*) as rows \
         from earlier join later on {} group by 1, 2 order by 3 desc, 1, 2",
        on.join(" and ")
    );
    let table = |name, record: &PartitionRecord| TaskTable::of_files(name, mart.schema(), [&record.file]);
    let task = Task {
        label: format!("moves of {}", mart.file),
        sql,
        parameters: BTreeMap::new(),
        tables: vec![table("earlier", before), table("later", now)],
    };
    let batches = engine.collect(&task).await?;
    Ok(tallied(column.to_owned(), &batches))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn tallied(column: String, batches: &[RecordBatch]) -> Moves {
    let mut moves = Moves { column, compared: 0, moved: 0, largest: vec![] };
    for batch in batches {
        let (was, becomes) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        let counts = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let value = |texts: &arrow::array::StringArray| texts.is_valid(row).then(|| texts.value(row).to_owned());
            let (from, to, rows) = (value(was), value(becomes), counts.value(row).cast_unsigned());
            moves.compared += rows;
            if from != to {
                moves.moved += rows;
                moves.largest.push(Move { from, to, rows });
            }
        }
    }
    moves.largest.truncate(LARGEST);
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::{Digest, LakeFile};
    use crate::snapshot::KeyParts;

    fn limits() -> MartLimits {
        let (half, all) = (Some(0.5), Some(1.0));
        MartLimits { rows_lost: half, rows_gained: all, sums: half, moved: Some(0.1), least_rows: Some(100) }
    }

    fn record(rows: u64, sums: &[(&str, &str)]) -> PartitionRecord {
        let digest = Digest::of(format!("{rows} {sums:?}").as_bytes());
        let file =
            LakeFile { path: String::new(), digest: digest.clone(), size_bytes: 0, rows, sums: Default::default() };
        PartitionRecord {
            key: digest,
            file,
            parts: KeyParts::default(),
            violations: vec![],
            warnings: vec![],
            checks: 0,
            counts: None,
            totals: Some(sums.iter().map(|(column, sum)| ((*column).to_owned(), (*sum).to_owned())).collect()),
            days: None,
        }
    }

    fn whole(rows: u64, sums: &[(&str, &str)]) -> Records {
        BTreeMap::from([(PartitionId::Whole, record(rows, sums))])
    }

    fn found(before: &Records, now: &Records) -> Vec<String> {
        breaches(&limits(), &measured("m", Some(before), now), before, now, |_| true)
    }

    #[test]
    fn half_of_the_rows_may_go_and_no_more() {
        assert_eq!(found(&whole(200, &[]), &whole(100, &[])), Vec::<String>::new());
        let lost = found(&whole(200, &[]), &whole(99, &[]));
        assert_eq!(lost[0], "it had 200 rows and has 99, 50.5 % less where `rows_lost` allows 50.0 %");
        assert_eq!(found(&whole(99, &[]), &whole(0, &[])), Vec::<String>::new(), "too small to be judged");
        assert_eq!(found(&whole(0, &[]), &whole(5, &[])), Vec::<String>::new(), "nothing to compare with");
        assert_eq!(found(&whole(100, &[]), &whole(201, &[])).len(), 1);
    }

    #[test]
    fn a_sum_that_was_zero_or_is_unknown_is_no_measure() {
        let of = |sum| whole(100, &[("paid", sum)]);
        assert_eq!(found(&of("0.0000"), &of("900.0000")), Vec::<String>::new());
        assert_eq!(found(&of("-100.00"), &of("-150.00")), Vec::<String>::new());
        let off = found(&of("-100.00"), &of("-150.01"));
        assert_eq!(off, ["the sum of paid was -100.00 and is -150.01, 50.0 % off where `sums` allows 50.0 %"]);
        let mut old = of("1.00");
        old.values_mut().for_each(|record| record.totals = None);
        let change = measured("m", Some(&old), &of("5.00"));
        assert_eq!((change.sums[0].before.as_deref(), change.sums[0].sum.as_str()), (None, "5.00"));
        assert_eq!(found(&old, &of("5.00")), Vec::<String>::new());
    }

    #[test]
    fn a_closed_month_that_shrinks_or_goes_is_told() {
        let month = |text: &str| PartitionId::Month(text.parse().expect("a month"));
        let before = BTreeMap::from([
            (month("2024-01"), record(500, &[])),
            (month("2024-02"), record(300, &[])),
            (month("2024-03"), record(200, &[])),
        ]);
        let mut now = before.clone();
        now.insert(month("2024-02"), record(100, &[]));
        now.remove(&month("2024-03"));
        let closed = |partition: &PartitionId| *partition != month("2024-03");
        let of = |closed: &dyn Fn(&PartitionId) -> bool| {
            breaches(&limits(), &measured("m", Some(&before), &now), &before, &now, closed)
        };
        assert_eq!(of(&closed), ["2024-02: it had 300 rows and has 100, 66.7 % less where `rows_lost` allows 50.0 %"]);
        assert_eq!(of(&|_| true).len(), 2, "the one that is gone, too");
    }

    #[test]
    fn settings_and_sql_of_ones_own_are_not_implausible() {
        let made = |sql: &str, as_of: &str, days: &str| {
            let mut record = record(1, &[]);
            let parameters = [("as_of", as_of), ("active_days", days)];
            record.parts = KeyParts {
                sql: sql.to_owned(),
                parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                ..KeyParts::default()
            };
            Partitions::from([("m".to_owned(), BTreeMap::from([(PartitionId::Whole, record)]))])
        };
        let before = made("a", "2024-01-01", "90");
        let is_remade = |now: &Partitions| !remade(&before, now).is_empty();
        assert!(!is_remade(&made("a", "2024-01-02", "90")));
        assert!(is_remade(&made("b", "2024-01-01", "90")));
        assert!(is_remade(&made("a", "2024-01-01", "60")));
        assert!(!remade(&Partitions::new(), &before).is_empty(), "a new model");
    }
}
