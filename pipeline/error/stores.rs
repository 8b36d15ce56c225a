//! Errors of stores in our words: what the store said, boiled down, and who must do what about it.
//!
//! Nothing of a request but its method and its address without the query comes through, and of an answer's body only
//! its code and message: signatures and keys are in neither.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;

/// The cause of a store's error, with a hint where there is one.
pub fn in_words(error: &StoreError) -> String {
    let links = chain(error);
    let texts: Vec<String> = links.iter().map(ToString::to_string).collect();
    let answer = texts.iter().find_map(|text| Answer::of(text));
    let disk = links.iter().find_map(|link| link.downcast_ref::<io::Error>());
    let (cause, hint) = match (answer, disk) {
        (Some(answer), _) => (answer.cause(texts.last().map_or("", String::as_str)), answer.hint()),
        (None, Some(disk)) => (disk.to_string(), disk_hint(disk.kind())),
        (None, None) if matches!(error, StoreError::NotFound { .. }) => ("no such object".to_owned(), None),
        (None, None) if matches!(error, StoreError::Precondition { .. }) => (REPLACED.to_owned(), None),
        (None, None) => (texts.into_iter().next().unwrap_or_default(), None),
    };
    match hint {
        Some(hint) => format!("{cause}\n  hint: {hint}"),
        None => cause,
    }
}

/// The error and what is behind it, outermost first.
fn chain(error: &StoreError) -> Vec<&(dyn StdError + 'static)> {
    let mut links = Vec::new();
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(link) = next {
        links.push(link);
        next = link.source();
    }
    links
}

const REPLACED: &str = "it was replaced since it was listed";

/// What object_store tells of a request that failed for good: its text is all that there is, since its type is its own.
struct Answer<'a> {
    method: &'a str,
    /// Without its query, which may hold a signature.
    address: &'a str,
    /// How long and how often it was tried, where it was more than once.
    tries: Option<(String, u64)>,
    outcome: Outcome<'a>,
}

enum Outcome<'a> {
    /// A status such as `503 Service Unavailable`, and the body.
    Status(&'a str, &'a str),
    /// A redirect to nowhere.
    Redirect,
    /// There was no answer.
    Silence,
}

impl<'a> Answer<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("Error performing ")?;
        let (method, rest) = rest.split_once(' ')?;
        if !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let (request, told) = rest.split_once(" - ")?;
        let (address, tried) = request.split_once(" in ")?;
        let address = address.split(['?', ' ']).next().unwrap_or_default();
        let tries = tried.split_once(", after ").and_then(|(elapsed, rest)| {
            let retries: u64 = rest.split(' ').next()?.parse().ok()?;
            Some((rounded(elapsed), retries + 1))
        });
        let outcome = if let Some(rest) = told.strip_prefix("Server returned non-2xx status code: ") {
            let (status, body) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
            Outcome::Status(status, body)
        } else if let Some(body) = told.strip_prefix("Server returned error response: ") {
            Outcome::Status("200 OK", body)
        } else if told.starts_with("Received redirect") {
            Outcome::Redirect
        } else {
            Outcome::Silence
        };
        Some(Self { method, address, tries, outcome })
    }

    /// The store's own code (`NoSuchBucket`), or the status's number.
    fn code(&self) -> &'a str {
        match self.outcome {
            Outcome::Status(status, body) => {
                element(body, "Code").unwrap_or_else(|| status.split(' ').next().unwrap_or_default())
            }
            Outcome::Redirect => "PermanentRedirect",
            Outcome::Silence => "",
        }
    }

    /// `reason` is the innermost error's text: why there was no answer.
    fn cause(&self, reason: &str) -> String {
        let what = match self.outcome {
            Outcome::Status(status, body) => match (element(body, "Code"), element(body, "Message")) {
                (Some(code), Some(message)) => format!("{code}: {} ({status}", first_line(message)),
                (Some(code), None) => format!("{code} ({status}"),
                _ => format!("{status} ("),
            },
            Outcome::Redirect => "it redirects to nowhere (".to_owned(),
            Outcome::Silence => format!("no answer: {reason} ("),
        };
        let comma = if what.ends_with('(') { "" } else { ", " };
        let tries = match &self.tries {
            Some((elapsed, tries)) => format!(", tried {tries} times in {elapsed}"),
            None => String::new(),
        };
        format!("{what}{comma}{} {}{tries})", self.method, self.address)
    }

    fn hint(&self) -> Option<&'static str> {
        let metadata = ["169.254.", "metadata.google.internal", "/metadata/identity"];
        if metadata.iter().any(|address| self.address.contains(address)) {
            return Some(
                "no credentials are configured, and this machine has none of its own: set the store's variables (AWS_…, AZURE_…, \
                 GOOGLE_…) or [storage.options]",
            );
        }
        if matches!(self.outcome, Outcome::Silence) {
            return Some(
                "check the store's endpoint in the options or the environment, and the network; then run again",
            );
        }
        hint(self.code())
    }
}

