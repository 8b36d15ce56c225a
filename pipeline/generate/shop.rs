//! The run of the shop: who comes on which day.

use std::io;
use std::num::NonZeroU32;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::campaign::plan;
use super::catalog::Catalog;
use super::customer::{CustomerNumber, Traits};
use super::deliver::{Export, Outbox, Trouble};
use super::options::Options;
use super::row::{CatalogEntry, Identity, Interaction, Line, Order, Profile, Subscription, World};
use super::sale::Purchase;
use super::season::{BURN_IN_DAYS, Season};
use super::visit::Encounter;
use super::{Sink, Summary};

/// No day: the event will not happen within the files' days.
const NEVER: u16 = u16::MAX;
/// The end of a day's list.
const NOBODY: u32 = u32::MAX;

/// All that is kept of a customer (20 bytes). The rest is drawn again when needed.
struct State {
    purchase_rate: f32,
    dropout: f32,
    /// The next customer, by index, in the list of the same day.
    next: u32,
    purchase_day: u16,
    visit_day: u16,
    /// Has bought.
    buyer: bool,
    /// Will never buy again (or at all).
    gone: bool,
    unsubscribed: bool,
    profile_version: u8,
}

const _: () = assert!(size_of::<State>() == 20, "ten million customers are to fit into memory");

/// Of those who will buy, the share that does so on the day they first appear.
const BUYS_AT_ONCE: f64 = 0.75;
const FIRST_PURCHASE_RATE: f64 = 1.0 / 25.0;
/// Visits per average day: some of everyone, more of those who buy often.
const VISIT_RATE: f64 = 0.012;
const VISITS_PER_PURCHASE: f64 = 0.45;
/// Someone who is gone, or has not bought, still looks in at this rate, and each time it may be the last.
const FADING_VISIT_RATE: f64 = 1.0 / 12.0;
const FADING_LAST_VISIT: f64 = 0.4;
const PROFILE_CHANGES: f64 = 0.02;

pub(super) struct Shop<'a> {
    pub world: World,
    pub rng: ChaCha8Rng,
    pub trouble: Trouble,
    pub orders: Outbox<Order>,
    pub lines: Outbox<Line>,
    pub interactions: Outbox<Interaction>,
    profiles: Outbox<Profile>,
    /// Versions of subscriptions, by the day whose file tells of them.
    pub subscriptions: Outbox<Subscription>,
    /// Each subscription once, by the day on which something is decided about it next.
    pub decisions: Outbox<Subscription>,
    /// Apart, so that subscriptions leave the rest of the shop as it is without them.
    pub subscription_rng: ChaCha8Rng,
    pub subscriptions_begun: u64,
    pub summary: Summary,
    pub orders_placed: u64,
    pub events: u64,
    pub tickets: u64,
    states: Vec<State>,
    /// The first customer, by index, of each day's list of those who do something on it.
    agenda: Vec<u32>,
    /// How many customers have appeared by the end of each day.
    arrived: Vec<u32>,
    options: &'a Options,
}

impl<'a> Shop<'a> {
    pub(super) fn open(options: &'a Options) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let season = Season::new(options.first_day, options.days, options.utc_offset_minutes, &mut rng);
        let last_day = season.last_day();
        let catalog = Catalog::new(options.currency, &mut rng);
        let campaigns = plan(&season, options.customers as u32, options.currency, &mut rng);
        let arrived = arrivals(&season, options.customers);
        let old_customers = arrived[BURN_IN_DAYS as usize];
        let mut subscription_rng = ChaCha8Rng::seed_from_u64(options.seed);
        subscription_rng.set_stream(u64::MAX - 2);
        Self {
            arrived,
            world: World { options: options.clone(), season, catalog, campaigns, old_customers },
            rng,
            trouble: Trouble::new(options.seed, options.rates),
            orders: Outbox::new(last_day),
            lines: Outbox::new(last_day),
            interactions: Outbox::new(last_day),
            profiles: Outbox::new(last_day),
            subscriptions: Outbox::new(last_day),
            decisions: Outbox::new(last_day),
            subscription_rng,
            subscriptions_begun: 0,
            summary: Summary::default(),
            orders_placed: 0,
            events: 0,
            tickets: 0,
            states: Vec::with_capacity(options.customers as usize),
            agenda: vec![NOBODY; last_day as usize + 1],
            options,
        }
    }

    pub(super) fn run(mut self, sink: &mut dyn Sink) -> io::Result<Summary> {
        self.burn_in();
        for day in BURN_IN_DAYS..=self.world.season.last_day() {
            self.welcome(day);
            self.walk(day);
            self.tend_subscriptions(day);
            self.send_campaigns(day);
            self.export(day, sink)?;
        }
        self.orders.report(&mut self.summary.orders);
        self.interactions.report(&mut self.summary.interactions);
        Ok(self.summary)
    }

    pub(super) fn known_customers(&self) -> u32 {
        self.states.len() as u32
    }

    fn state(&mut self, customer: CustomerNumber) -> &mut State {
        &mut self.states[customer.get() as usize - 1]
    }

