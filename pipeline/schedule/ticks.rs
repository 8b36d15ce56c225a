//! The moments of a cron line, in a time zone whose clocks change.
//!
//! A cron line speaks of what clocks show. A tick that they leave out comes once, at the end of the gap; one that they
//! show twice comes the first time. So a night is neither left out nor run twice, whatever the line looks like: the
//! library alone skips what lies in a gap for lines with several hours or minutes.

use chrono::{DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::Cron;

use crate::config::CronLine;

/// No clocks have been set back by more since 1990.
const LARGEST_FOLD: TimeDelta = TimeDelta::hours(3);

/// A cron line in a time zone.
#[derive(Debug, Clone)]
pub struct Ticks {
    cron: Cron,
    tz: Tz,
}

impl Ticks {
    pub fn new(line: &CronLine, tz: Tz) -> Self {
        Self { cron: line.cron().clone(), tz }
    }

    /// The first tick after a moment.
    pub fn after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut shown = self.shown(moment);
        loop {
            shown = self.cron.find_next_occurrence(&shown.and_utc(), false).ok()?.naive_utc();
            let tick = self.moment(shown);
            if tick > moment {
                return Some(tick);
            }
        }
    }

    /// The last tick up to a moment.
    pub fn until(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Clocks that were just set back have shown later times before.
        let mut shown = self.shown(moment).checked_add_signed(LARGEST_FOLD)?;
        loop {
            shown = self.cron.find_previous_occurrence(&shown.and_utc(), false).ok()?.naive_utc();
            let tick = self.moment(shown);
            if tick <= moment {
                return Some(tick);
            }
        }
    }

    /// The last whole business day before a tick: what is published then.
    pub fn as_of(&self, tick: DateTime<Utc>) -> NaiveDate {
        let today = self.shown(tick).date();
        today.checked_sub_days(Days::new(1)).unwrap_or(today)
    }

    /// A tick as clocks show it.
    pub fn local(&self, tick: DateTime<Utc>) -> DateTime<Tz> {
        tick.with_timezone(&self.tz)
    }

    fn shown(&self, moment: DateTime<Utc>) -> NaiveDateTime {
        moment.with_timezone(&self.tz).naive_local()
    }

    fn moment(&self, shown: NaiveDateTime) -> DateTime<Utc> {
        match self.tz.from_local_datetime(&shown) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => moment.to_utc(),
            LocalResult::None => {
                let end = GapInfo::new(&shown, &self.tz).and_then(|gap| gap.end);
                end.map_or(shown.and_utc(), |end| end.to_utc())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(line: &str, zone: &str) -> Ticks {
        Ticks::new(&CronLine::parse(line).expect("a cron line"), zone.parse().expect("a zone"))
    }

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    /// The ticks after one moment and up to another, as clocks show them.
    fn between(ticks: &Ticks, from: &str, to: &str) -> Vec<String> {
        let mut found = vec![];
        let mut at = moment(from);
        while let Some(tick) = ticks.after(at).filter(|tick| *tick <= moment(to)) {
            assert_eq!(ticks.until(tick), Some(tick));
            assert_eq!(ticks.until(tick - TimeDelta::seconds(1)), ticks.until(at), "{tick}");
            found.push(ticks.local(tick).format("%d %H:%M %z").to_string());
            at = tick;
        }
        found
    }

    #[test]
    fn a_night_comes_once_where_clocks_go_forward() {
        // London 2026-03-29: 01:00 became 02:00.
        let london = |line| between(&ticks(line, "Europe/London"), "2026-03-27T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(london("30 1 * * *"), ["28 01:30 +0000", "29 02:00 +0100", "30 01:30 +0100"]);
        // New York 2026-03-08: 02:00 became 03:00. Two times in the gap are one tick at its end.
        let york = |line| between(&ticks(line, "America/New_York"), "2026-03-07T17:00:00Z", "2026-03-09T16:00:00Z");
        assert_eq!(york("0,30 2 * * *"), ["08 03:00 -0400", "09 02:00 -0400", "09 02:30 -0400"]);
        // Tehran 1400-01-02: 00:00 became 01:00.
        let tehran = |line| between(&ticks(line, "Asia/Tehran"), "2021-03-20T20:00:00Z", "2021-03-22T21:00:00Z");
        assert_eq!(tehran("15 0 * * *"), ["21 00:15 +0330", "22 01:00 +0430", "23 00:15 +0430"]);
    }

    #[test]
    fn a_night_comes_once_where_clocks_go_back() {
        // London 2026-10-25: 02:00 became 01:00.
        let london = |line| between(&ticks(line, "Europe/London"), "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(london("30 1 * * *"), ["25 01:30 +0100", "26 01:30 +0000"]);
        // New York 2026-11-01: 02:00 became 01:00. The half hours of the hour that comes again don't.
        let york = between(&ticks("*/30 * * * *", "America/New_York"), "2026-11-01T04:30:00Z", "2026-11-01T08:00:00Z");
        assert_eq!(york, ["01 01:00 -0400", "01 01:30 -0400", "01 02:00 -0500", "01 02:30 -0500", "01 03:00 -0500"]);
        // Tehran 1400-06-30: 24:00 became 23:00.
        let tehran = |line| between(&ticks(line, "Asia/Tehran"), "2021-09-20T12:00:00Z", "2021-09-22T21:00:00Z");
        assert_eq!(tehran("30 23 * * *"), ["20 23:30 +0430", "21 23:30 +0430", "22 23:30 +0330"]);
        assert_eq!(tehran("0 0 * * *"), ["21 00:00 +0430", "22 00:00 +0330", "23 00:00 +0330"]);
    }

    #[test]
    fn in_the_hour_that_comes_again_its_ticks_are_past() {
        let london = ticks("*/20 * * * *", "Europe/London");
        // 01:10 for the second time.
        let again = moment("2026-10-25T01:10:00Z");
        assert_eq!(london.until(again), Some(moment("2026-10-25T00:40:00Z")));
        assert_eq!(london.after(again), Some(moment("2026-10-25T02:00:00Z")));
    }

    #[test]
    fn what_is_published_is_the_day_before_on_the_wall() {
        let as_of = |zone: &str, tick: &str| ticks("* * * * *", zone).as_of(moment(tick)).to_string();
        assert_eq!(as_of("Asia/Tehran", "2026-03-20T20:29:00Z"), "2026-03-19");
        // Nowruz 1405: the last day of 1404 is published on its first morning.
        assert_eq!(as_of("Asia/Tehran", "2026-03-20T23:00:00Z"), "2026-03-20");
        assert_eq!(as_of("America/New_York", "2024-03-01T07:30:00Z"), "2024-02-29");
    }

    #[test]
    fn seconds_and_names_are_understood() {
        let seconds = between(&ticks("*/20 * * * * *", "UTC"), "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
        assert_eq!(seconds.len(), 3);
        let fridays = between(&ticks("0 5 * * FRI", "UTC"), "2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z");
        assert_eq!(fridays, ["02 05:00 +0000", "09 05:00 +0000"]);
    }
}
