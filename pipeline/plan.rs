//! Planning: which partitions to build, and why. `bazgasht plan` prints the value that `run` executes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use datafusion::common::ScalarValue;

use crate::calendar::{BusinessCalendar, Month};
use crate::error::{Error, Result};
use crate::lake::{self, Digest, KeyHasher};
use crate::model::{Body, Catalog, Form, Layer, Model, Read, Span, Table};
use crate::snapshot::{KeyParts, PartitionId, PartitionRecord, Snapshot};
use crate::sources::Sources;
use crate::storage::Storage;

/// Everything that decides what a partition is made from, apart from the lake itself.
pub struct Ground<'a> {
    pub catalog: &'a Catalog,
    pub calendar: BusinessCalendar,
    pub as_of: NaiveDate,
    /// The business settings, by parameter name.
    pub settings: &'a BTreeMap<String, ScalarValue>,
    pub sources: &'a Sources,
    /// The seeds for occasions and the week's shape, which the built-in tables are made from.
    pub calendar_fingerprint: String,
}

/// One partition and what is to be done about it.
#[derive(Debug, Clone)]
pub struct Step {
    pub model: String,
    pub partition: PartitionId,
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
    pub partitions: Vec<PartitionId>,
}

impl Ground<'_> {
    pub fn as_of_month(&self) -> Month {
        self.calendar.month_of(self.as_of)
    }

    /// The business months from the first row's to the as-of date's: every one is built, also an empty one.
    pub fn months(&self) -> Vec<Month> {
        let last = self.as_of_month();
        let first = self.sources.months().into_iter().next().unwrap_or(last).min(last);
        first.through(last).collect()
    }

    /// The partitions that a model has. Staging also has those after the as-of date, which no model reads.
    pub fn partitions(&self, model: &Model) -> Vec<PartitionId> {
        if !model.monthly {
            return vec![PartitionId::Whole];
        }
        let mut months: BTreeSet<Month> = self.months().into_iter().collect();
        if model.layer == Layer::Staging {
            months.extend(self.sources.months());
        }
        months.into_iter().map(PartitionId::Month).collect()
    }

    /// What a partition reads of each table, by the two models' partitions and the form asked for.
    pub fn reads<'m>(&self, model: &'m Model, partition: PartitionId) -> Result<Vec<ReadPartitions<'m>>> {
        model
            .reads
            .iter()
            .map(|read| Ok(ReadPartitions { read, partitions: self.read_partitions(partition, read)? }))
            .collect()
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
        let (months, staged) = (self.months(), self.sources.months());
        let last = match partition {
            PartitionId::Month(month) => month,
            PartitionId::Whole => self.as_of_month(),
        };
        let wanted: Vec<Month> = match (&read.form, partition) {
            (Form::Fold, _) => vec![last.prev()],
            (Form::Default | Form::Reference, PartitionId::Month(_)) | (Form::Latest, _) => vec![last],
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

/// What is known so far of every partition, by model.
pub type Known = BTreeMap<(String, PartitionId), Option<PartitionRecord>>;

/// Finds keys and the records behind them.
pub struct Resolver<'a> {
    pub ground: &'a Ground<'a>,
    pub prior: Option<&'a Snapshot>,
    pub lake: &'a Storage,
    /// Build everything, whatever is there.
    pub rebuild: bool,
}

