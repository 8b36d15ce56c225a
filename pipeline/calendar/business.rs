//! Months and their days in the calendar that the business keeps its books in.

use chrono::{Datelike, Days, NaiveDate, Weekday, WeekdaySet};

use super::kind::day_before;
use super::{CalendarKind, Month, YearMonthDay};

/// The project's calendar: which months there are, when weeks begin, which days are the weekend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BusinessCalendar {
    pub kind: CalendarKind,
    pub week_start: Weekday,
    pub weekend: WeekdaySet,
}

impl BusinessCalendar {
    /// The calendar with its usual week: from Saturday with Friday off for Jalali, from Monday with
    /// Saturday and Sunday off for Gregorian.
    pub fn new(kind: CalendarKind) -> Self {
        use Weekday::{Fri, Mon, Sat, Sun};
        match kind {
            CalendarKind::Gregorian => Self { kind, week_start: Mon, weekend: WeekdaySet::from_array([Sat, Sun]) },
            CalendarKind::Jalali => Self { kind, week_start: Sat, weekend: WeekdaySet::single(Fri) },
        }
    }

    pub fn with_week_start(self, week_start: Weekday) -> Self {
        Self { week_start, ..self }
    }

    pub fn with_weekend(self, weekend: WeekdaySet) -> Self {
        Self { weekend, ..self }
    }

    /// What `day` is called in the project's calendar: a birthday is the same month and day.
    pub fn year_month_day(&self, day: NaiveDate) -> YearMonthDay {
        self.kind.year_month_day(day)
    }

    pub fn month_of(&self, day: NaiveDate) -> Month {
        let name = self.year_month_day(day);
        Month::from_valid(name.year, name.month)
    }

    pub fn first_day(&self, month: Month) -> NaiveDate {
        self.kind.first_day_of_month(month.year(), month.month())
    }

    pub fn last_day(&self, month: Month) -> NaiveDate {
        day_before(self.first_day(month.next()))
    }

    /// The months that the days from `first` to `last` touch; none when `last` is earlier.
    pub fn months_between(
        &self,
        first: NaiveDate,
        last: NaiveDate,
    ) -> impl DoubleEndedIterator<Item = Month> + ExactSizeIterator + use<> {
        self.month_of(first).through(self.month_of(last))
    }

    /// The same day of the month `months` later (earlier when negative), or that month's last day when
    /// it is shorter.
    pub fn add_months(&self, day: NaiveDate, months: i32) -> NaiveDate {
        let target = self.month_of(day).plus(months);
        let day_of_month = self.year_month_day(day).day;
        self.kind.date_clamped(target.year(), target.month(), day_of_month).unwrap_or_else(|| self.first_day(target))
    }

    /// The first day of the week that holds `day`.
    pub fn week_start_of(&self, day: NaiveDate) -> NaiveDate {
        let into_week = self.day_of_week(day) - 1;
        day.checked_sub_days(Days::new(u64::from(into_week))).unwrap_or(day)
    }

    /// 1–7, counted from the day that the week begins on.
    pub fn day_of_week(&self, day: NaiveDate) -> u32 {
        day.weekday().days_since(self.week_start) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    #[test]
    fn months_and_their_days() {
        let jalali = BusinessCalendar::new(CalendarKind::Jalali);
        assert_eq!(jalali.month_of(date("2025-03-20")), month("1403-12"));
        assert_eq!(jalali.first_day(month("1404-01")), date("2025-03-21"));
        assert_eq!(jalali.last_day(month("1403-12")), date("2025-03-20"));
        assert_eq!(jalali.last_day(month("1405-08")), date("2026-11-21"));

        let gregorian = BusinessCalendar::new(CalendarKind::Gregorian);
        assert_eq!(gregorian.month_of(date("2026-11-30")), month("2026-11"));
        assert_eq!(gregorian.last_day(month("2024-02")), date("2024-02-29"));
        assert_eq!(gregorian.last_day(month("2026-12")), date("2026-12-31"));
    }

    #[test]
    fn months_touched_by_a_range_of_days() {
        let jalali = BusinessCalendar::new(CalendarKind::Jalali);
        let months: Vec<Month> = jalali.months_between(date("2025-03-20"), date("2025-04-21")).collect();
        assert_eq!(months, [month("1403-12"), month("1404-01"), month("1404-02")]);
        assert_eq!(jalali.months_between(date("2025-04-21"), date("2025-03-20")).len(), 0);
    }

    #[test]
    fn adding_months_clamps_to_the_end() {
        let gregorian = BusinessCalendar::new(CalendarKind::Gregorian);
        assert_eq!(gregorian.add_months(date("2024-01-31"), 1), date("2024-02-29"));
        assert_eq!(gregorian.add_months(date("2026-03-31"), -1), date("2026-02-28"));
        assert_eq!(gregorian.add_months(date("2026-08-31"), -6), date("2026-02-28"));
        let jalali = BusinessCalendar::new(CalendarKind::Jalali);
        // 1403-12-30 plus a year; 1404-06-31 plus a month.
        assert_eq!(jalali.add_months(date("2025-03-20"), 12), date("2026-03-20"));
        assert_eq!(jalali.add_months(date("2025-09-22"), 1), date("2025-10-22"));
    }

    #[test]
    fn weeks_begin_on_the_configured_day() {
        let jalali = BusinessCalendar::new(CalendarKind::Jalali);
        assert_eq!(jalali.week_start_of(date("2026-11-20")), date("2026-11-14"));
        assert_eq!(jalali.day_of_week(date("2026-11-20")), 7);
        let sunday = jalali.with_week_start(Weekday::Sun);
        assert_eq!(sunday.week_start_of(date("2026-11-20")), date("2026-11-15"));
    }

    #[test]
    fn absurd_days_do_not_panic() {
        for kind in [CalendarKind::Gregorian, CalendarKind::Jalali] {
            let calendar = BusinessCalendar::new(kind);
            for day in [NaiveDate::MIN, NaiveDate::MAX] {
                let month = calendar.month_of(day);
                calendar.first_day(month);
                calendar.last_day(month);
                calendar.add_months(day, i32::MAX);
                calendar.week_start_of(day);
            }
        }
    }
}
