//! The project's time zone: from instants to business days, and from local times to instants.

use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_HOUR: i64 = 3_600;
const SECONDS_PER_DAY: i64 = 86_400;

/// The instants whose offsets are tabulated: 1990 to 2101, which holds every timestamp that a source may
/// hold with some room. Others are looked up in the zone's rules, ten times slower.
const TABLE_START_SECONDS: i64 = 7_305 * SECONDS_PER_DAY;
const TABLE_END_SECONDS: i64 = 47_847 * SECONDS_PER_DAY;

/// A time zone with its offsets laid out for converting columns of timestamps.
#[derive(Clone, Debug)]
pub struct BusinessZone {
    tz: Tz,
    /// In order of `start_seconds`; never empty.
    spans: Vec<OffsetSpan>,
}

/// An offset from UTC, in force from `start_seconds` until the next span.
#[derive(Clone, Copy, Debug)]
struct OffsetSpan {
    start_seconds: i64,
    offset_seconds: i64,
}

impl BusinessZone {
    pub fn new(tz: Tz) -> Self {
        Self { tz, spans: offset_spans(tz) }
    }

    pub fn tz(&self) -> Tz {
        self.tz
    }

    /// The name in the IANA database, such as `Asia/Tehran`.
    pub fn name(&self) -> &'static str {
        self.tz.name()
    }

    /// The business day (days since 1970-01-01) and the hour (0–23) of an instant in microseconds UTC.
    pub fn day_and_hour(&self, utc_micros: i64) -> (i32, i32) {
        let utc_seconds = utc_micros.div_euclid(MICROS_PER_SECOND);
        let local_seconds = utc_seconds + self.offset_seconds(utc_seconds);
        let day = local_seconds.div_euclid(SECONDS_PER_DAY);
        let hour = local_seconds.rem_euclid(SECONDS_PER_DAY) / SECONDS_PER_HOUR;
        // Microseconds span 292,000 years either way, whose days fit an i32.
        (day as i32, hour as i32)
    }

    /// The instant, in microseconds UTC, of a local time that was written without an offset.
    ///
    /// A time that comes twice (clocks were set back) is its first occurrence. A time that does not exist
    /// (clocks were set forward) is moved forward by the length of the gap: with a gap from 01:00 to
    /// 02:00, 01:30 is the instant that clocks call 02:30. Both are the same rule: the offset that held
    /// before the change still holds.
    pub fn resolve_local(&self, local: NaiveDateTime) -> i64 {
        let offset = match self.tz.offset_from_local_datetime(&local) {
            chrono::LocalResult::Single(offset) | chrono::LocalResult::Ambiguous(offset, _) => Some(offset),
            chrono::LocalResult::None => GapInfo::new(&local, &self.tz).and_then(|gap| Some(gap.begin?.1)),
        };
        let offset_seconds = offset.map_or(0, |offset| i64::from(offset.fix().local_minus_utc()));
        local.and_utc().timestamp_micros() - offset_seconds * MICROS_PER_SECOND
    }

    /// A business day's first moment.
    pub fn start_of(&self, day: NaiveDate) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.resolve_local(day.and_time(NaiveTime::MIN)))
    }

    /// The business day before the one that `now` lies in: the last whole day.
    pub fn yesterday(&self, now: DateTime<Utc>) -> NaiveDate {
        let today = now.with_timezone(&self.tz).date_naive();
        today.checked_sub_days(Days::new(1)).unwrap_or(today)
    }

    fn offset_seconds(&self, utc_seconds: i64) -> i64 {
        if !(TABLE_START_SECONDS..TABLE_END_SECONDS).contains(&utc_seconds) {
            return rule_offset_seconds(self.tz, utc_seconds);
        }
        let following = self.spans.partition_point(|span| span.start_seconds <= utc_seconds);
        self.spans[following - 1].offset_seconds
    }
}

impl FromStr for BusinessZone {
    type Err = chrono_tz::ParseError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        name.parse().map(Self::new)
    }
}

/// Every change of the offset in the tabulated instants. chrono-tz does not show its transitions, so they
/// are searched for: day by day, then by bisection. No zone changes twice within one UTC day.
fn offset_spans(tz: Tz) -> Vec<OffsetSpan> {
    let mut offset_seconds = rule_offset_seconds(tz, TABLE_START_SECONDS);
    let mut spans = vec![OffsetSpan { start_seconds: TABLE_START_SECONDS, offset_seconds }];
    let mut day_start = TABLE_START_SECONDS;
    while day_start < TABLE_END_SECONDS {
        let next_start = day_start + SECONDS_PER_DAY;
        let next_offset = rule_offset_seconds(tz, next_start);
        if next_offset != offset_seconds {
            let start_seconds = first_second_with(tz, next_offset, day_start, next_start);
            spans.push(OffsetSpan { start_seconds, offset_seconds: next_offset });
            offset_seconds = next_offset;
        }
        day_start = next_start;
    }
    spans
}

