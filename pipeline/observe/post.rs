//! Requests to those who watch, tried a few times and never for long.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode, Url};

/// Waits before the second and third try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// For one try. Three of them and the pauses bound what a dead receiver costs a night.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a body to a receiver, which has it when its answer says so.
///
/// # Errors
/// A sentence with the receiver's host and what it answered last. Never the rest of its URL: some receivers' paths are
/// their passwords.
pub async fn post(url: &Url, headers: HeaderMap, body: Bytes) -> Result<(), String> {
    let host = url.host_str().unwrap_or("the receiver");
    let client = Client::builder().timeout(TIMEOUT).build().map_err(|error| error.without_url().to_string())?;
    let mut pauses = PAUSES.iter();
    loop {
        let sent = client.post(url.clone()).headers(headers.clone()).body(body.clone()).send().await;
        let (why, is_lasting) = match sent {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => (format!("{host} answered {}", answer.status()), is_lasting(answer.status())),
            Err(error) => (format!("{host} can't be reached: {}", root(&error.without_url())), false),
        };
        match pauses.next() {
            Some(pause) if !is_lasting => tokio::time::sleep(*pause).await,
            _ => return Err(why),
        }
    }
}

/// Whether another try would get the same answer.
fn is_lasting(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::REQUEST_TIMEOUT
}

/// The innermost error is the one that says something.
fn root(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
