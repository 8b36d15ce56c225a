//! The table `[schedule]`: cron lines and how they are kept to.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::DateTime;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::diagnostics::one_of;
use super::file::{CatchUp, RawSchedule};
use super::read::Reader;
use super::values::Span;
use super::wrappers::Placed;

const DEFAULT_RETRIES: u32 = 3;
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);
const DEFAULT_LEASE: Duration = Duration::from_secs(5 * 60);
/// A third of it is the time between two signs of life, in which a store has to take one.
const LEAST_LEASE: Duration = Duration::from_secs(3);

/// When `bazgasht schedule` does what. At least one of the three lines is there.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub extract: Option<CronLine>,
    pub publish: Option<CronLine>,
    pub gc: Option<CronLine>,
    pub catch_up: CatchUp,
    pub jitter: Duration,
    pub retries: u32,
    pub retry_after: Duration,
    pub lease: Duration,
    /// Where health, readiness and metrics are served.
    pub listen: Option<SocketAddr>,
}

/// A cron line for which there is a next time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronLine(Cron);

impl CronLine {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| error.to_string())?;
        // Any four years and a day have every date that there is.
        let first = cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true);
        first.map(|_| Self(cron)).map_err(|_| "there is no such day".to_owned())
    }

    pub fn cron(&self) -> &Cron {
        &self.0
    }
}

pub(super) fn convert(reader: &mut Reader, table: Placed<RawSchedule>) -> Schedule {
    let Placed { value: raw, span } = table;
    let written = raw.extract.is_some() || raw.publish.is_some() || raw.gc.is_some();
    let dropped = ["extract", "publish", "gc"].iter().any(|key| reader.was_dropped(&format!("schedule.{key}")));
    if !written && !dropped {
        let hint = "add when the marts are to be published: publish = \"30 2 * * *\"";
        reader.complain_with_hint(span, "[schedule] has nothing to do", hint);
    }
    let mut line = |key: &str, text: Option<Placed<String>>| text.and_then(|text| line(reader, key, &text));
    let (extract, publish, gc) = (line("extract", raw.extract), line("publish", raw.publish), line("gc", raw.gc));
    if let Some(short) = raw.lease.as_ref().filter(|lease| lease.value.duration() < LEAST_LEASE) {
        let message = format!("`lease` is shorter than {} s", LEAST_LEASE.as_secs());
        reader.complain_with_hint(
            short.span.clone(),
            message,
            "a store has to take three signs of life in it: 5m is fine",
        );
    }
    Schedule {
        extract,
        publish,
        gc,
        catch_up: raw.catch_up.unwrap_or(CatchUp::Latest),
        jitter: raw.jitter.unwrap_or_default().duration(),
        retries: raw.retries.and_then(|times| u32::try_from(times.get()).ok()).unwrap_or(DEFAULT_RETRIES),
        retry_after: raw.retry_after.map_or(DEFAULT_RETRY_AFTER, Span::duration),
        lease: raw.lease.map_or(DEFAULT_LEASE, |lease| lease.value.duration()),
        listen: raw.listen.and_then(|address| listen(reader, &address)),
    }
}

fn line(reader: &mut Reader, key: &str, text: &Placed<String>) -> Option<CronLine> {
    match CronLine::parse(&text.value) {
        Ok(line) => Some(line),
        Err(why) => {
            let written = reader.written(&text.span);
            let hint = "write minute, hour, day of the month, month and day of the week: 30 2 * * *";
            let why = why.trim_end_matches('.');
            reader.complain_with_hint(text.span.clone(), format!("`{key} = {written}` is no cron line: {why}"), hint);
            None
        }
    }
}

fn listen(reader: &mut Reader, text: &Placed<String>) -> Option<SocketAddr> {
    let found = text.value.parse().ok();
    if found.is_none() {
        let message = format!("`{}` is no address to listen on", reader.written(&text.span));
        let hint =
            format!("write an IP address and a port: {}", one_of(["127.0.0.1:9187", "0.0.0.0:9187", "[::1]:9187"]));
        reader.complain_with_hint(text.span.clone(), message, hint);
    }
    found
}
