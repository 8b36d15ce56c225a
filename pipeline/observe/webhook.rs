//! Messages to a chat or a service when a person should know: a run failed, data was refused, things are well again,
//! sources are late.

mod message;

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

pub use self::message::{Event, Message, json_schema};
use super::{gauges, past, post};
use crate::account::{RunResults, Status};
use crate::config::{Notify, NotifyFormat, NotifyOn};
use crate::error::{Error, Result};
use crate::project::Project;
use crate::redact::redacted;

/// Tells the receivers what they want to know of a run. Whom a message doesn't reach is a warning.
pub(super) async fn send(project: &Project, results: &RunResults) {
    let receivers = &project.config.notify;
    let is_wanted = |event| receivers.iter().any(|receiver| receiver.on.contains(&event));
    // A person stopped it, or asked for less than a night's work, and knows.
    if receivers.is_empty() || results.select.is_some() || results.status == Status::Interrupted {
        return;
    }
    let before = match gauges::is_success(results) && is_wanted(NotifyOn::Recovery) {
        true => before(project, results).await,
        false => None,
    };
    for event in events(results, before.as_ref()) {
        let message = Message::of(event, results, before.as_ref());
        let wanted = receivers.iter().filter(|receiver| receiver.on.contains(&event));
        let sent = join_all(wanted.map(|receiver| deliver(receiver, &message))).await;
        for why in sent.into_iter().filter_map(|(_, taken)| taken.err()) {
            tracing::warn!("a message about this run could not be delivered: {why}");
        }
    }
}

/// Sends every receiver a message that says so, and returns for each its host and, if it didn't take it, why.
///
/// # Errors
/// [`Error::Config`] when there is no receiver.
pub async fn test(project: &Project) -> Result<Vec<(String, Result<(), String>)>> {
    let receivers = &project.config.notify;
    if receivers.is_empty() {
        return Err(Error::config("nobody is to be told: the config has no [[notify]]"));
    }
    let message = Message::test(&project.config.project.name);
    Ok(join_all(receivers.iter().map(|receiver| deliver(receiver, &message))).await)
}

/// The run whose failure this one's success would end: the whole run before it, and of another day's backfill neither
/// begins nor ends anything.
async fn before(project: &Project, results: &RunResults) -> Option<RunResults> {
    let is_before = |run: &RunResults| {
        let is_of_nights = run.backfill.is_none() && results.backfill.is_none();
        let has_ended = gauges::is_success(run) || run.status == Status::Failed;
        run.select.is_none() && has_ended && (is_of_nights || run.as_of == results.as_of)
    };
    past::newest(&project.lake, Some(&results.run_id), is_before).await.unwrap_or_else(|error| {
        tracing::warn!("whether this run ended a failure can't be told: {error}");
        None
    })
}

fn events(results: &RunResults, before: Option<&RunResults>) -> Vec<NotifyOn> {
    match (results.status, results.exit_code) {
        (Status::Failed, 1) => vec![NotifyOn::Blocked],
        (Status::Failed, _) => vec![NotifyOn::Failure],
        _ => {
            let recovery = before.is_some_and(|run| run.status == Status::Failed).then_some(NotifyOn::Recovery);
            let late = (!message::late(results).is_empty()).then_some(NotifyOn::Late);
            recovery.into_iter().chain(late).collect()
        }
    }
}

async fn deliver(receiver: &Notify, message: &Message) -> (String, Result<(), String>) {
    let Ok(url) = Url::parse(receiver.url.expose()) else {
        return ("a receiver".to_owned(), Err("its URL is none".to_owned()));
    };
    let host = url.host_str().unwrap_or("a receiver").to_owned();
    let body = match receiver.format {
        NotifyFormat::Generic => serde_json::to_string(message),
        NotifyFormat::Slack => serde_json::to_string(&serde_json::json!({ "text": message.to_slack() })),
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let taken = match body {
        Ok(body) => post::post(&url, headers, Bytes::from(redacted(&body).into_owned())).await,
        Err(error) => Err(error.to_string()),
    };
    (host, taken)
}