    pub(super) fn reachable(&self, customer: CustomerNumber) -> bool {
        !self.states[customer.get() as usize - 1].unsubscribed
    }

    pub(super) fn is_gone(&self, customer: CustomerNumber) -> bool {
        self.states[customer.get() as usize - 1].gone
    }

    pub(super) fn unsubscribe(&mut self, customer: CustomerNumber) {
        self.state(customer).unsubscribed = true;
    }

    /// Lives through the year before the first file without a trace, but for who is there and what is
    /// on their minds.
    fn burn_in(&mut self) {
        for day in 0..BURN_IN_DAYS {
            for customer in self.newcomers(day) {
                let mut state = self.appear(customer, day);
                self.age(customer, &mut state);
                self.states.push(state);
                self.enlist(customer);
            }
        }
        for day in 0..BURN_IN_DAYS {
            self.tend_subscriptions(day);
        }
    }

    /// The customers who first appear on a day.
    fn newcomers(&self, day: u32) -> impl Iterator<Item = CustomerNumber> + use<> {
        let known = self.known_customers();
        (known + 1..=self.arrived[day as usize]).filter_map(NonZeroU32::new)
    }

    fn appear(&mut self, customer: CustomerNumber, day: u32) -> State {
        let traits = Traits::of(self.options, customer);
        let at_once = self.rng.random_bool(BUYS_AT_ONCE);
        let first = self.world.season.next_day(day, FIRST_PURCHASE_RATE, &mut self.rng);
        let today = day_or_never(Some(day));
        State {
            purchase_rate: traits.purchase_rate as f32,
            dropout: traits.dropout as f32,
            next: NOBODY,
            purchase_day: match (traits.lead, at_once) {
                (true, _) => NEVER,
                (false, true) => today,
                (false, false) => day_or_never(first),
            },
            visit_day: today,
            buyer: false,
            gone: traits.lead,
            unsubscribed: false,
            profile_version: 0,
        }
    }

    /// Lets a customer's purchases and visits happen up to the first day of files.
    fn age(&mut self, customer: CustomerNumber, state: &mut State) {
        let opens = BURN_IN_DAYS as u16;
        while state.purchase_day < opens {
            let day = state.purchase_day;
            self.bought(customer, state, u32::from(day));
        }
        while state.visit_day < opens {
            let day = state.visit_day;
            self.visited(state, u32::from(day));
        }
    }

    /// What a purchase does to a customer: perhaps it was the last. One that a campaign brought goes
    /// before the customer's own next one and does not replace it.
    fn bought(&mut self, customer: CustomerNumber, state: &mut State, day: u32) {
        if !state.buyer {
            self.perhaps_subscribe(customer, day);
        }
        state.buyer = true;
        state.gone = self.rng.random_bool(f64::from(state.dropout));
        if state.gone {
            state.purchase_day = NEVER;
        } else if u32::from(state.purchase_day) == day {
            let next = self.world.season.next_day(day, f64::from(state.purchase_rate), &mut self.rng);
            state.purchase_day = day_or_never(next);
        }
    }

    fn visited(&mut self, state: &mut State, day: u32) {
        let fading = state.gone || !state.buyer;
        let last = fading && self.rng.random_bool(FADING_LAST_VISIT);
        let rate =
            if fading { FADING_VISIT_RATE } else { VISIT_RATE + VISITS_PER_PURCHASE * f64::from(state.purchase_rate) };
        let next = self.world.season.next_day(day, rate, &mut self.rng);
        state.visit_day = if last { NEVER } else { day_or_never(next) };
    }

    /// Puts a customer on the list of the next day on which he does something.
    fn enlist(&mut self, customer: CustomerNumber) {
        let index = customer.get() - 1;
        let state = &mut self.states[index as usize];
        let day = state.purchase_day.min(state.visit_day);
        if let Some(first) = self.agenda.get_mut(usize::from(day)) {
            state.next = std::mem::replace(first, index);
        }
    }

    fn welcome(&mut self, day: u32) {
        for customer in self.newcomers(day) {
            let state = self.appear(customer, day);
            self.states.push(state);
            self.enlist(customer);
            if day > BURN_IN_DAYS {
                let profile = Profile { customer, created_day: day, changed_at: None, version: 0 };
                self.profiles.put(day, profile);
            }
        }
    }

    /// Meets everyone on the day's list.
    fn walk(&mut self, day: u32) {
        let mut index = std::mem::replace(&mut self.agenda[day as usize], NOBODY);
        while index != NOBODY {
            let next = self.states[index as usize].next;
            if let Some(customer) = NonZeroU32::new(index + 1) {
                self.meet(customer, day);
                self.enlist(customer);
            }
            index = next;
        }
    }

