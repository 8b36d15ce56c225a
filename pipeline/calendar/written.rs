//! How dates and times are written, where it isn't ISO 8601.

use std::borrow::Cow;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::{BusinessZone, parse_jalali_timestamp};

/// A form in which dates or times are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DateFormat {
    /// ISO 8601, with a time and an offset or without.
    Iso,
    /// A Jalali date, with a time or without.
    Jalali,
    /// A number of ticks since 1970 in UTC, each of so many microseconds.
    Epoch { tick_micros: i64 },
    /// As `strftime` writes it.
    Strftime(String),
}

/// The words that name a format.
const WORDS: [(&str, DateFormat); 5] = [
    ("iso", DateFormat::Iso),
    ("jalali", DateFormat::Jalali),
    ("epoch_seconds", DateFormat::Epoch { tick_micros: 1_000_000 }),
    ("epoch_millis", DateFormat::Epoch { tick_micros: 1_000 }),
    ("epoch_micros", DateFormat::Epoch { tick_micros: 1 }),
];

/// What a format makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Microseconds UTC.
    Instant(i64),
    /// In the zone of whoever wrote it.
    Local(NaiveDateTime),
    /// With its own offset from UTC.
    Offset(NaiveDateTime, i64),
}

impl Moment {
    /// The instant in microseconds UTC. A time without an offset is in `zone`, as [`BusinessZone::resolve_local`] says.
    pub fn instant(self, zone: &BusinessZone) -> i64 {
        match self {
            Self::Instant(micros) => micros,
            Self::Local(local) => zone.resolve_local(local),
            Self::Offset(local, offset_seconds) => local.and_utc().timestamp_micros() - offset_seconds * 1_000_000,
        }
    }

    /// The day as written; of a number of ticks, the day in `zone`.
    pub fn day(self, zone: &BusinessZone) -> i32 {
        match self {
            Self::Instant(micros) => zone.day_and_hour(micros).0,
            Self::Local(local) | Self::Offset(local, _) => local.date().to_epoch_days(),
        }
    }
}

impl DateFormat {
    /// The words that stand for formats.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(word, _)| *word)
    }

    /// Reads a word or a strftime pattern.
    ///
    /// # Errors
    /// Why it can't tell a day, in a few words.
    pub fn named(text: &str) -> Result<Self, String> {
        if let Some((_, format)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(format.clone());
        }
        if !text.contains('%') {
            return Err("is neither a known word nor a pattern with `%`".to_owned());
        }
        let items = StrftimeItems::new(text).parse_to_owned();
        let items = items.map_err(|_| "has a `%` that strftime doesn't know".to_owned())?;
        if text.replace("%%", "").contains("%Z") {
            return Err("has `%Z`, but a zone's name is no offset: set `timezone`, or use `%z`".to_owned());
        }
        tells_a_moment(&items)?;
        Ok(Self::Strftime(text.to_owned()))
    }

    /// This format, laid out for reading many texts.
    pub fn reader(&self) -> DateReader {
        match self {
            Self::Iso => DateReader::Iso,
            Self::Jalali => DateReader::Jalali,
            Self::Epoch { tick_micros } => DateReader::Epoch { tick_micros: *tick_micros },
            Self::Strftime(pattern) => {
                DateReader::Pattern(StrftimeItems::new(pattern).parse_to_owned().unwrap_or_default())
            }
        }
    }
}

