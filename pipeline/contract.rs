//! What each source must bring: its columns, their types and rules, and what identifies a row.
//!
//! Decoding, staging, documentation and the config's own checks all read these tables; nothing else in the
//! code knows a source's columns by heart. A new source is a new [`SourceName`] and a new table.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;

/// A source that a project may configure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceName {
    Orders,
    OrderItems,
    Interactions,
    Customers,
    Products,
    Campaigns,
    Subscriptions,
    Identities,
}

impl SourceName {
    /// Every source, in the order in which they are read and reported.
    pub const ALL: [SourceName; 8] = [
        SourceName::Orders,
        SourceName::OrderItems,
        SourceName::Interactions,
        SourceName::Customers,
        SourceName::Products,
        SourceName::Campaigns,
        SourceName::Subscriptions,
        SourceName::Identities,
    ];

    /// The name in the config, in SQL (`source.<name>`) and in the lake's paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            SourceName::Orders => "orders",
            SourceName::OrderItems => "order_items",
            SourceName::Interactions => "interactions",
            SourceName::Customers => "customers",
            SourceName::Products => "products",
            SourceName::Campaigns => "campaigns",
            SourceName::Subscriptions => "subscriptions",
            SourceName::Identities => "identities",
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SourceName {
    type Err = String;

    /// # Errors
    /// The text itself, when no source has that name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        SourceName::ALL.into_iter().find(|source| source.as_str() == text).ok_or_else(|| text.to_owned())
    }
}

/// The type of a contract column; each has one Arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Utf8, without what [`tidy_text`] takes away; nothing left is NULL.
    Text,
    /// Utf8, trimmed, Persian and Arabic digits folded to ASCII; never parsed as a number.
    Id,
    /// Decimal128(18, 4) in the project's currency.
    Money,
    /// Decimal128(18, 4) of anything that is counted or measured.
    Quantity,
    /// Microseconds UTC; text without an offset is in the source's time zone.
    Timestamp,
    /// Date32.
    Date,
    /// Int64.
    Int,
    /// Boolean.
    Bool,
}

impl ColumnType {
    /// The name that error messages and documentation use.
    pub const fn as_str(self) -> &'static str {
        match self {
            ColumnType::Text => "text",
            ColumnType::Id => "id",
            ColumnType::Money => "money",
            ColumnType::Quantity => "quantity",
            ColumnType::Timestamp => "timestamp",
            ColumnType::Date => "date",
            ColumnType::Int => "int",
            ColumnType::Bool => "bool",
        }
    }
}

/// Text as it is kept: without a byte-order mark and white space around it, Arabic yeh and kaf as the Persian letters that
/// they stand for. Marks within, such as the zero-width non-joiner, stay.
pub fn tidy_text(text: &str) -> Cow<'_, str> {
    let text = text.trim_start_matches('\u{feff}').trim();
    match text.is_ascii() || !text.contains(ARABIC_LETTERS) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.replace(ARABIC_LETTERS[0], "ی").replace(ARABIC_LETTERS[1], "ک")),
    }
}

const ARABIC_LETTERS: [char; 2] = ['ي', 'ك'];

/// A rule on one column's values, beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Below zero is rejected: a credit note is mapped to `refunded_amount` or skipped.
    NonNegative,
    /// Outside the range is rejected, or becomes NULL with a warning where [`DateRange::rejects`] says no.
    Range(DateRange),
}

/// The days that a date or timestamp may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateRange {
    /// What has happened: `history_starts_on` (unset: 2000-01-01) … 2100-01-01. One row of 1970 would
    /// otherwise cost hundreds of empty months.
    History,
    /// What may lie in the future by nature: 1900-01-01 … 2100-01-01.
    Plan,
    /// Birth dates: 1900-01-01 … 2100-01-01, outside becomes NULL and a warning.
    Birth,
}

impl DateRange {
    /// The first day allowed and the first day no longer allowed.
    pub fn bounds(self, history_starts_on: Option<NaiveDate>) -> (NaiveDate, NaiveDate) {
        let first = match self {
            DateRange::History => history_starts_on.unwrap_or(first_of(2000)),
            DateRange::Plan | DateRange::Birth => first_of(1900),
        };
        (first, first_of(2100))
    }

