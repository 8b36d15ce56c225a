//! The business's calendar, time zone and occasions.
//!
//! Everything that depends on what a day is called lives here: extraction asks which business day and
//! month an instant belongs to, and models join the two tables made here instead of computing with dates.
//!
//! - [`BusinessCalendar`]: months, weeks, quarters and years in the project's calendar.
//! - [`BusinessZone`]: instants to business days and back.
//! - [`DateFormat`]: how a source writes its dates and times.
//! - [`Occasions`]: holidays, sales and days on which nothing is sent, from two seed tables.
//! - [`calendar_batch`] and [`calendar_periods_batch`]: the tables `calendar` and `calendar_periods`.
//!
//! Invariant: nothing here reads the clock. The one function that depends on the present,
//! [`BusinessZone::yesterday`], is given it.

mod business;
mod days_table;
mod jalali;
mod kind;
mod month;
mod names;
mod occasions;
mod period;
mod periods_table;
mod table;
mod written;
mod zone;

pub use business::BusinessCalendar;
pub use days_table::{CALENDAR_DESCRIPTION, calendar_batch, calendar_columns};
pub use jalali::{parse_jalali_date, parse_jalali_timestamp};
pub use kind::{CalendarKind, YearMonthDay};
pub use month::{Month, MonthParseError};
pub use occasions::{Occasion, OccasionCalendar, Occasions, OccasionsError, Tone};
pub use period::{Grain, Period};
pub use periods_table::{CALENDAR_PERIODS_DESCRIPTION, calendar_periods_batch, calendar_periods_columns};
pub use table::{CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY, ColumnDoc, TABLES_VERSION};
pub use written::{DateFormat, DateReader, Moment};
pub use zone::BusinessZone;
