//! Days and times as ISO 8601 writes them, and what is as certain: a year of four digits in front. A date that begins
//! with its day or month is some format that only its owner knows: never a guess.

use std::borrow::Cow;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::Date32Type;
use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::BusinessZone;

/// Microseconds UTC of a time written with an offset, or without one in the zone. A day alone is its first moment.
pub(super) fn parse_instant(text: &str, zone: &BusinessZone) -> Option<i64> {
    let instant = read(text)?;
    if has_offset(text) { Some(instant.timestamp_micros()) } else { Some(zone.resolve_local(instant.naive_utc())) }
}

/// The day of `2024-03-20`, also with a time behind it, which is left out.
pub(super) fn parse_day(text: &str) -> Option<i32> {
    read(text)?;
    let day = NaiveDate::parse_from_str(&text.get(..10)?.replace('/', "-"), "%Y-%m-%d").ok()?;
    Some(Date32Type::from_naive_date(day))
}

fn read(text: &str) -> Option<DateTime<Utc>> {
    let begins_with_year = text.as_bytes().get(..4)?.iter().all(u8::is_ascii_digit);
    if begins_with_year { string_to_datetime(&Utc, &completed(text)).ok() } else { None }
}

/// As arrow reads it: hyphens in the place of `2024/03/20`'s slashes, seconds behind the minutes of `10:00`.
fn completed(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let slashes = bytes.get(4) == Some(&b'/') && bytes.get(7) == Some(&b'/');
    let ends_with_minutes = bytes.len() >= 16
        && bytes[13] == b':'
        && bytes[14..16].iter().all(u8::is_ascii_digit)
        && matches!(bytes.get(16), None | Some(b' ' | b'+' | b'-' | b'Z' | b'z'));
    if !text.is_ascii() || !(slashes || ends_with_minutes) {
        return text.into();
    }
    let mut whole = text.to_owned();
    if ends_with_minutes {
        whole.insert_str(16, ":00");
    }
    if slashes {
        whole.replace_range(4..5, "-");
        whole.replace_range(7..8, "-");
    }
    whole.into()
}

/// Whether a time ends in `Z`, `+03:30`, `+0330`, `-05` or a zone's name.
fn has_offset(text: &str) -> bool {
    let time = text.get(10..).unwrap_or("").trim_start_matches(['T', 't', ' ']);
    time.contains(['+', '-']) || time.ends_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tehran() -> BusinessZone {
        BusinessZone::new(chrono_tz::Asia::Tehran)
    }

    fn instant(text: &str) -> Option<String> {
        parse_instant(text, &tehran()).and_then(DateTime::from_timestamp_micros).map(|t| t.to_rfc3339())
    }

    #[test]
    fn a_time_without_an_offset_is_in_the_sources_zone() {
        assert_eq!(instant("2024-03-20 03:30:00").as_deref(), Some("2024-03-20T00:00:00+00:00"));
        assert_eq!(instant("2024-03-20T03:30:00Z").as_deref(), Some("2024-03-20T03:30:00+00:00"));
        assert_eq!(instant("2024-03-20T03:30:00+03:30").as_deref(), Some("2024-03-20T00:00:00+00:00"));
        assert_eq!(instant("2024-03-20").as_deref(), Some("2024-03-19T20:30:00+00:00"));
        assert_eq!(instant("20/03/2024"), None);
        assert_eq!(instant("1700000000"), None);
    }

    #[test]
    fn seconds_may_lack_and_slashes_may_separate() {
        assert_eq!(instant("2024/03/20 03:30").as_deref(), Some("2024-03-20T00:00:00+00:00"));
        assert_eq!(instant("2024-03-20T03:30+03:30").as_deref(), Some("2024-03-20T00:00:00+00:00"));
        assert_eq!(instant("2024-03-20T03:30Z").as_deref(), Some("2024-03-20T03:30:00+00:00"));
        // Half a minute, an hour of the afternoon, one slash.
        for text in ["2024-03-20 03:30.5", "2024-03-20 03:30 PM", "2024/03-20", "2024-03-20 03", "۲۰۲۴/03/20"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_may_have_a_time_and_nothing_else_behind_it() {
        let day = |text| parse_day(text).and_then(Date32Type::to_naive_date_opt).map(|day| day.to_string());
        for text in ["2024-03-20", "2024/03/20", "2024-03-20 23:59", "2024-03-20T23:59:59+03:30"] {
            assert_eq!(day(text).as_deref(), Some("2024-03-20"), "{text}");
        }
        for text in ["2024-03-20 tomorrow", "2024-03-200", "2024-3-1", "2024-02-30", "-024-03-20"] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