    /// Whether a day outside the range rejects its row.
    pub const fn rejects(self) -> bool {
        !matches!(self, DateRange::Birth)
    }
}

fn first_of(year: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or(NaiveDate::MIN)
}

/// One column of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
    /// A row without a value is rejected; a source without the column (neither mapped nor present
    /// under its own name) is refused.
    pub required: bool,
    pub rule: Option<Rule>,
    /// Personal data, which `[project] pii` drops or pseudonymises.
    pub pii: bool,
    /// A customer's id: the join key of all sources, pseudonymised alike in each of them and never dropped.
    pub customer: bool,
    pub doc: &'static str,
}

impl Column {
    const fn new(name: &'static str, kind: ColumnType, doc: &'static str) -> Self {
        let rule = match kind {
            ColumnType::Timestamp => Some(Rule::Range(DateRange::History)),
            ColumnType::Date => Some(Rule::Range(DateRange::Plan)),
            _ => None,
        };
        Column { name, kind, required: false, rule, pii: false, customer: false, doc }
    }

    const fn required(self) -> Self {
        Column { required: true, ..self }
    }

    const fn rule(self, rule: Rule) -> Self {
        Column { rule: Some(rule), ..self }
    }

    const fn non_negative(self) -> Self {
        self.rule(Rule::NonNegative)
    }

    const fn personal(self) -> Self {
        Column { pii: true, ..self }
    }

    const fn of_customer(self) -> Self {
        Column { customer: true, ..self }
    }
}

const fn text(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Text, doc)
}

const fn id(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Id, doc)
}

const fn money(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Money, doc)
}

const fn quantity(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Quantity, doc)
}

const fn timestamp(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Timestamp, doc)
}

const fn date(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Date, doc)
}

const UPDATED_AT: Column = timestamp("updated_at", "When the row last changed; the newest version of a key wins.");

const ORDERS: &[Column] = &[
    id("order_id", "The order; one purchase is one order_id.").required(),
    id("customer_id", "Who ordered.").required().of_customer(),
    timestamp("ordered_at", "When it was ordered; its business day decides the order's month.").required(),
    money("amount", "What the goods cost after every discount.").required().non_negative(),
    text("status", "Compared trimmed and lower-cased with counted_statuses; an order without one counts."),
    text("currency", "A row in another currency than the project's is rejected."),
    text("channel", "Where it was ordered: web, app, shop, phone …"),
    money("discount", "Information only: never subtracted from amount again."),
    money("refunded_amount", "What was given back; restates the day of the order.").non_negative(),
    money("paid_amount", "What has been paid so far."),
    id("campaign_id", "The campaign that the shop itself credits with the order."),
    text("region", "Where the order went."),
    timestamp("promised_at", "When delivery was promised.").rule(Rule::Range(DateRange::Plan)),
    timestamp("delivered_at", "When it was delivered."),
    UPDATED_AT,
];

const ORDER_ITEMS: &[Column] = &[
    id("order_id", "The order that the line belongs to.").required(),
    id("product_id", "What was bought.").required(),
    quantity("quantity", "How many.").required().non_negative(),
    money("unit_price", "Price of one, before the line's discount.").required().non_negative(),
    id("line_no", "Identifies the line in its order; without it an order's lines are replaced as a whole."),
    money("unit_cost", "Cost of one; a missing cost is never 0."),
    money("discount", "The line's discount, subtracted from quantity × unit_price."),
    text("category", "The product's category."),
];

const INTERACTIONS: &[Column] = &[
    id("event_id", "The event.").required(),
    id("customer_id", "Whom it concerns.").required().of_customer(),
    timestamp("occurred_at", "When it happened; its business day decides the event's month.").required(),
    text("kind", "What happened, see the seed interaction_kinds; an unknown kind is kept and warned about.").required(),
    text("channel", "Through which channel."),
    id("campaign_id", "The campaign that it belongs to."),
    id("message_id", "The message that it belongs to."),
    id("product_id", "The product that it is about."),
    quantity("score", "The answer to a survey: 0–10 for NPS, 1–5 for satisfaction."),
    text("topic", "What it is about."),
    text("reason", "Why, in the customer's or the agent's words; a code is better mapped to topic.").personal(),
    id("subject_id", "The ticket, order, reward or event that it is about; never a customer."),
    id("referred_customer_id", "Whom a referral brought.").of_customer(),
    quantity("points", "Loyalty points earned or spent."),
    money("value", "What it is worth: a quote's or a reward's amount."),
];

