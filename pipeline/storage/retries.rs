//! What stores are asked again, told as warnings. object_store repeats calls by itself and says so, at a level that
//! nobody reads.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Turns object_store's words about a repeated call into a warning of ours. It must be the last layer, since it speaks
/// while it listens.
pub struct Retries;

impl Retries {
    /// The layer, listening to nothing else.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
        Retries.with_filter(Targets::new().with_target("object_store::client", LevelFilter::INFO))
    }
}

impl<S: Subscriber> Layer<S> for Retries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        if *event.metadata().level() == Level::INFO {
            tracing::warn!("{}", in_words(&message.0));
        }
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// What object_store says in words of ours; words that aren't known are kept. None of them has a URL or a key in it.
fn in_words(said: &str) -> String {
    let known = said.strip_prefix("Encountered ").and_then(|said| {
        let (cause, rest) = said.split_once(", backing off for ")?;
        let (seconds, rest) = rest.split_once(" seconds, retry ")?;
        let (retry, detail) = rest.split_once(" of ")?;
        let detail = detail.split_once(": ").map_or(String::new(), |(_, detail)| format!(", {detail}"));
        Some(format!("{cause}{detail}; waiting {} before try {}", rounded(seconds)?, retry.parse::<u64>().ok()? + 1))
    });
    match known {
        Some(words) => format!("a call to a store failed: {words}"),
        None => format!("a call to a store is repeated: {said}"),
    }
}

fn rounded(seconds: &str) -> Option<String> {
    Some(format!("{:.1} s", seconds.parse::<f64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn repeated_calls_are_told_in_our_words() {
        assert_eq!(
            in_words(
                "Encountered server error with status 503 Service Unavailable, backing off for 0.6213 seconds, retry 2 of 9"
            ),
            "a call to a store failed: server error with status 503 Service Unavailable; waiting 0.6 s before try 3"
        );
        assert_eq!(
            in_words(
                "Encountered transport error of kind Connect, backing off for 15 seconds, retry 7 of 9: HTTP error: error \
                 sending request"
            ),
            "a call to a store failed: transport error of kind Connect, HTTP error: error sending request; waiting 15.0 s \
             before try 8"
        );
        assert_eq!(in_words("something new"), "a call to a store is repeated: something new");
    }
}