/// The first second after `before` that has the offset, which it has not at `before` and has at `after`.
fn first_second_with(tz: Tz, offset_seconds: i64, mut before: i64, mut after: i64) -> i64 {
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if rule_offset_seconds(tz, middle) == offset_seconds {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}

/// The offset by the zone's rules. Instants beyond chrono's 262,000 years have none, and count as UTC.
fn rule_offset_seconds(tz: Tz, utc_seconds: i64) -> i64 {
    let utc = DateTime::from_timestamp(utc_seconds, 0);
    utc.map_or(0, |utc| i64::from(tz.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()))
}

#[cfg(test)]
mod tests {
    use chrono::Timelike;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn zone(name: &str) -> BusinessZone {
        name.parse().unwrap()
    }

    fn micros(utc: &str) -> i64 {
        utc.parse::<DateTime<Utc>>().unwrap().timestamp_micros()
    }

    fn resolve(zone_name: &str, local: &str) -> String {
        let instant = zone(zone_name).resolve_local(local.parse().unwrap());
        DateTime::from_timestamp_micros(instant).unwrap().format("%FT%TZ").to_string()
    }

    fn by_rules(tz: Tz, utc_micros: i64) -> (i32, i32) {
        let local = DateTime::from_timestamp_micros(utc_micros).unwrap().with_timezone(&tz).naive_local();
        (local.date().to_epoch_days(), local.hour() as i32)
    }

    #[test]
    fn an_evening_in_utc_is_the_next_day_in_tehran() {
        let tehran = zone("Asia/Tehran");
        let next_day = "2026-11-22".parse::<NaiveDate>().unwrap().to_epoch_days();
        assert_eq!(tehran.day_and_hour(micros("2026-11-21T20:29:59Z")), (next_day - 1, 23));
        assert_eq!(tehran.day_and_hour(micros("2026-11-21T20:30:00Z")), (next_day, 0));
        assert_eq!(tehran.day_and_hour(micros("2026-11-21T23:30:00Z")), (next_day, 3));
    }

    #[test]
    fn the_table_agrees_with_the_rules() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for name in [
            "Asia/Tehran",
            "Europe/London",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "America/St_Johns",
            "Africa/Casablanca",
        ] {
            let zone = zone(name);
            for _ in 0..20_000 {
                let instant = random.random_range(micros("2000-01-01T00:00:00Z")..micros("2030-01-01T00:00:00Z"));
                assert_eq!(zone.day_and_hour(instant), by_rules(zone.tz(), instant), "{name} {instant}");
            }
        }
    }

    #[test]
    fn the_table_agrees_with_the_rules_around_every_change() {
        // St John's changed its clocks at one minute past midnight until 2011.
        for name in ["Asia/Tehran", "Europe/London", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"] {
            let zone = zone(name);
            for span in &zone.spans {
                for second in [-901, -61, -1, 0, 1, 59, 899] {
                    let instant = (span.start_seconds + second) * MICROS_PER_SECOND;
                    assert_eq!(zone.day_and_hour(instant), by_rules(zone.tz(), instant), "{name} {instant}");
                }
            }
        }
    }

    #[test]
    fn instants_outside_the_table_and_absurd_ones() {
        let london = zone("Europe/London");
        for instant in ["1900-06-01T12:00:00Z", "1969-12-31T23:59:59Z", "2150-07-01T00:00:00Z"].map(micros) {
            assert_eq!(london.day_and_hour(instant), by_rules(london.tz(), instant));
        }
        london.day_and_hour(i64::MIN);
        london.day_and_hour(i64::MAX);
        london.resolve_local(NaiveDateTime::MIN);
        london.resolve_local(NaiveDateTime::MAX);
    }

    #[test]
    fn an_hour_that_does_not_exist_moves_forward() {
        // London 2026-03-29: 01:00 GMT became 02:00 BST.
        assert_eq!(resolve("Europe/London", "2026-03-29T00:59:59"), "2026-03-29T00:59:59Z");
        assert_eq!(resolve("Europe/London", "2026-03-29T01:30:00"), "2026-03-29T01:30:00Z");
        assert_eq!(resolve("Europe/London", "2026-03-29T02:30:00"), "2026-03-29T01:30:00Z");
        // Tehran 1400-01-02: 00:00 became 01:00.
        assert_eq!(resolve("Asia/Tehran", "2021-03-22T00:30:00"), "2021-03-21T21:00:00Z");
        assert_eq!(resolve("Asia/Tehran", "2021-03-22T01:30:00"), "2021-03-21T21:00:00Z");
        // Lord Howe moves by half an hour; Apia left out all of 2011-12-30.
        assert_eq!(resolve("Australia/Lord_Howe", "2025-10-05T02:15:00"), "2025-10-04T15:45:00Z");
        assert_eq!(resolve("Pacific/Apia", "2011-12-30T12:00:00"), "2011-12-30T22:00:00Z");
    }

    #[test]
    fn an_hour_that_comes_twice_is_its_first_occurrence() {
        // London 2026-10-25: 02:00 BST became 01:00 GMT.
        assert_eq!(resolve("Europe/London", "2026-10-25T01:30:00"), "2026-10-25T00:30:00Z");
        assert_eq!(resolve("Europe/London", "2026-10-25T02:00:00"), "2026-10-25T02:00:00Z");
        // Tehran 1400-06-30: 24:00 became 23:00.
        assert_eq!(resolve("Asia/Tehran", "2021-09-21T23:30:00"), "2021-09-21T19:00:00Z");
        assert_eq!(resolve("Asia/Tehran", "2021-09-22T00:00:00"), "2021-09-21T20:30:00Z");
    }

    #[test]
    fn tehran_has_no_summer_time_after_2022() {
        assert_eq!(resolve("Asia/Tehran", "2022-07-01T12:00:00"), "2022-07-01T07:30:00Z");
        assert_eq!(resolve("Asia/Tehran", "2023-07-01T12:00:00"), "2023-07-01T08:30:00Z");
    }

    #[test]
    fn yesterday_is_local() {
        let tehran = zone("Asia/Tehran");
        let yesterday = |now: &str| tehran.yesterday(now.parse().unwrap()).to_string();
        assert_eq!(yesterday("2026-11-22T20:00:00Z"), "2026-11-21");
        assert_eq!(yesterday("2026-11-22T21:00:00Z"), "2026-11-22");
    }
}
