//! The table `calendar`: everything that a day is called, in both calendars.

use std::rc::Rc;

use arrow::array::RecordBatch;
use chrono::{Datelike, NaiveDate};

use super::names::{Name, month_name, persian_digits, quarter_name, weekday_name};
use super::period::WeekName;
use super::periods_table::daily_periods;
use super::table::{CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY, Column, ColumnDoc, Value, batch};
use super::{BusinessCalendar, CalendarKind, Grain, Occasion, Occasions, Period, Tone, YearMonthDay};

/// One day with its names; text that is not fixed is made once, here.
struct DayRow {
    day: NaiveDate,
    day_of_week: u32,
    weekday: Name,
    is_weekend: bool,
    gregorian: CivilDay,
    jalali: CivilDay,
    business: YearMonthDay,
    business_month_days: u32,
    periods: DayPeriods,
    month_title: Title,
    quarter_title: Title,
    occasions: Option<OccasionTexts>,
    is_blackout: bool,
}

/// The periods of the project's calendar that hold a day.
struct DayPeriods {
    week: Rc<Period>,
    month: Rc<Period>,
    quarter: Rc<Period>,
    year: Rc<Period>,
}

/// A day in one of the two calendars.
struct CivilDay {
    name: YearMonthDay,
    week: WeekName,
    month: Name,
    quarter: Name,
    is_leap_year: bool,
}

/// What people read above a chart, such as `Mordad 1405` and `مرداد ۱۴۰۵`.
struct Title {
    en: String,
    fa: String,
}

struct OccasionTexts {
    codes: String,
    labels_en: String,
    labels_fa: String,
}

