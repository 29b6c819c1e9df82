//! Somebody who is told by webhooks: notes what comes, and answers what a test wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::testing::authority::Authority;

/// Runs as long as the runtime that it was started in.
pub struct Receiver {
    /// Its URL, without a path.
    pub url: String,
    state: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    received: Vec<Received>,
    /// What is answered at a path; 204 unless said otherwise.
    answers: HashMap<String, Reply>,
}

/// How it answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With this status.
    Status(StatusCode),
    /// With this status, and then again as if nothing had been said.
    Once(StatusCode),
    /// With `Retry-After`.
    NotBefore(StatusCode, String),
    /// With this URL.
    RedirectTo(String),
    /// With far more than anybody wants to read.
    Endless,
    /// Not at all.
    Never,
}

/// A message that came.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as they came")]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Receiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self::behind(listener, url)
    }

    /// One that is reached as `localhost`, by HTTPS, with a certificate for these hosts.
    pub async fn encrypted(authority: &Authority, hosts: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        Self::behind(Encrypted { listener, acceptor: authority.acceptor(hosts) }, url)
    }

    fn behind<L: Listener>(listener: L, url: String) -> Self
    where
        L::Addr: std::fmt::Debug,
    {
        let state = Arc::<Mutex<Inner>>::default();
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, state }
    }

    /// How it answers at this path from now on.
    pub fn answers(&self, path: &str, reply: Reply) {
        self.state.lock().expect("no panic").answers.insert(path.to_owned(), reply);
    }

    /// All that has come, and forgets it.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().expect("no panic").received)
    }

    /// How many have come to this path.
    pub fn count_at(&self, path: &str) -> usize {
        self.state.lock().expect("no panic").received.iter().filter(|message| message.path == path).count()
    }

    /// How many have come and were not taken yet.
    pub fn count(&self) -> usize {
        self.state.lock().expect("no panic").received.len()
    }
}

async fn receive(State(state): State<Arc<Mutex<Inner>>>, uri: Uri, headers: HeaderMap, body: String) -> Response {
    let path = uri.path().to_owned();
    let reply = {
        let mut inner = state.lock().expect("no panic");
        inner.received.push(Received { path: path.clone(), headers, body });
        let reply = inner.answers.get(&path).cloned();
        if matches!(reply, Some(Reply::Once(_))) {
            inner.answers.remove(&path);
        }
        reply
    };
    match reply {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Reply::Status(status) | Reply::Once(status)) => status.into_response(),
        Some(Reply::NotBefore(status, after)) => (status, [("Retry-After", after)]).into_response(),
        Some(Reply::RedirectTo(url)) => (StatusCode::TEMPORARY_REDIRECT, [("Location", url)]).into_response(),
        Some(Reply::Endless) => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("more and more"));
            axum::body::Body::from_stream(endless).into_response()
        }
        Some(Reply::Never) => std::future::pending().await,
    }
}

impl Received {
    /// A header that has to be there.
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether a library for receivers, which is not ours, takes it for genuine.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        Webhook::new(secret).expect("a secret").verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}

struct Encrypted {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.listener.accept().await.expect("a connection");
            if let Ok(encrypted) = self.acceptor.accept(stream).await {
                return (encrypted, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
