//! The business settings: thresholds and windows that models name as `$parameters`.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Fixed, Statuses, Whole};
use super::wrappers::Placed;

/// A number of days, up to ten years.
pub type Days = Whole<1, 3_650>;
/// A fraction with four decimals.
pub type Share = Fixed<0, 10_000, 4>;
/// A factor with two decimals, from 1 to 100.
pub type Factor = Fixed<100, 10_000, 2>;

/// What counts as an active customer in the headline figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum KpiBasis {
    /// A purchase.
    Order,
    /// An interaction that the customer made.
    Interaction,
    /// Either.
    Any,
}

/// Between which two sets of customers the headline figures compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum KpiBase {
    /// Active in the period before and in this one.
    Period,
    /// Active within `active_days` before the period's start and before its end.
    Window,
    /// With a live subscription on the day before the period's start and on its last day.
    Contract,
}

/// How RFM scores are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RfmMethod {
    /// By the share of customers that are strictly worse: equal customers score equally.
    Share,
    /// Five groups of equal size, ties by customer id.
    Ntile,
    /// Type-7 quantiles, half-open.
    Quantile,
    /// The seed table of thresholds.
    Thresholds,
}

impl KpiBasis {
    const fn as_str(self) -> &'static str {
        match self {
            KpiBasis::Order => "order",
            KpiBasis::Interaction => "interaction",
            KpiBasis::Any => "any",
        }
    }
}

impl KpiBase {
    const fn as_str(self) -> &'static str {
        match self {
            KpiBase::Period => "period",
            KpiBase::Window => "window",
            KpiBase::Contract => "contract",
        }
    }
}

impl RfmMethod {
    const fn as_str(self) -> &'static str {
        match self {
            RfmMethod::Share => "share",
            RfmMethod::Ntile => "ntile",
            RfmMethod::Quantile => "quantile",
            RfmMethod::Thresholds => "thresholds",
        }
    }
}

/// Thresholds and windows. Every one has a default, and is a `$parameter` of the same name in SQL models;
/// changing one rebuilds exactly the models that name it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Business {
    /// Order statuses that make an order a purchase, compared trimmed and lower-cased. An order without a
    /// status counts.
    pub counted_statuses: Statuses,
    /// How many days a customer stays active after an activity, where retention looks through a window.
    pub active_days: Days,
    /// Periods and cohorts that start within so many days of the first data are marked as left-censored:
    /// their "new" customers may be old ones.
    pub censor_days: Whole<0, 3_650>,
    /// What counts as active in the headline figures: `order`, `interaction` or `any` of both. By default
    /// `any`, or `order` in a project without interactions.
    #[schemars(with = "Option<KpiBasis>")]
    pub kpi_basis: Option<Placed<KpiBasis>>,
    /// Whether the headline figures compare whole periods (`period`), the `active_days` before a period's start and
    /// end (`window`; the default), or live subscriptions (`contract`).
    #[schemars(with = "Option<KpiBase>")]
    pub kpi_base: Option<Placed<KpiBase>>,
    /// Frequency and monetary value count the purchases of so many days. By default all of them.
    pub rfm_window_days: Option<Days>,
    /// How RFM scores are cut.
    pub rfm_method: RfmMethod,
    /// High-value customers are the best ones that together make this share of the revenue.
    pub high_value_share: Share,
    /// Flag no_purchase: more than so many days without a purchase.
    pub no_purchase_days: Days,
    /// Flag no_purchase in calendar months instead; wins over no_purchase_days.
    pub no_purchase_months: Option<Whole<1, 120>>,
    /// Flag no_login: so many days or more without a login.
    pub no_login_days: Days,
    /// Flag no_interaction: so many days or more with neither purchase nor activity.
    pub no_interaction_days: Days,
    /// An answer to an NPS survey counts for so many days.
    pub nps_days: Days,
    /// Flag low_nps: the latest score is below this.
    pub low_nps_below: Whole<0, 11>,
    /// Flag open_ticket: a ticket unresolved for more than so many days.
    pub ticket_days: Whole<0, 3_650>,
    /// The window whose logins, tickets and replies are compared with the window before it. The ledger is read a year back.
    pub trend_days: Whole<1, 182>,
    /// A trend flag needs so many events in the earlier window.
    pub trend_min_events: Whole<1, 1_000_000>,
    /// Flag no_product_use: the product was used, but not for so many days.
    pub no_product_use_days: Days,
    /// Flag subscription_ending: it ends within so many days and isn't continued.
    pub ending_days: Whole<0, 3_650>,
    /// Flag overdue: the last purchase is more than so many times the customer's mean gap ago.
    pub overdue_factor: Factor,
    /// Flag overdue needs so many purchase days.
    pub overdue_min_purchase_days: Whole<2, 1_000>,
    /// A customer's own best hour and weekday to write need so many opens and clicks; below, the project's
    /// own are used.
    pub min_best_time_events: Whole<1, 1_000_000>,
    /// List vip: the best customers by revenue to date, this share of them.
    pub vip_share: Share,
    /// List new: the first purchase was less than so many days ago.
    pub new_days: Days,
    /// The usual gap to a second purchase is taken over customers whose first one is at least so many days old.
    pub onboarding_days: Days,
    /// Ranking points count what happened in so many days.
    pub ranking_days: Days,
    /// No more messages to a customer than this in any seven days.
    pub max_messages_7d: Whole<1, 1_000>,
    /// A customer whom nobody wrote to or called for so many days is due for a contact.
    pub contact_days: Days,
    /// A customer who was silent for so many days raises the communication calendar's alert.
    pub silence_days: Days,
    /// The longest window of attribution_windows.csv.
    pub attribution_days: Days,
    /// A campaign that reached nobody and brought no order for so many days is over; should it begin again, it counts its customers anew.
    pub campaign_idle_days: Days,
    /// A campaign's outcome is measured over so many days from its start.
    pub effect_days: Days,
    /// A campaign's return on investment needs costs for this share of the attributed revenue.
    pub min_cost_coverage: Share,
    /// Visits and spend of so many days before and after a reward are compared.
    pub reward_days: Days,
    /// A lead or quote counts as converted within so many days.
    pub conversion_days: Days,
    /// A ticket opened within so many days of reading an article tells that reading did not help.
    pub deflection_days: Days,
    /// Product pairs are counted in the purchases of so many days.
    pub affinity_days: Days,
    /// A product pair needs so many purchases that hold both.
    pub min_pairs: Whole<1, 1_000_000>,
    /// A product pair needs this share of all purchases.
    pub min_support: Share,
}