impl Resolver<'_> {
    /// The parts of a partition's key; `Err(names)` when inputs of these models are still open.
    pub fn key_parts(
        &self,
        model: &Model,
        partition: PartitionId,
        known: &Known,
    ) -> Result<Result<KeyParts, Vec<String>>> {
        let mut inputs = BTreeMap::new();
        let mut open = BTreeSet::new();
        for ReadPartitions { read, partitions } in self.ground.reads(model, partition)? {
            match &read.table {
                Table::Source(name) => {
                    inputs
                        .insert(read.table.to_string(), self.ground.sources.input_digest(name, partition).to_string());
                }
                Table::Model(name) => match input_digest(name, &partitions, known) {
                    Some(digest) => {
                        inputs.insert(name.clone(), digest.to_string());
                    }
                    None => {
                        open.insert(name.clone());
                    }
                },
            }
        }
        if !open.is_empty() {
            return Ok(Err(open.into_iter().collect()));
        }
        let parameters = self.ground.parameters(model, partition)?;
        let extra = match model.body {
            Body::Calendar | Body::CalendarPeriods => self.ground.calendar_fingerprint.as_str(),
            _ => "",
        };
        Ok(Ok(KeyParts {
            sql: Digest::of(format!("{}{extra}", model.fingerprint()).as_bytes()).to_string(),
            engine: lake::ENGINE.to_owned(),
            parameters: parameters.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
            inputs,
        }))
    }

    /// The record of what was built under this key, by the newest snapshot or by a run that didn't finish.
    pub async fn find(&self, model: &Model, partition: PartitionId, key: &Digest) -> Result<Option<PartitionRecord>> {
        if self.rebuild { Ok(None) } else { self.existing(model, partition, key).await }
    }

    /// As [`Self::find`], also when everything is to be rebuilt.
    pub async fn existing(
        &self,
        model: &Model,
        partition: PartitionId,
        key: &Digest,
    ) -> Result<Option<PartitionRecord>> {
        if let Some(record) = self.prior_record(model, partition).filter(|record| &record.key == key) {
            return Ok(Some(record.clone()));
        }
        let path = lake::partition_path(&model.name, &partition.to_string(), key);
        lake::read_record(self.lake, &lake::record_path(&path), |record: &PartitionRecord| vec![&record.file]).await
    }

    pub fn prior_record(&self, model: &Model, partition: PartitionId) -> Option<&PartitionRecord> {
        self.prior?.partitions.get(&model.name)?.get(&partition)
    }

    /// Plans all partitions of the wanted models, or of all.
    pub async fn plan(&self, wanted: Option<&BTreeSet<String>>) -> Result<Plan> {
        let mut known = Known::new();
        let mut steps = Vec::new();
        for model in self.ground.catalog.in_order() {
            if wanted.is_some_and(|names| !names.contains(&model.name)) {
                continue;
            }
            for partition in self.ground.partitions(model) {
                let action = self.action(model, partition, &known).await?;
                let record = match &action {
                    Action::Reuse(record) => Some((**record).clone()),
                    _ => None,
                };
                known.insert((model.name.clone(), partition), record);
                steps.push(Step { model: model.name.clone(), partition, action });
            }
        }
        Ok(Plan { as_of: self.ground.as_of, steps })
    }

    async fn action(&self, model: &Model, partition: PartitionId, known: &Known) -> Result<Action> {
        let parts = match self.key_parts(model, partition, known)? {
            Ok(parts) => parts,
            Err(open) => return Ok(Action::IfChanged(open)),
        };
        let key = partition_key(&model.name, &parts);
        Ok(match self.find(model, partition, &key).await? {
            Some(record) => Action::Reuse(Box::new(record)),
            None => Action::Build(self.reasons(model, partition, &parts)),
        })
    }

    fn reasons(&self, model: &Model, partition: PartitionId, parts: &KeyParts) -> Vec<String> {
        if self.rebuild {
            return vec!["--rebuild".to_owned()];
        }
        match self.prior_record(model, partition) {
            Some(before) => differences(&before.parts, parts),
            None => vec!["new".to_owned()],
        }
    }
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

/// A digest over the content of a table's partitions; `None` while one of them is still open.
fn input_digest(table: &str, partitions: &[PartitionId], known: &Known) -> Option<Digest> {
    let mut hasher = KeyHasher::new("table");
    for partition in partitions {
        let record = known.get(&(table.to_owned(), *partition))?.as_ref()?;
        hasher.part("partition", &partition.to_string()).part("digest", record.file.digest.as_str());
    }
    Some(hasher.finish())
}

fn differences(before: &KeyParts, now: &KeyParts) -> Vec<String> {
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
    for (table, digest) in &now.inputs {
        if before.inputs.get(table) != Some(digest) {
            reasons.push(format!("{table} changed"));
        }
    }
    reasons
}
