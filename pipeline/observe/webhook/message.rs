//! What a message says, in few lines: what happened, where, and what to do about it.

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::account::RunResults;
use crate::backfill::Span;
use crate::config::NotifyOn;
use crate::observe::words::{cut, without_rows};

/// The version of [`Message`]. A reader may rely on every field of its version; new ones may join.
const FORMAT: u32 = 1;
/// Of a list, a message has so many.
const MOST_NAMES: usize = 10;
/// Of a name or a line.
const MOST_CHARS: usize = 200;

/// A message about a run, as a receiver of `format = "generic"` gets it by POST. It has no secrets and no rows of the data.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "Message")]
pub struct Message {
    /// The version of this format.
    pub format: u32,
    pub event: Event,
    /// The project's name.
    pub project: String,
    /// What happened, in one line.
    pub title: String,
    /// The run's details; absent for a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The stage that the run failed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The models with failed checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The sources that are late or were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The error's first lines; `…` stands where it quotes a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do next: a sentence with the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A run failed.
    Failure,
    /// The data was refused; the marts of before stand.
    Blocked,
    /// A run went well after one that didn't.
    Recovery,
    /// Sources have no row as new as they should.
    Late,
    /// Somebody tries whether messages arrive.
    Test,
}

/// The run that a message is about.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Run {
    pub run_id: String,
    /// The last business day that counts.
    pub as_of: NaiveDate,
    /// The backfill that it was a day of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Span>,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    pub exit_code: i32,
    /// The snapshot that it published, or found to stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
}

impl Message {
    /// `before` is the run that failed, for a recovery.
    pub(super) fn of(event: NotifyOn, results: &RunResults, before: Option<&RunResults>) -> Self {
        let has_failed = results.error.is_some();
        let (models, sources) = match event {
            NotifyOn::Late => (vec![], late(results)),
            _ => (failed_models(results), refused_sources(results)),
        };
        Self {
            format: FORMAT,
            event: event.into(),
            project: cut(&results.project, MOST_CHARS),
            title: title(event, results, before),
            run: Some(Run {
                run_id: results.run_id.clone(),
                as_of: results.as_of,
                backfill: results.backfill,
                started_at: results.started_at,
                ended_at: results.ended_at,
                exit_code: results.exit_code,
                snapshot: results.snapshot,
            }),
            stage: results.stages.last().filter(|_| has_failed).map(|stage| stage.name.clone()),
            error: results.error.as_deref().map(without_rows),
            next: next(event, results, &models, &sources),
            models: few(models),
            sources: few(sources),
        }
    }

    pub(super) fn test(project: &str) -> Self {
        Self {
            format: FORMAT,
            event: Event::Test,
            project: cut(project, MOST_CHARS),
            title: "This is a test: messages of Bazgasht arrive here.".to_owned(),
            run: None,
            stage: None,
            models: vec![],
            sources: vec![],
            error: None,
            next: None,
        }
    }

    /// As Slack's markup, in which three characters have to be escaped.
    pub(super) fn to_slack(&self) -> String {
        let mark = match self.event {
            Event::Failure | Event::Blocked => ":red_circle:",
            Event::Late => ":large_yellow_circle:",
            Event::Recovery | Event::Test => ":large_green_circle:",
        };
        let mut lines = vec![format!("{mark} *{}*: {}", escaped(&self.project), escaped(&self.title))];
        let mut line = |name: &str, text: &str| lines.push(format!("{name}: {}", escaped(text)));
        if let Some(stage) = &self.stage {
            line("stage", stage);
        }
        if !self.models.is_empty() {
            line("models", &self.models.join(", "));
        }
        if !self.sources.is_empty() {
            line("sources", &self.sources.join(", "));
        }
        if let Some(error) = &self.error {
            // Quoted as code, in which nothing is markup; what would end it can't be escaped.
            lines.push(format!("```{}```", escaped(error).replace("```", "'''")));
        }
        if let Some(next) = &self.next {
            lines.push(format!("next: {}", escaped(next)));
        }
        lines.extend(self.run.as_ref().map(|run| format!("run {}", run.run_id)));
        lines.join("\n")
    }
}

