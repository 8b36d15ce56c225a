//! What happens when a customer buys.

use rand::Rng;

use super::campaign::CampaignNumber;
use super::catalog::ProductNumber;
use super::customer::{CustomerNumber, Traits};
use super::kind::{Channel, Status};
use super::row::{Line, Order};
use super::season::{BURN_IN_DAYS, DAY_SECONDS, second_of_day};
use super::shop::Shop;

/// A purchase about to be made.
pub(super) struct Purchase {
    pub customer: CustomerNumber,
    pub day: u32,
    /// The earliest second, in UTC, that it may be made at.
    pub not_before: i64,
    /// The campaign that brought it.
    pub campaign: Option<CampaignNumber>,
    /// Whether the order names it.
    pub declares: bool,
}

/// What later steps need to know of an order.
pub(super) struct Placed {
    pub order: u64,
    pub at: i64,
    pub channel: Channel,
    pub amount: i64,
    pub product: ProductNumber,
    pub late_delivery: bool,
}

/// Companies pay some of their invoices in part at first.
const PART_PAID: f64 = 0.3;
/// The chance that the next line is the complement of the first.
const TAKES_COMPLEMENT: f64 = 0.35;
/// How far a wrong date is off: no month is longer, so that the right one is in another.
const MOVED_DAYS: u32 = 31;