/// What to do about a store's code or status.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName" => {
            "create the bucket or container, or correct the location; an endpoint of another region or account may lack it too"
        }
        "InvalidAccessKeyId" => "the store doesn't know this access key id: correct it, or the endpoint",
        "SignatureDoesNotMatch" => "the secret key doesn't belong to this access key id: correct it",
        "AuthenticationFailed" | "InvalidAuthenticationInfo" => {
            "the key or token is wrong, or it has expired, or this machine's clock is off"
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken" | "RequestExpired" => {
            "the credentials have expired: get new ones and run again; what was done so far is kept"
        }
        "RequestTimeTooSkewed" => "this machine's clock is off: set it (NTP), then run again",
        "AccessDenied" | "AuthorizationFailure" | "AuthorizationPermissionMismatch" | "403" => {
            "these credentials may not do that here: grant them reading and listing on sources, and writing and deleting on lake \
             and marts"
        }
        "401" | "AuthenticationRequired" | "NoAuthenticationInformation" => {
            "credentials are missing, or they have expired"
        }
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException" => {
            "the bucket is in another region, or behind another endpoint: set aws_region or the endpoint"
        }
        "SlowDown"
        | "ServerBusy"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "429"
        | "503"
        | "ServiceUnavailable" => "the store is overloaded or down: run again later, or raise [storage] retry_for",
        "500" | "502" | "504" | "InternalError" | "OperationTimedOut" | "RequestTimeout" => {
            "the store has a fault of its own: run again later, or raise [storage] retry_for"
        }
        "QuotaExceeded" | "507" | "AccountBeingCreated" | "InsufficientAccountPermissions" => {
            "the account is at its limit: make room, or ask for more"
        }
        "412" | "PreconditionFailed" | "ConditionNotMet" => {
            "it was replaced meanwhile: run again when its delivery is complete"
        }
        _ => return None,
    })
}

fn disk_hint(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::PermissionDenied => "give the user that runs this the right to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, then run again",
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is mounted read-only: mount it for writing, or move the folder"
        }
        _ => return None,
    })
}

/// The text of an XML element.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Azure appends a request's id and time on lines of their own.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches('.')
}

/// `3.214159265s` is 3.2s.
fn rounded(elapsed: &str) -> String {
    let Some((whole, rest)) = elapsed.split_once('.') else { return elapsed.trim().to_owned() };
    let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
    let tenth = rest.get(..1).unwrap_or("0");
    format!("{whole}.{tenth}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(told: &'static str) -> StoreError {
        StoreError::Generic { store: "S3", source: told.into() }
    }

    #[test]
    fn an_answer_is_boiled_down_to_code_and_message() {
        let told = "Error performing PUT http://127.0.0.1:8333/shops/lake/x?sig=hunter2 in 1.234567s - Server returned non-2xx \
                    status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>The \
                    signature is off.</Message><StringToSign>hunter2</StringToSign></Error>";
        assert_eq!(
            in_words(&failed(told)),
            "SignatureDoesNotMatch: The signature is off (403 Forbidden, PUT http://127.0.0.1:8333/shops/lake/x)\n  hint: \
             the secret key doesn't belong to this access key id: correct it"
        );
    }

    #[test]
    fn tries_are_counted() {
        let told = "Error performing GET http://h/b/k in 181.5201s, after 24 retries, max_retries: 10000, retry_timeout: 180s  \
                    - Server returned non-2xx status code: 503 Service Unavailable: <html>busy</html>";
        let words = in_words(&failed(told));
        assert!(words.starts_with("503 Service Unavailable (GET http://h/b/k, tried 25 times in 181.5s)\n"), "{words}");
        assert!(words.ends_with("raise [storage] retry_for"), "{words}");
    }

    #[test]
    fn azures_extra_lines_are_left_out() {
        let told = "Error performing GET REDACTED in 12.5ms - Server returned non-2xx status code: 404 Not Found: \
                    <Error><Code>ContainerNotFound</Code><Message>The specified container does not exist.\nRequestId:1\n\
                    Time:2</Message></Error>";
        let words = in_words(&failed(told));
        let cause = "ContainerNotFound: The specified container does not exist (404 Not Found, GET REDACTED)";
        assert!(words.starts_with(cause) && words.contains("hint: create the bucket"), "{words}");
    }

    #[test]
    fn missing_credentials_are_told_as_such() {
        let told = "Error performing PUT http://169.254.169.254/latest/api/token in 20.1s, after 9 retries, max_retries: 9, \
                    retry_timeout: 20s  - HTTP error: error sending request";
        assert!(in_words(&failed(told)).contains("hint: no credentials are configured"));
    }

    #[test]
    fn other_errors_are_kept_as_they_are() {
        let error = failed("something else");
        assert_eq!(in_words(&error), error.to_string());
        let full: StoreError = StoreError::Generic {
            store: "LocalFileSystem",
            source: Box::new(io::Error::from(io::ErrorKind::StorageFull)),
        };
        assert!(in_words(&full).ends_with("hint: make room, then run again"), "{}", in_words(&full));
    }
}