static COLUMNS: &[Column<DayRow>] = &[
    Column::new("day", Value::Date(|row| row.day), "The day."),
    Column::new(
        "weekday",
        Value::Int32(|row| row.day_of_week as i32),
        "Day of the week, 1–7; 1 is the day on which the project's weeks begin.",
    ),
    Column::new("weekday_name_en", Value::Text(|row| Some(row.weekday.en)), "The weekday in English."),
    Column::new("weekday_name_fa", Value::Text(|row| Some(row.weekday.fa)), "The weekday in Persian."),
    Column::new(
        "is_weekend",
        Value::Boolean(|row| row.is_weekend),
        "Whether the day is one of the project's weekend days.",
    ),
    Column::new("gregorian_year", Value::Int32(|row| row.gregorian.name.year), "Gregorian year."),
    Column::new(
        "gregorian_quarter",
        Value::Int32(|row| row.gregorian.name.quarter() as i32),
        "Gregorian quarter, 1–4.",
    ),
    Column::new("gregorian_month", Value::Int32(|row| row.gregorian.name.month as i32), "Gregorian month, 1–12."),
    Column::new(
        "gregorian_day",
        Value::Int32(|row| row.gregorian.name.day as i32),
        "Day of the Gregorian month, 1–31.",
    ),
    Column::new(
        "gregorian_week_year",
        Value::Int32(|row| row.gregorian.week.year),
        "Gregorian year that the day's week belongs to: the one that holds the week's fourth day.",
    ),
    Column::new(
        "gregorian_week",
        Value::Int32(|row| row.gregorian.week.week as i32),
        "Week of that year, 1–53; the ISO week when weeks begin on Monday.",
    ),
    Column::new(
        "gregorian_month_name_en",
        Value::Text(|row| Some(row.gregorian.month.en)),
        "Gregorian month in English.",
    ),
    Column::new(
        "gregorian_month_name_fa",
        Value::Text(|row| Some(row.gregorian.month.fa)),
        "Gregorian month in Persian.",
    ),
    Column::new(
        "gregorian_quarter_name_en",
        Value::Text(|row| Some(row.gregorian.quarter.en)),
        "Gregorian quarter in English.",
    ),
    Column::new(
        "gregorian_quarter_name_fa",
        Value::Text(|row| Some(row.gregorian.quarter.fa)),
        "Gregorian quarter in Persian.",
    ),
    Column::new(
        "gregorian_is_leap_year",
        Value::Boolean(|row| row.gregorian.is_leap_year),
        "Whether the Gregorian year has 366 days.",
    ),
    Column::new("jalali_year", Value::Int32(|row| row.jalali.name.year), "Jalali year, by the observed calendar."),
    Column::new(
        "jalali_quarter",
        Value::Int32(|row| row.jalali.name.quarter() as i32),
        "Jalali quarter (season), 1–4; 1 is spring, Farvardin to Khordad.",
    ),
    Column::new("jalali_month", Value::Int32(|row| row.jalali.name.month as i32), "Jalali month, 1–12."),
    Column::new("jalali_day", Value::Int32(|row| row.jalali.name.day as i32), "Day of the Jalali month, 1–31."),
    Column::new(
        "jalali_week_year",
        Value::Int32(|row| row.jalali.week.year),
        "Jalali year that the day's week belongs to: the one that holds the week's fourth day.",
    ),
    Column::new("jalali_week", Value::Int32(|row| row.jalali.week.week as i32), "Week of that year, 1–53."),
    Column::new("jalali_month_name_en", Value::Text(|row| Some(row.jalali.month.en)), "Jalali month in Latin letters."),
    Column::new("jalali_month_name_fa", Value::Text(|row| Some(row.jalali.month.fa)), "Jalali month in Persian."),
    Column::new("jalali_quarter_name_en", Value::Text(|row| Some(row.jalali.quarter.en)), "Jalali season in English."),
    Column::new("jalali_quarter_name_fa", Value::Text(|row| Some(row.jalali.quarter.fa)), "Jalali season in Persian."),
    Column::new(
        "jalali_is_leap_year",
        Value::Boolean(|row| row.jalali.is_leap_year),
        "Whether the Jalali year has 366 days (its Esfand has 30).",
    ),
    Column::new("business_year", Value::Int32(|row| row.business.year), "Year in the project's calendar."),
    Column::new(
        "business_quarter",
        Value::Int32(|row| row.business.quarter() as i32),
        "Quarter in the project's calendar, 1–4.",
    ),
    Column::new(
        "business_month",
        Value::Int32(|row| row.business.month as i32),
        "Month in the project's calendar, 1–12.",
    ),
    Column::new(
        "business_day",
        Value::Int32(|row| row.business.day as i32),
        "Day of the month in the project's calendar, 1–31.",
    ),
    Column::new(
        "business_month_days",
        Value::Int32(|row| row.business_month_days as i32),
        "Length of that month in days: a birthday on a day that the month lacks falls on this one.",
    ),
    Column::new("business_week_start", Value::Date(|row| row.periods.week.start), "First day of the day's week."),
    Column::new(
        "business_week_label",
        Value::Text(|row| Some(&row.periods.week.label)),
        "The week in the project's calendar, such as 2026-W07 or 1404-W05.",
    ),
    Column::new(
        "business_month_start",
        Value::Date(|row| row.periods.month.start),
        "First day of the day's month in the project's calendar.",
    ),
    Column::new(
        "business_month_label",
        Value::Text(|row| Some(&row.periods.month.label)),
        "That month, such as 2026-11 or 1405-08.",
    ),
    Column::new(
        "business_month_title_en",
        Value::Text(|row| Some(&row.month_title.en)),
        "That month for people, such as Mordad 1405.",
    ),
    Column::new("business_month_title_fa", Value::Text(|row| Some(&row.month_title.fa)), "The same in Persian."),
    Column::new(
        "business_quarter_start",
        Value::Date(|row| row.periods.quarter.start),
        "First day of the day's quarter in the project's calendar.",
    ),
    Column::new(
        "business_quarter_label",
        Value::Text(|row| Some(&row.periods.quarter.label)),
        "That quarter, such as 2026-Q4 or 1405-Q3.",
    ),
    Column::new(
        "business_quarter_title_en",
        Value::Text(|row| Some(&row.quarter_title.en)),
        "That quarter for people, such as Spring 1404 or Q4 2026.",
    ),
    Column::new("business_quarter_title_fa", Value::Text(|row| Some(&row.quarter_title.fa)), "The same in Persian."),
    Column::new(
        "business_year_start",
        Value::Date(|row| row.periods.year.start),
        "First day of the day's year in the project's calendar.",
    ),
    Column::new(
        "business_year_label",
        Value::Text(|row| Some(&row.periods.year.label)),
        "That year, such as 2026 or 1405.",
    ),
    Column::nullable(
        "occasions",
        Value::Text(|row| Some(&row.occasions.as_ref()?.codes)),
        "Codes of the day's occasions in the order of the seed occasions, joined with commas; NULL without one.",
    ),
    Column::nullable(
        "occasions_en",
        Value::Text(|row| Some(&row.occasions.as_ref()?.labels_en)),
        "Their English labels, joined with semicolons.",
    ),
    Column::nullable(
        "occasions_fa",
        Value::Text(|row| Some(&row.occasions.as_ref()?.labels_fa)),
        "Their Persian labels, joined with semicolons.",
    ),
    Column::new(
        "is_blackout",
        Value::Boolean(|row| row.is_blackout),
        "Whether nothing is promoted that day: an occasion of tone blackout that is on by default.",
    ),
];

