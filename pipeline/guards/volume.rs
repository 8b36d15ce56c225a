//! Volume: a source's rows of the as-of day, against the same weekday in the weeks before.
//!
//! The rule, for sources with `volume`: the as-of day's rows are those of that business day, each key once (an order
//! that came in three versions is one, and so is one that came as three lines). They are compared with the median over the same weekday of the last `weeks`
//! weeks, of those days that have rows and no occasion. With fewer than [`LEAST_DAYS`] such days nothing is said, and
//! nothing either on a day with an occasion of the seed `occasions`: Black Friday is no error, and no measure. Below
//! `least` times the median are too few rows, above `most` times too many. No row at all is too few.
//!
//! Days are business days in the project's zone, and weeks are counted by the calendar: a day of 23 hours is a day.
//! Only the months that overlap those weeks are read, and of them two columns.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, Int64Type};
use chrono::{Days, NaiveDate};

use crate::config::{OnBreach, Volume};
use crate::engine::{Engine, Task};
use crate::error::Result;
use crate::plan::Ground;
use crate::project::Project;
use crate::report::{SourceVolume, VolumeBreach};
use crate::snapshot::PartitionId;
use crate::sources::Source;

/// With fewer days to compare with, nothing is said.
const LEAST_DAYS: usize = 4;

/// What each source with `volume` has for the as-of day, in order.
///
/// # Errors
/// Those of the engine.
pub(super) async fn volumes(project: &Project, ground: &Ground<'_>) -> Result<Vec<SourceVolume>> {
    let mut volumes = Vec::new();
    for (name, open) in &project.sources {
        let (Some(limits), Some(source)) = (&open.config.volume, ground.sources.get(name.as_str())) else { continue };
        let days = past_days(ground.as_of, limits.weeks);
        let first = days.last().copied().unwrap_or(ground.as_of);
        let occasions: BTreeMap<NaiveDate, String> = project
            .occasions
            .by_day(first, ground.as_of)
            .into_iter()
            .filter_map(|(day, occasions)| Some((day, occasions.first()?.label_en.clone())))
            .collect();
        let counts = counts(&project.engine, ground, source, first).await?;
        let past = days.iter().filter(|day| !occasions.contains_key(day)).filter_map(|day| counts.get(day)).copied();
        let rows = counts.get(&ground.as_of).copied().unwrap_or(0);
        volumes.push(judged(name.as_str(), limits, rows, past.collect(), occasions.get(&ground.as_of).cloned()));
    }
    Ok(volumes)
}

/// The same weekday in the weeks before, newest first.
fn past_days(as_of: NaiveDate, weeks: u32) -> Vec<NaiveDate> {
    (1..=u64::from(weeks)).filter_map(|week| as_of.checked_sub_days(Days::new(7 * week))).collect()
}

/// Distinct keys by business day, from the month of `first` to that of the as-of day.
async fn counts(
    engine: &Engine,
    ground: &Ground<'_>,
    source: &Source,
    first: NaiveDate,
) -> Result<BTreeMap<NaiveDate, u64>> {
    let mut counts = BTreeMap::new();
    let (name, key, has_rows) = (source.contract.source, source.home_key(), source.months());
    let months = ground.calendar.month_of(first).through(ground.as_of_month());
    for month in months.filter(|month| has_rows.contains(month)) {
        let task = Task {
            label: format!("volume of {name} ({month})"),
            sql: format!("select day, count(distinct {key}) as rows from source.{name} group by day"),
            parameters: BTreeMap::new(),
            tables: vec![source.task_table(PartitionId::Month(month))],
        };
        for batch in engine.collect(&task).await? {
            let days = batch.column(0).as_primitive::<Date32Type>();
            let rows = batch.column(1).as_primitive::<Int64Type>();
            for (day, rows) in days.iter().zip(rows.values()) {
                let day = day.and_then(Date32Type::to_naive_date_opt);
                counts.extend(day.map(|day| (day, rows.cast_unsigned())));
            }
        }
    }
    Ok(counts)
}

fn judged(source: &str, limits: &Volume, rows: u64, past: Vec<u64>, occasion: Option<String>) -> SourceVolume {
    let days = past.len();
    let usual = if days < LEAST_DAYS { None } else { median(past) };
    let breach = usual.filter(|_| occasion.is_none()).and_then(|usual| {
        if (rows as f64) < limits.least * usual {
            return Some(VolumeBreach::TooFew);
        }
        limits.most.filter(|most| rows as f64 > most * usual).map(|_| VolumeBreach::TooMany)
    });
    SourceVolume {
        source: source.to_owned(),
        rows,
        days: days as u64,
        usual,
        occasion,
        breach,
        blocks: breach.is_some() && limits.on_breach == OnBreach::Block,
    }
}

/// Of an even number, the mean of the two in the middle.
fn median(mut counts: Vec<u64>) -> Option<f64> {
    counts.sort_unstable();
    let (low, high) = (counts.get(counts.len().checked_sub(1)? / 2)?, counts.get(counts.len() / 2)?);
    Some((*low as f64 + *high as f64) / 2.0)
}

/// What is told of an odd volume, in one line.
pub(super) fn told(volume: &SourceVolume, as_of: NaiveDate) -> String {
    let (weekday, usual) = (as_of.format("%A"), volume.usual.unwrap_or_default());
    let what = match volume.breach {
        Some(VolumeBreach::TooMany) => "more",
        _ => "fewer",
    };
    format!(
        "source {} has {} rows of {as_of}, {what} than is plausible: on a {weekday} it usually has {usual} (median of {})",
        volume.source, volume.rows, volume.days
    )
}

/// What is told when it blocks.
pub(super) fn refused(volume: &SourceVolume, as_of: NaiveDate) -> String {
    format!(
        "{}\n  hint: see that the delivery is whole, and run again; a holiday belongs into the seed occasions, and a shop \
         with days like that has a wider [sources.{}] volume",
        told(volume, as_of),
        volume.source
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Volume {
        Volume { least: 0.5, most: Some(2.0), weeks: 8, on_breach: OnBreach::Block }
    }

    fn breach(rows: u64, past: &[u64]) -> Option<VolumeBreach> {
        judged("orders", &limits(), rows, past.to_vec(), None).breach
    }

    #[test]
    fn limits_are_inclusive_and_around_the_median() {
        let past = [100, 90, 110, 1];
        assert_eq!(median(past.to_vec()), Some(95.0));
        let breaches = [47, 48, 190, 191, 0].map(|rows| breach(rows, &past));
        let (few, many) = (Some(VolumeBreach::TooFew), Some(VolumeBreach::TooMany));
        assert_eq!(breaches, [few, None, None, many, few]);
    }

    #[test]
    fn nothing_is_said_of_few_days_or_on_an_occasion() {
        let few_days = judged("orders", &limits(), 0, vec![100, 100, 100], None);
        assert_eq!((few_days.breach, few_days.usual, few_days.days, few_days.blocks), (None, None, 3, false));
        let occasion = judged("orders", &limits(), 0, vec![100; 8], Some("Nowruz".to_owned()));
        assert_eq!((occasion.breach, occasion.usual, occasion.blocks), (None, Some(100.0), false));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn weeks_are_the_calendars() {
        let days = past_days("2024-03-31".parse().expect("a day"), 2);
        assert_eq!(days.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2024-03-24", "2024-03-17"]);
    }
}
