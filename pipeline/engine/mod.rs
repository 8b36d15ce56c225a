//! The seam to the query engine: a [`Task`] says what to compute from which files; [`Engine::run`] computes it.
//!
//! Nothing else in the code holds a session. A distributed engine would take this one function's place.

mod along;
mod best_offers;
mod days;
mod early;
mod effort;
mod favourite;
mod functions;
mod gathered;
mod lineage;
pub mod memory;
mod reader;
mod stages;
mod steps;
mod table;
mod totals;
mod writer;

pub use effort::Effort;
pub use functions::register as register_functions;
pub use lineage::{Origins, Trace, Use};
pub(crate) use table::with_delivery;
pub use totals::Totals;
pub(crate) use writer::row_text;
pub use writer::{Lifetime, ParquetOut, RowChecks, Violation, Written, writer_properties};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Date32Type, SchemaRef};
use chrono::NaiveDate;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionStateBuilder, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::{JoinType, SessionConfig, SessionContext, col, lit};
use futures::StreamExt;
use url::Url;

use crate::error::{Error, Result};
use crate::lake::LakeFile;
use crate::storage::Storage;
use effort::MarkedPool;
use reader::VerifiedReaders;
use table::LakeTable;

/// The lake's name inside the engine; its paths are the lake's own.
pub(crate) const LAKE_URL: &str = "lake://lake/";

/// A Parquet file of the lake, as a table scans it.
#[derive(Debug, Clone)]
pub struct ScanFile {
    pub file: LakeFile,
    /// For extracted files: the rank of the delivery that brought it, larger is newer.
    pub delivery: Option<i64>,
}

/// A table that a task may name.
#[derive(Debug, Clone)]
pub struct TaskTable {
    /// `stg_orders`, or for a source's extracted rows its name with `source` set.
    pub name: String,
    pub source: bool,
    /// Of the files; a source's table has the column `delivery` besides.
    pub schema: SchemaRef,
    pub files: Vec<ScanFile>,
    /// Keys to leave out: (the table's key column, a file with one column `key`).
    pub departed: Option<(String, ScanFile)>,
    /// Rows to add, in files that carry `delivery` themselves.
    pub arrived: Option<ScanFile>,
    /// Rows whose `day` lies after this one aren't there.
    pub until: Option<NaiveDate>,
    /// What the rows of the one file ascend by, where the task is to go along them: see [`along`].
    pub sorted_by: Vec<String>,
}

impl From<&LakeFile> for ScanFile {
    fn from(file: &LakeFile) -> Self {
        Self { file: file.clone(), delivery: None }
    }
}

impl TaskTable {
    /// A model's table: the rows of some of its partitions' files.
    pub fn of_files<'a>(name: &str, schema: SchemaRef, files: impl IntoIterator<Item = &'a LakeFile>) -> Self {
        let files = files.into_iter().map(ScanFile::from).collect();
        Self {
            name: name.to_owned(),
            source: false,
            schema,
            files,
            departed: None,
            arrived: None,
            until: None,
            sorted_by: vec![],
        }
    }
}

/// Batches between a query and the sink that takes its rows.
const BATCHES_IN_FLIGHT: usize = 4;

/// One SELECT over named tables with bound parameters.
#[derive(Debug, Clone)]
pub struct Task {
    /// What it computes, for messages.
    pub label: String,
    pub sql: String,
    pub parameters: BTreeMap<String, ScalarValue>,
    pub tables: Vec<TaskTable>,
}

/// Where and within which limits tasks run. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {
    runtime: Arc<RuntimeEnv>,
    pool: Arc<MarkedPool>,
    readers: Arc<VerifiedReaders>,
    threads: usize,
    scratch: PathBuf,
}

