//! Planning: which partitions to build, and why. `bazgasht plan` prints the value that `run` executes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use datafusion::common::ScalarValue;

use crate::calendar::{BusinessCalendar, Month};
use crate::error::{Error, Result};
use crate::lake::{self, Damages, Digest, KeyHasher};
use crate::model::{Body, Catalog, Form, Layer, Model, Read, Span, Table};
use crate::snapshot::{KeyParts, PartitionId, PartitionRecord, Snapshot};
use crate::sources::Sources;
use crate::storage::Storage;

/// Everything that decides what a partition is made from, apart from the lake itself.
#[derive(Clone)]
pub struct Ground<'a> {
    pub catalog: &'a Catalog,
    pub calendar: BusinessCalendar,
    pub as_of: NaiveDate,
    /// The business settings, by parameter name.
    pub settings: &'a BTreeMap<String, ScalarValue>,
    pub sources: &'a Sources,
    /// The seeds for occasions and the week's shape, which the built-in tables are made from.
    pub calendar_fingerprint: String,
    /// Every month in which some source has rows: asked for with every table that a partition reads.
    pub source_months: BTreeSet<Month>,
}

/// A partition of a model, as of the run's day or as of the day before it (its *eve*).
///
/// Most partitions are the same on both days. A slot of the eve that differs from the run's own is there only for
/// models that read `yesterday`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    pub model: String,
    pub partition: PartitionId,
    pub eve: bool,
}

/// One partition and what is to be done about it.
#[derive(Debug, Clone)]
pub struct Step {
    pub slot: Slot,
    pub action: Action,
}

#[derive(Debug, Clone)]
pub enum Action {
    /// Everything it was made from is as it was.
    Reuse(Box<PartitionRecord>),
    /// Something changed; what.
    Build(Vec<String>),
    /// To be built only if one of these, which are to be built, comes out changed.
    IfChanged(Vec<String>),
}

/// What a run will do, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    pub as_of: NaiveDate,
    pub steps: Vec<Step>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|s| matches!(s.action, Action::Reuse(_)))
    }

    /// Steps that build or may build.
    pub fn open(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|s| !matches!(s.action, Action::Reuse(_)))
    }
}

/// A table's partitions that one partition reads.
pub struct ReadPartitions<'a> {
    pub read: &'a Read,
    pub slots: Vec<Slot>,
}

