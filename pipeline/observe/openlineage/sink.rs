//! Getting events to where they are wanted.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::config::{EventSink, OpenLineage, Secret};
use crate::observe::post::{TIMEOUT, client, post_by};

/// Sends events in order. The first that doesn't arrive is the last that is tried: who can't be reached costs a night
/// one round of tries.
///
/// # Errors
/// A sentence without secrets.
pub async fn send(openlineage: &OpenLineage, run_id: &str, events: &[Value]) -> Result<(), String> {
    match &openlineage.sink {
        EventSink::File(path) => append(path, events).map_err(|e| format!("{}: {e}", path.display())),
        EventSink::Folder(dir) => {
            let path = dir.join(format!("{run_id}.ndjson"));
            append(&path, events).map_err(|e| format!("{}: {e}", path.display()))
        }
        EventSink::Url(url) => post_all(url, openlineage.api_key.as_ref(), events).await,
    }
}

/// Each event is one line and one write, so that lines of runs side by side don't mix.
fn append(path: &Path, events: &[Value]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    events.iter().try_for_each(|event| file.write_all(format!("{event}\n").as_bytes()))
}

async fn post_all(url: &Url, api_key: Option<&Secret>, events: &[Value]) -> Result<(), String> {
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    if let Some(key) = api_key {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose().trim()));
        let mut bearer = bearer.map_err(|_| "the API key has characters that no header may have".to_owned())?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    let client = client(TIMEOUT)?;
    for (sent, event) in events.iter().enumerate() {
        let body = Bytes::from(event.to_string());
        let posted = post_by(&client, url, headers.clone(), body).await;
        posted.map_err(|why| format!("{why} (after {sent} of {} events)", events.len()))?;
    }
    Ok(())
}
