//! Runs as Prometheus metrics: as a file for node_exporter's textfile collector, and for whoever serves them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit as PrometheusUnit};

use super::gauges::{GAUGES, Gauge, Unit, is_success, readings, status};
use crate::account::RunResults;
use crate::error::{Error, Result};

/// What [`Metrics::encode`] gives: Prometheus' text format, which its servers, agents and node_exporter all read.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const PREFIX: &str = "bazgasht";

/// The metrics of a project's runs. Sharing is by reference.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    board: Arc<Board>,
}

impl Metrics {
    pub fn new() -> Self {
        let board = Arc::new(Board::default());
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Arc::clone(&board)));
        Self { registry, board }
    }

    /// For further metrics; they get the prefix `bazgasht_`. Label values are written as they are: they must be
    /// without quotes, backslashes and line breaks.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Takes in a run that has ended. One of `--select` is somebody's work by hand: it leaves everything as it is.
    pub fn record(&self, results: &RunResults) {
        if results.select.is_none() {
            let mut shown = self.board.write();
            shown.show(results);
            *shown.runs.entry(labels(results, Some(("status", status(results))))).or_default() += 1;
        }
    }

    /// Takes in a run of before this process: what it shows is shown until the next run, and it isn't counted.
    pub fn recall(&self, results: &RunResults) {
        if results.select.is_none() {
            self.board.write().show(results);
        }
    }

    /// Goes on from what [`Metrics::encode`] gave once: counts, and what outlasts a run.
    fn resume(&self, text: &str) {
        let mut shown = self.board.write();
        for (name, labels, value) in text.lines().filter_map(sample) {
            if name == format!("{PREFIX}_{RUNS}_total") {
                shown.runs.insert(labels, value as u64);
            } else if let Some(gauge) = GAUGES.iter().find(|gauge| !gauge.is_of_last_run && full_name(gauge) == name) {
                let newest = shown.gauges.entry(gauge.name).or_default().entry(labels).or_insert(value);
                *newest = newest.max(value);
            }
        }
    }

    /// The metrics in Prometheus' text format, see [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// [`Error::Bug`] when a metric can't be written.
    pub fn encode(&self) -> Result<String> {
        let mut open_metrics = String::new();
        text::encode_registry(&mut open_metrics, &self.registry).map_err(Error::bug)?;
        Ok(plain(&open_metrics))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes the metrics of a run that has ended, whole or not at all. Counts go on from those in the file; after a run
/// that failed, so does what the file and `last_success` say of the time before.
///
/// # Errors
/// [`Error::World`] for a folder that isn't there or can't be written to.
pub(super) fn write(path: &Path, results: &RunResults, last_success: Option<&RunResults>) -> Result<()> {
    let metrics = Metrics::new();
    if let Some(success) = last_success {
        metrics.recall(success);
    }
    match std::fs::read_to_string(path) {
        Ok(text) => metrics.resume(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("{}: {error}; its counts begin anew", path.display()),
    }
    metrics.record(results);
    replace(path, &metrics.encode()?).map_err(|error| Error::world(path.display(), error))
}

/// In the place of the file, in one step: a collector may read at any time. Its name ends otherwise until then, so no
/// collector takes it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The collector is another user. The process's own mask narrows this.
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut file = builder.prefix(".bazgasht-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// Names and values as the text format writes them: escaped.
type Labels = Vec<(String, String)>;

fn labels(results: &RunResults, further: Option<(&str, &str)>) -> Labels {
    let labels = [("project", results.project.as_str())].into_iter().chain(further);
    labels.map(|(name, value)| (name.to_owned(), escaped(value))).collect()
}

/// The client library leaves this to us.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[derive(Debug, Default)]
struct Board(RwLock<Shown>);

/// What is shown, by name and labels.
#[derive(Debug, Default)]
struct Shown {
    gauges: BTreeMap<&'static str, BTreeMap<Labels, f64>>,
    runs: BTreeMap<Labels, u64>,
}

impl Shown {
    /// A success says all there is to say, so that a source that is gone goes; a failure leaves what it didn't get to.
    fn show(&mut self, results: &RunResults) {
        for gauge in GAUGES.iter().filter(|gauge| gauge.is_of_last_run || is_success(results)) {
            self.gauges.remove(gauge.name);
        }
        for reading in readings(results) {
            let label = reading.label.as_ref().map(|(name, value)| (*name, value.as_str()));
            self.gauges.entry(reading.gauge.name).or_default().insert(labels(results, label), reading.value);
        }
    }
}

impl Board {
    fn read(&self) -> RwLockReadGuard<'_, Shown> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shown> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

const RUNS: &str = "runs";

impl Collector for Board {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = self.read();
        for gauge in GAUGES {
            let Some(samples) = shown.gauges.get(gauge.name) else { continue };
            let (name, unit) = (gauge.name.replace('.', "_"), unit(gauge.unit));
            let mut family = encoder.encode_descriptor(&name, gauge.help, unit.as_ref(), MetricType::Gauge)?;
            for (labels, value) in samples {
                family.encode_family(labels)?.encode_gauge(value)?;
            }
        }
        if !shown.runs.is_empty() {
            let mut family = encoder.encode_descriptor(RUNS, "Runs, by how they ended", None, MetricType::Counter)?;
            for (labels, count) in &shown.runs {
                family.encode_family(labels)?.encode_counter(count, None::<&Exemplar<Labels, f64>>)?;
            }
        }
        Ok(())
    }
}

fn unit(unit: Unit) -> Option<PrometheusUnit> {
    match unit {
        Unit::Count => None,
        Unit::Seconds => Some(PrometheusUnit::Seconds),
        Unit::Bytes => Some(PrometheusUnit::Bytes),
    }
}

fn full_name(gauge: &Gauge) -> String {
    let unit = unit(gauge.unit).map_or(String::new(), |unit| format!("_{}", unit.as_str()));
    format!("{PREFIX}_{}{unit}", gauge.name.replace('.', "_"))
}

/// From the OpenMetrics format, which the client library writes, to the older one that everybody reads: there a
/// counter's type is stated under its samples' name.
fn plain(open_metrics: &str) -> String {
    let counters: Vec<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| !line.starts_with("# UNIT ")) {
        let about = ["# HELP ", "# TYPE "].into_iter().find_map(|kind| Some((kind, line.strip_prefix(kind)?)));
        match about.and_then(|(kind, rest)| Some((kind, rest.split_once(' ')?))) {
            Some((kind, (name, rest))) if counters.contains(&name) => {
                plain.extend([kind, name, "_total ", rest]);
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

/// A line of our own making: name, labels (escaped as they are), value.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let (name, rest) = line.split_once('{')?;
    let (inner, value) = rest.rsplit_once("} ")?;
    let mut labels = Vec::new();
    let mut rest = inner;
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"")?;
        let end = end_of_value(quoted)?;
        labels.push((name.to_owned(), quoted[..end].to_owned()));
        rest = quoted[end + 1..].trim_start_matches(',');
    }
    Some((name, labels, value.parse().ok()?))
}

/// Where the closing quote is.
fn end_of_value(quoted: &str) -> Option<usize> {
    let mut is_escaped = false;
    quoted.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_as_they_are_written() {
        let name = escaped("a \"b\" \\ c}\n{d=\"e\"} 1");
        let line = format!("bazgasht_x{{project=\"{name}\",source=\"orders\"}} 1800000000.5");
        let labels = vec![("project".to_owned(), name), ("source".to_owned(), "orders".to_owned())];
        assert_eq!(sample(&line), Some(("bazgasht_x", labels, 1_800_000_000.5)));
        for broken in ["# TYPE x gauge", "x{a=\"b} 1", "x{a=\"b\"} one", "x 1", ""] {
            assert_eq!(sample(broken), None, "{broken}");
        }
    }
}
