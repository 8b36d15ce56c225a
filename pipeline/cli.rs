//! The command line. Results go to standard output, talk to standard error; every flag is mirrored by `BAZGASHT_*`.

/// Prints to standard output; a reader that went away is no error.
macro_rules! say {
    ($($arguments:tt)*) => {{
        let _ = std::io::Write::write_fmt(
            &mut std::io::stdout(),
            format_args!("{}\n", crate::redact::redacted(&format!($($arguments)*))),
        );
    }};
}

mod commands;
mod explaining;
mod history;
mod running;
mod scheduling;
mod summary;
mod text;

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::error::Result;
use crate::redact::{self, RedactedStderr};
use crate::report::Guard;
use crate::storage::Retries;

/// Turns order and interaction logs into retention marts in Parquet, every night.
#[derive(Debug, Parser)]
#[command(name = "bazgasht", version, max_term_width = 100)]
pub struct Cli {
    /// The project's config file.
    #[arg(long, global = true, env = "BAZGASHT_CONFIG", default_value = crate::config::FILE_NAME)]
    config: PathBuf,
    /// How the talk on standard error is written.
    #[arg(long, global = true, env = "BAZGASHT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented config file and a copy of the SQL models to edit.
    Init(InitArgs),
    /// Check config, models and mappings without reading any data.
    Check,
    /// Print the documentation of every mart as Markdown.
    Docs,
    /// Say which partitions would be built, and why.
    Plan(PlanArgs),
    /// Build what has changed, check it and publish the marts.
    Run(RunArgs),
    /// Stay, and do each stage when its cron line in [schedule] says so.
    Schedule(ScheduleArgs),
    /// Run what failed or was interrupted last once more, as of its own date.
    Retry,
    /// List past runs and what became of them.
    Runs(RunsArgs),
    /// Say how a partition came to be in a run: why it was built, from what, by which plan, and what it took.
    Explain(ExplainArgs),
    /// Show the rejected rows of the sources as they lie there now: which rule they broke, and what to do.
    Rejects(RejectsArgs),
    /// Send a test message to everybody whom [[notify]] names, and say who took it.
    Notify,
    /// Print a mart's or model's rows and the meaning of its columns.
    Show(ShowArgs),
    /// Publish an earlier run's marts again.
    Rollback(RollbackArgs),
    /// Delete what no kept snapshot needs.
    Gc(GcArgs),
    /// Write a synthetic shop's logs.
    Generate(GenerateArgs),
    /// Generate a small shop, run it and say where to look: no server, no account, no argument.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// Where to.
    #[arg(env = "BAZGASHT_DIR", default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct WorkArgs {
    /// The last business day that counts; by default yesterday in the project's time zone.
    #[arg(long, env = "BAZGASHT_AS_OF")]
    as_of: Option<NaiveDate>,
    /// Only these models and what they read. Such a run never publishes. Comma-separated: `rfm`; `rfm+`, also what stands
    /// on it; `tag:NAME`; `changed`, what the plan has open.
    #[arg(long, env = "BAZGASHT_SELECT", value_delimiter = ',')]
    select: Vec<String>,
    /// Build every partition, whatever is there.
    #[arg(long, env = "BAZGASHT_REBUILD")]
    rebuild: bool,
}

#[derive(Debug, Args)]
struct PlanArgs {
    #[command(flatten)]
    work: WorkArgs,
    /// As JSON.
    #[arg(long, env = "BAZGASHT_JSON")]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    work: WorkArgs,
    /// Backfill: publish each business day from this one on that was never published, in order, and then the newest
    /// once more.
    #[arg(long, env = "BAZGASHT_FROM", conflicts_with_all = ["as_of", "select", "rebuild"])]
    from: Option<NaiveDate>,
    /// The last day of the backfill; by default yesterday.
    #[arg(long, env = "BAZGASHT_TO", requires = "from")]
    to: Option<NaiveDate>,
    /// Print what would be built, or which days are missing, and leave it at that. New objects are read for it.
    #[arg(long, env = "BAZGASHT_DRY_RUN")]
    dry_run: bool,
    /// Stop at the first failed check. By default everything that can be built is, and all failures are told together.
    #[arg(long, env = "BAZGASHT_FAIL_FAST")]
    fail_fast: bool,
    /// Publish this once, although: a source is late; the day has unusually few or many rows; a mart moved beyond its
    /// limits. Comma-separated. What checks find still blocks.
    #[arg(long, env = "BAZGASHT_ACCEPT", value_enum, value_delimiter = ',', conflicts_with_all = ["from", "select"])]
    accept: Vec<Guard>,
}

#[derive(Debug, Args)]
struct ScheduleArgs {
    /// Do what is due now, by what the lake says was done (on a new lake: each stage), and exit with its code.
    #[arg(long, env = "BAZGASHT_ONCE")]
    once: bool,
}