pub const CALENDAR_DESCRIPTION: &str = "One row per day from 1990-01-01 to 2101-03-31: its names in the Gregorian and the \
    Jalali calendar, its periods in the project's, and its occasions. Lunar occasions are those listed in the seed \
    lunar_occasions; the dates that ship are computed, and Iran's moon is sighted: they may be a day off.";

/// The columns of `calendar`, in order.
pub fn calendar_columns() -> impl Iterator<Item = ColumnDoc> {
    COLUMNS.iter().map(Column::documentation)
}

/// The table `calendar`: one row for each day, in order.
pub fn calendar_batch(calendar: &BusinessCalendar, occasions: &Occasions) -> RecordBatch {
    let by_day = occasions.by_day(CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY);
    let rows: Vec<DayRow> = days_with_periods(calendar)
        .map(|(day, periods)| day_row(calendar, day, periods, by_day.get(&day).map_or(&[], Vec::as_slice)))
        .collect();
    batch(COLUMNS, &rows)
}

/// Every day of the calendar, in order. Walking the periods is many times faster than asking for each day's.
fn days_with_periods(calendar: &BusinessCalendar) -> impl Iterator<Item = (NaiveDate, DayPeriods)> + use<> {
    let [weeks, months, quarters, years] = Grain::ALL.map(|grain| daily_periods(calendar, grain));
    weeks.zip(months).zip(quarters).zip(years).map(|(((week, month), quarter), year)| {
        let periods = DayPeriods { week: week.period, month: month.period, quarter: quarter.period, year: year.period };
        (week.day, periods)
    })
}

fn day_row(calendar: &BusinessCalendar, day: NaiveDate, periods: DayPeriods, occasions: &[&Occasion]) -> DayRow {
    let business = calendar.year_month_day(day);
    DayRow {
        day,
        day_of_week: calendar.day_of_week(day),
        weekday: weekday_name(day.weekday()),
        is_weekend: calendar.weekend.contains(day.weekday()),
        gregorian: civil_day(calendar, CalendarKind::Gregorian, day),
        jalali: civil_day(calendar, CalendarKind::Jalali, day),
        business,
        business_month_days: (periods.month.end - periods.month.start).num_days() as u32 + 1,
        periods,
        month_title: title(month_name(calendar.kind, business), business.year),
        quarter_title: title(quarter_name(calendar.kind, business), business.year),
        occasions: occasion_texts(occasions),
        is_blackout: occasions.iter().any(|occasion| occasion.tone == Tone::Blackout && occasion.default_on),
    }
}

fn civil_day(calendar: &BusinessCalendar, kind: CalendarKind, day: NaiveDate) -> CivilDay {
    let name = kind.year_month_day(day);
    CivilDay {
        name,
        week: calendar.week_name(kind, day),
        month: month_name(kind, name),
        quarter: quarter_name(kind, name),
        is_leap_year: kind.is_leap_year(name.year),
    }
}

fn title(name: Name, year: i32) -> Title {
    Title { en: format!("{} {year}", name.en), fa: format!("{} {}", name.fa, persian_digits(year)) }
}

