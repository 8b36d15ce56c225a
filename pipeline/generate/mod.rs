//! A synthetic shop: orders, order lines, interactions and customers, day by day, in the files that a
//! real shop would leave behind, with the awkwardness of real life at stated rates.
//!
//! The customers live in the world that the BG/NBD model assumes: they arrive over time, buy at a rate
//! of their own (gamma between customers), and after each purchase may be gone for good (with a chance
//! of their own, beta between customers). Seasons stretch and shrink the time between purchases.
//!
//! The same options give the same bytes. Memory is 20 bytes per customer, some more for each subscription,
//! and one day's rows.
//!
//! Written under `<source>/dt=YYYY-MM-DD/`, the shop's local day of the export: `orders`,
//! `order_items`, `interactions`, `customers` and `subscriptions` (the first day holds everyone and
//! everything that was there before), and on the first day `products`, `campaigns` and `identities`. A day
//! without rows has no file.

mod campaign;
mod catalog;
mod customer;
mod deliver;
mod encode;
mod kind;
mod names;
mod options;
mod row;
mod sale;
mod season;
mod shop;
mod subscription;
mod visit;

#[cfg(test)]
mod tests;

use std::io;

use serde::Serialize;

pub use options::{Currency, Format, Options, Rates};

/// Where the files go: a store, a folder, or a map in a test.
pub trait Sink {
    /// Keeps `content` under `path`, which is relative, has `/` between its parts and is never
    /// repeated. An error ends the generation and is returned from [`generate`] as it is.
    fn put(&mut self, path: &str, content: Vec<u8>) -> io::Result<()>;
}

/// What was written, so that a test can compare it with what a pipeline says that it read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub orders: SourceSummary,
    pub order_items: SourceSummary,
    pub interactions: SourceSummary,
    pub customers: SourceSummary,
    pub products: SourceSummary,
    pub campaigns: SourceSummary,
    pub subscriptions: SourceSummary,
    pub identities: SourceSummary,
    /// Distinct orders among the rows of `orders`.
    pub orders_placed: u64,
    /// Orders that were cancelled on the day they were placed; they have one row and no refund.
    pub orders_cancelled: u64,
    /// Rows that complete an order of an earlier day (status, delivery).
    pub orders_updated: u64,
    /// Rows that bring a refund of an order of an earlier day.
    pub orders_refunded: u64,
    /// Rows that correct an order's date into an earlier month.
    pub orders_moved: u64,
}

/// The files of one source. A reader of all of them meets `rows + broken + redelivered_lines` lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceSummary {
    /// Readable rows in the first delivery of every file; late rows and duplicates are among them.
    pub rows: u64,
    /// Rows in the file of a later day than the one they tell of.
    pub late: u64,
    /// Rows that repeat another one to the letter, in the same file or one of the next three days.
    pub duplicate: u64,
    /// Lines that were cut short. Each is followed by its row, whole, as after a writer's retry.
    pub broken: u64,
    /// Files, the redelivered ones left out.
    pub files: u64,
    /// Files that came a second time, byte for byte, under another name.
    pub redelivered_files: u64,
    /// Lines in those second files, readable or not.
    pub redelivered_lines: u64,
    /// Bytes handed to the sink.
    pub bytes: u64,
}

/// Runs the shop and writes its files to `sink`, a day at a time.
///
/// # Errors
/// `InvalidInput` for options that make no sense (a rate outside 0 to 1, more than four thousand
/// million customers, days that leave the calendar); otherwise whatever the sink or an encoder returns.
pub fn generate(options: &Options, sink: &mut dyn Sink) -> io::Result<Summary> {
    options.validate()?;
    if options.days == 0 || options.customers == 0 {
        return Ok(Summary::default());
    }
    shop::Shop::open(options).run(sink)
}