const CUSTOMERS: &[Column] = &[
    id("customer_id", "The customer or lead.").required().of_customer(),
    timestamp("created_at", "When the profile was created."),
    text("name", "Full name, as written.").personal(),
    date("birth_date", "Outside 1900–2100 it becomes NULL, with a warning.")
        .rule(Rule::Range(DateRange::Birth))
        .personal(),
    text("region", "Where the customer lives."),
    text("company_size", "Size class of the customer's company."),
    text("interest", "What the customer said to be interested in."),
    text("phone", "Phone number, as written.").personal(),
    text("email", "E-mail address, as written.").personal(),
    UPDATED_AT,
];

const PRODUCTS: &[Column] = &[
    id("product_id", "The product.").required(),
    text("name", "What it is called."),
    text("category", "Its category, where a line says none."),
    money("unit_cost", "Cost of one, where a line says none; a missing cost is never 0.").non_negative(),
    id("complement_product_id", "What goes with it, as the shop itself sees it."),
];

const CAMPAIGNS: &[Column] = &[
    id("campaign_id", "The campaign.").required(),
    text("name", "What it is called."),
    text("kind", "acquisition, retention, newsletter, reward or education; decides which cost it is."),
    text("channel", "Through which channel it speaks."),
    date("starts_on", "First day."),
    date("ends_on", "Last day; without one it is a campaign of one day."),
    money("cost", "What it costs, spread evenly over its days.").non_negative(),
    quantity("holdout", "Share of those chosen that get no message, from 0 to 1.").non_negative(),
];

const SUBSCRIPTIONS: &[Column] = &[
    id("subscription_id", "The subscription or contract.").required(),
    id("customer_id", "Whose it is.").required().of_customer(),
    date("starts_on", "First day on which it is live.").required(),
    date("ends_on", "Last day on which it is live; open without one."),
    text("plan", "What was subscribed to."),
    money("monthly_value", "What it brings in a month.").non_negative(),
    text("status", "As the business calls it; information only, the dates decide."),
    UPDATED_AT,
];

const IDENTITIES: &[Column] = &[
    id("alias", "An id under which a person appears in some source.").required().of_customer(),
    id("customer_id", "Whom it stands for; not itself an alias.").required().of_customer(),
];

/// What a source's rows must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    pub source: SourceName,
    /// Every column, in the order in which extraction writes them.
    pub columns: Vec<Column>,
    /// The columns that identify a row. A row of `order_items` without `line_no` has no identity of its own.
    pub key: &'static [&'static str],
    /// The timestamp whose business day decides the row's month; `None`: the source is undated.
    pub time: Option<&'static str>,
    /// The column by which the newest version of a key is told; `None`: only the delivery decides.
    pub version: Option<&'static str>,
}

impl Contract {
    /// The contract of `source`. Where there is no `orders` source, the lines of `order_items` carry
    /// their orders' columns too, all but `amount`, which is derived from the lines.
    pub fn of(source: SourceName, orders_configured: bool) -> Self {
        let dated_lines = source == SourceName::OrderItems && !orders_configured;
        let mut columns = base_columns(source).to_vec();
        if dated_lines {
            let known: Vec<_> = columns.iter().map(|column| column.name).chain(["amount"]).collect();
            columns.extend(ORDERS.iter().filter(|column| !known.contains(&column.name)));
        }
        Contract {
            source,
            key: key_columns(source),
            time: time_column(source, dated_lines),
            version: columns.iter().map(|column| column.name).find(|name| *name == UPDATED_AT.name),
            columns,
        }
    }

