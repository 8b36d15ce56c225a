//! Who a customer is. Nothing of it is kept: it is drawn again from the seed and the customer's number
//! whenever it is needed, so that ten million customers fit into memory.

use std::num::NonZeroU32;

use chrono::{Days, NaiveDate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, Gamma};

use super::catalog::choose_category;
use super::kind::Channel;
use super::names::{CITIES, FAMILY_FA, FAMILY_LATIN, GIVEN_FA, GIVEN_LATIN, PROVINCES, with_arabic_letters};
use super::options::Options;
use super::season::second_of_day;

/// A customer's number, from 1, in the order of their arrival.
pub(super) type CustomerNumber = NonZeroU32;

/// Purchases per average day vary between customers by a gamma distribution of this shape and mean.
const RATE_SHAPE: f64 = 0.9;
const RATE_MEAN: f64 = 0.042;
/// The chance to be gone after a purchase varies by a beta distribution.
const DROPOUT_ALPHA: f64 = 0.8;
const DROPOUT_BETA: f64 = 4.6;
/// Keeps the rarest draws from meaning one purchase in a thousand years, or never any rest.
const RATE_RANGE: (f64, f64) = (1e-5, 0.7);

/// The share of leads who never buy.
const LEADS: f64 = 0.1;
const COMPANIES: f64 = 0.12;
const CLUB_MEMBERS: f64 = 0.5;

pub(super) struct Traits {
    pub persian: bool,
    /// Their texts come with Arabic letters and their phone number in Persian digits.
    pub arabic_letters: bool,
    given: u8,
    family: u8,
    pub region: u8,
    pub company_size: Option<u8>,
    pub birth_date: Option<NaiveDate>,
    pub liked_category: u8,
    pub channel: Channel,
    /// When they usually read messages.
    pub reading_hour: u8,
    pub club_member: bool,
    pub lead: bool,
    /// Second of the day on which they first appeared.
    pub appeared_second: i64,
    pub phone: u32,
    pub purchase_rate: f64,
    pub dropout: f64,
}

/// The generator of everything about one customer.
fn rng_of(seed: u64, number: CustomerNumber) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(number.get()));
    rng
}

impl Traits {
    pub(super) fn of(options: &Options, number: CustomerNumber) -> Self {
        let rng = &mut rng_of(options.seed, number);
        let persian = rng.random_bool(options.persian_share);
        Self {
            persian,
            arabic_letters: rng.random_bool(options.rates.arabic_letters) && persian,
            given: rng.random(),
            family: rng.random(),
            region: region(persian, rng),
            company_size: rng.random_bool(COMPANIES).then(|| rng.random_range(0..4)),
            birth_date: birth_date(rng),
            liked_category: choose_category(rng) as u8,
            channel: order_channel(rng),
            reading_hour: rng.random_range(7..24),
            club_member: rng.random_bool(CLUB_MEMBERS),
            lead: rng.random_bool(LEADS),
            // Early enough to buy on the same day.
            appeared_second: second_of_day(rng) * 95 / 100,
            phone: rng.random_range(0..10_000_000),
            purchase_rate: purchase_rate(rng),
            dropout: dropout(rng),
        }
    }

    pub(super) fn name(&self) -> String {
        let pick = |names: &[&'static str], number: u8| names[usize::from(number) % names.len()];
        if !self.persian {
            return format!("{} {}", pick(&GIVEN_LATIN, self.given), pick(&FAMILY_LATIN, self.family));
        }
        let name = format!("{} {}", pick(&GIVEN_FA, self.given), pick(&FAMILY_FA, self.family));
        if self.arabic_letters { with_arabic_letters(&name) } else { name }
    }

    /// From 0 to 1, the lower the more easily they leave.
    pub(super) fn satisfaction(&self) -> f64 {
        (1.0 - 2.2 * self.dropout).max(0.0)
    }
}

fn region(persian: bool, rng: &mut impl Rng) -> u8 {
    let provinces = PROVINCES.len();
    let in_iran = rng.random_bool(if persian { 0.94 } else { 0.1 });
    // The first provinces hold most people; squaring the draw leans towards them.
    let unit: f64 = rng.random();
    let number = if in_iran {
        (unit * unit * provinces as f64) as usize
    } else {
        provinces + (unit * CITIES.len() as f64) as usize
    };
    number as u8
}

fn birth_date(rng: &mut impl Rng) -> Option<NaiveDate> {
    let known = rng.random_bool(0.7);
    let days = rng.random_range(0..17_500);
    let earliest = NaiveDate::from_ymd_opt(1956, 3, 21)?;
    known.then(|| earliest + Days::new(days))
}

fn order_channel(rng: &mut impl Rng) -> Channel {
    match rng.random_range(0..100) {
        0..38 => Channel::Online,
        38..60 => Channel::App,
        60..82 => Channel::Store,
        82..91 => Channel::Phone,
        _ => Channel::Marketplace,
    }
}

fn purchase_rate(rng: &mut impl Rng) -> f64 {
    let rate = Gamma::new(RATE_SHAPE, RATE_MEAN / RATE_SHAPE).map_or(RATE_MEAN, |rates| rates.sample(rng));
    rate.clamp(RATE_RANGE.0, RATE_RANGE.1)
}

fn dropout(rng: &mut impl Rng) -> f64 {
    Beta::new(DROPOUT_ALPHA, DROPOUT_BETA).map_or(0.15, |chances| chances.sample(rng)).clamp(0.0, 1.0)
}
