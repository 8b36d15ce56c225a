//! Reading Jalali dates as people and programs write them.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::CalendarKind;

/// Years that a Jalali date may have. They cover every Gregorian date that a source may hold (1900–2100)
/// and exclude Gregorian years, so that a column mapped by mistake is rejected and not moved by six centuries.
const JALALI_YEARS: std::ops::RangeInclusive<i32> = 1200..=1500;

/// The day of a Jalali date such as `1403/12/30`, `1403-12-30`, `1403.12.30`, `14031230` or `۱۴۰۳/۱۲/۳۰`.
///
/// A time of day may follow and is left out of the result, as in a cast of a timestamp to a date. `None`
/// for anything else, including days that do not exist (`1404/12/30`) and two-digit years.
pub fn parse_jalali_date(text: &str) -> Option<NaiveDate> {
    parse_jalali_timestamp(text).map(|timestamp| timestamp.date())
}

/// The same with the time of day that may follow (`14:05`, `14:05:09`, `14:05:09.25`, after a space or a
/// `T`), midnight without one. A zone or an offset is refused: no source is known to write one.
pub fn parse_jalali_timestamp(text: &str) -> Option<NaiveDateTime> {
    let ascii: String = text.chars().filter_map(fold).collect();
    let ascii = ascii.trim();
    let (date, time) = match ascii.find([' ', 'T']) {
        Some(end) => (&ascii[..end], Some(ascii[end + 1..].trim_start())),
        None => (ascii, None),
    };
    Some(parse_date(date)?.and_time(time.map_or(Some(NaiveTime::MIN), parse_time)?))
}

/// Persian and Arabic digits become ASCII; marks that only steer the direction of writing are dropped.
fn fold(c: char) -> Option<char> {
    let digit = |zero: char| char::from_digit(c as u32 - zero as u32, 10);
    match c {
        '۰'..='۹' => digit('۰'),
        '٠'..='٩' => digit('٠'),
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}' => None,
        other => Some(other),
    }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let separator = text.chars().find(|c| !c.is_ascii_digit());
    let (year, month, day) = match separator {
        Some(separator @ ('/' | '-' | '.')) => {
            let mut parts = text.split(separator);
            let parsed = (parts.next()?, parts.next()?, parts.next()?);
            parts.next().is_none().then_some(parsed)?
        }
        Some(_) => return None,
        None if text.len() == 8 => (&text[..4], &text[4..6], &text[6..]),
        None => return None,
    };
    let year = i32::try_from(number(year, 4..=4)?).ok()?;
    if !JALALI_YEARS.contains(&year) {
        return None;
    }
    CalendarKind::Jalali.date(year, number(month, 1..=2)?, number(day, 1..=2)?)
}

/// An unsigned number of so many ASCII digits.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let valid = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

fn parse_time(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => {
            (clock, Some(number(fraction, 1..=9)? as u64 * 10_u64.pow(9 - fraction.len() as u32)))
        }
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 1..=2)?;
    let minute = number(parts.next()?, 2..=2)?;
    let second = parts.next().map(|part| number(part, 2..=2));
    if parts.next().is_some() || (fraction.is_some() && second.is_none()) {
        return None;
    }
    NaiveTime::from_hms_opt(hour, minute, second.unwrap_or(Some(0))?)?.with_nanosecond(fraction.unwrap_or(0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_every_usual_spelling() {
        let expected = NaiveDate::from_ymd_opt(2025, 3, 20);
        for text in [
            "1403/12/30",
            "1403-12-30",
            "1403.12.30",
            "14031230",
            "۱۴۰۳/۱۲/۳۰",
            "١٤٠٣/١٢/٣٠",
            "  \u{200f}1403/12/30\u{200e} ",
            "1403/12/30 23:59",
            "1403-12-30T08:15:00",
            "۱۴۰۳/۱۲/۳۰ ۰۸:۱۵:۰۰",
        ] {
            assert_eq!(parse_jalali_date(text), expected, "{text}");
        }
        assert_eq!(parse_jalali_date("1404/1/1"), NaiveDate::from_ymd_opt(2025, 3, 21));
    }

    #[test]
    fn garbage_is_refused() {
        for text in [
            "",
            " ",
            "1404/12/30",
            "1403/13/01",
            "1403/00/10",
            "1403/07/31",
            "1403/1/0",
            "03/12/30",
            "2025/03/20",
            "1403/12",
            "1403/12/30/1",
            "1403/12-30",
            "1403//30",
            "1403/+1/30",
            "1403/12/30 ",
            "1403/12/30 25:00",
            "1403/12/30 10",
            "1403/12/30 10:00 ب.ظ",
            "1403/12/30 10:00Z",
            "1403/12/30 10:00:00.",
            "1403/12/30 10:00:60",
            "1403/12/30x",
            "یکم فروردین",
            "140312301",
            "1403:12:30",
        ] {
            let trailing_space_is_fine = text.trim_end() == "1403/12/30";
            assert_eq!(parse_jalali_date(text).is_some(), trailing_space_is_fine, "{text}");
        }
    }

    #[test]
    fn times_of_day_are_kept_by_the_timestamp() {
        let at = |text| parse_jalali_timestamp(text).map(|timestamp| timestamp.to_string());
        assert_eq!(at("1403/12/30").as_deref(), Some("2025-03-20 00:00:00"));
        assert_eq!(at("۱۴۰۳/۱۲/۳۰ ۸:۱۵").as_deref(), Some("2025-03-20 08:15:00"));
        assert_eq!(at("1403-12-30T23:59:59.25").as_deref(), Some("2025-03-20 23:59:59.250"));
    }
}
