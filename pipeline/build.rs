//! Building: the plan's open steps, in order, each a partition of the lake; and the checks of what was built.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::{StreamExt, TryStreamExt, stream};

use crate::calendar::{self, Occasions};
use crate::check;
use crate::engine::{
    Effort, Engine, Lifetime, ParquetOut, RowChecks, Sink, Task, TaskTable, Totals, Violation, row_text,
};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::lake::{self, Digest};
use crate::model::{Body, Check, Model, Table, seed_batch};
use crate::plan::{Action, Known, Plan, ReadPartitions, Resolver, Slot, partition_key};
use crate::report::{PartitionSettled, Progress};
use crate::snapshot::{KeptSql, KeyParts, PartitionId, PartitionRecord, Partitions, RowCounts};
use crate::storage::Storage;

/// How many broken rows a violation shows.
const SAMPLES: usize = 3;

/// Every partition that a run stands on, and what had to be done for it.
pub struct Built {
    pub partitions: Partitions,
    /// Those as of the day before, where they differ and some model reads them.
    pub eve: Partitions,
    /// Partitions built by this run, in order.
    pub built: Vec<Slot>,
    /// Partitions that were to be built only if an input changed, and it didn't.
    pub unchanged: u64,
}

/// What building needs besides the plan.
pub struct Builder<'a> {
    pub resolver: &'a Resolver<'a>,
    pub engine: &'a Engine,
    pub lake: &'a Storage,
    pub occasions: &'a Occasions,
    pub interrupt: &'a Interrupt,
    pub progress: &'a dyn Progress,
    /// Stop at the first partition with a failed check.
    pub fail_fast: bool,
}

