//! What each command does, in terms of the library.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::util::pretty::pretty_format_batches;
use chrono::Utc;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::running::run_as_of;
use super::text::{grouped, shortened, table};
use super::{GcArgs, GenerateArgs, GenerateFormat, PlanArgs, RejectsArgs, ShowArgs, WorkArgs};
use crate::config::{Config, DEFAULT_RETRY_FOR, FILE_NAME, StoreKind, StoreRoot, TEMPLATE};
use crate::docs;
use crate::engine::Task;
use crate::error::{Error, Result};
use crate::gc;
use crate::generate::{self, Options};
use crate::interrupt::Interrupt;
use crate::model::{embedded, type_name};
use crate::observe::webhook;
use crate::plan::{Action, Plan, Slot};
use crate::project::{Blueprint, Project};
use crate::publish::published_names;
use crate::rejects::{self, Group, Wanted};
use crate::report::Terminal;
use crate::rollback as rolling;
use crate::run::{self, Request, Surroundings};
use crate::snapshot::{MartRecord, Snapshot};
use crate::storage::Storage;
use crate::validate;

fn load(config: &Path) -> Result<Config> {
    let colour = std::env::var_os("NO_COLOR").is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    Config::load(config).map_err(|complaints| Error::Config(complaints.render(colour)))
}

pub(super) fn open(config: &Path) -> Result<Project> {
    Blueprint::draw(load(config)?)?.open()
}

pub(super) fn request(work: &WorkArgs) -> Request {
    Request {
        as_of: work.as_of,
        select: (!work.select.is_empty()).then(|| work.select.clone()),
        rebuild: work.rebuild,
        ..Request::default()
    }
}

pub(super) fn init(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let config = dir.join(FILE_NAME);
    if config.exists() {
        return Err(Error::config(format!("{} is there already; it was left alone", config.display())));
    }
    let models = dir.join("sql");
    if models.exists() {
        return Err(Error::config(format!("{} is there already; it was left alone", models.display())));
    }
    std::fs::write(&config, TEMPLATE)?;
    for (path, text) in embedded() {
        let file = models.join(path);
        std::fs::create_dir_all(file.parent().unwrap_or(dir))?;
        std::fs::write(file, text)?;
    }
    say!("wrote {} and the models in {}", config.display(), models.display());
    say!("next: say where your logs are, in [sources]; then `bazgasht check`");
    say!("the models are used when [models] path = \"./sql\" is set; until then, those in the program are");
    Ok(())
}

pub(super) async fn check(config: &Path) -> Result<()> {
    let blueprint = Blueprint::draw(load(config)?)?;
    validate::models(&blueprint).await?;
    let models = blueprint.catalog.names().count();
    let sources = blueprint.config.sources.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    say!("fine: {models} models over {sources}");
    Ok(())
}

/// The marts' documentation: of the project whose config is there, else of the models in the program.
pub(super) fn docs(config: &Path) -> Result<()> {
    let page = if config.exists() { docs::of_project(&Blueprint::draw(load(config)?)?) } else { docs::embedded()? };
    say!("{}", page.trim_end());
    Ok(())
}

pub(super) async fn plan(config: &Path, args: &PlanArgs) -> Result<()> {
    let project = open(config)?;
    let interrupt = Interrupt::listen()?;
    let progress = Terminal::default();
    let around = Surroundings { now: &Utc::now, interrupt: &interrupt, progress: &progress };
    let plan = run::plan(&project, &request(&args.work), &around).await?;
    if args.json {
        say!("{}", plan_json(&plan));
        return Ok(());
    }
    show_plan(&plan);
    Ok(())
}

/// What is to be done and why, for a person.
pub(super) fn show_plan(plan: &Plan) {
    let mut rows = table(&["model", "partition", "action", "why"]);
    for step in plan.open() {
        let (action, why) = words(&step.action);
        let of_eve = if step.slot.eve { " (the day before)" } else { "" };
        rows.add_row([step.slot.model.clone(), format!("{}{of_eve}", step.slot.partition), action.to_owned(), why]);
    }
    let open = plan.open().count();
    if open == 0 {
        say!("as of {}: nothing to build", plan.as_of);
    } else {
        say!("{rows}\n\nas of {}: {open} of {} partitions", plan.as_of, plan.steps.len());
    }
}

fn words(action: &Action) -> (&'static str, String) {
    match action {
        Action::Reuse(_) => ("reuse", String::new()),
        Action::Build(reasons) => ("build", reasons.join("; ")),
        Action::IfChanged(inputs) => ("if changed", inputs.join(", ")),
    }
}

fn plan_json(plan: &Plan) -> serde_json::Value {
    let steps = plan.steps.iter().map(|step| {
        let (action, _) = words(&step.action);
        let why = match &step.action {
            Action::Reuse(_) => vec![],
            Action::Build(why) | Action::IfChanged(why) => why.clone(),
        };
        let Slot { model, partition, eve } = &step.slot;
        serde_json::json!({ "model": model, "partition": partition, "day_before": eve, "action": action, "why": why })
    });
    serde_json::json!({ "as_of": plan.as_of, "steps": steps.collect::<Vec<_>>() })
}

