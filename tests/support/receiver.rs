//! A real HTTP server that keeps what it is sent and answers as it is told: for whatever is sent to those who watch.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: Instant,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// An answer: status, headers, body.
#[derive(Debug, Clone)]
pub struct Answer(pub u16, pub &'static [(&'static str, &'static str)], pub String);

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Answer(status, &[], String::new())
    }
}

#[derive(Default)]
struct Desk {
    received: Mutex<Vec<Received>>,
    answers: Mutex<VecDeque<Answer>>,
    /// When there are no more of those: 200, if nothing else was said.
    standing: Mutex<Option<Answer>>,
}

/// Listens on a free port of this machine until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    desk: Arc<Desk>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Receiver {
    /// Gives these answers in turn, and 200 from then on.
    pub fn answering<A: Into<Answer>>(answers: impl IntoIterator<Item = A>) -> Self {
        let answers = Mutex::new(answers.into_iter().map(Into::into).collect());
        let desk = Arc::new(Desk { answers, ..Desk::default() });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(receive).with_state(Arc::clone(&desk));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, desk, runtime: Some(runtime) }
    }

    pub fn new() -> Self {
        Self::answering([] as [u16; 0])
    }

    /// Gives this answer to whatever comes from now on.
    pub fn answer(&self, answer: Answer) {
        self.desk.answers.lock().expect("no panic").clear();
        *self.desk.standing.lock().expect("no panic") = Some(answer);
    }

    /// `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far, in order.
    pub fn received(&self) -> Vec<Received> {
        self.desk.received.lock().expect("no panic").clone()
    }

    /// What came so far, which is forgotten.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.desk.received.lock().expect("no panic"))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Clients may keep connections open: nobody waits for them.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn receive(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let received = Received { path, headers: head.headers, body, at: Instant::now() };
    desk.received.lock().expect("no panic").push(received);
    let standing = || desk.standing.lock().expect("no panic").clone().unwrap_or(Answer::from(200));
    let next = desk.answers.lock().expect("no panic").pop_front();
    let Answer(status, headers, text) = next.unwrap_or_else(standing);
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    response
}
