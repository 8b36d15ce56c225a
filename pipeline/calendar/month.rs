//! A business month: the unit in which everything is stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MONTHS_PER_YEAR: i32 = 12;

/// A month of the project's calendar, written `2026-11` or `1405-08`.
///
/// Both calendars have twelve months, so a month does not carry its calendar; a project has only one,
/// and [`BusinessCalendar`](super::BusinessCalendar) turns months into days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// Months since the first month of year 0.
    index: i32,
}

/// A text that is not a month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a month: write the year and the month as in `2026-11` or `1405-08`")]
pub struct MonthParseError {
    text: String,
}

impl Month {
    /// The month `month` (1–12) of `year` (0–9999); `None` outside these ranges.
    pub fn new(year: i32, month: u32) -> Option<Self> {
        let valid = (0..=9999).contains(&year) && (1..=12).contains(&month);
        valid.then(|| Self::from_valid(year, month))
    }

    /// The same for a year and month that a calendar produced.
    pub(super) fn from_valid(year: i32, month: u32) -> Self {
        Self { index: year * MONTHS_PER_YEAR + month as i32 - 1 }
    }

    pub fn year(self) -> i32 {
        self.index.div_euclid(MONTHS_PER_YEAR)
    }

    /// The month of the year, 1–12.
    pub fn month(self) -> u32 {
        self.index.rem_euclid(MONTHS_PER_YEAR) as u32 + 1
    }

    pub fn next(self) -> Self {
        self.plus(1)
    }

    pub fn prev(self) -> Self {
        self.plus(-1)
    }

    /// The month `months` later, or earlier when negative.
    pub fn plus(self, months: i32) -> Self {
        Self { index: self.index.saturating_add(months) }
    }

    /// How many months `self` is after `earlier`; negative when it is before.
    pub fn months_since(self, earlier: Self) -> i32 {
        self.index - earlier.index
    }

    /// Every month from `self` to `last`, both included; none when `last` is earlier.
    pub fn through(self, last: Self) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        let end = last.index.saturating_add(1).max(self.index);
        (self.index..end).map(|index| Self { index })
    }

    /// A number that is consecutive over months, for `period_number`.
    pub(super) fn number(self) -> i64 {
        i64::from(self.index)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}-{:02}", self.year(), self.month()))
    }
}

impl FromStr for Month {
    type Err = MonthParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| MonthParseError { text: text.to_owned() })
    }
}

/// Strict, because months are parts of object paths: one month must have one spelling.
fn parse(text: &str) -> Option<Month> {
    let (year, month) = text.split_once('-')?;
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) {
        return None;
    }
    Month::new(year.parse().ok()?, month.parse().ok()?)
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    #[test]
    fn months_step_over_the_end_of_the_year() {
        assert_eq!(month("2026-12").next(), month("2027-01"));
        assert_eq!(month("1405-01").prev(), month("1404-12"));
        assert_eq!(month("1405-08").plus(-20), month("1403-12"));
        assert_eq!(month("2027-01").months_since(month("2025-11")), 14);
    }

    #[test]
    fn through_includes_both_ends_and_is_empty_backwards() {
        let months: Vec<String> = month("2026-11").through(month("2027-01")).map(|m| m.to_string()).collect();
        assert_eq!(months, ["2026-11", "2026-12", "2027-01"]);
        assert_eq!(month("2026-11").through(month("2026-10")).count(), 0);
    }

    #[test]
    fn months_have_one_spelling() {
        assert_eq!(month("0999-01").to_string(), "0999-01");
        for wrong in
            ["2026-13", "2026-00", "2026-1", "26-01", "2026/01", "2026-01-01", "+026-01", "2026-+1", "", "۱۴۰۵-۰۸"]
        {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn months_travel_as_text() {
        let json = serde_json::to_string(&month("1405-08")).unwrap();
        assert_eq!(json, "\"1405-08\"");
        assert_eq!(serde_json::from_str::<Month>(&json).unwrap(), month("1405-08"));
    }
}