impl Builder<'_> {
    /// Carries out a plan.
    ///
    /// # Errors
    /// Those of the engine and the stores, and [`Error::Interrupted`] between two steps: what was built stays
    /// in the lake, and the next run finds it there. [`Error::Check`] for a failed check, if that is to end the run at
    /// once; otherwise the gate tells of all of them when everything is built.
    pub async fn build(&self, plan: &Plan) -> Result<Built> {
        let mut known = Known::default();
        let mut done = Built { partitions: BTreeMap::new(), eve: BTreeMap::new(), built: vec![], unchanged: 0 };
        self.progress.begin("build", plan.open().count() as u64);
        for step in &plan.steps {
            self.interrupt.check()?;
            let Slot { model, partition, eve } = &step.slot;
            let record = match &step.action {
                Action::Reuse(record) => (**record).clone(),
                Action::Build(why) | Action::IfChanged(why) => {
                    self.progress.step(&format!("{model} {partition}"));
                    let (record, effort) = self.settle(&step.slot, &known, &mut done).await?;
                    self.tell(&step.slot, why, &record, effort);
                    record
                }
            };
            known.insert(step.slot.clone(), Some(record.clone()));
            let has_failed = !record.violations.is_empty();
            let partitions = if *eve { &mut done.eve } else { &mut done.partitions };
            partitions.entry(model.clone()).or_default().insert(*partition, record);
            if has_failed && self.fail_fast {
                return Err(check::refusal(check::violations(&done)));
            }
        }
        self.progress.end();
        Ok(done)
    }

    fn tell(&self, slot: &Slot, why: &[String], record: &PartitionRecord, effort: Option<Effort>) {
        let Effort { peak_memory_bytes, spilled_bytes, .. } = effort.unwrap_or_default();
        self.progress.partition(&PartitionSettled {
            model: &slot.model,
            partition: &slot.partition.to_string(),
            day_before: slot.eve,
            why,
            is_unchanged: effort.is_none(),
            key: &record.key.hex(),
            rows: record.file.rows,
            size_bytes: record.file.size_bytes,
            checks: record.checks,
            violations: record.violations.len() as u64,
            warnings: record.warnings.len() as u64,
            peak_memory_bytes,
            spilled_bytes,
        });
    }

    /// Finds what is already there under the key, or builds it and tells what that took.
    async fn settle(&self, slot: &Slot, known: &Known, done: &mut Built) -> Result<(PartitionRecord, Option<Effort>)> {
        let model = self.resolver.model(&slot.model)?;
        let parts = self
            .resolver
            .key_parts(model, slot, known)?
            .map_err(|open| Error::bug(format!("{} is built before {}", model.name, open.join(", "))))?;
        let key = partition_key(&model.name, &parts);
        if let Some(record) = self.resolver.find(slot, &key).await? {
            done.unchanged += 1;
            return Ok((record, None));
        }
        if done.built.iter().all(|built| built.model != slot.model) {
            self.keep_sql(model, &parts.sql).await?;
        }
        done.built.push(slot.clone());
        let (record, effort) = self.make(model, slot, known, key, parts).await?;
        let path = lake::record_path(&record.file.path);
        self.lake.put(&path, lake::to_json(&record)?).await?;
        Ok((record, Some(effort)))
    }

    /// Keeps a model's SQL, where no earlier run has: `explain` shows it when the model is another.
    async fn keep_sql(&self, model: &Model, digest: &str) -> Result<()> {
        let Body::Sql(sql) = &model.body else { return Ok(()) };
        if self.resolver.knows_sql(&model.name, digest) {
            return Ok(());
        }
        let kept = KeptSql { file: model.file.clone(), sql: sql.trim().to_owned() };
        self.lake.put(&lake::sql_path(digest), lake::to_json(&kept)?).await?;
        Ok(())
    }

    async fn make(
        &self,
        model: &Model,
        slot: &Slot,
        known: &Known,
        key: Digest,
        parts: KeyParts,
    ) -> Result<(PartitionRecord, Effort)> {
        let local = tempfile::NamedTempFile::new_in(self.engine.scratch())?;
        let create = || {
            let checks = RowChecks::new(&model.columns, &model.grain)?;
            let lifetime = if model.is_published() { Lifetime::Published } else { Lifetime::Passing };
            let out = ParquetOut::create(local.path(), model.schema(), lifetime, Some(checks))?;
            let out = out.on_threads(self.engine.threads());
            let out = if model.is_published() { out.totalling(Totals::of(&model.columns)) } else { out };
            if self.resolver.ground(false).catalog.is_read_until(&model.name) { out.by_day("day") } else { Ok(out) }
        };
        let (partition, tables) = (slot.partition, tables(self.resolver, model, slot, known)?);
        let (out, effort) = match self.batch(model)? {
            Some(batch) => {
                let mut out = create()?;
                out.write(&batch)?;
                (out, Effort::default())
            }
            None => self.engine.run(&task_over(self.resolver, model, slot, tables.clone())?, create).await?,
        };
        let written = out.finish()?;
        let path = lake::partition_path(&model.name, &partition.to_string(), &key);
        // What is made a second time, from equal inputs, must come out equal (law 4): only then may it be put in the
        // place of what was damaged.
        if self.resolver.makes_again()
            && let Some(existing) = self.resolver.recorded(slot, &key).await?
            && existing.file.digest != written.print.digest
        {
            return Err(Error::bug(format!("{} ({partition}) came out different from the same inputs", model.file)));
        }
        self.lake.put_file(&path, local.path()).await?;
        let file = written.print.at(path, written.rows);
        self.resolver.damages.mended([&file]);
        let this = TaskTable::of_files("this", model.schema(), [&file]);
        let mut violations = written.violations;
        violations.extend(self.broken(model, slot, &model.checks, &tables, &this).await?);
        let warnings = self.broken(model, slot, &model.warnings, &tables, &this).await?;
        let counts = self.counts(model, partition, &tables, &this, file.rows).await?;
        let checks = model.columns.iter().map(|c| c.checks.len() as u64).sum::<u64>() + model.checks.len() as u64 + 1;
        let (totals, days) = (written.totals, written.days);
        Ok((PartitionRecord { key, file, parts, violations, warnings, checks, counts, totals, days }, effort))
    }

    fn batch(&self, model: &Model) -> Result<Option<RecordBatch>> {
        Ok(match &model.body {
            Body::Sql(_) => None,
            Body::Seed(text) => Some(seed_batch(text)?),
            Body::Calendar => Some(calendar::calendar_batch(&self.resolver.ground(false).calendar, self.occasions)),
            Body::CalendarPeriods => Some(calendar::calendar_periods_batch(&self.resolver.ground(false).calendar)),
        })
    }

    /// The checks that returned rows, in their order. Each is small, so that several run side by side.
    async fn broken(
        &self,
        model: &Model,
        slot: &Slot,
        checks: &[Check],
        tables: &[TaskTable],
        this: &TaskTable,
    ) -> Result<Vec<Violation>> {
        let found = stream::iter(checks).map(|check| self.check(model, slot, check, tables, this));
        let found: Vec<Option<Violation>> = found.buffered(self.engine.threads()).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Runs one SQL check; `None` when it returns no rows.
    async fn check(
        &self,
        model: &Model,
        slot: &Slot,
        check: &Check,
        tables: &[TaskTable],
        this: &TaskTable,
    ) -> Result<Option<Violation>> {
        let task = Task {
            label: format!("{} check {} ({})", model.file, check.name, slot.partition),
            sql: check.sql.clone(),
            parameters: self.resolver.parameters(model, slot)?,
            tables: tables.iter().filter(|t| t.source || t.name != this.name).cloned().chain([this.clone()]).collect(),
        };
        let (broken, _) = self.engine.run(&task, || Ok(BrokenRows::default())).await?;
        let found = Violation { check: check.name.clone(), rows: broken.rows, samples: broken.samples };
        Ok((found.rows > 0).then_some(found))
    }

    /// What became of the rows that a staging partition read: law 2, counted apart from the model's own SQL. Rows are told
    /// apart by their content, keys and all: staging may have put a person in the place of an alias.
    async fn counts(
        &self,
        model: &Model,
        partition: PartitionId,
        tables: &[TaskTable],
        this: &TaskTable,
        staged: u64,
    ) -> Result<Option<RowCounts>> {
        let Some(name) = model.reads.iter().find_map(|r| match &r.table {
            Table::Source(name) => Some(name),
            Table::Model(_) => None,
        }) else {
            return Ok(None);
        };
        let source = self.resolver.ground(false).sources.get(name).ok_or_else(|| Error::bug("no source"))?;
        let (key, own) = match source.follows_orders() {
            true => ("min(order_id) as order_id, ", "where delivered.order_id in (select order_id from stg_orders)"),
            false => ("", ""),
        };
        let sql = format!(
            "with delivered as (select content_hash, {key}count(*) as copies from source.{name} group by 1), \
             kept as (select content_hash, count(*) as copies from this group by 1) \
             select coalesce(sum(delivered.copies), 0) as read, coalesce(sum(kept.copies), 0) as staged, \
             coalesce(sum(delivered.copies) filter (where kept.copies is null), 0) as superseded, \
             coalesce(sum(greatest(kept.copies - delivered.copies, 0)), 0) as invented \
             from delivered left join kept on kept.content_hash = delivered.content_hash {own}"
        );
        let task = Task {
            label: format!("conservation of {name} ({partition})"),
            sql,
            parameters: BTreeMap::new(),
            tables: tables.iter().cloned().chain([this.clone()]).collect(),
        };
        let batches = self.engine.collect(&task).await?;
        let value = |column: usize| {
            let number = batches.first().map(|b| b.column(column).as_primitive::<Int64Type>().value(0));
            number.unwrap_or(0).cast_unsigned()
        };
        let (read, kept, superseded, invented) = (value(0), value(1), value(2), value(3));
        match read.checked_sub(kept + superseded) {
            Some(duplicate) if kept == staged && invented == 0 => {
                Ok(Some(RowCounts { read, staged, duplicate, superseded }))
            }
            _ => Err(Error::Check(format!(
                "{} ({partition}): {staged} rows were staged, {kept} of them are rows of source.{name} and {invented} of \
                 those more often than delivered; nothing was published",
                model.file
            ))),
        }
    }
}

