//! Subscriptions: how they begin, go on and end. Each change is told by a new version of the row.

use rand::Rng;

use super::customer::CustomerNumber;
use super::kind::{Plan, Standing};
use super::row::Subscription;
use super::season::{BURN_IN_DAYS, DAY_SECONDS};
use super::shop::Shop;

/// Of those who buy, the share that subscribes with the first purchase.
const SUBSCRIBERS: f64 = 0.15;
/// A subscription without an end is paid, and thought over, once in so many days.
const PAID_DAYS: u32 = 30;
/// Of those who stay, the share that moves to another plan each time.
const CHANGES_PLAN: f64 = 0.04;
/// Of those who leave, the share that subscribes again later, and the share that says why it left.
const RETURNS: f64 = 0.2;
const GIVES_REASON: f64 = 0.4;

impl Plan {
    /// Days until it ends if nobody renews it; none for the plan that goes on by itself.
    fn term_days(self) -> Option<u32> {
        match self {
            Self::Basic => None,
            Self::Plus => Some(90),
            Self::Pro => Some(365),
        }
    }

    pub(super) fn monthly_euro(self) -> f64 {
        match self {
            Self::Basic => 3.0,
            Self::Plus => 6.0,
            Self::Pro => 15.0,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Basic => Self::Plus,
            Self::Plus => Self::Pro,
            Self::Pro => Self::Basic,
        }
    }

    /// The chance to leave when the subscription is thought over; `gone`: will buy nothing more either.
    fn leaving(self, gone: bool) -> f64 {
        match (self.term_days(), gone) {
            (None, false) => 0.04,
            (None, true) => 0.25,
            (Some(_), false) => 0.2,
            (Some(_), true) => 0.7,
        }
    }
}

impl Shop<'_> {
    /// Now and then a first purchase comes with a subscription.
    pub(super) fn perhaps_subscribe(&mut self, customer: CustomerNumber, day: u32) {
        if self.subscription_rng.random_bool(SUBSCRIBERS) {
            let plan = self.choose_plan();
            self.begin_subscription(customer, plan, day, day);
        }
    }

    /// Takes up the subscriptions about which something is decided on a day.
    pub(super) fn tend_subscriptions(&mut self, day: u32) {
        for subscription in self.decisions.take(day) {
            if subscription.standing == Standing::Active {
                self.think_over(subscription, day);
            } else {
                let plan = self.choose_plan();
                self.begin_subscription(subscription.customer, plan, day, day);
            }
        }
    }

    fn choose_plan(&mut self) -> Plan {
        match self.subscription_rng.random_range(0..10) {
            0..5 => Plan::Basic,
            5..8 => Plan::Plus,
            _ => Plan::Pro,
        }
    }

    fn begin_subscription(&mut self, customer: CustomerNumber, plan: Plan, starts_day: u32, told_day: u32) {
        self.subscriptions_begun += 1;
        let ends_day = plan.term_days().map(|days| starts_day + days - 1);
        let subscription = Subscription {
            number: self.subscriptions_begun,
            customer,
            plan,
            starts_day,
            ends_day,
            standing: Standing::Active,
            updated_at: 0,
        };
        self.tell_subscription(subscription, told_day, Some(ends_day.unwrap_or(told_day + PAID_DAYS)));
    }

    /// On the last day of a term, or every month of a plan that has none.
    fn think_over(&mut self, subscription: Subscription, day: u32) {
        let gone = self.is_gone(subscription.customer);
        if self.subscription_rng.random_bool(subscription.plan.leaving(gone)) {
            self.end_subscription(subscription, day);
        } else if self.subscription_rng.random_bool(CHANGES_PLAN) {
            self.change_plan(subscription, day);
        } else {
            self.renew_subscription(subscription, day);
        }
    }

    /// A plan without terms goes on without a word.
    fn renew_subscription(&mut self, subscription: Subscription, day: u32) {
        match subscription.plan.term_days() {
            None => {
                self.decisions.put(day + PAID_DAYS, subscription);
            }
            Some(days) => {
                let ends_day = day + days;
                self.tell_subscription(Subscription { ends_day: Some(ends_day), ..subscription }, day, Some(ends_day));
            }
        }
    }

    /// A term runs out; without one, the subscription lasts as long as it is paid for.
    fn end_subscription(&mut self, subscription: Subscription, day: u32) {
        let paid_days = self.subscription_rng.random_range(0..PAID_DAYS);
        let away_days = self.subscription_rng.random_range(20..150);
        let returns = self.subscription_rng.random_bool(RETURNS);
        let gives_reason = self.subscription_rng.random_bool(GIVES_REASON);
        let (ends_day, standing) = match subscription.ends_day {
            Some(ends_day) => (ends_day, Standing::Expired),
            None => (day + paid_days, Standing::Cancelled),
        };
        let customer = subscription.customer;
        let ended = Subscription { ends_day: Some(ends_day), standing, ..subscription };
        self.tell_subscription(ended, day, returns.then_some(ends_day + away_days));
        if gives_reason && day >= BURN_IN_DAYS {
            let at = self.noon(day) + 3_600;
            self.give_reason(customer, at);
        }
    }

    /// The old plan ends today and the new one begins tomorrow, so that no day lies between or in both.
    fn change_plan(&mut self, subscription: Subscription, day: u32) {
        let (customer, plan) = (subscription.customer, subscription.plan.other());
        let ended = Subscription { ends_day: Some(day), standing: Standing::Changed, ..subscription };
        self.tell_subscription(ended, day, None);
        self.begin_subscription(customer, plan, day + 1, day);
    }

    /// Writes a version into the file of its day, or of the first day when it is older. `decided_day` is
    /// when something is decided about it again.
    fn tell_subscription(&mut self, mut subscription: Subscription, day: u32, decided_day: Option<u32>) {
        subscription.updated_at = self.noon(day);
        self.subscriptions.put(day.max(BURN_IN_DAYS), subscription.clone());
        if let Some(decided_day) = decided_day {
            self.decisions.put(decided_day, subscription);
        }
    }

    fn noon(&self, day: u32) -> i64 {
        self.world.season.starts_at(day) + DAY_SECONDS / 2
    }
}
