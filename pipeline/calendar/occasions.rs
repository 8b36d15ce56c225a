//! Occasions: days on which a business greets, sells, or keeps silent.
//!
//! They come from two seed tables. `occasions.csv` says what there is; Jalali and Gregorian occasions are
//! computed from it. Lunar ones are not: Iran's months begin when the moon is sighted, so their days are
//! listed in `lunar_occasions.csv`, one row for each occurrence.
//!
//! The listed days were computed (a month begins after the first evening on which, at sunset in Shiraz,
//! the moon's centre is 5° high and 8° from the sun's) and then compared with Iran's public holidays of
//! 2019 to 2026; the five of 77 months that differed, by one day each, follow the holidays. What falls in
//! a month without a public holiday, and all of 2027, is computed only and may be a day off. The business
//! corrects and extends the table when the official calendar is published.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{Datelike, Days, NaiveDate, Weekday};
use serde::{Deserialize, Deserializer};

use super::CalendarKind;

/// The occasions of the two seed tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Occasions {
    /// In the order of the table, which is the order in which occasions of one day are listed.
    occasions: Vec<Occasion>,
    lunar_days: Vec<LunarDay>,
}

/// One row of `occasions.csv`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Occasion {
    pub code: String,
    pub label_en: String,
    pub label_fa: String,
    pub calendar: OccasionCalendar,
    /// The month of `calendar`, 1–12.
    pub month: u32,
    /// The day of the month; a day that the month lacks that year is its last. Not needed by every rule.
    pub day: Option<u32>,
    rule: Option<Rule>,
    pub tone: Tone,
    #[serde(deserialize_with = "yes_or_no")]
    pub default_on: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OccasionCalendar {
    Jalali,
    Gregorian,
    /// Days are listed in `lunar_occasions.csv`; month and day are there to be read.
    Lunar,
}

/// What a business does on the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    Greeting,
    Sale,
    /// Nothing is promoted.
    Blackout,
}

/// The days of an occasion that is not the same day of the month every year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rule {
    /// The eve of the month's last Wednesday.
    TuesdayBeforeLastWednesday,
    /// Every day from the day given to the year's end.
    UntilYearEnd,
    /// The Friday after the month's fourth Thursday.
    DayAfterFourthThursday,
    LastDayOfMonth,
}

/// One row of `lunar_occasions.csv`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LunarDay {
    code: String,
    #[serde(deserialize_with = "iso_date")]
    day: NaiveDate,
}