impl Engine {
    /// `memory_limit_bytes` bounds what sorts, joins and aggregates hold; past it they spill into `scratch`.
    pub fn new(lake: &Storage, memory_limit_bytes: usize, threads: usize, scratch: PathBuf) -> Result<Self> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![scratch.clone()]));
        // One partition is built at a time, so the fair pool's equal shares would only make its sorts spill early.
        let pool = Arc::new(MarkedPool::new(memory_limit_bytes));
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(pool.clone()).with_disk_manager_builder(disk).build_arc()?;
        let url = Url::parse(LAKE_URL).map_err(Error::bug)?;
        runtime.register_object_store(&url, lake.store());
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let readers = Arc::new(VerifiedReaders { lake: lake.clone(), footers });
        Ok(Self { runtime, pool, readers, threads, scratch })
    }

    /// Where temporary files belong.
    pub fn scratch(&self) -> &std::path::Path {
        &self.scratch
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs a task, handing each batch to `sink` in the SELECT's final order.
    ///
    /// A hash join holds its build side in memory and cannot spill: on running out, the task is tried once more
    /// with joins that sort. `sink` is made anew for each try. Returned with what it took.
    pub async fn run<S: Sink + Send + 'static>(
        &self,
        task: &Task,
        sink: impl Fn() -> Result<S>,
    ) -> Result<(S, Effort)> {
        self.pool.reset();
        let started = Instant::now();
        let found = match self.attempt(task, sink()?, self.joins(task)).await {
            Err(Attempt::OutOfMemory) => {
                tracing::info!(task = task.label, "out of memory with hash joins; trying again with sort-merge joins");
                self.attempt(task, sink()?, Joins::Sorted).await
            }
            other => other,
        };
        tracing::debug!(task = task.label, took_ms = started.elapsed().as_millis(), "queried");
        found.map_err(|e| e.into_error(task))
    }

    async fn attempt<S: Sink + Send + 'static>(
        &self,
        task: &Task,
        mut sink: S,
        joins: Joins,
    ) -> Result<(S, Effort), Attempt> {
        let (plan, context) = self.planned(task, joins).await?;
        let mut stream = execute_stream(Arc::clone(&plan), context)?;
        // Encoding takes about as long as the final merge: they go on side by side. On the runtime's own threads, since
        // each further one keeps memory that was freed.
        let (batches, mut arriving) = tokio::sync::mpsc::channel::<RecordBatch>(BATCHES_IN_FLIGHT);
        let writing = tokio::spawn(async move {
            while let Some(batch) = arriving.recv().await {
                sink.accept(&batch)?;
            }
            Ok(sink)
        });
        while let Some(batch) = stream.next().await {
            if batches.send(batch?).await.is_err() {
                break;
            }
        }
        drop(batches);
        let sink = writing.await.map_err(Error::bug).and_then(|sink| sink).map_err(Attempt::Failed)?;
        if tracing::enabled!(tracing::Level::TRACE) {
            let operators = DisplayableExecutionPlan::with_metrics(plan.as_ref());
            tracing::trace!(task = task.label, "operators\n{}", operators.indent(false));
        }
        let mut effort = Effort { peak_memory_bytes: self.pool.peak_bytes(), ..Effort::default() };
        effort.add_spills(&plan);
        Ok((sink, effort))
    }

    /// Runs a task and keeps all of its rows: for small results.
    pub async fn collect(&self, task: &Task) -> Result<Vec<RecordBatch>> {
        Ok(self.run(task, || Ok(Vec::new())).await?.0)
    }

    /// Plans a task without running it: every name, type and function is checked. The result's schema.
    pub async fn plan(&self, task: &Task) -> Result<SchemaRef> {
        Ok(self.first_planned(task).await?.schema())
    }

    /// How the engine would go about a task, for a person.
    pub async fn explain(&self, task: &Task) -> Result<String> {
        Ok(displayable(self.first_planned(task).await?.as_ref()).indent(false).to_string())
    }

    /// Where the columns of queries over these tables come from, by name: by the queries' logical plans alone.
    ///
    /// # Errors
    /// The first query that can't be planned.
    pub async fn trace<'q>(
        &self,
        tables: Vec<TaskTable>,
        queries: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<BTreeMap<String, Trace>> {
        let all = Task { label: "lineage".to_owned(), sql: String::new(), parameters: BTreeMap::new(), tables };
        let state = self.session(&all, Joins::Held).await?.state();
        let mut traces = BTreeMap::new();
        for (name, sql) in queries {
            let plan = state.create_logical_plan(sql).await.map_err(|e| Error::from(e).at(name))?;
            traces.insert(name.to_owned(), Trace::of(&plan));
        }
        Ok(traces)
    }

    async fn first_planned(&self, task: &Task) -> Result<Arc<dyn ExecutionPlan>> {
        let planned = self.planned(task, self.joins(task)).await;
        Ok(planned.map_err(|e| Attempt::from(e).into_error(task))?.0)
    }

    /// A task's plan, and what it is executed in.
    async fn planned(
        &self,
        task: &Task,
        joins: Joins,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), DataFusionError> {
        let context = self.session(task, joins).await?;
        let parameters: Vec<(String, ScalarValue)> =
            task.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let frame = context.sql_with_options(&task.sql, only_queries()).await?.with_param_values(parameters)?;
        let context = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await?;
        match joins {
            Joins::Along { threads } if threads > 1 && along::exchanges_in_order(&plan) => {
                Box::pin(self.planned(task, Joins::Along { threads: 1 })).await
            }
            _ => Ok((plan, context)),
        }
    }

    /// How a task is tried first.
    fn joins(&self, task: &Task) -> Joins {
        match task.tables.iter().filter(|table| !table.sorted_by.is_empty()).count() {
            0 => Joins::Held,
            1 => Joins::Along { threads: self.threads },
            _ => Joins::Along { threads: 1 },
        }
    }

    async fn session(&self, task: &Task, joins: Joins) -> Result<SessionContext, DataFusionError> {
        let mut config = session_config(self.threads, joins);
        if let Joins::Along { threads } = joins {
            along::configure(config.options_mut(), threads);
        }
        let state =
            SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(self.runtime.clone());
        let goes_along = matches!(joins, Joins::Along { .. });
        let state = state.with_physical_optimizer_rules(physical_rules(goes_along));
        let context = SessionContext::new_with_state(state.build());
        register_functions(&context);
        let catalog = context.catalog("datafusion").ok_or_else(|| DataFusionError::Internal("no catalog".into()))?;
        catalog.register_schema("source", Arc::new(MemorySchemaProvider::new()))?;
        for table in &task.tables {
            self.register(&context, table, goes_along).await?;
        }
        Ok(context)
    }

    async fn register(
        &self,
        context: &SessionContext,
        table: &TaskTable,
        goes_along: bool,
    ) -> Result<(), DataFusionError> {
        let name = if table.source { format!("source.{}", table.name) } else { table.name.clone() };
        let provider = self.table(table.schema.clone(), table.files.clone(), table.source)?;
        let provider = Arc::new(if goes_along { provider.sorted_by(&table.sorted_by) } else { provider });
        if table.departed.is_none() && table.arrived.is_none() && table.until.is_none() {
            context.register_table(name.as_str(), provider)?;
            return Ok(());
        }
        let mut frame = context.read_table(provider)?;
        if let Some(until) = table.until {
            let until = ScalarValue::Date32(Some(Date32Type::from_naive_date(until)));
            frame = frame.filter(col("day").lt_eq(lit(until)))?;
        }
        if let Some((key, file)) = &table.departed {
            let keys = context.read_table(Arc::new(self.table(table::key_schema(), vec![file.clone()], false)?))?;
            frame = frame.join(keys, JoinType::LeftAnti, &[key], &["key"], None)?;
        }
        if let Some(file) = &table.arrived {
            let arrived = self.table(table::with_delivery(&table.schema), vec![file.clone()], false)?;
            frame = frame.union(context.read_table(Arc::new(arrived))?)?;
        }
        context.register_table(name.as_str(), frame.into_view())?;
        Ok(())
    }

    fn table(
        &self,
        schema: SchemaRef,
        files: Vec<ScanFile>,
        with_delivery: bool,
    ) -> Result<LakeTable, DataFusionError> {
        LakeTable::new(schema, files, with_delivery, self.readers.clone())
    }
}

