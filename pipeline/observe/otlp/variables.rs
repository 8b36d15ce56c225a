//! What the environment says about OpenTelemetry, by the names of its specification.
//!
//! The SDK reads most of it by itself (endpoints, headers, sampler, resource). Here is whether anything is to be sent at
//! all, and a word about what isn't supported, which it would pass over in silence.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a night waits for at most, whatever the variable says.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
const PROTOCOL: &str = "http/protobuf";
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Traces => "TRACES",
            Signal::Metrics => "METRICS",
        }
    }
}

/// Looks variables up; passed in, so that tests need not touch the process's own.
pub(super) struct Variables<'a>(pub &'a (dyn Fn(&str) -> Option<String> + Sync));

impl Variables<'_> {
    /// An empty one counts as not set, as the specification has it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The signal's own variable, or else that for all; with its name.
    fn of_exporter(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name()), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    /// Whether the signal is to be sent, and how long that may take. Nothing is sent unless an endpoint or the exporter
    /// itself is named: the specification's default, a receiver on this machine, is no wish of anybody's.
    pub(super) fn destination(&self, signal: Signal) -> Option<Duration> {
        let is_disabled = self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if is_disabled || !self.is_wanted(signal) {
            return None;
        }
        if let Some((name, protocol)) = self.of_exporter(signal, "PROTOCOL").filter(|(_, value)| value != PROTOCOL) {
            tracing::warn!("{name}={protocol} isn't supported, {PROTOCOL} is (mostly at port 4318): nothing is sent");
            return None;
        }
        if let Some((name, _)) = self.of_exporter(signal, "COMPRESSION").filter(|(_, value)| value != "none") {
            tracing::warn!("{name} isn't supported: it is sent without compression");
        }
        if let Some(sampler) = self.get("OTEL_TRACES_SAMPLER").filter(|name| !SAMPLERS.contains(&name.as_str()))
            && signal == Signal::Traces
        {
            tracing::warn!("OTEL_TRACES_SAMPLER={sampler} isn't supported: parentbased_always_on is taken");
        }
        let timeout = self.of_exporter(signal, "TIMEOUT").and_then(|(_, millis)| millis.parse().ok());
        Some(timeout.map_or(DEFAULT_TIMEOUT, Duration::from_millis).min(LONGEST_TIMEOUT))
    }

    fn is_wanted(&self, signal: Signal) -> bool {
        let name = format!("OTEL_{}_EXPORTER", signal.name());
        let Some(exporters) = self.get(&name) else { return self.of_exporter(signal, "ENDPOINT").is_some() };
        let mut is_wanted = false;
        for exporter in exporters.split(',') {
            match exporter.trim() {
                "otlp" => is_wanted = true,
                "none" => {}
                other => tracing::warn!("{name}: there is no exporter `{other}` here; otlp and none are known"),
            }
        }
        is_wanted
    }

    /// The span that the run is a part of, from `TRACEPARENT` and `TRACESTATE`.
    pub(super) fn parent(&self) -> Context {
        let header = |name: &str| Some((name.to_ascii_lowercase(), self.get(name)?));
        let headers: HashMap<String, String> = ["TRACEPARENT", "TRACESTATE"].into_iter().filter_map(header).collect();
        TraceContextPropagator::new().extract_with_context(&Context::new(), &headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_unless_it_is_asked_for() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let wanted = |set: &[(&str, &str)]| {
            let look = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let variables = Variables(&look);
            [Signal::Traces, Signal::Metrics].map(|signal| variables.destination(signal).is_some())
        };
        assert_eq!(wanted(&[]), [false, false]);
        assert_eq!(wanted(&[("OTEL_SERVICE_NAME", "shop"), ("TRACEPARENT", "00-1-1-01")]), [false, false]);
        assert_eq!(wanted(&[endpoint]), [true, true]);
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x")]), [true, false]);
        assert_eq!(wanted(&[("OTEL_METRICS_EXPORTER", "otlp")]), [false, true]);
        assert_eq!(wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), [false, true]);
        assert_eq!(wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "")]), [true, true]);
        assert_eq!(wanted(&[endpoint, ("OTEL_METRICS_EXPORTER", "prometheus")]), [true, false]);
        assert_eq!(wanted(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), [false, false]);
        assert_eq!(wanted(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), [false, false]);
        let one = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", PROTOCOL);
        assert_eq!(wanted(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), one]), [true, false]);
    }
}
