//! What `bazgasht check` looks at beyond parsing: every model planned against the contracts and the other models'
//! declared columns, without reading data.

use std::sync::Arc;

use crate::engine::{Engine, Task, TaskTable};
use crate::error::{Error, Result};
use crate::model::{Body, Model, Table};
use crate::plan::Ground;
use crate::project::{Blueprint, sources};
use crate::snapshot::PartitionId;
use crate::sources::Sources;
use crate::storage::Storage;

/// Plans every model and every SQL check on empty tables. All complaints come in one error.
pub async fn models(blueprint: &Blueprint) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let nowhere = Storage::from_store(Arc::new(object_store::memory::InMemory::new()), "nowhere");
    let engine = Engine::new(&nowhere, 64 << 20, 1, scratch.path().to_owned())?;
    let sources = sources(&blueprint.config, |_| Default::default());
    let ground = Ground {
        catalog: &blueprint.catalog,
        calendar: blueprint.calendar,
        as_of: chrono::NaiveDate::from_ymd_opt(2024, 3, 20).unwrap_or_default(),
        settings: &blueprint.settings,
        sources: &sources,
        calendar_fingerprint: String::new(),
        source_months: sources.months(),
    };
    let mut complaints = Vec::new();
    for model in blueprint.catalog.in_order() {
        if let Err(e) = model_is_sound(&engine, &ground, &sources, model).await {
            complaints.push(e.to_string());
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::Config(complaints.join("\n\n"))) }
}

async fn model_is_sound(engine: &Engine, ground: &Ground<'_>, sources: &Sources, model: &Model) -> Result<()> {
    let Body::Sql(sql) = &model.body else { return Ok(()) };
    let partition = if model.monthly { PartitionId::Month(ground.as_of_month()) } else { PartitionId::Whole };
    let parameters = ground.parameters(model, partition)?;
    let tables = empty_tables(ground, sources, model)?;
    let task = |label: String, sql: &str, tables: Vec<TaskTable>| Task {
        label,
        sql: sql.to_owned(),
        parameters: parameters.clone(),
        tables,
    };
    let schema = engine.plan(&task(model.file.clone(), sql, tables.clone())).await?;
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let declared: Vec<&str> = model.columns.iter().map(|c| c.name.as_str()).collect();
    if names != declared {
        let differing = names.iter().zip(&declared).find(|(a, b)| a != b);
        return Err(Error::config(format!(
            "{}: the SELECT yields {} columns and [columns] declares {}{}",
            model.file,
            names.len(),
            declared.len(),
            differing.map_or(String::new(), |(a, b)| format!("; they part at `{a}` against `{b}`"))
        )));
    }
    for (given, column) in schema.fields().iter().zip(&model.columns) {
        if !arrow::compute::can_cast_types(given.data_type(), &column.data_type) {
            return Err(Error::config(format!(
                "{}: column `{}` is {} and cannot become {}",
                model.file,
                column.name,
                given.data_type(),
                column.data_type
            )));
        }
    }
    for check in model.checks.iter().chain(&model.warnings) {
        let this = table("this", model);
        let tables = tables.iter().cloned().chain([this]).collect();
        engine.plan(&task(format!("{} check {}", model.file, check.name), &check.sql, tables)).await?;
    }
    Ok(())
}

fn empty_tables(ground: &Ground<'_>, sources: &Sources, model: &Model) -> Result<Vec<TaskTable>> {
    model
        .reads
        .iter()
        .map(|read| match &read.table {
            Table::Source(name) => sources
                .get(name)
                .map(|source| source.task_table(PartitionId::Whole))
                .ok_or_else(|| Error::config(format!("{}: there is no source `{name}`", model.file))),
            Table::Model(name) => ground
                .catalog
                .get(name)
                .map(|read| table(name, read))
                .ok_or_else(|| Error::bug(format!("no model `{name}`"))),
        })
        .collect()
}

fn table(name: &str, model: &Model) -> TaskTable {
    TaskTable::of_files(name, model.schema(), [])
}
