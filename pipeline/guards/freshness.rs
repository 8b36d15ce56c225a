//! Freshness: a source whose newest row is older than its `max_age`.
//!
//! The age is taken at the end of the as-of day in the project's zone, not by the clock: a run that is repeated, or made
//! up for later, says the same. All rows that lie in the source count, also those after that day, so a past day is not
//! late any more once the delivery is there; and a row that is dated in the future hides that none came since. A source
//! without a single row is late: no file came, or nothing in them. (Orders without any file
//! stop every run.)

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::OnBreach;
use crate::plan::Ground;
use crate::project::{OpenSource, Project};
use crate::report::LateSource;

/// The sources that are late, in order.
pub(super) fn late(project: &Project, ground: &Ground<'_>) -> Vec<LateSource> {
    let end = end(project, ground);
    let newest = |name: &str| ground.sources.get(name).and_then(|source| source.state.newest_at());
    let of = |source: &OpenSource| judged(source, newest(source.config.name.as_str()), end);
    project.sources.values().filter_map(of).collect()
}

/// The first moment after the as-of day, in the project's zone.
fn end(project: &Project, ground: &Ground<'_>) -> DateTime<Utc> {
    ground.as_of.succ_opt().and_then(|next| project.zone.start_of(next)).unwrap_or_default()
}

fn judged(source: &OpenSource, newest_at: Option<DateTime<Utc>>, end: DateTime<Utc>) -> Option<LateSource> {
    let max_age = source.config.max_age?;
    let age = newest_at.map(|newest_at| (end - newest_at).to_std().unwrap_or_default());
    age.is_none_or(|age| age > max_age).then(|| LateSource {
        source: source.config.name.to_string(),
        newest_at,
        age_seconds: age.map(|age| age.as_secs()),
        max_age_seconds: max_age.as_secs(),
        blocks: source.config.on_late == OnBreach::Block,
    })
}

/// What is told of a late source, in one line.
pub(super) fn told(late: &LateSource) -> String {
    let allowed = span(late.max_age_seconds);
    match (late.newest_at, late.age_seconds) {
        (Some(newest_at), Some(age_seconds)) => {
            let (newest_at, age) = (newest_at.format("%Y-%m-%d %H:%M UTC"), span(age_seconds));
            format!(
                "source {} is late: its newest row is of {newest_at}, {age} before the end of the as-of day; max_age is {allowed}",
                late.source
            )
        }
        _ => format!("source {} is late: it has no rows at all; max_age is {allowed}", late.source),
    }
}

/// What is told when it blocks.
pub(super) fn refused(late: &LateSource) -> String {
    let name = &late.source;
    format!("{}\n  hint: wait for the delivery and run again, or set [sources.{name}] on_late = \"warn\"", told(late))
}

/// `36h`, `3d 4h`, `20m`: two units, rounded down.
fn span(seconds: u64) -> String {
    let age = TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1000));
    let (days, hours, minutes) = (age.num_days(), age.num_hours() % 24, age.num_minutes() % 60);
    match (days, hours, minutes) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let spans = [0, 59, 60, 3_600, 5_400, 86_400, 129_600, 8 * 86_400 + 59].map(span);
        assert_eq!(spans, ["0m", "0m", "1m", "1h", "1h 30m", "1d", "1d 12h", "8d"]);
    }
}