/// Writes a moment with the pattern and reads it back: what is missing then is missing in every text.
fn tells_a_moment(items: &[Item<'static>]) -> Result<(), String> {
    let sample = NaiveDate::from_ymd_opt(2024, 11, 25).and_then(|day| day.and_hms_micro_opt(21, 34, 56, 789_012));
    let sample = sample.unwrap_or_default().and_utc().fixed_offset();
    let text = sample.format_with_items(items.iter()).to_string();
    let mut parsed = Parsed::new();
    let read = parse(&mut parsed, &text, items.iter()).ok().and_then(|()| moment(&parsed));
    let same = |moment: Moment| match moment {
        Moment::Instant(_) => true,
        Moment::Local(local) | Moment::Offset(local, _) => {
            let time = (local.hour(), local.minute());
            local.date() == sample.date_naive() && (time == (0, 0) || time == (21, 34))
        }
    };
    let lack = "tells no whole day, or a time without hour and minute (`%I` needs `%p`)";
    if read.is_some_and(same) { Ok(()) } else { Err(lack.to_owned()) }
}

/// Reads texts of one format.
#[derive(Debug, Clone)]
pub enum DateReader {
    /// Left to whoever reads ISO 8601.
    Iso,
    Jalali,
    Epoch {
        tick_micros: i64,
    },
    Pattern(Vec<Item<'static>>),
}

impl DateReader {
    /// The moment of a text that fits entirely; its digits are ASCII and nothing is around it. `None` for ISO 8601.
    pub fn read(&self, text: &str) -> Option<Moment> {
        match self {
            Self::Iso => None,
            Self::Jalali => parse_jalali_timestamp(text).map(Moment::Local),
            Self::Epoch { tick_micros } => ticks(text, *tick_micros).map(Moment::Instant),
            Self::Pattern(items) => {
                let mut parsed = Parsed::new();
                parse(&mut parsed, &unmarked(text), items.iter()).ok()?;
                moment(&parsed)
            }
        }
    }
}

/// Without the marks that steer the direction of writing.
fn unmarked(text: &str) -> Cow<'_, str> {
    let is_mark = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}');
    if text.is_ascii() || !text.contains(is_mark) { text.into() } else { text.replace(is_mark, "").into() }
}

fn moment(parsed: &Parsed) -> Option<Moment> {
    if parsed.timestamp().is_some() {
        let instant = parsed.to_datetime().ok()?;
        return Some(Moment::Instant(instant.timestamp_micros()));
    }
    let date = parsed.to_naive_date().ok()?;
    // `%Y` takes fewer digits than four too: 24 is no year of any log, but what another format is for.
    if date.year() < 1000 {
        return None;
    }
    let has_time = parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() || parsed.minute().is_some();
    let time = if has_time { parsed.to_naive_time().ok()? } else { NaiveTime::MIN };
    Some(match parsed.offset() {
        Some(offset_seconds) => Moment::Offset(date.and_time(time), i64::from(offset_seconds)),
        None => Moment::Local(date.and_time(time)),
    })
}

