//! Somebody outside who is told by webhooks.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::runtime::Runtime;

/// Runs until it is dropped.
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<Inner>>,
    _runtime: Runtime,
}

struct Inner {
    received: Vec<Received>,
    answer: StatusCode,
}

/// A message that came.
#[derive(Clone, Debug)]
pub struct Received {
    headers: HeaderMap,
    body: String,
}

impl Receiver {
    /// One that takes everything.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let state = Arc::new(Mutex::new(Inner { received: Vec::new(), answer: StatusCode::NO_CONTENT }));
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&state));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { url, state, _runtime: runtime }
    }

    /// How it answers from now on.
    pub fn answers(&self, status: u16) {
        self.state.lock().expect("no panic").answer = StatusCode::from_u16(status).expect("a status");
    }

    /// All that has come.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no panic").received.clone()
    }
}

async fn receive(State(state): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: String) -> StatusCode {
    let mut inner = state.lock().expect("no panic");
    inner.received.push(Received { headers, body });
    inner.answer
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether a library for receivers, which is not ours, takes it for genuine.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        Webhook::new(secret).expect("a secret").verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}