    /// The timestamp whose business day extraction writes beside the row: the one that decides its month, or for a
    /// customer, who belongs to no month, when the profile was created.
    pub fn day_of(&self) -> Option<&'static str> {
        let created = (self.source == SourceName::Customers).then_some("created_at");
        self.time.or(created)
    }

    /// Timestamps whose business days are written too, and the names of those days: SQL does no zone arithmetic.
    pub fn other_days(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let days: &[(&str, &'static str)] = match self.source {
            SourceName::Customers => &[("updated_at", "updated_on")],
            _ => &[("promised_at", "promised_on"), ("delivered_at", "delivered_on")],
        };
        days.iter().filter_map(|(time, day)| Some((self.columns.iter().position(|c| c.name == *time)?, *day)))
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Every column's name, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }
}

const fn base_columns(source: SourceName) -> &'static [Column] {
    match source {
        SourceName::Orders => ORDERS,
        SourceName::OrderItems => ORDER_ITEMS,
        SourceName::Interactions => INTERACTIONS,
        SourceName::Customers => CUSTOMERS,
        SourceName::Products => PRODUCTS,
        SourceName::Campaigns => CAMPAIGNS,
        SourceName::Subscriptions => SUBSCRIPTIONS,
        SourceName::Identities => IDENTITIES,
    }
}

const fn key_columns(source: SourceName) -> &'static [&'static str] {
    match source {
        SourceName::Orders => &["order_id"],
        SourceName::OrderItems => &["order_id", "line_no"],
        SourceName::Interactions => &["event_id"],
        SourceName::Customers => &["customer_id"],
        SourceName::Products => &["product_id"],
        SourceName::Campaigns => &["campaign_id"],
        SourceName::Subscriptions => &["subscription_id"],
        SourceName::Identities => &["alias"],
    }
}

const fn time_column(source: SourceName, dated_lines: bool) -> Option<&'static str> {
    match source {
        SourceName::Orders => Some("ordered_at"),
        SourceName::OrderItems if dated_lines => Some("ordered_at"),
        SourceName::Interactions => Some("occurred_at"),
        SourceName::OrderItems
        | SourceName::Customers
        | SourceName::Products
        | SourceName::Campaigns
        | SourceName::Subscriptions
        | SourceName::Identities => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_their_orders_columns_only_where_there_is_no_orders_source() {
        let alone = Contract::of(SourceName::OrderItems, false);
        assert!(alone.column("customer_id").is_some_and(|column| column.required));
        assert!(alone.column("ordered_at").is_some_and(|column| column.required));
        assert!(alone.column("amount").is_none(), "the amount is derived from the lines");
        assert_eq!(alone.time, Some("ordered_at"));
        assert_eq!(alone.version, Some("updated_at"));

        let beside = Contract::of(SourceName::OrderItems, true);
        assert!(beside.column("customer_id").is_none());
        assert_eq!(beside.time, None);
    }

    #[test]
    fn no_contract_names_a_column_twice_and_keys_and_times_exist() {
        for source in SourceName::ALL {
            for orders_configured in [false, true] {
                let contract = Contract::of(source, orders_configured);
                let mut names: Vec<_> = contract.names().collect();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), contract.columns.len(), "{source}");
                let mentioned = contract.key.iter().copied().chain(contract.time);
                assert!(mentioned.into_iter().all(|name| contract.column(name).is_some()), "{source}");
            }
        }
    }

    #[test]
    fn every_customers_id_is_marked_and_can_be_hashed() {
        for source in SourceName::ALL {
            for column in Contract::of(source, false).columns {
                let names_a_customer = column.name.contains("customer_id") || column.name == "alias";
                assert_eq!(column.customer, names_a_customer, "{source}.{}", column.name);
                assert!(!column.customer || column.kind == ColumnType::Id, "{source}.{}", column.name);
                assert!(!(column.pii && column.required), "{source}.{}: it could not be dropped", column.name);
            }
        }
    }

    #[test]
    fn a_source_is_found_by_its_name() {
        assert_eq!("order_items".parse(), Ok(SourceName::OrderItems));
        assert_eq!("order-items".parse::<SourceName>(), Err("order-items".to_owned()));
    }

    #[test]
    fn date_ranges_follow_the_projects_history() {
        let start = NaiveDate::from_ymd_opt(2009, 12, 1);
        assert_eq!(DateRange::History.bounds(start).0, start.unwrap());
        assert_eq!(DateRange::Plan.bounds(start).0.to_string(), "1900-01-01");
        assert!(!DateRange::Birth.rejects());
    }
}