/// A seed table that can't be used. The user edits these tables, so the message says where and what.
#[derive(Debug, thiserror::Error)]
pub enum OccasionsError {
    #[error("{table}: {source}")]
    Unreadable { table: &'static str, source: csv::Error },
    #[error("{table}: row `{code}`: {problem}")]
    Invalid { table: &'static str, code: String, problem: String },
}

const OCCASIONS: &str = "occasions.csv";
const LUNAR: &str = "lunar_occasions.csv";

impl Occasions {
    /// Reads the text of both seed tables, each with its header line or empty, and checks them against each
    /// other. The first complaint is returned.
    pub fn parse(occasions: &str, lunar_occasions: &str) -> Result<Self, OccasionsError> {
        let read = Self { occasions: rows(OCCASIONS, occasions)?, lunar_days: rows(LUNAR, lunar_occasions)? };
        read.check_occasions()?;
        read.check_lunar_days()?;
        Ok(read)
    }

    /// In the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &Occasion> {
        self.occasions.iter()
    }

    /// The last day listed in `lunar_occasions.csv`: past it, no lunar occasion is known.
    pub fn last_lunar_day(&self) -> Option<NaiveDate> {
        self.lunar_days.iter().map(|row| row.day).max()
    }

    /// The occasions of each day from `first` to `last`, in the order of the table; days without one are
    /// left out.
    pub fn by_day(&self, first: NaiveDate, last: NaiveDate) -> BTreeMap<NaiveDate, Vec<&Occasion>> {
        let mut lunar_days: HashMap<&str, Vec<NaiveDate>> = HashMap::new();
        for row in &self.lunar_days {
            lunar_days.entry(&row.code).or_default().push(row.day);
        }
        let mut by_day: BTreeMap<NaiveDate, Vec<&Occasion>> = BTreeMap::new();
        for occasion in &self.occasions {
            let days = match occasion.calendar.kind() {
                Some(kind) => occasion.days(kind, first, last),
                None => lunar_days.remove(occasion.code.as_str()).unwrap_or_default(),
            };
            for day in days.into_iter().filter(|day| (first..=last).contains(day)) {
                by_day.entry(day).or_default().push(occasion);
            }
        }
        by_day
    }

    fn check_occasions(&self) -> Result<(), OccasionsError> {
        let mut codes = HashSet::new();
        for occasion in &self.occasions {
            let problem = if codes.insert(occasion.code.as_str()) {
                occasion.problem()
            } else {
                Some("the code occurs twice".to_owned())
            };
            refuse(OCCASIONS, &occasion.code, problem)?;
        }
        Ok(())
    }

    fn check_lunar_days(&self) -> Result<(), OccasionsError> {
        let lunar = |occasion: &&Occasion| occasion.calendar == OccasionCalendar::Lunar;
        let codes: HashSet<&str> = self.iter().filter(lunar).map(|occasion| occasion.code.as_str()).collect();
        let mut seen = HashSet::new();
        for row in &self.lunar_days {
            let problem = if !codes.contains(row.code.as_str()) {
                Some(format!("{OCCASIONS} has no lunar occasion of that code"))
            } else if !seen.insert((&row.code, row.day)) {
                Some(format!("{} is listed twice", row.day))
            } else {
                None
            };
            refuse(LUNAR, &row.code, problem)?;
        }
        Ok(())
    }
}

impl OccasionCalendar {
    fn kind(self) -> Option<CalendarKind> {
        match self {
            Self::Jalali => Some(CalendarKind::Jalali),
            Self::Gregorian => Some(CalendarKind::Gregorian),
            Self::Lunar => None,
        }
    }
}

impl Occasion {
    /// Its days in every year that touches the range; some may lie outside it.
    fn days(&self, kind: CalendarKind, first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
        let years = kind.year_month_day(first).year..=kind.year_month_day(last).year;
        years.filter_map(|year| self.days_in_year(kind, year)).flatten().collect()
    }

    fn days_in_year(&self, kind: CalendarKind, year: i32) -> Option<Vec<NaiveDate>> {
        let on = |day| kind.date_clamped(year, self.month, day);
        let last_of_month = on(31)?;
        let day = match self.rule {
            None => on(self.day?)?,
            Some(Rule::LastDayOfMonth) => last_of_month,
            Some(Rule::TuesdayBeforeLastWednesday) => last_on(Weekday::Wed, last_of_month) - Days::new(1),
            Some(Rule::DayAfterFourthThursday) => first_on(Weekday::Thu, on(1)?) + Days::new(22),
            Some(Rule::UntilYearEnd) => {
                let year_end = kind.last_day_of_year(year);
                return Some(on(self.day?)?.iter_days().take_while(|day| *day <= year_end).collect());
            }
        };
        Some(vec![day])
    }

    fn problem(&self) -> Option<String> {
        let longest_month = if self.calendar == OccasionCalendar::Lunar { 30 } else { 31 };
        // Codes of one day are joined with commas.
        if self.code.is_empty() || self.code.contains([',', ' ']) {
            Some("a code is a word without commas and spaces".to_owned())
        } else if !(1..=12).contains(&self.month) {
            Some(format!("there is no month {}", self.month))
        } else if self.day.is_some_and(|day| !(1..=longest_month).contains(&day)) {
            Some("there is no such day of the month".to_owned())
        } else if self.day.is_none() && matches!(self.rule, None | Some(Rule::UntilYearEnd)) {
            Some("the day is missing".to_owned())
        } else {
            None
        }
    }
}

fn rows<Row: for<'de> Deserialize<'de>>(table: &'static str, text: &str) -> Result<Vec<Row>, OccasionsError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    rows.map_err(|source| OccasionsError::Unreadable { table, source })
}

fn refuse(table: &'static str, code: &str, problem: Option<String>) -> Result<(), OccasionsError> {
    match problem {
        Some(problem) => Err(OccasionsError::Invalid { table, code: code.to_owned(), problem }),
        None => Ok(()),
    }
}

fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(serde::de::Error::custom(format!("`{text}` is neither true nor false"))),
    }
}

