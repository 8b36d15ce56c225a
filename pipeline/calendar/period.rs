//! Weeks, months, quarters and years of the project's calendar.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::kind::day_before;
use super::{BusinessCalendar, CalendarKind, YearMonthDay};

const DAYS_PER_WEEK: i64 = 7;

/// The length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grain {
    Week,
    Month,
    Quarter,
    Year,
}

impl Grain {
    pub const ALL: [Self; 4] = [Self::Week, Self::Month, Self::Quarter, Self::Year];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

/// One period: its days, what it is called, and where it stands among the others of its grain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    pub grain: Grain,
    pub start: NaiveDate,
    /// The last day, included.
    pub end: NaiveDate,
    /// `1404-W05`, `1404-02`, `1404-Q1` or `1404`.
    pub label: String,
    /// Consecutive within a grain: the period before has the number before.
    pub number: i64,
    /// The number of the same period of the year before; `None` for week 53, which that year lacks.
    pub last_year_number: Option<i64>,
}

/// A week's year and number in one calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WeekName {
    pub year: i32,
    /// 1–53.
    pub week: u32,
}

impl BusinessCalendar {
    /// The period of that length that holds `day`.
    pub fn period(&self, grain: Grain, day: NaiveDate) -> Period {
        let name = self.year_month_day(day);
        match grain {
            Grain::Week => self.week(day),
            Grain::Month => self.month_period(name),
            Grain::Quarter => self.quarter(name),
            Grain::Year => self.year(name.year),
        }
    }

    /// The periods that hold the days from `first` to `last`, in order.
    pub fn periods(&self, grain: Grain, first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = Period> + use<> {
        let calendar = *self;
        let following = move |period: &Period| {
            let next = period.end.succ_opt()?;
            (next <= last).then(|| calendar.period(grain, next))
        };
        let start = (first <= last).then(|| self.period(grain, first));
        std::iter::successors(start, following)
    }

    fn week(&self, day: NaiveDate) -> Period {
        let start = self.week_start_of(day);
        let name = self.week_name(self.kind, day);
        let first_week_last_year = self.week_start_of(self.fourth_day_of_year(name.year - 1));
        Period {
            grain: Grain::Week,
            start,
            end: start.checked_add_days(Days::new(6)).unwrap_or(NaiveDate::MAX),
            label: format!("{:04}-W{:02}", name.year, name.week),
            number: week_number(start),
            last_year_number: (name.week <= 52).then(|| week_number(first_week_last_year) + i64::from(name.week) - 1),
        }
    }

    /// The week's name by the calendar `kind`: a week belongs to the year that holds its fourth day.
    pub(super) fn week_name(&self, kind: CalendarKind, day: NaiveDate) -> WeekName {
        let start = self.week_start_of(day);
        let fourth = start.checked_add_days(Days::new(3)).unwrap_or(start);
        let year = kind.year_month_day(fourth).year;
        let days_into_year = (fourth - kind.first_day_of_year(year)).num_days();
        WeekName { year, week: 1 + (days_into_year / DAYS_PER_WEEK) as u32 }
    }

    /// A day that is certain to lie in week 1 of `year`, whatever day weeks begin on.
    fn fourth_day_of_year(&self, year: i32) -> NaiveDate {
        let first = self.kind.first_day_of_year(year);
        first.checked_add_days(Days::new(3)).unwrap_or(first)
    }

    fn month_period(&self, name: YearMonthDay) -> Period {
        let month = super::Month::from_valid(name.year, name.month);
        Period {
            grain: Grain::Month,
            start: self.first_day(month),
            end: self.last_day(month),
            label: month.to_string(),
            number: month.number(),
            last_year_number: Some(month.number() - 12),
        }
    }

    fn quarter(&self, name: YearMonthDay) -> Period {
        let quarter = name.quarter();
        let start = super::Month::from_valid(name.year, 3 * quarter - 2);
        let number = i64::from(name.year) * 4 + i64::from(quarter) - 1;
        Period {
            grain: Grain::Quarter,
            start: self.first_day(start),
            end: day_before(self.first_day(start.plus(3))),
            label: format!("{:04}-Q{quarter}", name.year),
            number,
            last_year_number: Some(number - 4),
        }
    }

    fn year(&self, year: i32) -> Period {
        Period {
            grain: Grain::Year,
            start: self.kind.first_day_of_year(year),
            end: self.kind.last_day_of_year(year),
            label: format!("{year:04}"),
            number: i64::from(year),
            last_year_number: Some(i64::from(year) - 1),
        }
    }
}

/// Weeks since 1970: weeks of one calendar all begin on the same weekday, so the quotient steps by one.
fn week_number(start: NaiveDate) -> i64 {
    i64::from(start.to_epoch_days()).div_euclid(DAYS_PER_WEEK)
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Weekday};

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn days(first: &str, last: &str) -> impl Iterator<Item = NaiveDate> {
        let last = date(last);
        date(first).iter_days().take_while(move |day| *day <= last)
    }