impl Shop<'_> {
    /// Places an order: its lines, its row, and the later rows that change it.
    pub(super) fn place(&mut self, purchase: &Purchase, traits: &Traits) -> Placed {
        self.orders_placed += 1;
        let number = self.orders_placed;
        let lines = self.fill_basket(number, purchase, traits);
        let mut order = self.new_order(number, purchase, traits, &lines);
        let placed = Placed {
            order: number,
            at: order.ordered_at,
            channel: order.channel,
            amount: order.amount,
            product: lines.first().map_or(ProductNumber::MIN, |line| line.product),
            late_delivery: order.delivered_at > order.promised_at && order.promised_at.is_some(),
        };
        let open = self.settle(&mut order, purchase.day, traits);
        self.send_order(purchase.day, &order, &lines);
        if order.status != Status::Cancelled {
            self.amend(purchase.day, order, open);
        }
        placed
    }

    fn send_order(&mut self, day: u32, order: &Order, lines: &[Line]) {
        let Some(arrives) = self.orders.post(day, order.clone(), &mut self.trouble) else { return };
        self.summary.orders_placed += 1;
        self.summary.orders_cancelled += u64::from(order.status == Status::Cancelled);
        for line in lines {
            self.lines.put(arrives, line.clone());
        }
    }

    fn fill_basket(&mut self, order: u64, purchase: &Purchase, traits: &Traits) -> Vec<Line> {
        let campaign = purchase.campaign.map(|number| &self.world.campaigns[usize::from(number.get()) - 1]);
        let promotion = campaign.map_or(0.0, |campaign| campaign.discount);
        let (world, rng) = (&self.world, &mut self.rng);
        let mut lines: Vec<Line> = Vec::new();
        loop {
            let complement = lines.first().map(|line| world.catalog.product(line.product).complement);
            let product = complement
                .filter(|_| lines.len() == 1 && rng.random_bool(TAKES_COMPLEMENT))
                .unwrap_or_else(|| world.catalog.choose(traits.liked_category, rng));
            let unit_price = world.catalog.product(product).price;
            let quantity = quantity(traits, rng);
            let discount = discount(i64::from(quantity) * unit_price, promotion, world.options.currency.step(), rng);
            let line_no = lines.len() as u8 + 1;
            lines.push(Line { order, line_no, quantity, product, unit_price, discount });
            if lines.len() == 12 || !rng.random_bool(0.45) {
                return lines;
            }
        }
    }

    fn new_order(&mut self, number: u64, purchase: &Purchase, traits: &Traits, lines: &[Line]) -> Order {
        let rng = &mut self.rng;
        let starts_at = self.world.season.starts_at(purchase.day);
        // The last minutes of a day are left free, so that what is done "at once" falls on the same day.
        let latest = starts_at + DAY_SECONDS - 900;
        let usual = starts_at + second_of_day(rng) * 98 / 100;
        let ordered_at = usual.max(purchase.not_before).min(latest);
        let channel = if rng.random_bool(0.85) { traits.channel } else { Channel::Online };
        let amount = lines.iter().map(Line::amount).sum();
        Order {
            number,
            customer: purchase.customer,
            ordered_at,
            updated_at: ordered_at,
            promised_at: None,
            delivered_at: None,
            amount,
            discount: lines.iter().map(|line| line.discount).sum(),
            refunded: 0,
            paid: amount,
            campaign: purchase.campaign.filter(|_| purchase.declares),
            status: Status::Completed,
            channel,
            region: traits.region,
            arabic_letters: traits.arabic_letters,
        }
    }

    /// Brings the order to where it is at the end of its day, and says whether it stays open: no row
    /// may tell of what lies after its own day.
    fn settle(&mut self, order: &mut Order, day: u32, traits: &Traits) -> bool {
        let rng = &mut self.rng;
        let rates = &self.world.options.rates;
        let (cancelled, open) = (rng.random_bool(rates.cancelled), rng.random_bool(rates.updated));
        let day_end = self.world.season.starts_at(day) + DAY_SECONDS - 1;
        let courier_minutes = rng.random_range(40..240) * if rng.random_bool(0.12) { 3 } else { 1 };
        let unpaid_share = rng.random_range(0.2..0.9);
        if traits.company_size.is_some() && rng.random_bool(PART_PAID) {
            order.paid = (order.amount as f64 * unpaid_share) as i64;
        }
        let sent = matches!(order.channel, Channel::Online | Channel::App | Channel::Marketplace);
        if sent {
            let slow = if open { 2 * DAY_SECONDS } else { 4 * 3_600 };
            order.promised_at = Some(order.ordered_at + slow);
        }
        if cancelled {
            order.status = Status::Cancelled;
            order.paid = 0;
            order.updated_at = (order.ordered_at + 600).min(day_end);
        } else if open {
            order.status = match (sent, unpaid_share > 0.5) {
                (false, _) => Status::Pending,
                (true, false) => Status::Paid,
                (true, true) => Status::Shipped,
            };
        } else if sent {
            order.status = Status::Delivered;
            order.delivered_at = Some((order.ordered_at + courier_minutes * 60).min(day_end));
            order.updated_at = order.delivered_at.unwrap_or(order.ordered_at);
        }
        open
    }

    /// Sends the rows of later days that change the order.
    fn amend(&mut self, day: u32, mut order: Order, open: bool) {
        let mut day = day;
        if self.rng.random_bool(self.world.options.rates.moved) && day >= BURN_IN_DAYS + MOVED_DAYS {
            day += self.rng.random_range(1..4);
            order.ordered_at -= i64::from(MOVED_DAYS) * DAY_SECONDS;
            self.summary.orders_moved += self.send_amended(day, &mut order);
        }
        if open {
            day += self.rng.random_range(1..6);
            self.complete(day, &mut order);
            self.summary.orders_updated += self.send_amended(day, &mut order);
        }
        if self.rng.random_bool(self.world.options.rates.refunded) {
            day += self.rng.random_range(1..21);
            self.refund(&mut order);
            self.summary.orders_refunded += self.send_amended(day, &mut order);
        }
    }

    /// Stamps the row with a moment of the day; the number of rows sent, 0 when it comes too late.
    fn send_amended(&mut self, day: u32, order: &mut Order) -> u64 {
        let morning = self.world.season.starts_at(day) + DAY_SECONDS / 2;
        order.updated_at = (morning + self.rng.random_range(0..20_000)).max(order.delivered_at.unwrap_or(0));
        u64::from(self.orders.post(day, order.clone(), &mut self.trouble).is_some())
    }

    fn complete(&mut self, day: u32, order: &mut Order) {
        let delivered = order.promised_at.is_some();
        order.status = if delivered { Status::Delivered } else { Status::Completed };
        if delivered {
            let nine = self.world.season.starts_at(day) + 9 * 3_600;
            order.delivered_at = Some(nine + self.rng.random_range(0..30_000));
        }
    }

    /// Half of the refunds give all of it back, the others a part.
    fn refund(&mut self, order: &mut Order) {
        let whole = self.rng.random_bool(0.5);
        let tenths = self.rng.random_range(1..10);
        if whole {
            order.refunded = order.amount;
            order.status = Status::Refunded;
        } else {
            order.refunded = order.amount * tenths / 10;
        }
    }
}

fn quantity(traits: &Traits, rng: &mut impl Rng) -> u8 {
    let single = rng.random_bool(0.72);
    let several = rng.random_range(2..5);
    let quantity = if single { 1 } else { several };
    if traits.company_size.is_some() { quantity * 3 } else { quantity }
}

/// The promotion's, or now and then a voucher's, in whole steps.
fn discount(gross: i64, promotion: f64, step: i64, rng: &mut impl Rng) -> i64 {
    let voucher = if rng.random_bool(0.08) { 0.1 } else { 0.0 };
    let share = f64::max(promotion, voucher);
    (gross as f64 * share / step as f64).floor() as i64 * step
}