    fn meet(&mut self, customer: CustomerNumber, day: u32) {
        let traits = Traits::of(self.options, customer);
        let created_day = self.created_day(customer);
        let not_before = self.world.season.starts_at(created_day) + traits.appeared_second + 60;
        let state = self.state(customer);
        let (purchase_day, visit_day) = (u32::from(state.purchase_day), u32::from(state.visit_day));
        if visit_day == day {
            let (buyer, gone) = (state.buyer, state.gone && state.buyer);
            self.drop_by(&Encounter { customer, traits: &traits, day, not_before, buyer, gone });
            self.with_state(customer, |shop, state| shop.visited(state, day));
            self.change_profile(customer, created_day, day);
        }
        if purchase_day == day {
            let not_before = not_before + 600;
            self.buy(&Purchase { customer, day, not_before, campaign: None, declares: false }, &traits);
        }
    }

    /// A purchase with all that belongs to it.
    pub(super) fn buy(&mut self, purchase: &Purchase, traits: &Traits) {
        let &Purchase { customer, day, not_before, .. } = purchase;
        let placed = self.place(purchase, traits);
        self.with_state(customer, |shop, state| shop.bought(customer, state, day));
        let gone = self.is_gone(customer);
        self.surround(&Encounter { customer, traits, day, not_before, buyer: true, gone }, &placed);
    }

    /// Takes the customer's state out while the shop changes it.
    fn with_state(&mut self, customer: CustomerNumber, change: impl FnOnce(&mut Self, &mut State)) {
        let index = customer.get() as usize - 1;
        let mut state = std::mem::replace(&mut self.states[index], State::VACANT);
        change(self, &mut state);
        self.states[index] = state;
    }

    fn created_day(&self, customer: CustomerNumber) -> u32 {
        self.arrived.partition_point(|&arrived| arrived < customer.get()) as u32
    }

    /// On the first day of files everyone's profile is written as it is, so that changes begin after it.
    fn change_profile(&mut self, customer: CustomerNumber, created_day: u32, day: u32) {
        if day <= BURN_IN_DAYS.max(created_day) || !self.rng.random_bool(PROFILE_CHANGES) {
            return;
        }
        let changed_at = Some(self.world.season.starts_at(day) + self.rng.random_range(30_000..80_000));
        let state = self.state(customer);
        state.profile_version = state.profile_version.wrapping_add(1);
        let version = state.profile_version;
        self.profiles.put(day, Profile { customer, created_day, changed_at, version });
    }

    fn export(&mut self, day: u32, sink: &mut dyn Sink) -> io::Result<()> {
        let mut orders = self.orders.take(day);
        orders.sort_unstable_by_key(|order| (order.updated_at, order.number));
        let lines = self.lines.take(day);
        let mut interactions = self.interactions.take(day);
        interactions.sort_unstable_by_key(|interaction| (interaction.at, interaction.number));
        let profiles = self.profiles.take(day);
        let subscriptions = self.subscriptions.take(day);
        let summary = &mut self.summary;
        let mut export = Export { world: &self.world, day, trouble: &mut self.trouble, sink };
        if day == BURN_IN_DAYS {
            let arrived = &self.arrived;
            export_what_was(&mut export, arrived, summary)?;
        }
        export.deliver(&profiles, &mut summary.customers)?;
        export.deliver(&orders, &mut summary.orders)?;
        export.deliver(&lines, &mut summary.order_items)?;
        export.deliver(&interactions, &mut summary.interactions)?;
        export.deliver(&subscriptions, &mut summary.subscriptions)
    }
}

/// The products, the campaigns, the app's own ids, and everyone who has come by the end of the first day of
/// files.
fn export_what_was(export: &mut Export, arrived: &[u32], summary: &mut Summary) -> io::Result<()> {
    let products: Vec<CatalogEntry> = export.world.catalog.numbers().map(CatalogEntry).collect();
    let campaigns: Vec<_> = export.world.campaigns.iter().collect();
    export.deliver(&products, &mut summary.products)?;
    export.deliver(&campaigns, &mut summary.campaigns)?;
    let identities = Identity::count(export.world);
    export.deliver_numbered(identities, Identity::nth, &mut summary.identities)?;
    let profile = |number: u32| {
        let created_day = arrived.partition_point(|&arrived| arrived < number) as u32;
        let customer = NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Profile { customer, created_day, changed_at: None, version: 0 }
    };
    export.deliver_numbered(arrived[BURN_IN_DAYS as usize], profile, &mut summary.customers)
}

impl State {
    /// Stands in while a customer's state is being changed.
    const VACANT: Self = Self {
        purchase_rate: 0.0,
        dropout: 0.0,
        next: NOBODY,
        purchase_day: NEVER,
        visit_day: NEVER,
        buyer: false,
        gone: true,
        unsubscribed: false,
        profile_version: 0,
    };
}

/// Validation keeps all days below `NEVER`.
fn day_or_never(day: Option<u32>) -> u16 {
    day.and_then(|day| u16::try_from(day).ok()).unwrap_or(NEVER)
}

/// Spreads the customers over the days, more on busy ones.
fn arrivals(season: &Season, customers: u64) -> Vec<u32> {
    let busy = season.busy_before();
    let total = busy.last().copied().unwrap_or(1.0);
    busy.iter().skip(1).map(|before| (customers as f64 * before / total).round() as u32).collect()
}