/// Of a rejected row's raw text, a terminal gets so many characters.
const RAW_COLUMNS: usize = 70;

pub(super) async fn rejects(config: &Path, args: &RejectsArgs) -> Result<()> {
    let project = open(config)?;
    let wanted = Wanted::new(&project, args.source.as_deref(), args.rule.as_deref(), args.limit)?;
    let interrupt = Interrupt::listen()?;
    let progress = Terminal::default();
    let around = Surroundings { now: &Utc::now, interrupt: &interrupt, progress: &progress };
    let groups = rejects::collect(&project, &wanted, &around).await?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&groups).map_err(Error::bug)?);
        return Ok(());
    }
    if groups.is_empty() {
        say!("no rejected rows");
        return Ok(());
    }
    let mut counts = table(&["source", "rule", "rows"]);
    for group in &groups {
        counts.add_row([group.source.as_str(), group.rule.as_str(), &grouped(group.count)]);
    }
    say!("{counts}");
    groups.iter().for_each(show_rejects);
    Ok(())
}

fn show_rejects(group: &Group) {
    say!("\n{} · {}: {}\n  what to do: {}", group.source, group.rule, group.cause, group.remedy);
    let mut object = "";
    for row in &group.rows {
        if row.object != object {
            object = &row.object;
            let of = row.delivered_at.map_or(String::new(), |at| format!(" (of {})", at.format("%Y-%m-%d %H:%M")));
            say!("  {}{of}", shortened(object, usize::MAX));
        }
        let raw = row
            .raw
            .as_deref()
            .map_or("(withheld: look it up in the file)".to_owned(), |raw| shortened(raw, RAW_COLUMNS));
        say!("    line {}: {raw}", row.line);
    }
    let rest = group.count - group.rows.len() as u64;
    if rest > 0 {
        say!("    and {} more: --source {} --rule {} --limit N", grouped(rest), group.source, group.rule);
    }
}

pub(super) async fn show(config: &Path, args: &ShowArgs) -> Result<()> {
    let project = open(config)?;
    let snapshot = Snapshot::newest(&project.lake)
        .await?
        .ok_or_else(|| Error::config("nothing has been published yet: `bazgasht run` does"))?;
    if let Some(report) = snapshot.marts.get(&args.model).filter(|_| project.catalog.get(&args.model).is_none()) {
        return show_report(&project, &args.model, report, args.limit).await;
    }
    let model = project.catalog.get(&args.model).ok_or_else(|| {
        let names = published_names(&project.catalog);
        let nearest = crate::config::nearest(&args.model, names.iter().map(String::as_str));
        Error::config(format!(
            "there is no model `{}`{}",
            args.model,
            nearest.map_or(String::new(), |n| format!("; did you mean `{n}`?"))
        ))
    })?;
    let shown = snapshot.table(model);
    let order = if model.grain.is_empty() { String::new() } else { format!(" order by {}", model.grain.join(", ")) };
    let task = Task {
        label: format!("show {}", model.name),
        sql: format!("select * from {}{order} limit {}", model.name, args.limit),
        parameters: BTreeMap::new(),
        tables: vec![shown],
    };
    let batches = project.engine.collect(&task).await?;
    say!("{} — {}", model.name, model.description);
    say!("grain: {}; as of {}\n", model.grain.join(", "), snapshot.as_of);
    let mut columns = table(&["column", "type", "unit", "what it is"]);
    for column in &model.columns {
        columns.add_row([
            &column.name,
            &type_name(&column.data_type),
            column.unit.as_deref().unwrap_or(""),
            &column.doc,
        ]);
    }
    say!("{columns}\n");
    say!("{}", pretty_format_batches(&batches)?);
    Ok(())
}

/// The marts that no model makes are read where they are published.
async fn show_report(project: &Project, name: &str, report: &MartRecord, limit: usize) -> Result<()> {
    let mut columns = table(&["column", "what it is"]);
    for (column, _) in &report.schema {
        let doc = report.column_metadata.get(column).and_then(|about| about.get("doc"));
        columns.add_row([column.as_str(), doc.map_or("", String::as_str)]);
    }
    say!("{name}\n\n{columns}\n");
    for file in &report.files {
        let bytes = project.marts.require(&file.path).await?;
        let rows = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_limit(limit).build()?;
        say!("{}", pretty_format_batches(&rows.collect::<Result<Vec<_>, _>>()?)?);
    }
    Ok(())
}

pub(super) async fn notify(config: &Path) -> Result<()> {
    let told = webhook::test(&open(config)?).await?;
    let mut refused = Vec::new();
    for (index, (host, taken)) in told.into_iter().enumerate() {
        match taken {
            Ok(()) => say!("{}. {host} took it", index + 1),
            Err(why) => refused.push(format!("{}. {why}", index + 1)),
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Error::world("not every message was taken", refused.join("; "))) }
}

pub(super) async fn rollback(config: &Path, number: u64) -> Result<()> {
    let project = open(config)?;
    let snapshot = rolling::rollback(&project, number, Utc::now()).await?;
    say!("published snapshot {} with the contents of snapshot {number}, as of {}", snapshot.number, snapshot.as_of);
    Ok(())
}

