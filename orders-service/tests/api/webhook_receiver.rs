//! Somebody who is told by webhooks: notes what comes, and answers what a test wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use serde_json::Value;
use service_kit::testing::authority::Authority;
use standardwebhooks::Webhook;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Runs until the end of the test.
pub struct Receiver {
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
    Status(StatusCode),
    /// With `Retry-After`.
    NotBefore(StatusCode, String),
    RedirectTo(String),
    /// With far more than anybody wants to read.
    Endless,
    Never,
}

/// A message that came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Receiver {
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
        inner.answers.get(&path).cloned()
    };
    match reply {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Reply::Status(status)) => status.into_response(),
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

/// A receiver below HTTP: what it sends to whoever connects.
#[derive(Clone, Debug)]
pub struct Wire {
    reads: bool,
    says: String,
    /// What it then says again and again; without it, it hangs up.
    drips: Option<String>,
}

impl Wire {
    /// Reads the request, says this and hangs up.
    pub fn says(text: &str) -> Self {
        Self { reads: true, says: text.to_owned(), drips: None }
    }

    /// Reads the request, and that is all.
    pub fn silent() -> Self {
        Self::says("").and_drips("")
    }

    /// Takes the connection, and that is all.
    pub fn deaf() -> Self {
        Self { reads: false, ..Self::silent() }
    }

    /// Then goes on with this, and never hangs up.
    pub fn and_drips(self, text: &str) -> Self {
        Self { drips: Some(text.to_owned()), ..self }
    }

    /// Waits for connections until the end of the test; its URL.
    pub async fn receive(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.clone().serve(stream));
            }
        });
        url
    }

    /// Whoever it talks to may hang up at any time.
    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        if self.reads {
            let _ = stream.read(&mut [0; 8192]).await?;
        }
        stream.write_all(self.says.as_bytes()).await?;
        while let Some(drop) = &self.drips {
            stream.write_all(drop.as_bytes()).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
