//! What customers do besides buying, and what the shop does to them.

use std::num::{NonZeroU32, NonZeroU64};

use rand::Rng;
use rand_distr::{Distribution, Normal};

use super::campaign::WAVES;
use super::catalog::ProductNumber;
use super::customer::{CustomerNumber, Traits};
use super::kind::{Channel, Kind, REASONS, TOPICS, Topic};
use super::row::{Interaction, Subject};
use super::sale::{Placed, Purchase};
use super::season::{DAY_SECONDS, second_of_day};
use super::shop::Shop;

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// What a visit may hold besides the login, each with its chance.
const VISIT: [(Kind, f64); 18] = [
    (Kind::PageView, 0.34),
    (Kind::NewsRead, 0.12),
    (Kind::CartAdd, 0.08),
    (Kind::ProductUsed, 0.04),
    (Kind::SurveyNps, 0.035),
    (Kind::ArticleRead, 0.03),
    (Kind::TicketOpened, 0.025),
    (Kind::CallIn, 0.02),
    (Kind::Comment, 0.02),
    (Kind::Quote, 0.012),
    (Kind::CallOut, 0.012),
    (Kind::Demo, 0.004),
    (Kind::RewardRedeemed, 0.015),
    (Kind::Referral, 0.012),
    (Kind::FeatureRequest, 0.005),
    (Kind::CourseStarted, 0.005),
    (Kind::ForumPost, 0.005),
    (Kind::Subscribed, 0.004),
];

/// The same for someone who has not bought yet.
const LEAD_VISIT: [(Kind, f64); 6] = [
    (Kind::PageView, 0.6),
    (Kind::NewsRead, 0.15),
    (Kind::Demo, 0.08),
    (Kind::CallIn, 0.06),
    (Kind::CallOut, 0.1),
    (Kind::Quote, 0.1),
];

/// Who is met, and when.
pub(super) struct Encounter<'a> {
    pub customer: CustomerNumber,
    pub traits: &'a Traits,
    pub day: u32,
    pub not_before: i64,
    /// Has bought before.
    pub buyer: bool,
    /// Will not buy again; shows in the answers.
    pub gone: bool,
}

