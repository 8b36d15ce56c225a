//! The days of the shop: dates, seasons and hours.
//!
//! A day is a number, counted from the beginning of the burn-in year that lies before the first file.

use chrono::{Datelike, Days, NaiveDate, Weekday};
use rand::Rng;
use rand_distr::{Distribution, Exp1};

/// Customers arrive and buy for so long before the first file is written, so that the first day of
/// files finds a shop at work.
pub(super) const BURN_IN_DAYS: u32 = 365;

pub(super) const DAY_SECONDS: i64 = 86_400;

pub(super) struct Season {
    opened_on: NaiveDate,
    opened_at: i64,
    offset_seconds: i64,
    /// How busy the days before day `i` were together; one longer than the days.
    busy_before: Vec<f64>,
}

impl Season {
    pub(super) fn new(first_day: NaiveDate, days: u32, offset_minutes: i32, rng: &mut impl Rng) -> Self {
        let opened_on = first_day - Days::new(u64::from(BURN_IN_DAYS));
        let offset_seconds = i64::from(offset_minutes) * 60;
        let opened_at = opened_on.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() - offset_seconds;
        let mut busy_before = vec![0.0];
        let mut total = 0.0;
        for day in 0..BURN_IN_DAYS + days {
            let noise = rng.random_range(0.92..1.08);
            total += busyness(opened_on + Days::new(u64::from(day))) * noise;
            busy_before.push(total);
        }
        Self { opened_on, opened_at, offset_seconds, busy_before }
    }

    pub(super) fn last_day(&self) -> u32 {
        self.busy_before.len() as u32 - 2
    }

    pub(super) fn date(&self, day: u32) -> NaiveDate {
        self.opened_on + Days::new(u64::from(day))
    }

    pub(super) fn busy_before(&self) -> &[f64] {
        &self.busy_before
    }

    /// The second, in UTC, at which the day begins locally.
    pub(super) fn starts_at(&self, day: u32) -> i64 {
        self.opened_at + i64::from(day) * DAY_SECONDS
    }

    /// The local day that a second in UTC lies in; times before the opening count as day 0.
    pub(super) fn day_of(&self, at: i64) -> u32 {
        u32::try_from((at - self.opened_at).div_euclid(DAY_SECONDS)).unwrap_or(0)
    }

    pub(super) fn offset_seconds(&self) -> i64 {
        self.offset_seconds
    }

    /// A day after `day`, at `rate` events per average day, busy days drawing more of them; none when
    /// it lies after the last day. Time is stretched by the seasons rather than events thinned out.
    pub(super) fn next_day(&self, day: u32, rate: f64, rng: &mut impl Rng) -> Option<u32> {
        let wait: f64 = Exp1.sample(rng);
        let busy = self.busy_before.get(day as usize + 1)? + wait / rate;
        let next = self.busy_before.partition_point(|&before| before <= busy);
        let next = (next as u32).saturating_sub(1).max(day + 1);
        (next <= self.last_day()).then_some(next)
    }
}

/// How much is sold on a date, compared with an average day. Nowruz and Yalda are taken at their usual
/// Gregorian dates: a day's error does not matter for a season.
fn busyness(date: NaiveDate) -> f64 {
    let weekday = match date.weekday() {
        Weekday::Fri => 0.72,
        Weekday::Thu => 1.08,
        Weekday::Sat => 1.1,
        _ => 1.02,
    };
    weekday * occasion(date)
}

fn occasion(date: NaiveDate) -> f64 {
    let black_friday = black_friday(date.year());
    match (date.month(), date.day()) {
        (3, day @ 1..=19) => 1.1 + f64::from(day) * 0.06,
        (3, 20..) | (4, 1..=2) => 0.4,
        (9, 12..=25) => 1.25,
        (12, 15..=20) => 1.6,
        _ if Some(date) == black_friday => 2.6,
        _ if black_friday.is_some_and(|friday| (1..=4).contains(&(friday - date).num_days())) => 1.3,
        _ => 0.96,
    }
}

/// The day after the fourth Thursday of November.
pub(super) fn black_friday(year: i32) -> Option<NaiveDate> {
    NaiveDate::from_weekday_of_month_opt(year, 11, Weekday::Thu, 4)?.succ_opt()
}

/// Orders and visits by the hour, of a thousand: late mornings and evenings.
const HOURS: [u16; 24] = [28, 14, 7, 4, 3, 4, 8, 18, 36, 54, 64, 66, 60, 48, 42, 42, 46, 52, 58, 66, 76, 84, 70, 50];

/// A second of the day, by the shop's usual hours.
pub(super) fn second_of_day(rng: &mut impl Rng) -> i64 {
    let mut rest = rng.random_range(0..HOURS.iter().sum());
    let mut hour = 0;
    for (number, &weight) in HOURS.iter().enumerate() {
        hour = number as i64;
        if rest < weight {
            break;
        }
        rest -= weight;
    }
    hour * 3_600 + rng.random_range(0..3_600)
}
