//! Requests to those who watch, tried a few times and never for long.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

/// Waits before the second and third try, unless the receiver says for how long.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// For one try. Three of them and the pauses bound what a dead receiver costs a night.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Who wants to be left alone for longer isn't waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Sends a body to a receiver, which has it when its answer says so.
///
/// # Errors
/// A sentence with the receiver's host and what it answered last. Never the rest of its URL: some receivers' paths are
/// their passwords.
pub async fn post(url: &Url, headers: HeaderMap, body: Bytes) -> Result<(), String> {
    post_by(&client(TIMEOUT)?, url, headers, body).await
}

/// As [`post`], with a client that keeps its connection for others.
///
/// # Errors
/// As for [`post`].
pub(super) async fn post_by(client: &Client, url: &Url, headers: HeaderMap, body: Bytes) -> Result<(), String> {
    let host = url.host_str().unwrap_or("the receiver");
    let mut pauses = PAUSES.iter();
    loop {
        let sent = client.post(url.clone()).headers(headers.clone()).body(body.clone()).send().await;
        let (why, wanted_pause) = match sent {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => (format!("{host} answered {}", answer.status()), wanted_pause(&answer)),
            Err(error) => (unreachable(host, error), Some(Duration::ZERO)),
        };
        match (pauses.next(), wanted_pause) {
            (Some(pause), Some(wanted)) if wanted <= LONGEST_PAUSE => tokio::time::sleep(wanted.max(*pause)).await,
            _ => return Err(why),
        }
    }
}

/// A client of one request or a few; connections are kept no longer than it is.
///
/// # Errors
/// A sentence: the machine has no usable TLS roots, for example.
pub(super) fn client(timeout: Duration) -> Result<Client, String> {
    Client::builder().timeout(timeout).build().map_err(|error| root(&error.without_url()))
}

/// What kept a request from being answered, in a sentence without the URL.
pub(super) fn unreachable(host: &str, error: reqwest::Error) -> String {
    match error.is_timeout() {
        true => format!("{host} doesn't answer in time"),
        false => format!("{host} can't be reached: {}", root(&error.without_url())),
    }
}

/// How long a receiver that didn't take a request wants to be left alone; `None`: another try would get the same answer.
/// A date as `Retry-After` counts as nothing said.
fn wanted_pause(answer: &Response) -> Option<Duration> {
    let status = answer.status();
    let is_passing =
        status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    is_passing.then(|| Duration::from_secs(seconds.unwrap_or(0)))
}

/// The innermost error is the one that says something.
fn root(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
