//! The generator's shop, small enough for a test, and the config under which the shipped models read it.

use std::io;

use bazgasht::generate::{self, Options, Sink};

use crate::support::{Shop, day};

/// The first day of files; the program's default as well.
pub const FIRST_DAY: &str = "2024-03-20";

pub const PROJECT: &str = "timezone = \"Asia/Tehran\"\ncalendar = \"jalali\"\ncurrency = \"IRR\"";

pub const SOURCES: &str = r#"
[sources.orders]
location = "./raw/orders"
[sources.order_items]
location = "./raw/order_items"
[sources.interactions]
location = "./raw/interactions"
[sources.customers]
location = "./raw/customers"
[sources.products]
location = "./raw/products"
[sources.campaigns]
location = "./raw/campaigns"
[sources.subscriptions]
location = "./raw/subscriptions"
[sources.identities]
location = "./raw/identities"
"#;

struct Raw<'a>(&'a Shop);

impl Sink for Raw<'_> {
    fn put(&mut self, path: &str, content: Vec<u8>) -> io::Result<()> {
        self.0.write(&format!("raw/{path}"), content);
        Ok(())
    }
}

/// Writes the logs of so many customers and days into the shop's folder `raw`; returns the last day.
pub fn write_logs(shop: &Shop, customers: u64, days: u32) -> String {
    let options = Options { customers, days, first_day: day(FIRST_DAY), ..Options::default() };
    generate::generate(&options, &mut Raw(shop)).expect("generated");
    (options.first_day + chrono::Days::new(u64::from(days - 1))).to_string()
}
