//! The last line of defence for secrets: those that are known are starred out of whatever a person or a log gets to
//! read, wherever it comes from, be it a store's own answer.
//!
//! The first line is not to put them there: config values that may be secret are `Secret`s, and complaints quote what
//! the file says, never what a variable stands for.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use tracing_subscriber::fmt::MakeWriter;

const STARS: &str = "***";
/// Shorter values are no secrets worth the name, and starring them out would garble everything.
const LEAST_BYTES: usize = 6;

/// Every way in which a known secret may be written. They are never forgotten: a process has one config.
static KNOWN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Whether something of that name is better not shown.
pub fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 11] =
        ["secret", "token", "password", "passwd", "pwd", "credential", "signature", "salt", "pepper", "sas", "key"];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word)) || name == "sig"
}

/// Takes note of a secret: from now on it is starred out, also where JSON or a URL has it escaped.
pub fn learn(secret: &str) {
    let secret = secret.trim();
    if secret.len() < LEAST_BYTES {
        return;
    }
    let in_json = serde_json::Value::from(secret).to_string();
    let in_url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let in_path = in_url.replace('+', "%20");
    let forms = [secret, in_json.trim_matches('"'), &in_url, &in_path].map(str::to_owned);
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).extend(forms);
}

/// A shorter path is a word of everybody's.
const LEAST_PATH_BYTES: usize = 16;

/// Takes note of a URL that is a secret as a whole: also its path alone, which libraries quote, too.
pub fn learn_url(url: &str) {
    learn(url);
    if let Ok(url) = url::Url::parse(url) {
        learn(url.as_str());
        let path_and_query = &url[url::Position::BeforePath..url::Position::AfterQuery];
        if path_and_query.len() >= LEAST_PATH_BYTES {
            learn(path_and_query);
        }
    }
}

/// Takes note of what the environment has for object stores, and of the headers that it has for OpenTelemetry.
pub fn learn_environment() {
    let of_telemetry = |name: &str| name.starts_with("OTEL_EXPORTER_OTLP_") && name.ends_with("HEADERS");
    std::env::vars().filter(|(name, _)| of_telemetry(name)).for_each(|(_, value)| learn_headers(&value));

    let of_stores =
        |name: &str| ["AWS_", "AZURE_", "GOOGLE_", "BAZGASHT_"].iter().any(|prefix| name.starts_with(prefix));
    std::env::vars().filter(|(name, _)| of_stores(name) && sounds_secret(name)).for_each(|(_, value)| learn(&value));
}

/// Headers are there for keys: each value, whatever its name, but short ones, which are words (`x-tenant=production`).
fn learn_headers(list: &str) {
    for (name, value) in list.split(',').filter_map(|header| header.split_once('=')) {
        if value.len() >= LEAST_PATH_BYTES || sounds_secret(name) || name.to_ascii_lowercase().contains("auth") {
            let decoded: String =
                url::form_urlencoded::parse(format!("x={}", value.trim().replace('+', "%2B")).as_bytes())
                    .map(|(_, value)| value.into_owned())
                    .collect();
            learn(value);
            learn(decoded.rsplit(' ').next().unwrap_or(&decoded));
            learn(&decoded);
        }
    }
}

/// The text without known secrets, and without those that URLs in it carry.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for range in url_secrets(&text).into_iter().rev() {
        text.to_mut().replace_range(range, STARS);
    }
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    // Longest first: one secret may begin like another.
    let mut found: Vec<&String> = known.iter().filter(|secret| text.contains(secret.as_str())).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in found {
        text = text.replace(secret.as_str(), STARS).into();
    }
    text
}

/// Where URLs in a text carry secrets: `user:password` before a host, and values in the query whose names sound so.
/// In order, without overlaps.
pub fn url_secrets(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for (mark, _) in text.match_indices("://") {
        let start = mark + 3;
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
        let url = &text[start..start + text[start..].find(ends).unwrap_or(text.len() - start)];
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        if let Some(at) = url[..authority].rfind('@').filter(|at| *at > 0) {
            spans.push(start..start + at);
        }
        let Some(query) = url.find('?') else { continue };
        let mut from = query + 1;
        for pair in url[from..].split('&') {
            if let Some((name, value)) = pair.split_once('=')
                && sounds_secret(name)
                && !value.is_empty()
            {
                let value_start = start + from + name.len() + 1;
                spans.push(value_start..value_start + value.len());
            }
            from += pair.len() + 1;
        }
    }
    spans.sort_by_key(|span| span.start);
    spans.dedup_by(|later, earlier| later.start < earlier.end);
    spans
}

/// Standard error, redacted. Each event of the log comes in one piece.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedactedStderr;

impl Write for RedactedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(redacted(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for RedactedStderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_secret_is_starred_out_however_it_is_written() {
        learn("p\"ss/w rd+");
        for text in ["p\"ss/w rd+", r#"p\"ss/w rd+"#, "p%22ss%2Fw+rd%2B", "p%22ss%2Fw%20rd%2B"] {
            assert_eq!(redacted(&format!("<{text}>")), "<***>");
        }
        learn("abc");
        assert_eq!(redacted("abc stays: it is too short to be one"), "abc stays: it is too short to be one");
    }

    #[test]
    fn the_keys_in_headers_and_the_path_of_a_webhook_are_secrets() {
        learn_headers("x-team=Planted0Team0Key0,authorization=Basic%20UGxhbnRlZA%3D%3D,x-tenant=production");
        learn_url("https://hooks.example.com/services/T0/B0/Planted1");
        for (text, expected) in [
            ("x-team: Planted0Team0Key0", "x-team: ***"),
            ("authorization: Basic UGxhbnRlZA==", "authorization: ***"),
            ("UGxhbnRlZA==", "***"),
            ("in production", "in production"),
            ("POST /services/T0/B0/Planted1 to hooks.example.com", "POST *** to hooks.example.com"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn urls_lose_their_secrets_and_nothing_else() {
        for (text, expected) in [
            (
                "GET https://me:pw@host/a/b?sv=2024&sig=a%2Fb&se=x, then",
                "GET https://***@host/a/b?sv=2024&sig=***&se=x, then",
            ),
            ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
            ("\"https://h/?X-Amz-Signature=1&X-Amz-Date=2\"", "\"https://h/?X-Amz-Signature=***&X-Amz-Date=2\""),
            ("https://h/?list-type=2&prefix=raw", "https://h/?list-type=2&prefix=raw"),
            ("a://b?key=c://d?key=e f", "a://b?key=*** f"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
