//! The table `calendar_periods`: which week, month, quarter and year of the project's calendar a day is in.

use std::rc::Rc;

use arrow::array::RecordBatch;
use chrono::NaiveDate;

use super::table::{CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY, Column, ColumnDoc, Value, batch};
use super::{BusinessCalendar, Grain, Period};

/// A day and one of its periods, which the period's other days share.
pub(super) struct PeriodRow {
    pub day: NaiveDate,
    pub period: Rc<Period>,
}

static COLUMNS: &[Column<PeriodRow>] = &[
    Column::new("day", Value::Date(|row| row.day), "Business day."),
    Column::new("grain", Value::Text(|row| Some(row.period.grain.as_str())), "week, month, quarter or year."),
    Column::new("period_start", Value::Date(|row| row.period.start), "First day of the period that holds the day."),
    Column::new("period_end", Value::Date(|row| row.period.end), "Last day of that period."),
    Column::new(
        "period_label",
        Value::Text(|row| Some(&row.period.label)),
        "What the period is called: 2026-W07, 2026-11, 2026-Q4, 2026 or 1404-W05, 1405-08, 1405-Q3, 1405.",
    ),
    Column::new(
        "period_number",
        Value::Int64(|row| Some(row.period.number)),
        "Consecutive within a grain: the period before has the number before.",
    ),
    Column::nullable(
        "last_year_number",
        Value::Int64(|row| row.period.last_year_number),
        "Number of the same period of the year before; NULL for week 53, which that year lacks.",
    ),
];

pub const CALENDAR_PERIODS_DESCRIPTION: &str = "One row per day and grain from 1990-01-01 to 2101-03-31: the week, \
    month, quarter and year of the project's calendar that holds the day.";

/// The columns of `calendar_periods`, in order.
pub fn calendar_periods_columns() -> impl Iterator<Item = ColumnDoc> {
    COLUMNS.iter().map(Column::documentation)
}

/// The table `calendar_periods`: one row for each day and grain, in that order (grains by their names).
pub fn calendar_periods_batch(calendar: &BusinessCalendar) -> RecordBatch {
    let mut rows: Vec<PeriodRow> = Grain::ALL.into_iter().flat_map(|grain| daily_periods(calendar, grain)).collect();
    rows.sort_by_key(|row| (row.day, row.period.grain.as_str()));
    batch(COLUMNS, &rows)
}

/// The period of that length for each day of the calendar, in order.
pub(super) fn daily_periods(calendar: &BusinessCalendar, grain: Grain) -> impl Iterator<Item = PeriodRow> + use<> {
    let periods = calendar.periods(grain, CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY);
    periods.map(Rc::new).flat_map(|period| {
        let first = period.start.max(CALENDAR_FIRST_DAY);
        let last = period.end.min(CALENDAR_LAST_DAY);
        let days = first.iter_days().take_while(move |day| *day <= last);
        days.map(move |day| PeriodRow { day, period: Rc::clone(&period) })
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Date32Type, Int64Type};

    use super::*;
    use crate::calendar::CalendarKind;

    #[test]
    fn one_row_for_each_day_and_grain_in_order() {
        let table = calendar_periods_batch(&BusinessCalendar::new(CalendarKind::Jalali));
        let days = (CALENDAR_LAST_DAY - CALENDAR_FIRST_DAY).num_days() + 1;
        assert_eq!(table.num_rows() as i64, days * 4);

        let day = table.column(0).as_primitive::<Date32Type>();
        let grain = table.column(1).as_string::<i32>();
        let key = |row: usize| (day.value(row), grain.value(row));
        assert!((1..table.num_rows()).all(|row| key(row - 1) < key(row)));
        assert!(calendar_periods_columns().map(|doc| doc.name).eq(table.schema().fields().iter().map(|f| f.name())));
    }

    #[test]
    fn every_row_is_the_period_of_its_day() {
        let calendar = BusinessCalendar::new(CalendarKind::Gregorian);
        let table = calendar_periods_batch(&calendar);
        let (day, grain) = (table.column(0).as_primitive::<Date32Type>(), table.column(1).as_string::<i32>());
        let (start, label) = (table.column(2).as_primitive::<Date32Type>(), table.column(4).as_string::<i32>());
        let last_year = table.column(6).as_primitive::<Int64Type>();
        for row in (0..table.num_rows()).step_by(97) {
            let on = NaiveDate::from_epoch_days(day.value(row)).unwrap();
            let of_row = |candidate: &&Grain| candidate.as_str() == grain.value(row);
            let period = calendar.period(*Grain::ALL.iter().find(of_row).unwrap(), on);
            assert_eq!(label.value(row), period.label);
            assert_eq!(start.value(row), period.start.to_epoch_days());
            assert_eq!(last_year.is_valid(row).then(|| last_year.value(row)), period.last_year_number);
        }
    }
}