impl Ground<'_> {
    /// The same, as of the day before.
    fn eve(&self) -> Self {
        Self { as_of: self.as_of.pred_opt().unwrap_or(self.as_of), ..self.clone() }
    }

    pub fn as_of_month(&self) -> Month {
        self.calendar.month_of(self.as_of)
    }

    /// The business months from the first row's to the as-of date's: every one is built, also an empty one.
    pub fn months(&self) -> Vec<Month> {
        let last = self.as_of_month();
        let first = self.source_months.first().copied().unwrap_or(last).min(last);
        first.through(last).collect()
    }

    /// The partitions that a model has. Staging also has those after the as-of date, which no model reads.
    pub fn partitions(&self, model: &Model) -> Vec<PartitionId> {
        if !model.monthly {
            return vec![PartitionId::Whole];
        }
        let mut months: BTreeSet<Month> = self.months().into_iter().collect();
        if model.layer == Layer::Staging {
            months.extend(&self.source_months);
        }
        months.into_iter().map(PartitionId::Month).collect()
    }

    fn read_partitions(&self, partition: PartitionId, read: &Read) -> Result<Vec<PartitionId>> {
        let name = match &read.table {
            Table::Source(_) => return Ok(vec![partition]),
            Table::Model(name) => name,
        };
        let table = self.catalog.get(name).ok_or_else(|| Error::bug(format!("no model `{name}`")))?;
        if !table.monthly {
            return Ok(vec![PartitionId::Whole]);
        }
        let (months, staged) = (self.months(), &self.source_months);
        let last = match partition {
            PartitionId::Month(month) => month,
            PartitionId::Whole => self.as_of_month(),
        };
        let wanted: Vec<Month> = match (&read.form, partition) {
            (Form::Fold, _) => vec![last.prev()],
            (Form::Default | Form::Reference, PartitionId::Month(_)) | (Form::Latest | Form::Yesterday, _) => {
                vec![last]
            }
            (Form::Default | Form::Reference, PartitionId::Whole) => months.clone(),
            (Form::Last(span), _) => self.first_of_span(span, partition)?.through(last).collect(),
        };
        let staged_beyond = table.layer == Layer::Staging && matches!(partition, PartitionId::Month(_));
        Ok(wanted
            .into_iter()
            .filter(|month| months.contains(month) || (staged_beyond && staged.contains(month)))
            .map(PartitionId::Month)
            .collect())
    }

    fn first_of_span(&self, span: &Span, partition: PartitionId) -> Result<Month> {
        let days = match span {
            Span::Days(days) => *days,
            Span::Parameter(name) => match self.settings.get(name) {
                Some(ScalarValue::Int64(days)) => days.unwrap_or(0),
                _ => {
                    return Err(Error::config(format!(
                        "[reads] last = \"${name}\": there is no such whole-number setting"
                    )));
                }
            },
        };
        let from = match partition {
            PartitionId::Month(month) => self.calendar.first_day(month),
            PartitionId::Whole => self.as_of,
        };
        let first = from.checked_sub_days(Days::new(days.max(0).cast_unsigned())).unwrap_or(from);
        Ok(self.calendar.month_of(first))
    }

    /// The parameters that a partition's SELECT may name, bound for that partition.
    pub fn parameters(&self, model: &Model, partition: PartitionId) -> Result<BTreeMap<String, ScalarValue>> {
        let bounds = match partition {
            PartitionId::Month(month) => {
                Some((self.calendar.first_day(month), self.calendar.last_day(month).min(self.as_of)))
            }
            PartitionId::Whole => None,
        };
        model
            .parameters
            .iter()
            .map(|name| {
                let value = match (name.as_str(), bounds) {
                    ("as_of", None) => date(self.as_of),
                    ("as_of", Some(_)) => {
                        return Err(Error::config(format!(
                            "{}: a monthly model may not name $as_of, or every month would be rebuilt every night; \
                             name $period_end",
                            model.file
                        )));
                    }
                    ("period_start", Some((start, _))) => date(start),
                    ("period_end", Some((_, end))) => date(end),
                    _ => self.settings.get(name).cloned().ok_or_else(|| unknown_parameter(model, name))?,
                };
                Ok((name.clone(), value))
            })
            .collect()
    }
}

fn unknown_parameter(model: &Model, name: &str) -> Error {
    Error::config(format!(
        "{}: there is no parameter `${name}`{}",
        model.file,
        if model.monthly {
            ""
        } else {
            " for an unpartitioned model ($period_start and $period_end are for monthly ones)"
        }
    ))
}

fn date(day: NaiveDate) -> ScalarValue {
    ScalarValue::Date32(Some(arrow::datatypes::Date32Type::from_naive_date(day)))
}

/// What is known so far of every partition: its record, or nothing while it is still to be built.
#[derive(Default)]
pub struct Known(BTreeMap<Slot, Option<PartitionRecord>>);

impl Known {
    pub fn insert(&mut self, slot: Slot, record: Option<PartitionRecord>) {
        self.0.insert(slot, record);
    }

    /// A slot of the eve that nobody planned is the same as the run's own.
    pub fn get(&self, slot: &Slot) -> Option<&PartitionRecord> {
        let own = || self.0.get(&Slot { eve: false, ..slot.clone() });
        self.0.get(slot).or_else(own)?.as_ref()
    }

    /// A digest over the content of some slots, or of their days up to one; `None` while one of them is still open.
    fn digest(&self, slots: &[Slot], until: Option<NaiveDate>) -> Option<Digest> {
        let mut hasher = KeyHasher::new("table");
        for slot in slots {
            let record = self.get(slot)?;
            hasher.part("partition", &slot.partition.to_string());
            match (until, &record.days) {
                (Some(until), Some(days)) => {
                    for (day, digest) in days.range(..=until) {
                        hasher.part("day", &day.to_string()).part("digest", &digest.hex());
                    }
                }
                // Written when nobody read it so: which of its rows are seen is known by the date alone.
                (Some(until), None) => {
                    hasher.part("digest", &record.file.digest.hex()).part("until", &until.to_string());
                }
                (None, _) => _ = hasher.part("digest", &record.file.digest.hex()),
            }
        }
        Some(hasher.finish())
    }
}