/// Takes a task's rows, batch by batch.
pub trait Sink {
    fn accept(&mut self, batch: &RecordBatch) -> Result<()>;
}

impl Sink for Vec<RecordBatch> {
    fn accept(&mut self, batch: &RecordBatch) -> Result<()> {
        self.push(batch.clone());
        Ok(())
    }
}

/// How a query brings tables together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    /// One side of each join is held in memory.
    Held,
    /// What is in order streams past the rest, which so many threads make: see [`along`].
    Along { threads: usize },
    /// Both sides are sorted, on disk if need be.
    Sorted,
}

enum Attempt {
    OutOfMemory,
    Engine(DataFusionError),
    Failed(Error),
}

impl From<DataFusionError> for Attempt {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Attempt::OutOfMemory,
            _ => Attempt::Engine(error),
        }
    }
}

impl Attempt {
    fn into_error(self, task: &Task) -> Error {
        match self {
            Attempt::OutOfMemory => {
                Error::world(format!("{}: out of memory", task.label), "raise [engine] memory_limit, or lower threads")
            }
            Attempt::Engine(e) => Error::from(e).at(&task.label),
            Attempt::Failed(e) => e.at(&task.label),
        }
    }
}

/// Whatever a task says, it changes nothing.
fn only_queries() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// The engine's own rules, and ours among them.
fn physical_rules(goes_along: bool) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let place = |rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>], name: &str| {
        rules.iter().position(|rule| rule.name() == name).unwrap_or(0)
    };
    rules.insert(place(&rules, stages::BEFORE), Arc::new(stages::GatherOnce));
    rules.insert(place(&rules, early::BEFORE), Arc::new(early::SortEarly));
    if goes_along {
        rules.insert(place(&rules, along::AFTER) + 1, Arc::new(along::StreamPast));
        rules.insert(place(&rules, along::LAST_BEFORE), Arc::new(along::SideBySide));
    }
    rules
}

fn session_config(threads: usize, joins: Joins) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(threads).with_batch_size(8192);
    let options = config.options_mut();
    // Otherwise `amount * 0.57` is a float, and money must not be.
    options.sql_parser.parse_float_as_decimal = true;
    // Ungrouped MIN and MAX come out wrong with it now and then (apache/datafusion #24816).
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // Filters are by day, and a file's rows aren't: no page would be skipped.
    options.execution.parquet.enable_page_index = false;
    options.optimizer.prefer_hash_join = joins != Joins::Sorted;
    // Batches of string views each account for all the buffers that they share: joins ran out of a memory limit
    // that held their rows several times over.
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}
