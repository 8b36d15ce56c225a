//! What the shop sells.

use rand::Rng;
use rand_distr::{Distribution, LogNormal};

use super::options::Currency;

/// A product's number in the catalogue, from 1.
pub(super) type ProductNumber = std::num::NonZeroU16;

pub(super) struct Product {
    /// Index into [`CATEGORIES`].
    pub category: u8,
    /// Serial number within its category, from 1.
    pub serial: u16,
    pub price: i64,
    /// What it costs the shop; unknown for some, as in real life.
    pub cost: Option<i64>,
    /// What goes with it, one from another category.
    pub complement: ProductNumber,
}

pub(super) struct Category {
    pub code: &'static str,
    name_fa: &'static str,
    share: u32,
    median_price_euro: f64,
    margin: f64,
    /// Index of the category that its complements come from.
    goes_with: usize,
}

pub(super) const CATEGORIES: [Category; 10] = [
    category("groceries", "خواربار", 24, 6.0, 0.14, 6),
    category("beauty", "زیبایی و بهداشت", 14, 11.0, 0.42, 3),
    category("mobile", "موبایل", 6, 190.0, 0.09, 7),
    category("clothing", "پوشاک", 15, 24.0, 0.48, 1),
    category("books", "کتاب", 9, 8.0, 0.30, 8),
    category("home", "خانه و آشپزخانه", 11, 32.0, 0.33, 0),
    category("kitchenware", "ظروف", 6, 18.0, 0.36, 0),
    category("accessories", "لوازم جانبی", 8, 9.0, 0.52, 2),
    category("toys", "اسباب‌بازی", 4, 15.0, 0.38, 4),
    category("sports", "ورزش و سفر", 3, 40.0, 0.31, 3),
];

const fn category(
    code: &'static str,
    name_fa: &'static str,
    share: u32,
    median_price_euro: f64,
    margin: f64,
    goes_with: usize,
) -> Category {
    Category { code, name_fa, share, median_price_euro, margin, goes_with }
}

const PER_CATEGORY: u16 = 36;
const COST_UNKNOWN: f64 = 0.04;

pub(super) struct Catalog {
    products: Vec<Product>,
}

impl Catalog {
    pub(super) fn new(currency: Currency, rng: &mut impl Rng) -> Self {
        let mut products = Vec::new();
        for (index, category) in CATEGORIES.iter().enumerate() {
            for serial in 1..=PER_CATEGORY {
                products.push(new_product(index, category, serial, currency, rng));
            }
        }
        Self { products }
    }

    pub(super) fn product(&self, number: ProductNumber) -> &Product {
        &self.products[usize::from(number.get()) - 1]
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = ProductNumber> {
        (1..=self.products.len() as u16).filter_map(ProductNumber::new)
    }

    /// A product to buy: half the time from the category that the customer likes.
    pub(super) fn choose(&self, liked_category: u8, rng: &mut impl Rng) -> ProductNumber {
        let category = if rng.random_bool(0.5) { usize::from(liked_category) } else { choose_category(rng) };
        number_in(category, popular_serial(rng))
    }
}

fn new_product(index: usize, category: &Category, serial: u16, currency: Currency, rng: &mut impl Rng) -> Product {
    let spread = LogNormal::new(0.0, 0.7).map_or(1.0, |prices| prices.sample(rng));
    let units = category.median_price_euro * spread * currency.units_per_euro();
    let price = ((units / currency.step() as f64).round() as i64).max(1) * currency.step();
    let margin = (category.margin + rng.random_range(-0.06..0.06_f64)).max(0.02);
    let cost = (price as f64 * (1.0 - margin)).round() as i64;
    Product {
        category: index as u8,
        serial,
        price,
        cost: (!rng.random_bool(COST_UNKNOWN)).then_some(cost),
        complement: number_in(category.goes_with, popular_serial(rng)),
    }
}

fn number_in(category: usize, serial: u16) -> ProductNumber {
    ProductNumber::new(category as u16 * PER_CATEGORY + serial).unwrap_or(ProductNumber::MIN)
}

/// The first of a category sell far better than the last.
fn popular_serial(rng: &mut impl Rng) -> u16 {
    let unit: f64 = rng.random();
    1 + (unit.powi(3) * f64::from(PER_CATEGORY)) as u16
}

pub(super) fn choose_category(rng: &mut impl Rng) -> usize {
    let mut rest = rng.random_range(0..CATEGORIES.iter().map(|category| category.share).sum());
    for (index, category) in CATEGORIES.iter().enumerate() {
        if rest < category.share {
            return index;
        }
        rest -= category.share;
    }
    0
}

impl Product {
    pub(super) fn category(&self) -> &'static Category {
        &CATEGORIES[usize::from(self.category)]
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.category().name_fa, self.serial)
    }
}