/// What computes a partition of an SQL model.
///
/// # Errors
/// [`Error::Config`] for parameters and sources that there aren't.
pub(crate) fn task(resolver: &Resolver<'_>, model: &Model, slot: &Slot, known: &Known) -> Result<Task> {
    task_over(resolver, model, slot, tables(resolver, model, slot, known)?)
}

fn task_over(resolver: &Resolver<'_>, model: &Model, slot: &Slot, tables: Vec<TaskTable>) -> Result<Task> {
    let Body::Sql(sql) = &model.body else { return Err(Error::bug("not an SQL model")) };
    Ok(Task {
        label: format!("{} ({})", model.file, slot.partition),
        sql: sql.clone(),
        parameters: resolver.parameters(model, slot)?,
        tables,
    })
}

/// The tables that a partition reads, each as the files of the partitions that it reads of it.
fn tables(resolver: &Resolver<'_>, model: &Model, slot: &Slot, known: &Known) -> Result<Vec<TaskTable>> {
    let table = |reads: ReadPartitions<'_>| match &reads.read.table {
        Table::Source(name) => match resolver.ground(false).sources.get(name) {
            Some(source) => Ok(source.task_table(slot.partition)),
            None => Err(Error::config(format!("{}: there is no source `{name}`", model.file))),
        },
        Table::Model(name) => {
            let files = reads.slots.iter().filter_map(|slot| known.get(slot));
            let read = resolver.model(name)?;
            let table = TaskTable::of_files(name, read.schema(), files.map(|record| &record.file));
            let goes_along = model.along.contains(name) && table.files.len() == 1;
            let sorted_by = if goes_along { read.grain.clone() } else { vec![] };
            Ok(TaskTable { until: resolver.until(reads.read, slot), sorted_by, ..table })
        }
    };
    resolver.reads(model, slot)?.into_iter().map(table).collect()
}

#[derive(Default)]
struct BrokenRows {
    rows: u64,
    samples: Vec<String>,
}

impl Sink for BrokenRows {
    fn accept(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows().min(SAMPLES.saturating_sub(self.samples.len())) {
            self.samples.push(row_text(batch, row)?);
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }
}
