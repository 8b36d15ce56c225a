//! OpenTelemetry: what a collector gets, decoded as the protocol says.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use bazgasht::account::RunResults;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message;

use super::{BAD_ORDERS, assert_code, bazgasht, said, shop};
use crate::support::Shop;
use crate::support::receiver::{Received, Receiver};

const TOKEN: &str = "Planted-Otlp-Token-0123456789";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn night(shop: &Shop, as_of: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = bazgasht(shop, &["run", "--as-of", as_of]);
    command.envs(variables.iter().copied()).output().expect("it ran")
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let value = |pair: &KeyValue| text(pair.value.as_ref().and_then(|v| v.value.as_ref()).expect("a value"));
    attributes.iter().map(|pair| (pair.key.clone(), value(pair))).collect()
}

fn at<'a>(received: &'a [Received], path: &str) -> Vec<&'a Received> {
    received.iter().filter(|request| request.path == path).collect()
}

/// The resource's attributes and the spans, by name, of one request.
fn spans(request: &Received) -> (BTreeMap<String, String>, Vec<Span>) {
    let request = ExportTraceServiceRequest::decode(request.body.clone()).expect("protobuf");
    let [of_resource] = request.resource_spans.try_into().expect("one resource");
    let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
    (texts(&of_resource.resource.expect("a resource").attributes), spans)
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name}"));
    assert!(found.next().is_none(), "{name} twice");
    span
}

fn newest_account(shop: &Shop) -> RunResults {
    let runs = std::fs::read_dir(shop.path("lake/runs")).expect("accounts");
    let newest = runs.map(|run| run.expect("an entry").path()).max().expect("one");
    serde_json::from_slice(&std::fs::read(newest.join("run_results.json")).expect("kept")).expect("JSON")
}

#[test]
fn a_collector_gets_the_run_as_the_account_has_it() {
    let shop = shop("");
    let collector = Receiver::answering([503]);
    let endpoint = collector.url("/");
    let headers = format!("authorization=Bearer%20{TOKEN}");
    let output = night(
        &shop,
        "2024-02-10",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
            ("TRACEPARENT", PARENT),
            ("TRACESTATE", "shop=1"),
            ("BAZGASHT_LOG", "trace"),
        ],
    );
    assert_code(&output, 0);
    assert!(!said(&output).contains(TOKEN), "a header's key is told");
    let received = collector.received();
    let traces = at(&received, "/v1/traces");
    assert_eq!((traces.len(), received.len()), (2, 3), "one that is tried again, and the metrics");
    assert_eq!(traces[1].header("content-type"), "application/x-protobuf");
    assert_eq!(traces[1].header("authorization"), format!("Bearer {TOKEN}"));

    let account = newest_account(&shop);
    let nanos = |at: chrono::DateTime<chrono::Utc>| at.timestamp_nanos_opt().expect("of our time") as u64;
    let (resource, spans) = spans(traces[1]);
    assert_eq!(
        (resource["service.name"].as_str(), resource["deployment.environment.name"].as_str()),
        ("bazgasht", "test")
    );
    let run = named(&spans, "bazgasht run");
    assert_eq!(
        (run.start_time_unix_nano, run.end_time_unix_nano),
        (nanos(account.started_at), nanos(account.ended_at))
    );
    let parent = |span: &Span| span.parent_span_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((parent(run).as_str(), run.trace_state.as_str()), ("b7ad6b7169203331", "shop=1"));
    let trace_id: String = run.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(PARENT.contains(&trace_id) && spans.iter().all(|span| span.trace_id == run.trace_id));
    let about = texts(&run.attributes);
    assert_eq!(
        (about["bazgasht.run.id"].as_str(), about["process.exit.code"].as_str()),
        (account.run_id.as_str(), "0")
    );
    assert_eq!(run.status.as_ref().map_or(StatusCode::Unset, |status| status.code()), StatusCode::Unset);
    for stage in &account.stages {
        assert_eq!(named(&spans, &stage.name).parent_span_id, run.span_id, "{}", stage.name);
    }
    assert_eq!(texts(&named(&spans, "extract orders").attributes)["bazgasht.rows_read"], "2");
    let build = named(&spans, "build");
    let partitions: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == build.span_id).collect();
    assert_eq!(partitions.len(), account.partitions.len());
    for (span, partition) in partitions.into_iter().zip(&account.partitions) {
        assert_eq!(texts(&span.attributes)["bazgasht.partition"], partition.partition);
        assert_eq!(span.start_time_unix_nano, nanos(partition.started_at));
        assert!(build.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= build.end_time_unix_nano);
    }
    assert_metrics(at(&received, "/v1/metrics")[0], &account);
}