    #[test]
    fn jalali_weeks_from_saturday() {
        let jalali = BusinessCalendar::new(CalendarKind::Jalali);
        let start = CalendarKind::Jalali.date(1401, 12, 27).unwrap();
        let week = jalali.period(Grain::Week, start);
        assert_eq!((week.label.as_str(), week.start), ("1402-W01", start));
        assert_eq!(jalali.period(Grain::Week, start.pred_opt().unwrap()).label, "1401-W52");
        assert_eq!(jalali.period(Grain::Week, date("2025-04-20")).label, "1404-W05");
    }

    #[test]
    fn gregorian_weeks_from_monday_are_iso_weeks() {
        let gregorian = BusinessCalendar::new(CalendarKind::Gregorian);
        for day in days("1899-01-01", "2101-12-31") {
            let iso = day.iso_week();
            let name = gregorian.week_name(CalendarKind::Gregorian, day);
            assert_eq!((name.year, name.week), (iso.year(), iso.week()), "{day}");
        }
    }

    #[test]
    fn the_same_week_of_last_year() {
        let gregorian = BusinessCalendar::new(CalendarKind::Gregorian);
        let week = |day: &str| gregorian.period(Grain::Week, date(day));
        assert_eq!(week("2026-12-30").label, "2026-W53");
        assert_eq!(week("2026-12-30").last_year_number, None);
        // Week 1 of 2027 follows a week 53, so last year's week 1 is 53 weeks back.
        assert_eq!(week("2027-01-04").last_year_number, Some(week("2025-12-29").number));
        assert_eq!(week("2027-01-04").number - week("2025-12-29").number, 53);
    }

    #[test]
    fn last_year_numbers_point_at_the_same_week_in_every_calendar() {
        for week_start in [Weekday::Mon, Weekday::Sat, Weekday::Sun] {
            for kind in [CalendarKind::Gregorian, CalendarKind::Jalali] {
                let calendar = BusinessCalendar::new(kind).with_week_start(week_start);
                let weeks: Vec<Period> =
                    calendar.periods(Grain::Week, date("1990-01-01"), date("2101-03-31")).collect();
                let first = weeks[0].number;
                for week in weeks.iter().filter(|week| week.last_year_number.is_some_and(|n| n >= first)) {
                    let before = &weeks[(week.last_year_number.unwrap() - first) as usize];
                    let (year, number) = week.label.split_once('-').unwrap();
                    let expected = format!("{:04}-{number}", year.parse::<i32>().unwrap() - 1);
                    assert_eq!(before.label, expected);
                }
            }
        }
    }

    #[test]
    fn labels_of_the_longer_periods() {
        let labels = |kind, day: &str| {
            let calendar = BusinessCalendar::new(kind);
            Grain::ALL.map(|grain| calendar.period(grain, date(day)).label)
        };
        assert_eq!(labels(CalendarKind::Gregorian, "2026-11-21"), ["2026-W47", "2026-11", "2026-Q4", "2026"]);
        assert_eq!(labels(CalendarKind::Jalali, "2026-11-21"), ["1405-W36", "1405-08", "1405-Q3", "1405"]);
        assert_eq!(labels(CalendarKind::Jalali, "2025-03-20")[1..], ["1403-12", "1403-Q4", "1403"]);
    }

    #[test]
    fn periods_follow_one_another_without_gaps() {
        for kind in [CalendarKind::Gregorian, CalendarKind::Jalali] {
            let calendar = BusinessCalendar::new(kind);
            for grain in Grain::ALL {
                let periods: Vec<Period> = calendar.periods(grain, date("1990-01-01"), date("2101-03-31")).collect();
                for pair in periods.windows(2) {
                    assert_eq!(pair[0].end.succ_opt(), Some(pair[1].start), "{}", pair[1].label);
                    assert_eq!(pair[0].number + 1, pair[1].number);
                    assert!(pair[0].label < pair[1].label);
                }
                assert!(periods[0].start <= date("1990-01-01"));
            }
        }
    }
}