/// Finds keys and the records behind them.
pub struct Resolver<'a> {
    today: Ground<'a>,
    eve: Ground<'a>,
    prior: Option<&'a Snapshot>,
    lake: &'a Storage,
    pub damages: &'a Damages,
    /// Build everything, whatever is there.
    pub rebuild: bool,
}

impl<'a> Resolver<'a> {
    pub fn new(
        today: Ground<'a>,
        prior: Option<&'a Snapshot>,
        lake: &'a Storage,
        damages: &'a Damages,
        rebuild: bool,
    ) -> Self {
        Self { eve: today.eve(), today, prior, lake, damages, rebuild }
    }

    /// What decides about a slot.
    pub fn ground(&self, eve: bool) -> &Ground<'a> {
        if eve { &self.eve } else { &self.today }
    }

    /// What a partition reads of each table, by the two models' partitions and the form asked for.
    pub fn reads<'m>(&self, model: &'m Model, slot: &Slot) -> Result<Vec<ReadPartitions<'m>>> {
        let reads = model.reads.iter().map(|read| {
            let eve = slot.eve || read.form == Form::Yesterday;
            let partitions = self.ground(eve).read_partitions(slot.partition, read)?;
            let slots = partitions.into_iter().map(|partition| Slot { model: read.table.to_string(), partition, eve });
            Ok(ReadPartitions { read, slots: slots.collect() })
        });
        reads.collect()
    }

    /// The last day of which a slot sees a table's rows, where it reads these up to the as-of date only.
    pub fn until(&self, read: &Read, slot: &Slot) -> Option<NaiveDate> {
        read.until_as_of.then(|| self.ground(slot.eve).as_of)
    }

    pub fn parameters(&self, model: &Model, slot: &Slot) -> Result<BTreeMap<String, ScalarValue>> {
        self.ground(slot.eve).parameters(model, slot.partition)
    }

    /// The parts of a partition's key; `Err(names)` when inputs of these models are still open.
    pub fn key_parts(&self, model: &Model, slot: &Slot, known: &Known) -> Result<Result<KeyParts, Vec<String>>> {
        let mut inputs = BTreeMap::new();
        let mut open = BTreeSet::new();
        for ReadPartitions { read, slots } in self.reads(model, slot)? {
            let digest = match &read.table {
                Table::Source(name) => Some(self.today.sources.input_digest(name, slot.partition)),
                Table::Model(_) => known.digest(&slots, self.until(read, slot)),
            };
            match digest {
                Some(digest) => inputs.insert(read.table.to_string(), digest.to_string()).is_some(),
                None => open.insert(read.table.to_string()),
            };
        }
        if !open.is_empty() {
            return Ok(Err(open.into_iter().collect()));
        }
        Ok(Ok(KeyParts { inputs, ..self.own_parts(model, slot)? }))
    }

    /// The parts of a key that are known before any input is.
    pub(crate) fn own_parts(&self, model: &Model, slot: &Slot) -> Result<KeyParts> {
        let parameters = self.parameters(model, slot)?;
        Ok(KeyParts {
            sql: sql_digest(model, &self.today.calendar_fingerprint).to_string(),
            engine: lake::ENGINE.to_owned(),
            parameters: parameters.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
            inputs: BTreeMap::new(),
        })
    }

    /// The record of what was built under this key, by the newest snapshot or by a run that didn't finish.
    pub async fn find(&self, slot: &Slot, key: &Digest) -> Result<Option<PartitionRecord>> {
        if self.rebuild {
            return Ok(None);
        }
        let recorded = self.recorded(slot, key).await?;
        Ok(recorded.filter(|record| !self.damages.has(&record.file)))
    }

    /// As [`Self::find`], also when everything is to be rebuilt, or this partition because it is damaged.
    pub async fn recorded(&self, slot: &Slot, key: &Digest) -> Result<Option<PartitionRecord>> {
        if let Some(record) = self.prior_record(slot).filter(|record| &record.key == key) {
            return Ok(Some(record.clone()));
        }
        let path = lake::record_path(&lake::partition_path(&slot.model, &slot.partition.to_string(), key));
        lake::read_record(self.lake, &path, |record: &PartitionRecord| vec![&record.file], self.damages).await
    }

    /// Whether partitions may be built that are there already.
    pub fn makes_again(&self) -> bool {
        self.rebuild || !self.damages.is_empty()
    }

    pub fn prior_record(&self, slot: &Slot) -> Option<&PartitionRecord> {
        let prior = self.prior?;
        let of_eve = slot.eve.then(|| prior.eve.get(&slot.model)?.get(&slot.partition)).flatten();
        of_eve.or_else(|| prior.partitions.get(&slot.model)?.get(&slot.partition))
    }

    /// Whether the newest snapshot has a partition of this model that this SQL made.
    pub fn knows_sql(&self, model: &str, sql: &str) -> bool {
        let before = self.prior.and_then(|prior| prior.partitions.get(model));
        before.is_some_and(|partitions| partitions.values().any(|record| record.parts.sql == sql))
    }

    /// Plans all partitions of the wanted models, or of all.
    pub async fn plan(&self, wanted: Option<&BTreeSet<String>>) -> Result<Plan> {
        let mut known = Known::default();
        let mut steps = Vec::new();
        for slot in self.slots(wanted)? {
            let model = self.model(&slot.model)?;
            let action = self.action(model, &slot, &known).await?;
            let record = match &action {
                Action::Reuse(record) => Some((**record).clone()),
                _ => None,
            };
            known.insert(slot.clone(), record);
            steps.push(Step { slot, action });
        }
        Ok(Plan { as_of: self.today.as_of, steps })
    }

    pub fn model(&self, name: &str) -> Result<&'a Model> {
        self.today.catalog.get(name).ok_or_else(|| Error::bug(format!("no model `{name}`")))
    }

    /// Everything that a run stands on, each after what it reads: all of the run's own slots, and those of the eve
    /// that some model reads and that are not the same as the run's.
    fn slots(&self, wanted: Option<&BTreeSet<String>>) -> Result<Vec<Slot>> {
        let of_eve = self.read_as_of_yesterday(wanted)?;
        let mut differing = BTreeSet::new();
        let mut slots = Vec::new();
        for model in self.wanted(wanted) {
            let slot = |partition, eve| Slot { model: model.name.clone(), partition, eve };
            slots.extend(self.today.partitions(model).into_iter().map(|partition| slot(partition, false)));
            for partition in if of_eve.contains(&model.name) { self.eve.partitions(model) } else { vec![] } {
                let eve = slot(partition, true);
                if self.differs_from_today(model, &eve, &differing)? {
                    differing.insert(eve.clone());
                    slots.push(eve);
                }
            }
        }
        Ok(slots)
    }

    /// The models that some wanted model reads as of the day before, with everything that they read.
    fn read_as_of_yesterday(&self, wanted: Option<&BTreeSet<String>>) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for read in self.wanted(wanted).flat_map(|m| &m.reads).filter(|read| read.form == Form::Yesterday) {
            let below = self.today.catalog.stands_on(self.model(&read.table.to_string())?);
            found.extend(below.iter().chain([&read.table]).map(Table::to_string));
        }
        Ok(found)
    }

    /// The wanted models, or all, each after everything that it reads.
    fn wanted<'w>(&'w self, wanted: Option<&'w BTreeSet<String>>) -> impl Iterator<Item = &'a Model> + 'w {
        self.today.catalog.in_order().filter(move |m| wanted.is_none_or(|names| names.contains(&m.name)))
    }

    /// Whether a slot of the eve has other parameters or reads other partitions than the run's own.
    fn differs_from_today(&self, model: &Model, eve: &Slot, differing: &BTreeSet<Slot>) -> Result<bool> {
        let own = Slot { eve: false, ..eve.clone() };
        if self.parameters(model, eve)? != self.parameters(model, &own)? {
            return Ok(true);
        }
        let (of_eve, of_today) = (self.reads(model, eve)?, self.reads(model, &own)?);
        let open_month = PartitionId::Month(self.today.as_of_month());
        Ok(of_eve.iter().zip(&of_today).any(|(eve, own)| {
            let partitions = |slots: &[Slot]| slots.iter().map(|slot| slot.partition).collect::<Vec<_>>();
            partitions(&eve.slots) != partitions(&own.slots)
                || eve.slots.iter().any(|slot| differing.contains(slot))
                || (own.read.until_as_of && partitions(&own.slots).contains(&open_month))
        }))
    }

    async fn action(&self, model: &Model, slot: &Slot, known: &Known) -> Result<Action> {
        let parts = match self.key_parts(model, slot, known)? {
            Ok(parts) => parts,
            Err(open) => return self.open_action(model, slot, open),
        };
        let key = partition_key(&model.name, &parts);
        Ok(match self.find(slot, &key).await? {
            Some(record) => Action::Reuse(Box::new(record)),
            None => Action::Build(self.reasons(slot, |before| differences(before, &parts))),
        })
    }

    /// With inputs still open, a changed parameter is reason enough; otherwise what they come out as decides.
    fn open_action(&self, model: &Model, slot: &Slot, open: Vec<String>) -> Result<Action> {
        let own = self.own_parts(model, slot)?;
        let reasons = self.reasons(slot, |before| own_differences(before, &own));
        Ok(if reasons.is_empty() { Action::IfChanged(open) } else { Action::Build(reasons) })
    }

    fn reasons(&self, slot: &Slot, differences: impl Fn(&KeyParts) -> Vec<String>) -> Vec<String> {
        if self.rebuild {
            return vec!["--rebuild".to_owned()];
        }
        match self.prior_record(slot) {
            Some(before) if self.damages.has(&before.file) => vec!["its file is damaged".to_owned()],
            Some(before) => differences(&before.parts),
            None => vec!["new".to_owned()],
        }
    }
}