impl Default for Business {
    fn default() -> Self {
        Business {
            counted_statuses: ["completed", "paid", "shipped", "delivered"].into_iter().collect(),
            active_days: const { Days::new(90) },
            censor_days: const { Whole::new(365) },
            kpi_basis: None,
            kpi_base: None,
            rfm_window_days: None,
            rfm_method: RfmMethod::Share,
            high_value_share: const { Share::new(8_000) },
            no_purchase_days: const { Days::new(180) },
            no_purchase_months: None,
            no_login_days: const { Days::new(30) },
            no_interaction_days: const { Days::new(45) },
            nps_days: const { Days::new(180) },
            low_nps_below: const { Whole::new(7) },
            ticket_days: const { Whole::new(3) },
            trend_days: const { Whole::new(90) },
            trend_min_events: const { Whole::new(3) },
            no_product_use_days: const { Days::new(45) },
            ending_days: const { Whole::new(30) },
            overdue_factor: const { Factor::new(200) },
            overdue_min_purchase_days: const { Whole::new(3) },
            min_best_time_events: const { Whole::new(5) },
            vip_share: const { Share::new(1_000) },
            new_days: const { Days::new(30) },
            onboarding_days: const { Days::new(90) },
            ranking_days: const { Days::new(365) },
            max_messages_7d: const { Whole::new(3) },
            contact_days: const { Days::new(30) },
            silence_days: const { Days::new(45) },
            attribution_days: const { Days::new(28) },
            campaign_idle_days: const { Days::new(92) },
            effect_days: const { Days::new(30) },
            min_cost_coverage: const { Share::new(9_500) },
            reward_days: const { Days::new(30) },
            conversion_days: const { Days::new(90) },
            deflection_days: const { Days::new(7) },
            affinity_days: const { Days::new(365) },
            min_pairs: const { Whole::new(10) },
            min_support: const { Share::new(10) },
        }
    }
}

/// The type of a parameter, also where its value is NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterType {
    Date,
    /// Int64.
    Int,
    /// Precision and scale.
    Decimal(u8, i8),
    Text,
    Bool,
}

/// A parameter's value, typed as it is bound in SQL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ParameterValue {
    Date(NaiveDate),
    Int(i64),
    /// Units of the last decimal, precision, scale.
    Decimal(i128, u8, i8),
    Text(String),
    Bool(bool),
    NullOf(ParameterType),
}

