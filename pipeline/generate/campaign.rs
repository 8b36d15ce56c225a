//! The shop's campaigns: two a month, and one for each big occasion.

use chrono::{Datelike, Days, NaiveDate};
use rand::Rng;

use super::kind::Channel;
use super::options::Currency;
use super::season::{BURN_IN_DAYS, Season, black_friday};

/// A campaign's number, from 1.
pub(super) type CampaignNumber = std::num::NonZeroU16;

pub(super) struct Campaign {
    pub number: CampaignNumber,
    pub name: &'static str,
    pub kind: &'static str,
    pub channel: Channel,
    pub starts_day: u32,
    pub ends_day: u32,
    pub cost: i64,
    /// The share of those chosen that get no message, so that the effect can be told.
    pub holdout: Option<f64>,
    /// Taken off the prices of what is bought through it.
    pub discount: f64,
    /// One customer in so many is written to.
    pub one_in: u32,
}

/// Messages go out on so many days from the start, not to flood the call centre.
pub(super) const WAVES: u32 = 3;
/// One customer in so many is written to by a usual campaign.
const ONE_IN: u32 = 12;
const HOLDOUT: f64 = 0.1;
/// At its two great occasions a shop with fewer customers than this writes to more of them and leaves more
/// out, so that even there the effect can be told.
const SMALL_SHOP: u32 = 50_000;
const GREAT_ONE_IN: u32 = 3;
const GREAT_HOLDOUT: f64 = 0.3;

const MIDDLE_KINDS: [(&str, &str); 4] = [
    ("retention", "باشگاه مشتریان"),
    ("acquisition", "دعوت از دوستان"),
    ("reward", "هدیهٔ وفاداری"),
    ("education", "آموزش خرید هوشمند"),
];

/// All campaigns that start within the days that have files, in the order of their start.
pub(super) fn plan(season: &Season, customers: u32, currency: Currency, rng: &mut impl Rng) -> Vec<Campaign> {
    let mut campaigns = Vec::new();
    for day in BURN_IN_DAYS..=season.last_day() {
        let Some(theme) = theme_of(season.date(day)) else { continue };
        let Some(number) = CampaignNumber::new(campaigns.len() as u16 + 1) else { break };
        campaigns.push(new_campaign(number, day, theme, customers, currency, rng));
    }
    campaigns
}

struct Theme {
    kind: &'static str,
    name: &'static str,
    days: u32,
    discount: f64,
    great: bool,
}

fn theme_of(date: NaiveDate) -> Option<Theme> {
    let theme = |kind, name, days, discount| Some(Theme { kind, name, days, discount, great: false });
    let great = |name, days, discount| Some(Theme { kind: "retention", name, days, discount, great: true });
    let black_friday_eve = black_friday(date.year()).map(|friday| friday - Days::new(2));
    match (date.month(), date.day()) {
        (3, 6) => great("جشنوارهٔ نوروز", 13, 0.12),
        (9, 12) => theme("retention", "بازگشایی مدارس", 12, 0.08),
        (12, 15) => great("جشن یلدا", 6, 0.10),
        _ if Some(date) == black_friday_eve => theme("acquisition", "Black Friday", 4, 0.25),
        (_, 2) => theme("newsletter", "خبرنامه", 3, 0.0),
        (month, 18) => {
            let (kind, name) = MIDDLE_KINDS[month as usize % MIDDLE_KINDS.len()];
            theme(kind, name, 7, 0.05)
        }
        _ => None,
    }
}

fn new_campaign(
    number: CampaignNumber,
    day: u32,
    theme: Theme,
    customers: u32,
    currency: Currency,
    rng: &mut impl Rng,
) -> Campaign {
    let channel = match rng.random_range(0..10) {
        0..5 => Channel::Email,
        5..8 => Channel::Sms,
        _ => Channel::Push,
    };
    let great = theme.great && customers < SMALL_SHOP;
    let (one_in, holdout) = if great { (GREAT_ONE_IN, GREAT_HOLDOUT) } else { (ONE_IN, HOLDOUT) };
    let cost_euro = (40.0 + f64::from(customers / one_in) * 0.02).round();
    let cost = (cost_euro * currency.units_per_euro()) as i64 * rng.random_range(8..13) / 10;
    Campaign {
        number,
        name: theme.name,
        kind: theme.kind,
        channel,
        starts_day: day,
        ends_day: day + theme.days - 1,
        cost,
        holdout: (theme.kind != "newsletter").then_some(holdout),
        discount: theme.discount,
        one_in,
    }
}

impl Campaign {
    /// Which wave goes out on a day, from 0.
    pub(super) fn wave(&self, day: u32) -> Option<u32> {
        day.checked_sub(self.starts_day).filter(|&wave| wave < WAVES)
    }
}
