//! The rows of the sources. Each writes its columns, always all and in the same order, to whatever
//! format is asked for.

use std::num::{NonZeroU32, NonZeroU64};

use chrono::NaiveDate;

use super::campaign::{Campaign, CampaignNumber};
use super::catalog::{CATEGORIES, Catalog, ProductNumber};
use super::customer::{CustomerNumber, Traits};
use super::kind::{Channel, Kind, Plan, Reason, Standing, Status, Topic};
use super::names::{COMPANY_SIZES, region, with_arabic_letters, with_persian_digits};
use super::options::Options;
use super::season::Season;

/// What rows refer to by number.
pub(super) struct World {
    pub options: Options,
    pub season: Season,
    pub catalog: Catalog,
    pub campaigns: Vec<Campaign>,
    /// Customers who had come by the end of the first day of files.
    pub old_customers: u32,
}

/// An identifier: its letter and its number, with at least eight digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub char, pub u64);

/// A format's side of writing a row: one call a column. Instants are seconds in UTC, money is in the
/// smallest unit of the shop's currency.
pub(super) trait Fields {
    fn text(&mut self, column: &'static str, value: Option<&str>);
    fn id(&mut self, column: &'static str, value: Option<Id>);
    fn money(&mut self, column: &'static str, value: Option<i64>);
    fn integer(&mut self, column: &'static str, value: Option<i64>);
    fn instant(&mut self, column: &'static str, value: Option<i64>, zone: Zone);
    fn date(&mut self, column: &'static str, value: Option<NaiveDate>);
}

/// How an instant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Utc,
    Local,
}

pub(super) trait Row {
    /// The source, as in paths.
    const SOURCE: &'static str;
    fn write(&self, world: &World, fields: &mut impl Fields);
}

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub number: u64,
    pub customer: CustomerNumber,
    pub ordered_at: i64,
    pub updated_at: i64,
    pub promised_at: Option<i64>,
    pub delivered_at: Option<i64>,
    pub amount: i64,
    pub discount: i64,
    pub refunded: i64,
    pub paid: i64,
    pub campaign: Option<CampaignNumber>,
    pub status: Status,
    pub channel: Channel,
    pub region: u8,
    pub arabic_letters: bool,
}

impl Row for Order {
    const SOURCE: &'static str = "orders";

    fn write(&self, world: &World, fields: &mut impl Fields) {
        fields.id("order_id", Some(Id('O', self.number)));
        fields.id("customer_id", Some(customer_id(self.customer)));
        fields.instant("ordered_at", Some(self.ordered_at), Zone::Local);
        fields.money("amount", Some(self.amount));
        fields.text("status", Some(self.status.word()));
        fields.text("currency", Some(world.options.currency.code()));
        fields.text("channel", Some(self.channel.word()));
        fields.money("discount", Some(self.discount));
        fields.money("refunded_amount", Some(self.refunded));
        fields.money("paid_amount", Some(self.paid));
        fields.id("campaign_id", self.campaign.map(campaign_id));
        write_region(self.region, self.arabic_letters, fields);
        fields.instant("promised_at", self.promised_at, Zone::Local);
        fields.instant("delivered_at", self.delivered_at, Zone::Local);
        fields.instant("updated_at", Some(self.updated_at), Zone::Local);
    }
}

fn write_region(number: u8, arabic_letters: bool, fields: &mut impl Fields) {
    let name = region(number);
    if arabic_letters {
        fields.text("region", Some(&with_arabic_letters(name)));
    } else {
        fields.text("region", Some(name));
    }
}

fn customer_id(number: CustomerNumber) -> Id {
    Id('C', u64::from(number.get()))
}

fn campaign_id(number: CampaignNumber) -> Id {
    Id('K', u64::from(number.get()))
}

fn product_id(number: ProductNumber) -> Id {
    Id('P', u64::from(number.get()))
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub order: u64,
    pub line_no: u8,
    pub quantity: u8,
    pub product: ProductNumber,
    pub unit_price: i64,
    /// Taken off the whole line.
    pub discount: i64,
}

impl Line {
    pub(super) fn amount(&self) -> i64 {
        i64::from(self.quantity) * self.unit_price - self.discount
    }
}

impl Row for Line {
    const SOURCE: &'static str = "order_items";

    fn write(&self, world: &World, fields: &mut impl Fields) {
        let product = world.catalog.product(self.product);
        fields.id("order_id", Some(Id('O', self.order)));
        fields.integer("line_no", Some(i64::from(self.line_no)));
        fields.id("product_id", Some(product_id(self.product)));
        fields.integer("quantity", Some(i64::from(self.quantity)));
        fields.money("unit_price", Some(self.unit_price));
        fields.money("unit_cost", product.cost);
        fields.money("discount", Some(self.discount));
        fields.text("category", Some(product.category().code));
    }
}

/// What an interaction is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    Nothing,
    Ticket(u64),
    Order(u64),
    Reward(u8),
    Event(u64),
}

impl Subject {
    fn id(self) -> Option<Id> {
        match self {
            Self::Nothing => None,
            Self::Ticket(number) => Some(Id('T', number)),
            Self::Order(number) => Some(Id('O', number)),
            Self::Reward(number) => Some(Id('R', u64::from(number))),
            Self::Event(number) => Some(Id('E', number)),
        }
    }
}

/// Kept small (72 bytes): a large shop has more than a million of them on a day.
#[derive(Debug, Clone)]
pub(super) struct Interaction {
    pub number: u64,
    pub customer: CustomerNumber,
    pub at: i64,
    pub kind: Kind,
    pub channel: Option<Channel>,
    pub campaign: Option<CampaignNumber>,
    pub message: Option<NonZeroU64>,
    pub product: Option<ProductNumber>,
    pub score: Option<u8>,
    pub topic: Option<Topic>,
    pub reason: Option<Reason>,
    pub subject: Subject,
    pub referred: Option<CustomerNumber>,
    pub points: Option<NonZeroU32>,
    pub value: Option<NonZeroU64>,
}

const _: () = assert!(size_of::<Interaction>() == 72, "a busy day is to fit into memory");

impl Interaction {
    /// The app knows some of its users by an id of its own.
    fn known_as(&self, world: &World) -> Id {
        let in_app = self.channel == Some(Channel::App);
        let identity = Identity::of(self.customer, world).filter(|_| in_app);
        identity.map_or(customer_id(self.customer), |identity| identity.alias())
    }
}

impl Row for Interaction {
    const SOURCE: &'static str = "interactions";

    fn write(&self, world: &World, fields: &mut impl Fields) {
        fields.id("event_id", Some(Id('E', self.number)));
        fields.id("customer_id", Some(self.known_as(world)));
        fields.instant("occurred_at", Some(self.at), Zone::Utc);
        fields.text("kind", Some(self.kind.word()));
        fields.text("channel", self.channel.map(Channel::word));
        fields.id("campaign_id", self.campaign.map(campaign_id));
        fields.id("message_id", self.message.map(|number| Id('M', number.get())));
        fields.id("product_id", self.product.map(product_id));
        fields.integer("score", self.score.map(i64::from));
        fields.text("topic", self.topic.map(Topic::word));
        fields.text("reason", self.reason.map(Reason::word));
        fields.id("subject_id", self.subject.id());
        fields.id("referred_customer_id", self.referred.map(customer_id));
        fields.integer("points", self.points.map(|points| i64::from(points.get())));
        fields.money("value", self.value.map(|value| value.get() as i64));
    }
}

/// A customer's master data as of a moment.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub customer: CustomerNumber,
    /// The day that the customer first appeared, in the shop's count.
    pub created_day: u32,
    /// None until the first change.
    pub changed_at: Option<i64>,
    /// How often it has changed; each time the interest moves on.
    pub version: u8,
}

impl Row for Profile {
    const SOURCE: &'static str = "customers";

    fn write(&self, world: &World, fields: &mut impl Fields) {
        let traits = Traits::of(&world.options, self.customer);
        let created_at = world.season.starts_at(self.created_day) + traits.appeared_second;
        let interest = (usize::from(traits.liked_category) + usize::from(self.version)) % CATEGORIES.len();
        fields.id("customer_id", Some(customer_id(self.customer)));
        fields.instant("created_at", Some(created_at), Zone::Utc);
        fields.text("name", Some(&traits.name()));
        fields.date("birth_date", traits.birth_date);
        write_region(traits.region, traits.arabic_letters, fields);
        let size = traits.company_size.map(|size| COMPANY_SIZES[usize::from(size)]);
        fields.text("company_size", size);
        fields.text("interest", Some(CATEGORIES[interest].code));
        fields.text("phone", Some(&phone(&traits)));
        fields.text("email", Some(&format!("c{}@example.com", self.customer)));
        fields.instant("updated_at", Some(self.changed_at.unwrap_or(created_at)), Zone::Utc);
    }
}

/// A number under a prefix that no operator has, so that it is nobody's.
fn phone(traits: &Traits) -> String {
    let number = format!("0970{:07}", traits.phone);
    if traits.arabic_letters { with_persian_digits(&number) } else { number }
}

/// A version of a subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub number: u64,
    pub customer: CustomerNumber,
    pub plan: Plan,
    /// In the shop's count, as the next.
    pub starts_day: u32,
    /// The last day; none while it is open.
    pub ends_day: Option<u32>,
    pub standing: Standing,
    pub updated_at: i64,
}

impl Row for Subscription {
    const SOURCE: &'static str = "subscriptions";