pub(super) async fn gc(config: &Path, args: &GcArgs) -> Result<()> {
    let project = open(config)?;
    let keep_days = args.keep_days.unwrap_or(project.config.publish.keep_days);
    let swept = gc::collect(&project, keep_days, args.grace_hours, Utc::now()).await?;
    say!(
        "deleted {} snapshots and {} objects ({} bytes); kept {} snapshots",
        swept.snapshots,
        grouped(swept.objects),
        grouped(swept.bytes),
        swept.kept
    );
    Ok(())
}

pub(super) async fn generate(args: &GenerateArgs) -> Result<()> {
    let root = StoreRoot::parse(&args.out, &std::env::current_dir()?)
        .map_err(|fault| Error::config(format!("--out {}; {}", fault.what, fault.hint)))?;
    let store = match &root {
        StoreRoot::Local(dir) => Storage::create_local(dir)?,
        StoreRoot::Remote(remote) if remote.kind == StoreKind::Web => {
            return Err(Error::config(
                "--out can't be on a web server; write a folder, `s3://…`, `az://…` or `gs://…`",
            ));
        }
        StoreRoot::Remote(remote) => Storage::open_remote(remote, &BTreeMap::new(), DEFAULT_RETRY_FOR)?,
    };
    let options = Options {
        customers: args.customers,
        days: args.days,
        seed: args.seed,
        first_day: args.first_day,
        format: match args.format {
            GenerateFormat::Ndjson => generate::Format::Ndjson,
            GenerateFormat::Csv => generate::Format::Csv,
            GenerateFormat::Parquet => generate::Format::Parquet,
        },
        ..Options::default()
    };
    let summary = generate_into(store, options).await?;
    say!("{}", serde_json::to_string_pretty(&summary).map_err(Error::bug)?);
    Ok(())
}

/// The generator is plain, blocking code; each file is uploaded before the next is made.
async fn generate_into(store: Storage, options: Options) -> Result<generate::Summary> {
    struct Uploads(Storage, tokio::runtime::Handle);
    impl generate::Sink for Uploads {
        fn put(&mut self, path: &str, content: Vec<u8>) -> std::io::Result<()> {
            self.1.block_on(self.0.put(path, content)).map(|_| ()).map_err(std::io::Error::other)
        }
    }
    let handle = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || generate::generate(&options, &mut Uploads(store, handle)))
        .await
        .map_err(Error::bug)?
        .map_err(|e| Error::world("generate", e))
}

/// The demo's project: a small shop with the Jalali calendar.
const DEMO_CONFIG: &str = include_str!("demo.toml");
const DEMO_DAYS: u32 = 420;

pub(super) async fn demo(dir: &Path) -> Result<()> {
    let config = dir.join(FILE_NAME);
    let options = Options { customers: 600, days: DEMO_DAYS, ..Options::default() };
    let as_of = options.first_day + chrono::Days::new(u64::from(DEMO_DAYS) - 1);
    if !config.exists() {
        eprintln!("generating {DEMO_DAYS} days of a shop with 600 customers into {}", dir.join("raw").display());
        generate_into(Storage::create_local(&dir.join("raw"))?, options).await?;
        std::fs::write(&config, DEMO_CONFIG)?;
    }
    run_as_of(&config, as_of).await?;
    demo_summary(&config, dir).await
}

/// A few rows that a retention team would look at first.
async fn demo_summary(config: &Path, dir: &Path) -> Result<()> {
    let project = open(config)?;
    let Some(snapshot) = Snapshot::newest(&project.lake).await? else { return Ok(()) };
    let query = |sql: &str, models: &[&str]| {
        let tables = models.iter().filter_map(|name| project.catalog.get(name)).map(|model| snapshot.table(model));
        Task { label: "demo".to_owned(), sql: sql.to_owned(), parameters: BTreeMap::new(), tables: tables.collect() }
    };
    let retention = query(
        "select period_label as month, is_complete, customers_start, customers_end, customers_new, round(retention_rate, 3) as retention_rate, \
         round(churn_rate, 3) as churn_rate, orders, round(revenue / 1000000, 1) as revenue_millions from retention_by_period \
         where grain = 'month' and basis = 'order' and base = 'period' order by period_start desc limit 6",
        &["retention_by_period"],
    );
    let segments = query(
        "select segment_en, segment_fa, count(*) as customers, round(sum(monetary) / 1000000, 1) as revenue_millions \
         from rfm group by 1, 2 order by 3 desc, 1",
        &["rfm"],
    );
    say!("\nRetention, last six Jalali months:");
    say!("{}", pretty_format_batches(&project.engine.collect(&retention).await?)?);
    say!("\nRFM segments:");
    say!("{}", pretty_format_batches(&project.engine.collect(&segments).await?)?);
    say!("\nlook at:  {}", dir.join("marts/current").display());
    say!("try:      bazgasht --config {} show churn_flags", config.display());
    say!("          bazgasht --config {} plan", config.display());
    Ok(())
}