impl Shop<'_> {
    /// Numbers an interaction and puts it on its way to the file of its day.
    pub(super) fn tell(&mut self, mut interaction: Interaction) -> u64 {
        self.events += 1;
        interaction.number = self.events;
        let day = self.world.season.day_of(interaction.at);
        self.interactions.post(day, interaction, &mut self.trouble);
        self.events
    }

    /// A visit to the shop's pages.
    pub(super) fn drop_by(&mut self, who: &Encounter) {
        let sampled = self.world.season.starts_at(who.day) + second_of_day(&mut self.rng);
        let mut at = sampled.max(who.not_before);
        if who.buyer && self.rng.random_bool(0.8) {
            self.tell(Interaction { channel: Some(panel(who.traits)), ..of(who.customer, Kind::Login, at) });
        }
        let kinds: &[(Kind, f64)] = if who.buyer { &VISIT } else { &LEAD_VISIT };
        for &(kind, chance) in kinds {
            if self.rng.random_bool(chance) {
                at += self.rng.random_range(20..300);
                self.act(who, kind, at);
            }
        }
        if who.gone && self.rng.random_bool(0.05) {
            self.give_reason(who.customer, at + DAY_SECONDS);
        }
    }

    fn act(&mut self, who: &Encounter, kind: Kind, at: i64) {
        match kind {
            Kind::TicketOpened => self.open_ticket(who, at, Subject::Nothing),
            Kind::RewardRedeemed => self.redeem(who, at),
            Kind::SurveyNps => {
                let score = self.nps_score(who);
                let topic = if self.rng.random_bool(0.4) { Some(self.topic()) } else { None };
                self.tell(Interaction { score: Some(score), topic, ..of(who.customer, kind, at) });
            }
            Kind::CallIn | Kind::CallOut | Kind::Demo => self.talk(who, kind, at),
            _ => {
                let interaction = self.detail(who, kind, at);
                self.tell(interaction);
            }
        }
    }

    /// An interaction of a kind that nothing follows from.
    fn detail(&mut self, who: &Encounter, kind: Kind, at: i64) -> Interaction {
        let mut interaction = Interaction { channel: Some(panel(who.traits)), ..of(who.customer, kind, at) };
        match kind {
            Kind::PageView | Kind::CartAdd | Kind::ProductUsed => {
                interaction.product = Some(self.world.catalog.choose(who.traits.liked_category, &mut self.rng));
            }
            Kind::Comment | Kind::ForumPost => interaction.topic = Some(self.topic()),
            Kind::FeatureRequest => interaction.topic = Some(Topic::MissingFeature),
            Kind::Referral => interaction.referred = self.someone_newer(who.customer),
            Kind::Quote => interaction.value = self.quoted_value(),
            Kind::Subscribed => interaction.channel = Some(Channel::Email),
            _ => {}
        }
        interaction
    }

    fn topic(&mut self) -> Topic {
        TOPICS[self.rng.random_range(0..TOPICS.len())]
    }

    /// Someone who has come, or will come, after the customer.
    fn someone_newer(&mut self, customer: CustomerNumber) -> Option<CustomerNumber> {
        let newer = customer.get().saturating_add(self.rng.random_range(1..200));
        NonZeroU32::new(newer).filter(|&newer| u64::from(newer.get()) <= self.world.options.customers)
    }

    fn quoted_value(&mut self) -> Option<NonZeroU64> {
        let currency = self.world.options.currency;
        let euro = self.rng.random_range(50.0..2_000.0_f64).round();
        NonZeroU64::new((euro * currency.units_per_euro()) as u64)
    }

    /// A call or demonstration, now and then followed by a question how it was.
    fn talk(&mut self, who: &Encounter, kind: Kind, at: i64) {
        let call = self.tell(Interaction { channel: Some(Channel::Phone), ..of(who.customer, kind, at) });
        if self.rng.random_bool(0.3) {
            self.ask_csat(who, at + HOUR, Subject::Event(call), None);
        }
    }

    /// A reward is offered, and mostly taken at once.
    fn redeem(&mut self, who: &Encounter, at: i64) {
        if !who.traits.club_member {
            return;
        }
        let reward = self.rng.random_range(1..7_u8);
        let points = NonZeroU32::new(u32::from(reward) * 10);
        let subject = Subject::Reward(reward);
        let value = self.world.options.currency.units_per_euro() * f64::from(reward);
        let value = NonZeroU64::new(value as u64);
        self.tell(Interaction { subject, value, ..of(who.customer, Kind::RewardGranted, at - 2 * MINUTE) });
        if self.rng.random_bool(0.25) {
            return;
        }
        self.tell(Interaction { subject, points, ..of(who.customer, Kind::PointsSpent, at) });
        self.tell(Interaction { subject, value, ..of(who.customer, Kind::RewardRedeemed, at) });
    }

    /// A ticket, its answers and, mostly, its end.
    fn open_ticket(&mut self, who: &Encounter, at: i64, about: Subject) {
        self.tickets += 1;
        let subject = Subject::Ticket(self.tickets);
        let topic = if matches!(about, Subject::Order(_)) { Topic::Delivery } else { self.topic() };
        let ticket = Interaction { subject, topic: Some(topic), ..of(who.customer, Kind::TicketOpened, at) };
        self.tell(Interaction { channel: Some(panel(who.traits)), ..ticket.clone() });
        if !self.rng.random_bool(0.94) {
            return;
        }
        let unit: f64 = self.rng.random();
        let replied_at = at + 8 * MINUTE + (unit * unit * 30.0 * HOUR as f64) as i64;
        self.tell(Interaction { at: replied_at, kind: Kind::TicketReplied, ..ticket.clone() });
        if self.rng.random_bool(0.88) {
            let resolved_at = replied_at + self.rng.random_range(10 * MINUTE..60 * HOUR);
            self.tell(Interaction { at: resolved_at, kind: Kind::TicketResolved, ..ticket });
            if self.rng.random_bool(0.35) {
                self.ask_csat(who, resolved_at + 3 * HOUR, subject, Some(topic));
            }
        }
    }

    fn ask_csat(&mut self, who: &Encounter, at: i64, subject: Subject, topic: Option<Topic>) {
        let score = 1.0 + 0.45 * f64::from(self.nps_score(who));
        let score = (score.round() as u8).clamp(1, 5);
        self.tell(Interaction { score: Some(score), subject, topic, ..of(who.customer, Kind::SurveyCsat, at) });
    }

    /// From 0 to 10, higher for those who do not leave easily, low for those who have left.
    fn nps_score(&mut self, who: &Encounter) -> u8 {
        let noise = Normal::new(0.0, 1.4).map_or(0.0, |noises| noises.sample(&mut self.rng));
        let farewell = if who.gone { 3.2 } else { 0.0 };
        (5.6 + 4.4 * who.traits.satisfaction() - farewell + noise).round().clamp(0.0, 10.0) as u8
    }

    pub(super) fn give_reason(&mut self, customer: CustomerNumber, at: i64) {
        let unit: f64 = self.rng.random();
        let reason = REASONS[(unit * unit * REASONS.len() as f64) as usize];
        self.tell(Interaction { reason: Some(reason), ..of(customer, Kind::ChurnReason, at) });
    }

    /// What goes before an order and comes after it.
    pub(super) fn surround(&mut self, who: &Encounter, placed: &Placed) {
        let online = matches!(placed.channel, Channel::Online | Channel::App);
        if online && placed.at - 15 * MINUTE >= who.not_before {
            self.browse(who, placed);
        }
        if who.traits.club_member && self.rng.random_bool(0.6) {
            self.earn_points(who.customer, placed);
        }
        let trouble = if placed.late_delivery { 0.2 } else { 0.03 };
        if self.rng.random_bool(trouble) {
            self.open_ticket(who, placed.at + 5 * HOUR, Subject::Order(placed.order));
        }
        if self.rng.random_bool(0.07) {
            let asked_at = placed.at + 3 * DAY_SECONDS;
            self.ask_csat(who, asked_at, Subject::Order(placed.order), Some(Topic::Delivery));
        }
    }

    fn browse(&mut self, who: &Encounter, placed: &Placed) {
        let came_at = placed.at - self.rng.random_range(3 * MINUTE..15 * MINUTE);
        let channel = Some(placed.channel);
        let seen = |kind, at| Interaction { channel, product: Some(placed.product), ..of(who.customer, kind, at) };
        if self.rng.random_bool(0.85) {
            self.tell(Interaction { channel, ..of(who.customer, Kind::Login, came_at) });
        }
        if self.rng.random_bool(0.45) {
            self.tell(seen(Kind::PageView, came_at + MINUTE));
        }
        if self.rng.random_bool(0.35) {
            self.tell(seen(Kind::CartAdd, came_at + 2 * MINUTE));
        }
    }

    /// One point for every euro's worth.
    fn earn_points(&mut self, customer: CustomerNumber, placed: &Placed) {
        let euro = placed.amount as f64 / self.world.options.currency.units_per_euro();
        let points = NonZeroU32::new((euro as u32).max(1));
        let subject = Subject::Order(placed.order);
        self.tell(Interaction { points, subject, ..of(customer, Kind::PointsEarned, placed.at + 1) });
    }

    /// Sends the day's campaign messages, one wave of each running campaign.
    pub(super) fn send_campaigns(&mut self, day: u32) {
        for index in 0..self.world.campaigns.len() {
            if let Some(wave) = self.world.campaigns[index].wave(day) {
                self.send_wave(index, wave, day);
            }
        }
    }

    /// Those who are written to are a fixed stride through all customers, shifted by campaign and wave.
    fn send_wave(&mut self, index: usize, wave: u32, day: u32) {
        let stride = self.world.campaigns[index].one_in * WAVES;
        let first = 1 + (index as u32 * WAVES * 5 + wave) % stride;
        for number in (first..=self.known_customers()).step_by(stride as usize) {
            if let Some(customer) = NonZeroU32::new(number).filter(|&number| self.reachable(number)) {
                self.send_message(index, customer, day);
            }
        }
    }

    fn send_message(&mut self, index: usize, customer: CustomerNumber, day: u32) {
        let campaign = &self.world.campaigns[index];
        let (holdout, channel) = (campaign.holdout.unwrap_or(0.0), campaign.channel);
        let starts_at = self.world.season.starts_at(day) + 10 * HOUR;
        let at = starts_at + self.rng.random_range(0..90 * MINUTE);
        let template = Interaction {
            campaign: Some(campaign.number),
            channel: Some(channel),
            ..of(customer, Kind::MessageSent, at)
        };
        if self.rng.random_bool(holdout) {
            self.tell(Interaction { kind: Kind::HoldoutAssigned, ..template });
            return;
        }
        let message = NonZeroU64::new(self.events + 1);
        let template = Interaction { message, ..template };
        self.tell(template.clone());
        self.receive(template, day);
    }

    fn receive(&mut self, message: Interaction, day: u32) {
        let arrived_at = message.at + self.rng.random_range(1..40);
        if self.rng.random_bool(0.03) {
            self.tell(Interaction { at: arrived_at, kind: Kind::MessageBounced, ..message });
            return;
        }
        self.tell(Interaction { at: arrived_at, kind: Kind::MessageDelivered, ..message.clone() });
        let gone = self.is_gone(message.customer);
        let opens = if gone { 0.08 } else { 0.34 };
        if self.rng.random_bool(opens) {
            self.open_message(message, arrived_at, day);
        }
    }

    /// Opened at the customer's hour, or soon; perhaps clicked, answered or resented.
    fn open_message(&mut self, message: Interaction, arrived_at: i64, day: u32) {
        let customer = message.customer;
        let traits = Traits::of(&self.world.options, customer);
        let habit = self.world.season.starts_at(day) + i64::from(traits.reading_hour) * HOUR;
        let soon = arrived_at + self.rng.random_range(MINUTE..2 * HOUR);
        let usual = habit + if habit < arrived_at { DAY_SECONDS } else { 0 } + self.rng.random_range(0..HOUR);
        let at = if self.rng.random_bool(0.6) { usual } else { soon };
        self.tell(Interaction { at, kind: Kind::MessageOpened, ..message.clone() });
        if self.rng.random_bool(0.02) {
            self.unsubscribe(customer);
            self.tell(Interaction { at: at + MINUTE, kind: Kind::Unsubscribed, ..message.clone() });
        } else if self.rng.random_bool(0.3) {
            self.click_message(message, &traits, at + MINUTE);
        } else if self.rng.random_bool(0.03) {
            self.tell(Interaction { at: at + 9 * MINUTE, kind: Kind::MessageReplied, ..message });
        }
    }

    fn click_message(&mut self, message: Interaction, traits: &Traits, at: i64) {
        let (customer, campaign) = (message.customer, message.campaign);
        self.tell(Interaction { at, kind: Kind::MessageClicked, ..message });
        let day = self.world.season.day_of(at);
        let buys = self.rng.random_bool(0.4) && !self.is_gone(customer);
        if buys && day <= self.world.season.last_day() {
            let declares = self.rng.random_bool(0.6);
            let purchase = Purchase { customer, day, not_before: at + 5 * MINUTE, campaign, declares };
            self.buy(&purchase, traits);
        }
    }
}

/// An interaction with nothing but who, what and when.
fn of(customer: CustomerNumber, kind: Kind, at: i64) -> Interaction {
    Interaction {
        number: 0,
        customer,
        at,
        kind,
        channel: None,
        campaign: None,
        message: None,
        product: None::<ProductNumber>,
        score: None,
        topic: None,
        reason: None,
        subject: Subject::Nothing,
        referred: None,
        points: None,
        value: None,
    }
}

/// Where a customer's own doings take place.
fn panel(traits: &Traits) -> Channel {
    if traits.channel == Channel::App { Channel::App } else { Channel::Online }
}