/// What keys hash of a model itself. What the calendar module makes depends on the calendar and its occasions.
pub(crate) fn sql_digest(model: &Model, calendar_fingerprint: &str) -> Digest {
    let extra = match model.body {
        Body::Calendar | Body::CalendarPeriods => calendar_fingerprint,
        Body::Sql(_) | Body::Seed(_) => "",
    };
    Digest::of(format!("{}{extra}", model.fingerprint()).as_bytes())
}

/// The key of a partition: what it is made from, all of it. The partition's own name is in its path.
pub fn partition_key(model: &str, parts: &KeyParts) -> Digest {
    let mut hasher = KeyHasher::new("partition");
    hasher.part("model", model).part("sql", &parts.sql).part("engine", &parts.engine);
    for (name, value) in &parts.parameters {
        hasher.part("parameter", name).part("value", value);
    }
    for (table, digest) in &parts.inputs {
        hasher.part("table", table).part("digest", digest);
    }
    hasher.finish()
}

fn differences(before: &KeyParts, now: &KeyParts) -> Vec<String> {
    let mut reasons = own_differences(before, now);
    for (table, digest) in &now.inputs {
        if before.inputs.get(table) != Some(digest) {
            reasons.push(format!("{table} changed"));
        }
    }
    reasons
}

/// What differs apart from the inputs.
fn own_differences(before: &KeyParts, now: &KeyParts) -> Vec<String> {
    let mut reasons = Vec::new();
    if before.sql != now.sql {
        reasons.push("its SQL or declared types changed".to_owned());
    }
    if before.engine != now.engine {
        reasons.push(format!("engine {} → {}", before.engine, now.engine));
    }
    for (name, value) in &now.parameters {
        match before.parameters.get(name) {
            Some(old) if old == value => {}
            Some(old) => reasons.push(format!("${name} {old} → {value}")),
            None => reasons.push(format!("${name} is new")),
        }
    }
    reasons
}
