//! What months, quarters and weekdays are called in English and Persian.

use chrono::Weekday;

use super::{CalendarKind, YearMonthDay};

/// A name in both languages of the marts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub en: &'static str,
    pub fa: &'static str,
}

const fn name(en: &'static str, fa: &'static str) -> Name {
    Name { en, fa }
}

const GREGORIAN_MONTHS: [Name; 12] = [
    name("January", "ژانویه"),
    name("February", "فوریه"),
    name("March", "مارس"),
    name("April", "آوریل"),
    name("May", "مه"),
    name("June", "ژوئن"),
    name("July", "ژوئیه"),
    name("August", "اوت"),
    name("September", "سپتامبر"),
    name("October", "اکتبر"),
    name("November", "نوامبر"),
    name("December", "دسامبر"),
];

const JALALI_MONTHS: [Name; 12] = [
    name("Farvardin", "فروردین"),
    name("Ordibehesht", "اردیبهشت"),
    name("Khordad", "خرداد"),
    name("Tir", "تیر"),
    name("Mordad", "مرداد"),
    name("Shahrivar", "شهریور"),
    name("Mehr", "مهر"),
    name("Aban", "آبان"),
    name("Azar", "آذر"),
    name("Dey", "دی"),
    name("Bahman", "بهمن"),
    name("Esfand", "اسفند"),
];

const GREGORIAN_QUARTERS: [Name; 4] =
    [name("Q1", "سه‌ماههٔ اول"), name("Q2", "سه‌ماههٔ دوم"), name("Q3", "سه‌ماههٔ سوم"), name("Q4", "سه‌ماههٔ چهارم")];

/// Jalali quarters are the seasons.
const JALALI_QUARTERS: [Name; 4] =
    [name("Spring", "بهار"), name("Summer", "تابستان"), name("Autumn", "پاییز"), name("Winter", "زمستان")];

pub(super) fn weekday_name(weekday: Weekday) -> Name {
    match weekday {
        Weekday::Mon => name("Monday", "دوشنبه"),
        Weekday::Tue => name("Tuesday", "سه‌شنبه"),
        Weekday::Wed => name("Wednesday", "چهارشنبه"),
        Weekday::Thu => name("Thursday", "پنجشنبه"),
        Weekday::Fri => name("Friday", "جمعه"),
        Weekday::Sat => name("Saturday", "شنبه"),
        Weekday::Sun => name("Sunday", "یکشنبه"),
    }
}

pub(super) fn month_name(kind: CalendarKind, day: YearMonthDay) -> Name {
    let names = match kind {
        CalendarKind::Gregorian => &GREGORIAN_MONTHS,
        CalendarKind::Jalali => &JALALI_MONTHS,
    };
    names[day.month as usize - 1]
}

pub(super) fn quarter_name(kind: CalendarKind, day: YearMonthDay) -> Name {
    let names = match kind {
        CalendarKind::Gregorian => &GREGORIAN_QUARTERS,
        CalendarKind::Jalali => &JALALI_QUARTERS,
    };
    names[day.quarter() as usize - 1]
}

/// A number in Persian digits.
pub(super) fn persian_digits(number: i32) -> String {
    let digit = |c: char| match c.to_digit(10) {
        Some(value) => char::from_u32('۰' as u32 + value).unwrap_or(c),
        None => c,
    };
    number.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_calendar() {
        let day = YearMonthDay { year: 1405, month: 10, day: 1 };
        assert_eq!(month_name(CalendarKind::Jalali, day).fa, "دی");
        assert_eq!(quarter_name(CalendarKind::Jalali, day), name("Winter", "زمستان"));
        assert_eq!(month_name(CalendarKind::Gregorian, day).en, "October");
        assert_eq!(quarter_name(CalendarKind::Gregorian, day).en, "Q4");
    }

    #[test]
    fn years_in_persian_digits() {
        assert_eq!(persian_digits(1405), "۱۴۰۵");
    }
}