fn assert_metrics(request: &Received, account: &RunResults) {
    let request = ExportMetricsServiceRequest::decode(request.body.clone()).expect("protobuf");
    let metrics: Vec<_> =
        request.resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|scope| scope.metrics).collect();
    let value = |name: &str, label: Option<(&str, &str)>| {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
        let Some(metric::Data::Gauge(gauge)) = &metric.data else { panic!("{name} is no gauge") };
        let fits = |attributes: &[KeyValue]| label.is_none_or(|(key, value)| texts(attributes)[key] == value);
        let points: Vec<_> = gauge.data_points.iter().filter(|point| fits(&point.attributes)).collect();
        assert_eq!(points.len(), 1, "{name}");
        assert_eq!(texts(&points[0].attributes)["bazgasht.project"], account.project);
        let Some(number_data_point::Value::AsDouble(value)) = points[0].value else { panic!("{name}") };
        (value, metric.unit.clone())
    };
    let seconds = (account.ended_at - account.started_at).as_seconds_f64();
    assert_eq!(value("bazgasht.run.duration", None), (seconds, "s".to_owned()));
    assert_eq!(value("bazgasht.source.rows_read", Some(("bazgasht.source", "orders"))).0, 2.0);
    assert_eq!(value("bazgasht.published.snapshot", None).0, 1.0);
}

#[test]
fn a_failed_run_is_an_error_in_its_trace_without_the_rows() {
    let shop = shop("");
    shop.write("orders/b.csv", BAD_ORDERS);
    let collector = Receiver::new();
    let endpoint = collector.url("/v1/traces");
    let output =
        night(&shop, "2024-02-10", &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint), ("OTEL_SERVICE_NAME", "shop")]);
    assert_code(&output, 1);
    assert!(said(&output).contains("Planted-7"), "who runs it sees the row");
    let received = collector.received();
    assert_eq!(received.len(), 1, "traces alone were asked for");
    assert!(!String::from_utf8_lossy(&received[0].body).contains("Planted"));
    let (resource, spans) = spans(&received[0]);
    assert_eq!(resource["service.name"], "shop");
    let errors: Vec<&str> = spans
        .iter()
        .filter(|span| span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error))
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(errors, ["build amounts", "build", "bazgasht run"]);
    let run = named(&spans, "bazgasht run");
    assert_eq!(texts(&run.attributes)["error.type"], "1");
    assert!(run.status.as_ref().expect("an error").message.contains("check `known` failed on 1 rows"));
}

#[test]
fn what_the_variables_ask_for_is_what_is_sent() {
    let shop = shop("");
    let collector = Receiver::new();
    let endpoint = collector.url("");
    let to = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    let sent = |day: &str, more: &[(&str, &str)]| {
        let output = night(&shop, day, &[&[to], more].concat());
        assert_code(&output, 0);
        (collector.take().into_iter().map(|request| request.path).collect::<Vec<_>>(), said(&output))
    };
    assert_eq!(sent("2024-02-10", &[("OTEL_TRACES_SAMPLER", "always_off")]).0, ["/v1/metrics"]);
    let unsampled = PARENT.replace("-01", "-00");
    assert_eq!(sent("2024-02-11", &[("TRACEPARENT", &unsampled)]).0, ["/v1/metrics"]);
    assert_eq!(sent("2024-02-12", &[("OTEL_METRICS_EXPORTER", "none")]).0, ["/v1/traces"]);
    assert!(sent("2024-02-13", &[("OTEL_SDK_DISABLED", "true")]).0.is_empty());
    let (paths, talk) = sent("2024-02-14", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert!(paths.is_empty() && talk.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc isn't supported"), "{talk}");

    // A collector that is gone costs a warning that names it, and no more than the time it was given.
    let began = Instant::now();
    let gone = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")];
    let output = night(&shop, "2024-02-15", &gone);
    assert_code(&output, 0);
    let talk = said(&output);
    assert!(talk.contains("OpenTelemetry traces of this run could not be sent: 127.0.0.1 can't be reached"), "{talk}");
    assert!(talk.contains("OpenTelemetry metrics of this run could not be sent"), "{talk}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