#[derive(Debug, Args)]
struct RunsArgs {
    /// How many, of the newest.
    #[arg(long, env = "BAZGASHT_LIMIT", default_value_t = 30)]
    limit: usize,
    /// The runs' accounts as JSON.
    #[arg(long, env = "BAZGASHT_JSON")]
    json: bool,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// A snapshot's number, a run's name or its end as `bazgasht runs` shows them, or `latest`.
    run: String,
    /// The model; or the model and a partition, as in `rfm_by_month:2025-12`.
    model: String,
}

#[derive(Debug, Args)]
struct RejectsArgs {
    /// Only of this source.
    #[arg(long, env = "BAZGASHT_SOURCE")]
    source: Option<String>,
    /// Only those that broke this rule.
    #[arg(long, env = "BAZGASHT_RULE")]
    rule: Option<String>,
    /// How many rows to show of each source and rule; the counts are over all.
    #[arg(long, env = "BAZGASHT_LIMIT", default_value_t = 10)]
    limit: usize,
    /// As JSON.
    #[arg(long, env = "BAZGASHT_JSON")]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The model.
    model: String,
    /// How many rows.
    #[arg(long, env = "BAZGASHT_LIMIT", default_value_t = 10)]
    limit: usize,
}

#[derive(Debug, Args)]
struct RollbackArgs {
    /// The snapshot's number, as `bazgasht runs` shows it.
    run: u64,
}

#[derive(Debug, Args)]
struct GcArgs {
    /// Keep snapshots of so many days; by default the config's [publish] keep_days.
    #[arg(long, env = "BAZGASHT_KEEP_DAYS")]
    keep_days: Option<u32>,
    /// Spare unmentioned objects younger than this: a run that is going on may need them.
    #[arg(long, env = "BAZGASHT_GRACE_HOURS", default_value_t = 24)]
    grace_hours: u32,
}

#[derive(Debug, Args)]
struct GenerateArgs {
    #[arg(long, env = "BAZGASHT_CUSTOMERS", default_value_t = 1000)]
    customers: u64,
    #[arg(long, env = "BAZGASHT_DAYS", default_value_t = 400)]
    days: u32,
    #[arg(long, env = "BAZGASHT_SEED", default_value_t = 1)]
    seed: u64,
    /// The first day of files.
    #[arg(long, env = "BAZGASHT_FIRST_DAY", default_value = "2024-03-20")]
    first_day: NaiveDate,
    /// A folder, s3://bucket/prefix, az://container/prefix or gs://bucket/prefix.
    #[arg(long, env = "BAZGASHT_OUT", default_value = "./raw")]
    out: String,
    #[arg(long, env = "BAZGASHT_FORMAT", value_enum, default_value_t = GenerateFormat::Ndjson)]
    format: GenerateFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GenerateFormat {
    Ndjson,
    Csv,
    Parquet,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Where to.
    #[arg(env = "BAZGASHT_DIR", default_value = "bazgasht-demo")]
    dir: PathBuf,
}

impl Cli {
    /// Whether the talk on standard error is lines of JSON: then its last one, the error, is too.
    pub fn logs_json(&self) -> bool {
        self.log_format == LogFormat::Json
    }

    /// Starts the talk and carries the command out.
    pub async fn run(self) -> Result<()> {
        start_log(self.log_format);
        match self.command {
            Command::Init(args) => commands::init(&args.dir),
            Command::Check => commands::check(&self.config).await,
            Command::Docs => commands::docs(&self.config),
            Command::Plan(args) => commands::plan(&self.config, &args).await,
            Command::Run(args) => running::run(&self.config, &args).await,
            Command::Schedule(args) => scheduling::schedule(&self.config, &args).await,
            Command::Retry => running::retry(&self.config).await,
            Command::Runs(args) => history::runs(&self.config, &args).await,
            Command::Explain(args) => explaining::explain(&self.config, &args).await,
            Command::Rejects(args) => commands::rejects(&self.config, &args).await,
            Command::Notify => commands::notify(&self.config).await,
            Command::Show(args) => commands::show(&self.config, &args).await,
            Command::Rollback(args) => commands::rollback(&self.config, args.run).await,
            Command::Gc(args) => commands::gc(&self.config, &args).await,
            Command::Generate(args) => commands::generate(&args).await,
            Command::Demo(args) => commands::demo(&args.dir).await,
        }
    }
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("BAZGASHT_LOG").unwrap_or_else(|_| EnvFilter::new("bazgasht=info,warn"));
    // What goes over the wire, and SQL torn into words, has no place in a log, however much of it is asked for.
    let filter = ["h2=info", "hyper=info", "hyper_util=info", "reqwest=info", "rustls=info", "sqlparser=info"]
        .iter()
        .filter_map(|wire| wire.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    redact::learn_environment();
    let talk = tracing_subscriber::fmt::layer().with_writer(RedactedStderr).with_target(false);
    let colour = std::env::var_os("NO_COLOR").is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let talk = match format {
        LogFormat::Text => talk.with_ansi(colour).compact().boxed(),
        LogFormat::Json => talk.json().boxed(),
    };
    tracing_subscriber::registry().with(talk.with_filter(filter)).with(Retries::layer()).init();
}