fn iso_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is not a date like 2025-03-21")))
}

/// The first day of that weekday on or after `day`.
fn first_on(weekday: Weekday, day: NaiveDate) -> NaiveDate {
    day + Days::new(u64::from(weekday.days_since(day.weekday())))
}

/// The last day of that weekday on or before `day`.
fn last_on(weekday: Weekday, day: NaiveDate) -> NaiveDate {
    day - Days::new(u64::from(day.weekday().days_since(weekday)))
}

#[cfg(test)]
pub(super) mod tests {
    use icu_calendar::cal::Hijri;
    use icu_calendar::cal::hijri::{TabularAlgorithm, TabularAlgorithmEpoch, TabularAlgorithmLeapYears};
    use icu_calendar::types::RataDie;

    use super::*;

    const OCCASIONS_CSV: &str = include_str!("../../sql/seeds/occasions.csv");
    const LUNAR_CSV: &str = include_str!("../../sql/seeds/lunar_occasions.csv");

    /// The occasions that ship with the binary.
    pub fn shipped() -> Occasions {
        Occasions::parse(OCCASIONS_CSV, LUNAR_CSV).unwrap()
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn days_of(code: &str, first: &str, last: &str) -> Vec<String> {
        let occasions = shipped();
        let by_day = occasions.by_day(date(first), date(last));
        let on = by_day.iter().filter(|(_, occasions)| occasions.iter().any(|occasion| occasion.code == code));
        on.map(|(day, _)| day.to_string()).collect()
    }

    fn error(occasions: &str, lunar: &str) -> String {
        let header = "code,label_en,label_fa,calendar,month,day,rule,tone,default_on\n";
        let occasions = format!("{header}{occasions}");
        let lunar = format!("code,day\n{lunar}");
        Occasions::parse(&occasions, &lunar).unwrap_err().to_string()
    }

    #[test]
    fn the_eve_of_the_last_wednesday_of_the_year() {
        // 1403 began on a Wednesday, so the last one of 1402 was a week before.
        let days = days_of("chaharshanbe_suri", "2021-04-01", "2026-04-01");
        assert_eq!(days, ["2022-03-15", "2023-03-14", "2024-03-12", "2025-03-18", "2026-03-17"]);
    }

    #[test]
    fn black_friday_follows_thanksgiving() {
        // In 2029 and 2035 that is not the last Friday of November.
        let days = days_of("black_friday", "2026-01-01", "2029-12-31");
        assert_eq!(days, ["2026-11-27", "2027-11-26", "2028-11-24", "2029-11-23"]);
        assert_eq!(days_of("black_friday", "2035-01-01", "2035-12-31"), ["2035-11-23"]);
    }

    #[test]
    fn the_year_end_sale_lasts_to_the_last_day_of_esfand() {
        let leap = days_of("year_end_sale", "2025-01-01", "2025-12-31");
        assert_eq!(
            (leap.len(), leap.first(), leap.last()),
            (16, Some(&"2025-03-05".to_owned()), Some(&"2025-03-20".to_owned()))
        );
        assert_eq!(days_of("year_end_sale", "2026-01-01", "2026-12-31").len(), 15);
    }

    #[test]
    fn lunar_days_may_fall_twice_in_a_jalali_year() {
        // The year 1403.
        assert_eq!(days_of("mother_day", "2024-03-20", "2025-03-20"), ["2024-12-22"]);
        assert_eq!(days_of("mother_day", "2024-01-01", "2024-12-31"), ["2024-01-03", "2024-12-22"]);
        assert_eq!(days_of("reza_martyrdom", "2022-01-01", "2022-12-31"), ["2022-09-27"]);
    }

    #[test]
    fn listed_lunar_days_are_within_a_day_or_two_of_the_arithmetic_calendar() {
        let arithmetic = Hijri(TabularAlgorithm::new(TabularAlgorithmLeapYears::TypeII, TabularAlgorithmEpoch::Friday));
        let occasions = shipped();
        let by_code: HashMap<&str, &Occasion> = occasions.iter().map(|o| (o.code.as_str(), o)).collect();
        for row in &occasions.lunar_days {
            let occasion = by_code[row.code.as_str()];
            let near = (-2..=2).any(|shift| {
                let rata_die = RataDie::new(i64::from(row.day.num_days_from_ce()) + shift);
                let hijri = icu_calendar::Date::from_rata_die(rata_die, arithmetic);
                let day = occasion.day.map(|day| day.min(29)) == Some(u32::from(hijri.day_of_month().0).min(29));
                u32::from(hijri.month().ordinal) == occasion.month && day
            });
            assert!(near, "{row:?}");
        }
    }

    #[test]
    fn every_lunar_occasion_is_listed_for_every_year() {
        let occasions = shipped();
        for occasion in occasions.iter().filter(|o| o.calendar == OccasionCalendar::Lunar) {
            let mut days: Vec<NaiveDate> =
                occasions.lunar_days.iter().filter(|row| row.code == occasion.code).map(|row| row.day).collect();
            days.sort();
            assert!(days[0] < date("2019-12-25") && days[days.len() - 1] > date("2027-01-06"), "{}", occasion.code);
            for pair in days.windows(2) {
                assert!((353..=356).contains(&(pair[1] - pair[0]).num_days()), "{} {pair:?}", occasion.code);
            }
        }
    }

    #[test]
    fn days_that_a_month_lacks_fall_on_its_last() {
        let table = "code,label_en,label_fa,calendar,month,day,rule,tone,default_on\n\
                     eve,Eve,شب عید,jalali,12,30,,greeting,yes\n\
                     leap,Leap,کبیسه,gregorian,2,29,,greeting,no\n";
        let occasions = Occasions::parse(table, "code,day\n").unwrap();
        let by_day = occasions.by_day(date("2025-01-01"), date("2026-12-31"));
        let days: Vec<String> = by_day.keys().map(ToString::to_string).collect();
        assert_eq!(days, ["2025-02-28", "2025-03-20", "2026-02-28", "2026-03-20"]);
    }

    #[test]
    fn a_project_may_have_no_occasions() {
        assert_eq!(Occasions::parse("", "").unwrap(), Occasions::default());
    }

    #[test]
    fn mistakes_in_the_tables_are_named() {
        let row = "nowruz,Nowruz,نوروز,jalali,1,1,,greeting,yes\n";
        assert!(error(&format!("{row}{row}"), "").contains("`nowruz`: the code occurs twice"));
        assert!(error("a,A,A,jalali,13,1,,sale,no", "").contains("no month 13"));
        assert!(error("a,A,A,jalali,1,,,sale,no", "").contains("the day is missing"));
        assert!(error("a,A,A,lunar,1,31,,sale,no", "").contains("no such day"));
        assert!(error("a,A,A,jalali,1,1,sometimes,sale,no", "").contains("sometimes"));
        assert!(error("a,A,A,jalali,1,1,,sale,maybe", "").contains("neither true nor false"));
        assert!(error(row, "nowruz,2025-03-21").contains("no lunar occasion"));
        assert!(error("a,A,A,lunar,1,1,,sale,no", "a,2025-01-01\na,2025-01-01").contains("listed twice"));
        assert!(error("a,A,A,lunar,1,1,,sale,no", "a,1403/01/01").contains("line: 2"));
    }
}
