use std::io;

use chrono::{Days, NaiveDate};

use super::season::BURN_IN_DAYS;

/// What shop to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// People known to the shop by the last day, a tenth of them leads who never buy.
    pub customers: u64,
    /// Days of files. Over 730 days a customer makes about 6 orders and 24 interactions.
    pub days: u32,
    pub seed: u64,
    /// The first day of files, in the shop's local time.
    pub first_day: NaiveDate,
    pub format: Format,
    pub currency: Currency,
    /// Share of customers with a Persian name; the others have a Latin one.
    pub persian_share: f64,
    /// The shop's distance from UTC, the same all year. Orders carry it, interactions are in UTC.
    pub utc_offset_minutes: i32,
    pub rates: Rates,
}

/// How the files are written. All of a source's files are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, keys without a value left out, gzip.
    Ndjson,
    /// Comma-separated with a header, empty for no value, gzip.
    Csv,
    /// Typed columns, zstd. A Parquet file has no lines to break, so `broken` is ignored.
    Parquet,
}

/// The money of all amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Currency {
    /// Iranian rial, whole, prices in steps of ten thousand.
    Rial,
    /// Euro and cents.
    Euro,
}

impl Currency {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Rial => "IRR",
            Self::Euro => "EUR",
        }
    }

    /// Digits after the decimal point; amounts are held as integers in this unit.
    pub(super) fn digits(self) -> u32 {
        match self {
            Self::Rial => 0,
            Self::Euro => 2,
        }
    }

    /// The step that prices and discounts are rounded to, in the smallest unit.
    pub(super) fn step(self) -> i64 {
        match self {
            Self::Rial => 10_000,
            Self::Euro => 5,
        }
    }

    /// The smallest units in one euro's worth of goods.
    pub(super) fn units_per_euro(self) -> f64 {
        match self {
            Self::Rial => 600_000.0,
            Self::Euro => 100.0,
        }
    }
}

/// How often real life happens, each a share from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Rows of orders (with their lines) and interactions that come one to twenty days late (0.01).
    pub late: f64,
    /// Files that come a second time under another name (0.01).
    pub redelivered: f64,
    /// Orders that are completed by a second row on a later day (0.08).
    pub updated: f64,
    /// Orders, of those not cancelled, that are refunded, wholly or in part, on a later day (0.03).
    pub refunded: f64,
    /// Orders that are cancelled on their day (0.02).
    pub cancelled: f64,
    /// Orders whose date is corrected to 31 days earlier, hence into another month of any calendar;
    /// only of those old enough for the corrected date to lie after the first day (0.0005).
    pub moved: f64,
    /// Rows of orders and interactions that are written twice (0.002).
    pub duplicate: f64,
    /// Lines that a cut-off copy of themselves goes before (0.0002). Not in Parquet.
    pub broken: f64,
    /// Persian customers whose name and region come with Arabic yeh and kaf, and whose phone number
    /// comes in Persian digits (0.05).
    pub arabic_letters: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            late: 0.01,
            redelivered: 0.01,
            updated: 0.08,
            refunded: 0.03,
            cancelled: 0.02,
            moved: 0.0005,
            duplicate: 0.002,
            broken: 0.0002,
            arabic_letters: 0.05,
        }
    }
}

impl Rates {
    /// A shop in which nothing ever goes wrong.
    pub fn none() -> Self {
        Self {
            late: 0.0,
            redelivered: 0.0,
            updated: 0.0,
            refunded: 0.0,
            cancelled: 0.0,
            moved: 0.0,
            duplicate: 0.0,
            broken: 0.0,
            arabic_letters: 0.0,
        }
    }

    fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("late", self.late),
            ("redelivered", self.redelivered),
            ("updated", self.updated),
            ("refunded", self.refunded),
            ("cancelled", self.cancelled),
            ("moved", self.moved),
            ("duplicate", self.duplicate),
            ("broken", self.broken),
            ("arabic_letters", self.arabic_letters),
        ]
    }
}

impl Default for Options {
    /// A thousand customers over two years from 1 January 2024, in rial.
    fn default() -> Self {
        Self {
            customers: 1_000,
            days: 730,
            seed: 1,
            first_day: NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default(),
            format: Format::Ndjson,
            currency: Currency::Rial,
            persian_share: 0.8,
            utc_offset_minutes: 210,
            rates: Rates::default(),
        }
    }
}

/// Days are held in 16 bits, with the largest value meaning "never".
const DAYS_MAX: u32 = 60_000;
const OFFSET_MINUTES_MAX: i32 = 14 * 60;

impl Options {
    pub(super) fn validate(&self) -> io::Result<()> {
        if self.customers >= u64::from(u32::MAX) {
            return Err(invalid(format!("customers = {} is too many", self.customers)));
        }
        if self.days > DAYS_MAX || !self.fits_the_calendar() {
            return Err(invalid(format!("days = {} leaves the calendar", self.days)));
        }
        if self.utc_offset_minutes.abs() > OFFSET_MINUTES_MAX {
            return Err(invalid(format!("utc_offset_minutes = {} is no offset", self.utc_offset_minutes)));
        }
        self.validate_shares()
    }

    fn validate_shares(&self) -> io::Result<()> {
        let shares = self.rates.named().into_iter().chain([("persian_share", self.persian_share)]);
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(invalid(format!("{name} = {share} is not a share from 0 to 1")));
            }
        }
        Ok(())
    }

    /// Four digits for the year are all that dates in files have room for.
    fn fits_the_calendar(&self) -> bool {
        let lowest = NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
        let highest = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default();
        let opens = self.first_day.checked_sub_days(Days::new(u64::from(BURN_IN_DAYS) + 1));
        let closes = self.first_day.checked_add_days(Days::new(u64::from(self.days) + 1));
        matches!((opens, closes), (Some(opens), Some(closes)) if opens >= lowest && closes <= highest)
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