    fn write(&self, world: &World, fields: &mut impl Fields) {
        let monthly_value = (self.plan.monthly_euro() * world.options.currency.units_per_euro()) as i64;
        fields.id("subscription_id", Some(Id('S', self.number)));
        fields.id("customer_id", Some(customer_id(self.customer)));
        fields.date("starts_on", Some(world.season.date(self.starts_day)));
        fields.date("ends_on", self.ends_day.map(|day| world.season.date(day)));
        fields.text("plan", Some(self.plan.word()));
        fields.money("monthly_value", Some(monthly_value));
        fields.text("status", Some(self.standing.word()));
        fields.instant("updated_at", Some(self.updated_at), Zone::Utc);
    }
}

/// Who is meant by an id that the app made up. Only those who came early have one: later the app took over
/// the shop's own ids.
pub(super) struct Identity(CustomerNumber);

impl Identity {
    /// One customer in so many has an id of the app.
    const ONE_IN: u32 = 9;

    fn of(customer: CustomerNumber, world: &World) -> Option<Self> {
        let number = customer.get();
        (number.is_multiple_of(Self::ONE_IN) && number <= world.old_customers).then_some(Self(customer))
    }

    /// How many there are.
    pub(super) fn count(world: &World) -> u32 {
        world.old_customers / Self::ONE_IN
    }