/// A number of ticks, with decimals or without, in microseconds; finer ones are cut off.
fn ticks(text: &str, tick_micros: i64) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(tick_micros)?;
    let decimals: i64 = decimals
        .bytes()
        .scan(tick_micros, |unit, digit| {
            *unit /= 10;
            Some(*unit * i64::from(digit - b'0'))
        })
        .sum();
    let micros = sign * whole.checked_add(decimals)?;
    DateTime::from_timestamp_micros(micros).map(|_| micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tehran() -> BusinessZone {
        BusinessZone::new(chrono_tz::Asia::Tehran)
    }

    fn instant(format: &str, text: &str) -> Option<String> {
        let moment = DateFormat::named(format).unwrap().reader().read(text)?;
        DateTime::from_timestamp_micros(moment.instant(&tehran())).map(|t| t.to_rfc3339())
    }

    #[test]
    fn patterns_read_what_fits_entirely() {
        for (format, text, expected) in [
            ("%d/%m/%Y %H:%M", "20/03/2024 03:30", Some("2024-03-20T00:00:00+00:00")),
            ("%d/%m/%Y %H:%M", "20/03/2024 03:30:00", None),
            ("%d/%m/%Y", "20/03/2024", Some("2024-03-19T20:30:00+00:00")),
            ("%d/%m/%Y", "20/03/24", None),
            ("%d/%m/%y", "20/03/24", Some("2024-03-19T20:30:00+00:00")),
            ("%m/%d/%Y %I:%M %p", "3/20/2024 11:30 PM", Some("2024-03-20T20:00:00+00:00")),
            ("%Y%m%d", "20240320", Some("2024-03-19T20:30:00+00:00")),
            ("%d %B %Y", "20 March 2024", Some("2024-03-19T20:30:00+00:00")),
            ("%Y-%m-%d %H:%M:%S%.f %z", "2024-03-20 03:30:00.25 +0330", Some("2024-03-20T00:00:00.250+00:00")),
            ("%d/%m/%Y", "30/02/2024", None),
            ("%d/%m/%Y", "29/02/2023", None),
            ("%d/%m/%Y", "29/02/2024", Some("2024-02-28T20:30:00+00:00")),
            ("%d/%m/%Y", "31/12/9999", Some("9999-12-30T20:30:00+00:00")),
            ("%s", "1700000000", Some("2023-11-14T22:13:20+00:00")),
        ] {
            assert_eq!(instant(format, text).as_deref(), expected, "{format} {text}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(instant("jalali", "1403/12/30 03:30").as_deref(), Some("2025-03-20T00:00:00+00:00"));
        assert_eq!(instant("jalali", "1404/12/30"), None, "Esfand of a common year has 29 days");
        for (format, text) in [
            ("epoch_seconds", "1700000000"),
            ("epoch_millis", "1700000000000"),
            ("epoch_micros", "1700000000000000"),
            ("epoch_seconds", "1700000000.0"),
            ("epoch_millis", "1700000000000.000000"),
        ] {
            assert_eq!(instant(format, text).as_deref(), Some("2023-11-14T22:13:20+00:00"));
        }
        assert_eq!(instant("epoch_seconds", "-0.5").as_deref(), Some("1969-12-31T23:59:59.500+00:00"));
        for text in ["", "-", "1.7e9", "1,700", "x", "99999999999999999999", "9223372036854775"] {
            assert_eq!(instant("epoch_seconds", text), None, "{text}");
        }
    }

    #[test]
    fn the_hour_that_is_missing_and_the_one_that_comes_twice_follow_the_zones_rule() {
        let london = BusinessZone::new(chrono_tz::Europe::London);
        let format = DateFormat::named("%d/%m/%Y %H:%M").unwrap().reader();
        let at = |text: &str| DateTime::from_timestamp_micros(format.read(text).unwrap().instant(&london)).unwrap();
        assert_eq!(at("29/03/2026 01:30").to_rfc3339(), "2026-03-29T01:30:00+00:00");
        assert_eq!(at("25/10/2026 01:30").to_rfc3339(), "2026-10-25T00:30:00+00:00");
    }

    #[test]
    fn days_are_as_written_but_of_ticks_in_the_zone() {
        let day = |format: &str, text: &str| {
            let moment = DateFormat::named(format).unwrap().reader().read(text).unwrap();
            NaiveDate::from_epoch_days(moment.day(&tehran())).unwrap().to_string()
        };
        assert_eq!(day("%d/%m/%Y %H:%M %z", "20/03/2024 23:00 +0000"), "2024-03-20");
        assert_eq!(day("epoch_seconds", "1710968400"), "2024-03-21");
        assert_eq!(day("jalali", "1403/01/01"), "2024-03-20");
    }

    #[test]
    fn what_cannot_tell_a_day_is_refused() {
        for format in
            ["", "epoch", "%Q", "%", "%d/%m", "%H:%M", "%d/%m/%Y %I:%M", "%d/%m/%Y %H", "%Y-%m-%d %Z", "dd/mm/yyyy"]
        {
            assert!(DateFormat::named(format).is_err(), "{format}");
        }
        for format in ["%F %T", "%d.%m.%y", "%Y-%j", "%s", "%+", "%c", "%d/%m/%Y %M:%H", "%G-W%V-%u"] {
            assert!(DateFormat::named(format).is_ok(), "{format}: {:?}", DateFormat::named(format));
        }
    }
}
