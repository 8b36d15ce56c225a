//! Runs as OpenTelemetry traces and metrics, over OTLP (HTTP with protobuf), as the conventional variables ask for it.
//!
//! Spans are made from the account once the run has ended, with the times that it has: there is nothing to keep up while
//! a run goes on, and a process that is killed sends none.

mod spans;
mod variables;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector};
use opentelemetry_sdk::trace::SpanExporter as _;

use self::variables::{Signal, Variables};
use super::gauges::{Unit, readings};
use super::post;
use crate::account::RunResults;

const SCOPE: &str = "bazgasht";
/// Longer than any run: metrics are sent once, at the end.
const NEVER: Duration = Duration::from_secs(365 * 86_400);
/// Beyond the exporters' own timeouts, which bound a whole export.
const GRACE: Duration = Duration::from_secs(5);

/// Sends what the variables ask for, by `variable`. What can't be sent is a warning.
pub(super) async fn send(results: &RunResults, variable: &(dyn Fn(&str) -> Option<String> + Sync)) {
    let variables = Variables(variable);
    let traces = variables.destination(Signal::Traces);
    // Metrics are of the nights, not of somebody's work by hand.
    let metrics = variables.destination(Signal::Metrics).filter(|_| results.select.is_none());
    if traces.is_none() && metrics.is_none() {
        return;
    }
    let resource = resource(&variables);
    if let Some(timeout) = traces {
        let parent = variables.parent();
        let spans = spans::of(results, &parent, &resource);
        tell("traces", timeout, |client| send_spans(spans, resource.clone(), client)).await;
    }
    if let Some(timeout) = metrics {
        let results = results.clone();
        tell("metrics", timeout, |client| send_metrics(results, resource, client)).await;
    }
}

/// Exporters wait by blocking their thread, so they get one on which that harms nobody.
async fn tell<E>(what: &str, timeout: Duration, export: impl FnOnce(Bridge) -> E)
where
    E: FnOnce() -> Result<(), String> + Send + 'static,
{
    let failure = Arc::<Mutex<Option<String>>>::default();
    let client = match post::client(timeout) {
        Ok(client) => client,
        Err(why) => return tracing::warn!("OpenTelemetry {what} of this run could not be sent: {why}"),
    };
    let bridge = Bridge { runtime: tokio::runtime::Handle::current(), client, failure: Arc::clone(&failure) };
    let sent = tokio::task::spawn_blocking(export(bridge));
    let sent = tokio::time::timeout(timeout + GRACE, sent).await;
    let why = match sent {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(why))) => why,
        Ok(Err(panicked)) => panicked.to_string(),
        Err(_) => "the receiver doesn't answer in time".to_owned(),
    };
    let seen = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    tracing::warn!("OpenTelemetry {what} of this run could not be sent: {}", seen.unwrap_or(why));
}

fn send_spans(
    spans: Vec<opentelemetry_sdk::trace::SpanData>,
    resource: Resource,
    client: Bridge,
) -> impl FnOnce() -> Result<(), String> + Send + 'static {
    move || {
        if spans.is_empty() {
            return Ok(());
        }
        let builder = SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
        let mut exporter = builder.build().map_err(|error| error.to_string())?;
        exporter.set_resource(&resource);
        futures::executor::block_on(exporter.export(spans)).map_err(|error| error.to_string())
    }
}

fn send_metrics(
    results: RunResults,
    resource: Resource,
    client: Bridge,
) -> impl FnOnce() -> Result<(), String> + Send + 'static {
    move || {
        let builder =
            MetricExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
        let exporter = builder.build().map_err(|error| error.to_string())?;
        let reader = PeriodicReader::builder(exporter).with_interval(NEVER).build();
        let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();
        record(&provider, &results);
        // The end is what sends.
        provider.shutdown_with_timeout(NEVER).map_err(|error| error.to_string())
    }
}

/// The same numbers as for Prometheus, under the names from which its own come by the usual rules.
fn record(provider: &SdkMeterProvider, results: &RunResults) {
    let meter = provider.meter(SCOPE);
    let project = KeyValue::new("bazgasht.project", results.project.clone());
    for reading in readings(results) {
        let unit = match reading.gauge.unit {
            Unit::Count => "",
            Unit::Seconds => "s",
            Unit::Bytes => "By",
        };
        let name = format!("bazgasht.{}", reading.gauge.name);
        let gauge = meter.f64_gauge(name).with_description(reading.gauge.help).with_unit(unit).build();
        let label = reading.label.map(|(name, value)| KeyValue::new(format!("bazgasht.{name}"), value));
        gauge.record(reading.value, &[project.clone()].into_iter().chain(label).collect::<Vec<_>>());
    }
}

/// Who tells: `bazgasht`, unless the variables name the service otherwise.
fn resource(variables: &Variables<'_>) -> Resource {
    let is_named = variables.get("OTEL_SERVICE_NAME").is_some()
        || EnvResourceDetector::new().detect().get(&"service.name".into()).is_some();
    let builder = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    match is_named {
        true => builder.build(),
        false => builder.with_service_name(SCOPE).build(),
    }
}

/// Our one HTTP client, for exporters on threads of their own: requests are made where the runtime is.
#[derive(Debug)]
struct Bridge {
    runtime: tokio::runtime::Handle,
    client: reqwest::Client,
    /// The exporters say that something failed; this says what.
    failure: Arc<Mutex<Option<String>>>,
}

#[async_trait]
impl HttpClient for Bridge {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let host = request.uri().host().unwrap_or("the receiver").to_owned();
        let sent = self.runtime.spawn(exchange(self.client.clone(), request)).await?;
        let why = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("{host} answered {}", answer.status())),
            Err(why) => Some(why.clone()),
        };
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = why;
        sent.map_err(Into::into)
    }
}

async fn exchange(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let host = request.uri().host().unwrap_or("the receiver").to_owned();
    let told = |error: reqwest::Error| post::unreachable(&host, error);
    let request = reqwest::Request::try_from(request).map_err(told)?;
    let answer = client.execute(request).await.map_err(told)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    response.body(answer.bytes().await.map_err(told)?).map_err(|error| error.to_string())
}
