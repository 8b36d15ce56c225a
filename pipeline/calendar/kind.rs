//! The two calendars that a business may keep its books in.

use chrono::{Datelike, NaiveDate};
use icu_calendar::Date;
use icu_calendar::cal::Persian;
use icu_calendar::types::RataDie;
use serde::{Deserialize, Serialize};

/// The calendar of the project's months, quarters and years.
///
/// Jalali years are those of the observed calendar: the year begins on the day whose Tehran noon first
/// follows the equinox, so 1403 is a leap year and 1404 is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalendarKind {
    Gregorian,
    Jalali,
}

/// A day's name in one of the calendars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct YearMonthDay {
    pub year: i32,
    /// 1–12.
    pub month: u32,
    /// 1–31.
    pub day: u32,
}

impl YearMonthDay {
    /// 1–4; Jalali quarter 1 is Farvardin to Khordad.
    pub fn quarter(self) -> u32 {
        (self.month - 1) / 3 + 1
    }
}

impl CalendarKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gregorian => "gregorian",
            Self::Jalali => "jalali",
        }
    }

    /// What `day` is called in this calendar.
    pub fn year_month_day(self, day: NaiveDate) -> YearMonthDay {
        match self {
            Self::Gregorian => YearMonthDay { year: day.year(), month: day.month(), day: day.day() },
            Self::Jalali => jalali_from_date(day),
        }
    }

    /// The day of that name; `None` when this calendar has no such day.
    pub fn date(self, year: i32, month: u32, day: u32) -> Option<NaiveDate> {
        match self {
            Self::Gregorian => NaiveDate::from_ymd_opt(year, month, day),
            Self::Jalali => date_from_jalali(year, month, day),
        }
    }

    /// The day of that name, or the month's last day when the month is shorter: 30 Esfand and
    /// 29 February fall on the day before in common years. `None` when `month` is not 1–12.
    pub fn date_clamped(self, year: i32, month: u32, day: u32) -> Option<NaiveDate> {
        self.date(year, month, day.min(self.days_in_month(year, month)?))
    }

    /// 28–31; `None` when `month` is not 1–12.
    pub fn days_in_month(self, year: i32, month: u32) -> Option<u32> {
        (28..=31).rev().find(|&day| self.date(year, month, day).is_some())
    }

    pub fn is_leap_year(self, year: i32) -> bool {
        match self {
            Self::Gregorian => self.date(year, 2, 29).is_some(),
            Self::Jalali => self.date(year, 12, 30).is_some(),
        }
    }

    /// The first day of `year`; the ends of chrono's range stand in for years beyond it.
    pub(super) fn first_day_of_year(self, year: i32) -> NaiveDate {
        self.first_day_of_month(year, 1)
    }

    pub(super) fn last_day_of_year(self, year: i32) -> NaiveDate {
        day_before(self.first_day_of_year(year + 1))
    }

    pub(super) fn first_day_of_month(self, year: i32, month: u32) -> NaiveDate {
        let beyond = if year > 0 { NaiveDate::MAX } else { NaiveDate::MIN };
        self.date(year, month, 1).unwrap_or(beyond)
    }
}

/// The day before, which chrono's first day stands in for itself.
pub(super) fn day_before(day: NaiveDate) -> NaiveDate {
    day.pred_opt().unwrap_or(day)
}

fn jalali_from_date(day: NaiveDate) -> YearMonthDay {
    let days_from_ce = i64::from(day.num_days_from_ce());
    let persian = Date::from_rata_die(RataDie::new(days_from_ce), Persian);
    YearMonthDay {
        year: persian.year().extended_year(),
        month: u32::from(persian.month().ordinal),
        day: u32::from(persian.day_of_month().0),
    }
}

fn date_from_jalali(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    let persian = Date::try_new_persian(year, month, day).ok()?;
    let days_from_ce = i32::try_from(persian.to_rata_die().to_i64_date()).ok()?;
    NaiveDate::from_num_days_from_ce_opt(days_from_ce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn leap_years_are_the_observed_ones() {
        // Between 1370 and 1420 the four-year steps are twice interrupted by five: 1370 → 1375, 1403 → 1408.
        let leap: Vec<i32> = (1370..1421).filter(|&year| CalendarKind::Jalali.is_leap_year(year)).collect();
        assert_eq!(leap, [1370, 1375, 1379, 1383, 1387, 1391, 1395, 1399, 1403, 1408, 1412, 1416, 1420]);
    }

    #[test]
    fn known_days_of_nowruz() {
        for (year, nowruz) in [
            (1304, "1925-03-21"),
            (1357, "1978-03-21"),
            (1375, "1996-03-20"),
            (1376, "1997-03-21"),
            (1399, "2020-03-20"),
            (1400, "2021-03-21"),
            (1403, "2024-03-20"),
            (1404, "2025-03-21"),
            (1405, "2026-03-21"),
            (1408, "2029-03-20"),
            (1409, "2030-03-21"),
        ] {
            assert_eq!(CalendarKind::Jalali.date(year, 1, 1), Some(date(nowruz)), "{year}");
        }
    }

    #[test]
    fn the_last_day_of_1403_is_the_thirtieth() {
        let last = YearMonthDay { year: 1403, month: 12, day: 30 };
        assert_eq!(CalendarKind::Jalali.year_month_day(date("2025-03-20")), last);
        assert_eq!(CalendarKind::Jalali.date(1403, 12, 30), Some(date("2025-03-20")));
        assert_eq!(CalendarKind::Jalali.date(1404, 12, 30), None);
    }

    #[test]
    fn every_day_has_one_name_in_each_calendar() {
        for kind in [CalendarKind::Gregorian, CalendarKind::Jalali] {
            let days = date("1899-12-31").iter_days().take_while(|day| *day < date("2101-01-02"));
            for day in days {
                let name = kind.year_month_day(day);
                assert_eq!(kind.date(name.year, name.month, name.day), Some(day));
            }
        }
    }

    #[test]
    fn short_months_clamp() {
        assert_eq!(CalendarKind::Jalali.date_clamped(1404, 12, 30), Some(date("2026-03-20")));
        assert_eq!(CalendarKind::Gregorian.date_clamped(2027, 2, 29), Some(date("2027-02-28")));
        assert_eq!(CalendarKind::Gregorian.date_clamped(2028, 2, 29), Some(date("2028-02-29")));
        assert_eq!(CalendarKind::Jalali.date_clamped(1404, 13, 1), None);
    }

    #[test]
    fn absurd_days_do_not_panic() {
        for day in [NaiveDate::MIN, NaiveDate::MAX] {
            CalendarKind::Jalali.year_month_day(day);
        }
        assert_eq!(CalendarKind::Jalali.date(i32::MAX, 1, 1), None);
        assert_eq!(CalendarKind::Jalali.date(1404, u32::MAX, 300), None);
    }
}
