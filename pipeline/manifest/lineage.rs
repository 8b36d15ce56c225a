//! Where every model's columns come from, one step back and all the way back to sources and seeds.
//!
//! It depends on the models' SQL alone: every SELECT is planned over empty tables, once.

use std::collections::BTreeMap;

use crate::contract::Contract;
use crate::engine::{Engine, Origins, TaskTable, Trace, Use};
use crate::error::Result;
use crate::model::{Body, Catalog, Model, Table};
use crate::snapshot::PartitionId;
use crate::sources::Sources;

/// The columns of a table, each with where it comes from; `None` where that can't be followed.
type Columns = BTreeMap<String, Option<Origins>>;

/// The lineage of all models.
#[derive(Debug, Default)]
pub struct Lineage {
    traces: BTreeMap<String, Trace>,
    /// By table: sources, seeds and calendars are where every way ends.
    ends: BTreeMap<String, Columns>,
    rows: BTreeMap<String, Origins>,
}

impl Lineage {
    /// # Errors
    /// A model whose SELECT can't be planned, as `check` would tell of it.
    pub async fn of(engine: &Engine, catalog: &Catalog, sources: &Sources) -> Result<Self> {
        let of_models = catalog.in_order().map(|model| TaskTable::of_files(&model.name, model.schema(), []));
        let of_sources = sources.0.values().map(|source| source.task_table(PartitionId::Whole));
        let queries = catalog.in_order().filter_map(|model| match &model.body {
            Body::Sql(sql) => Some((model.name.as_str(), sql.as_str())),
            Body::Seed(_) | Body::Calendar | Body::CalendarPeriods => None,
        });
        let traces = engine.trace(of_models.chain(of_sources).collect(), queries).await?;
        let mut lineage = Lineage { traces, ..Lineage::default() };
        for (name, source) in &sources.0 {
            lineage.ends.insert(Table::Source(name.clone()).to_string(), source_columns(&source.contract));
        }
        for model in catalog.in_order() {
            lineage.follow(model);
        }
        Ok(lineage)
    }

    /// Where a model's column comes from, one step back.
    pub fn step(&self, model: &str, column: &str) -> Option<&Origins> {
        let (_, origins) = self.traces.get(model)?.columns.iter().find(|(name, _)| name == column)?;
        origins.as_ref()
    }

    /// What decides which rows a model has, one step back.
    pub fn rows(&self, model: &str) -> Option<&Origins> {
        self.traces.get(model).map(|trace| &trace.rows)
    }

    /// The columns of sources, seeds and calendars that a model's column comes from.
    pub fn end(&self, model: &str, column: &str) -> Option<&Origins> {
        self.ends.get(model)?.get(column)?.as_ref()
    }

    /// The columns of sources, seeds and calendars that decide which rows a model has.
    pub fn row_ends(&self, model: &str) -> Option<&Origins> {
        self.rows.get(model)
    }

    /// Every table that a model reads has been followed before it, but for itself.
    fn follow(&mut self, model: &Model) {
        let name = &model.name;
        let Some(trace) = self.traces.get(name).cloned() else {
            let own = |column: &crate::model::Column| (column.name.clone(), Some(Origins::of(name, &column.name)));
            self.ends.insert(name.clone(), model.columns.iter().map(own).collect());
            return;
        };
        // A fold's first month stands on nothing of its own, each further one on the one before: from there on, until
        // nothing new comes.
        let empty = trace.columns.iter().map(|(column, _)| (column.clone(), Some(Origins::default()))).collect();
        self.ends.insert(name.clone(), empty);
        loop {
            let followed = |origins: &Option<Origins>| origins.as_ref().and_then(|origins| self.composed(origins));
            let columns: Columns = trace.columns.iter().map(|(name, o)| (name.clone(), followed(o))).collect();
            if self.ends.insert(name.clone(), columns.clone()).as_ref() == Some(&columns) {
                break;
            }
        }
        let mut rows = Origins::default();
        for (column, uses) in &trace.rows.0 {
            let alone = Origins([(column.clone(), uses.clone())].into());
            rows.add(self.composed(&alone).unwrap_or_default());
        }
        for read in &model.reads {
            rows.add(self.rows.get(&read.table.to_string()).cloned().unwrap_or_default());
        }
        self.rows.insert(name.clone(), rows);
    }

    /// Origins one step further back, to the ends.
    fn composed(&self, origins: &Origins) -> Option<Origins> {
        let mut all = Origins::default();
        for ((table, column), uses) in &origins.0 {
            let further = self.ends.get(table)?.get(column)?.as_ref()?;
            uses.iter().for_each(|how| all.add(further.then(*how)));
        }
        Some(all)
    }
}

/// The contract's columns, and what extraction adds: days and hours are of a timestamp; line, delivery and content tell
/// of no one column.
fn source_columns(contract: &Contract) -> Columns {
    let table = Table::Source(contract.source.to_string()).to_string();
    let mut columns: Columns =
        contract.names().map(|name| (name.to_owned(), Some(Origins::of(&table, name)))).collect();
    let of = |time: &str| Some(Origins::of(&table, time).then(Use::Transformation));
    for day in ["day", "hour"] {
        columns.insert(day.to_owned(), contract.day_of().and_then(of));
    }
    for (at, day) in contract.other_days() {
        columns.insert(day.to_owned(), contract.columns.get(at).and_then(|column| of(column.name)));
    }
    for added in ["line", "content_hash", "delivery"] {
        columns.insert(added.to_owned(), Some(Origins::default()));
    }
    columns
}