/// One `$name` that models may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameter {
    pub name: &'static str,
    pub value: ParameterValue,
}

impl Business {
    /// Every business parameter, in the order of the documentation: the same names for every project.
    pub(super) fn parameters(&self, history_starts_on: Option<NaiveDate>, interactions: bool) -> Vec<Parameter> {
        let default_basis = if interactions { KpiBasis::Any } else { KpiBasis::Order };
        let kpi_basis = self.kpi_basis.as_ref().map_or(default_basis, |basis| basis.value);
        let kpi_base = self.kpi_base.as_ref().map_or(KpiBase::Window, |base| base.value);
        vec![
            parameter("history_starts_on", date_or_null(history_starts_on)),
            parameter("counted_statuses", ParameterValue::Text(self.counted_statuses.joined())),
            parameter("active_days", int(self.active_days)),
            parameter("censor_days", int(self.censor_days)),
            parameter("kpi_basis", text(kpi_basis.as_str())),
            parameter("kpi_base", text(kpi_base.as_str())),
            parameter("rfm_window_days", int_or_null(self.rfm_window_days)),
            parameter("rfm_method", text(self.rfm_method.as_str())),
            parameter("high_value_share", decimal(self.high_value_share)),
            parameter("no_purchase_days", int(self.no_purchase_days)),
            parameter("no_purchase_months", int_or_null(self.no_purchase_months)),
            parameter("no_login_days", int(self.no_login_days)),
            parameter("no_interaction_days", int(self.no_interaction_days)),
            parameter("nps_days", int(self.nps_days)),
            parameter("low_nps_below", int(self.low_nps_below)),
            parameter("ticket_days", int(self.ticket_days)),
            parameter("trend_days", int(self.trend_days)),
            parameter("trend_min_events", int(self.trend_min_events)),
            parameter("no_product_use_days", int(self.no_product_use_days)),
            parameter("ending_days", int(self.ending_days)),
            parameter("overdue_factor", decimal(self.overdue_factor)),
            parameter("overdue_min_purchase_days", int(self.overdue_min_purchase_days)),
            parameter("min_best_time_events", int(self.min_best_time_events)),
            parameter("vip_share", decimal(self.vip_share)),
            parameter("new_days", int(self.new_days)),
            parameter("onboarding_days", int(self.onboarding_days)),
            parameter("ranking_days", int(self.ranking_days)),
            parameter("max_messages_7d", int(self.max_messages_7d)),
            parameter("contact_days", int(self.contact_days)),
            parameter("silence_days", int(self.silence_days)),
            parameter("attribution_days", int(self.attribution_days)),
            parameter("campaign_idle_days", int(self.campaign_idle_days)),
            // Derived: how far back a campaign's outcome needs to know who was active.
            parameter("effect_history_days", ParameterValue::Int(self.effect_days.get() + self.active_days.get())),
            parameter("effect_days", int(self.effect_days)),
            parameter("min_cost_coverage", decimal(self.min_cost_coverage)),
            parameter("reward_days", int(self.reward_days)),
            parameter("conversion_days", int(self.conversion_days)),
            parameter("deflection_days", int(self.deflection_days)),
            parameter("affinity_days", int(self.affinity_days)),
            parameter("min_pairs", int(self.min_pairs)),
            parameter("min_support", decimal(self.min_support)),
        ]
    }
}

const fn parameter(name: &'static str, value: ParameterValue) -> Parameter {
    Parameter { name, value }
}

const fn int<const MIN: i64, const MAX: i64>(value: Whole<MIN, MAX>) -> ParameterValue {
    ParameterValue::Int(value.get())
}

fn int_or_null<const MIN: i64, const MAX: i64>(value: Option<Whole<MIN, MAX>>) -> ParameterValue {
    value.map_or(ParameterValue::NullOf(ParameterType::Int), int)
}

fn date_or_null(value: Option<NaiveDate>) -> ParameterValue {
    value.map_or(ParameterValue::NullOf(ParameterType::Date), ParameterValue::Date)
}

fn text(value: &str) -> ParameterValue {
    ParameterValue::Text(value.to_owned())
}

/// The narrowest precision that holds every value allowed, so that the type never depends on the value.
fn decimal<const MIN: i64, const MAX: i64, const SCALE: u32>(value: Fixed<MIN, MAX, SCALE>) -> ParameterValue {
    let precision = MAX.unsigned_abs().max(1).ilog10() as u8 + 1;
    ParameterValue::Decimal(value.units().into(), precision, SCALE as i8)
}