impl From<NotifyOn> for Event {
    fn from(event: NotifyOn) -> Self {
        match event {
            NotifyOn::Failure => Event::Failure,
            NotifyOn::Recovery => Event::Recovery,
            NotifyOn::Late => Event::Late,
            NotifyOn::Blocked => Event::Blocked,
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn title(event: NotifyOn, results: &RunResults, before: Option<&RunResults>) -> String {
    let of_backfill = results.backfill.map_or(String::new(), |span| format!(" (a day of the backfill of {span})"));
    let run = format!("the run as of {}{of_backfill}", results.as_of);
    let snapshot = results.snapshot.map_or(String::new(), |number| format!(" (snapshot {number})"));
    match event {
        NotifyOn::Failure => format!("{run} failed (exit code {}); the marts of before stand", results.exit_code),
        NotifyOn::Blocked => format!("{run} was blocked by its data; the marts of before stand"),
        NotifyOn::Recovery => {
            let since = before.map_or(String::new(), |run| {
                format!(", after a failure on {}", run.started_at.format("%Y-%m-%d %H:%M UTC"))
            });
            format!("{run} went well{snapshot}{since}")
        }
        NotifyOn::Late => format!("{run} went well{snapshot}, but sources are late"),
    }
}

/// What to do, with the command as it is to be typed in the project's folder.
fn next(event: NotifyOn, results: &RunResults, models: &[String], sources: &[String]) -> Option<String> {
    let text = match (event, results.exit_code) {
        (NotifyOn::Recovery, _) => return None,
        (NotifyOn::Late, _) => "see to the delivery; `bazgasht run` takes in what comes".to_owned(),
        (NotifyOn::Blocked, _) => match (sources.first(), models.first()) {
            (Some(source), _) => {
                format!("`bazgasht rejects --source {source}` shows why; mend that, then `bazgasht retry`")
            }
            (None, Some(model)) => {
                let (model, partition) = model.split_once(' ').unwrap_or((model, "(all)"));
                let partition = partition.trim_matches(['(', ')']);
                let run = &results.run_id;
                format!("`bazgasht explain {run} {model}:{partition}` shows it; mend the data, then `bazgasht retry`")
            }
            (None, None) => "`bazgasht runs` has the whole error; mend the data, then `bazgasht retry`".to_owned(),
        },
        (NotifyOn::Failure, 2) => "mend what it names, `bazgasht check`, then `bazgasht retry`".to_owned(),
        (NotifyOn::Failure, 3) => "once what it names can be reached and read, `bazgasht retry`".to_owned(),
        (NotifyOn::Failure, 4) => {
            "another run published first: `bazgasht runs` shows which; see why there are two".to_owned()
        }
        (NotifyOn::Failure, _) => "a bug of Bazgasht: report it with the log, then try `bazgasht retry`".to_owned(),
    };
    Some(text)
}

/// Partitions in which checks failed, as `model (2024-01)`.
fn failed_models(results: &RunResults) -> Vec<String> {
    let failed = results.partitions.iter().filter(|partition| partition.violations > 0);
    failed.map(|partition| format!("{} ({})", partition.model, partition.partition)).collect()
}

/// Sources that the data gate refused, by the lines of the error that tells of them.
fn refused_sources(results: &RunResults) -> Vec<String> {
    let lines = results.error.iter().filter(|_| results.exit_code == 1).flat_map(|error| error.lines());
    let named = lines.filter_map(|line| line.strip_prefix("source ")?.split_once(": "));
    let is_source = |name: &&str| results.sources.iter().any(|source| source.source == *name);
    let mut names: Vec<String> = named.map(|(name, _)| name).filter(is_source).map(str::to_owned).collect();
    names.dedup();
    names
}

/// Sources whose newest row is older than their `max_age`.
pub(super) fn late(results: &RunResults) -> Vec<String> {
    results.late.iter().map(|late| late.source.clone()).collect()
}

fn few(names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(MOST_NAMES);
    let mut few: Vec<String> = names.into_iter().take(MOST_NAMES).map(|name| cut(&name, MOST_CHARS)).collect();
    if more > 0 {
        few.push(format!("and {more} more"));
    }
    few
}

/// The JSON Schema of [`Message`]; ends in a newline.
pub fn json_schema() -> String {
    let mut text = format!("{:#}", schemars::schema_for!(Message).as_value());
    text.push('\n');
    text
}