fn occasion_texts(occasions: &[&Occasion]) -> Option<OccasionTexts> {
    let joined = |text: fn(&Occasion) -> &str, separator| {
        let texts: Vec<&str> = occasions.iter().map(|occasion| text(occasion)).collect();
        texts.join(separator)
    };
    (!occasions.is_empty()).then(|| OccasionTexts {
        codes: joined(|occasion| &occasion.code, ","),
        labels_en: joined(|occasion| &occasion.label_en, "; "),
        labels_fa: joined(|occasion| &occasion.label_fa, "؛ "),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Date32Type;
    use arrow::util::display::{ArrayFormatter, FormatOptions};

    use super::*;
    use crate::calendar::occasions::tests::shipped;

    fn table(kind: CalendarKind) -> RecordBatch {
        calendar_batch(&BusinessCalendar::new(kind), &shipped())
    }

    /// The day's values of these columns, as text; NULL is empty.
    fn values(table: &RecordBatch, day: &str, columns: &[&str]) -> Vec<String> {
        let row = (day.parse::<NaiveDate>().unwrap() - CALENDAR_FIRST_DAY).num_days() as usize;
        let text = |name: &&str| {
            let column = table.column_by_name(name).unwrap();
            ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap().value(row).to_string()
        };
        columns.iter().map(text).collect()
    }

    #[test]
    fn one_row_for_each_day_and_nulls_only_where_declared() {
        let table = table(CalendarKind::Gregorian);
        let days = table.column(0).as_primitive::<Date32Type>().values();
        assert_eq!(days.first(), Some(&CALENDAR_FIRST_DAY.to_epoch_days()));
        assert_eq!(days.last(), Some(&CALENDAR_LAST_DAY.to_epoch_days()));
        assert!(days.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        for (column, doc) in table.columns().iter().zip(calendar_columns()) {
            assert_eq!(column.null_count() > 0, doc.checks.is_empty(), "{}", doc.name);
        }
    }

    #[test]
    fn the_last_day_of_a_jalali_leap_year() {
        let columns = [
            "jalali_year",
            "jalali_month",
            "jalali_day",
            "jalali_is_leap_year",
            "jalali_month_name_fa",
            "weekday",
            "business_month_days",
            "business_month_start",
            "business_month_label",
            "business_quarter_title_fa",
            "business_year_label",
            "occasions",
        ];
        assert_eq!(
            values(&table(CalendarKind::Jalali), "2025-03-20", &columns),
            [
                "1403",
                "12",
                "30",
                "true",
                "اسفند",
                "6",
                "30",
                "2025-02-19",
                "1403-12",
                "زمستان ۱۴۰۳",
                "1403",
                "year_end_sale"
            ]
        );
    }

    #[test]
    fn a_gregorian_business_sees_its_own_periods_and_the_other_calendar() {
        let columns = [
            "weekday",
            "is_weekend",
            "gregorian_week_year",
            "gregorian_week",
            "jalali_year",
            "business_week_label",
            "business_month_title_en",
            "business_quarter_title_fa",
            "business_week_start",
        ];
        assert_eq!(
            values(&table(CalendarKind::Gregorian), "2027-01-03", &columns),
            ["7", "true", "2026", "53", "1405", "2026-W53", "January 2027", "سه‌ماههٔ اول ۲۰۲۷", "2026-12-28"]
        );
    }

    #[test]
    fn occasions_of_one_day_keep_the_order_of_the_table() {
        let table = table(CalendarKind::Jalali);
        let of_day = |day| values(&table, day, &["occasions", "occasions_en", "is_blackout"]);
        assert_eq!(of_day("2025-10-08"), ["children_day,mehregan", "Children's Day; Mehregan", "false"]);
        assert_eq!(of_day("2025-07-06"), ["ashura", "Ashura", "true"]);
        assert_eq!(of_day("2026-03-21"), ["nowruz,eid_fitr", "Nowruz; Eid al-Fitr", "false"]);
        assert_eq!(of_day("2025-10-09"), ["", "", "false"]);
    }
}
