//! Health, readiness and metrics over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::watch::Watch;
use crate::error::{Error, Result};
use crate::observe::prometheus::{CONTENT_TYPE, Metrics};
use crate::storage::Storage;

/// For the question whether the lake can be read. Whoever asks has a time-out of a few seconds, too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a schedule can be asked how it is.
pub struct Endpoint(TcpListener);

struct Desk {
    watch: Arc<Watch>,
    lake: Storage,
    metrics: Arc<Metrics>,
}

impl Endpoint {
    /// Takes the address.
    ///
    /// # Errors
    /// [`Error::Config`] where it can't be had.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let bound = TcpListener::bind(address).await;
        bound.map(Self).map_err(|e| {
            Error::config(format!(
                "[schedule] listen = \"{address}\": {e}\n  hint: take another address or port, or none"
            ))
        })
    }

    /// The address, with the port that a 0 stood for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Answers until the process ends.
    pub fn serve(self, watch: Arc<Watch>, lake: Storage, metrics: Arc<Metrics>) {
        let desk = Arc::new(Desk { watch, lake, metrics });
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_page))
            .with_state(desk);
        tokio::spawn(async move {
            if let Err(e) = axum::serve(self.0, router).await {
                tracing::warn!("nobody can ask any more how the schedule is: {e}");
            }
        });
    }
}

async fn healthz(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    answer(desk.watch.ailing())
}

async fn readyz(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    if let Some(why) = desk.watch.unready() {
        return answer(Some(why.to_owned()));
    }
    answer(match tokio::time::timeout(PATIENCE, desk.lake.list("schedule")).await {
        // Something lies there once the loop has begun, and a folder that is gone looks like an empty one.
        Ok(Ok(found)) => found.is_empty().then(|| "the lake has lost what the schedule wrote".to_owned()),
        Ok(Err(e)) => Some(crate::redact::redacted(&e.to_string()).into_owned()),
        Err(_) => Some(format!("the lake didn't answer within {} s", PATIENCE.as_secs())),
    })
}

fn answer(wrong: Option<String>) -> impl IntoResponse {
    match wrong {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics_page(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    match desk.metrics.encode() {
        Ok(page) => (StatusCode::OK, [(header::CONTENT_TYPE, CONTENT_TYPE)], page),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], e.to_string()),
    }
}