    /// The one with a number from 1.
    pub(super) fn nth(number: u32) -> Self {
        Self(NonZeroU32::new(number * Self::ONE_IN).unwrap_or(NonZeroU32::MIN))
    }

    fn alias(&self) -> Id {
        Id('A', u64::from(self.0.get()))
    }
}

impl Row for Identity {
    const SOURCE: &'static str = "identities";

    fn write(&self, _: &World, fields: &mut impl Fields) {
        fields.id("alias", Some(self.alias()));
        fields.id("customer_id", Some(customer_id(self.0)));
    }
}

/// A product by its number.
pub(super) struct CatalogEntry(pub ProductNumber);

impl Row for CatalogEntry {
    const SOURCE: &'static str = "products";

    fn write(&self, world: &World, fields: &mut impl Fields) {
        let product = world.catalog.product(self.0);
        fields.id("product_id", Some(product_id(self.0)));
        fields.text("name", Some(&product.name()));
        fields.text("category", Some(product.category().code));
        fields.money("unit_cost", product.cost);
        fields.id("complement_product_id", Some(product_id(product.complement)));
    }
}

impl Row for &Campaign {
    const SOURCE: &'static str = "campaigns";

    fn write(&self, world: &World, fields: &mut impl Fields) {
        fields.id("campaign_id", Some(campaign_id(self.number)));
        fields.text("name", Some(self.name));
        fields.text("kind", Some(self.kind));
        fields.text("channel", Some(self.channel.word()));
        fields.date("starts_on", Some(world.season.date(self.starts_day)));
        fields.date("ends_on", Some(world.season.date(self.ends_day)));
        fields.money("cost", Some(self.cost));
        fields.text("holdout", self.holdout.map(|share| share.to_string()).as_deref());
    }
}
