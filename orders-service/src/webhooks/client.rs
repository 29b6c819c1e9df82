//! Posts to addresses that users have given, and goes nowhere else: a host is looked up here, what it leads to is checked,
//! and the connection is made to just that address, so a name that leads elsewhere a moment later is no use. Redirects are
//! answers like others. Nothing of the answer is read but its head.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderName, Request, Response};
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use service_kit::encryption::authorities;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::webhooks::target::{Target, Targets};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// The longest head of an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How much of a failure is told: a certificate can have thousands of names, and they would all be in it.
const MAX_REASON_CHARS: usize = 200;

/// Posts to targets that are allowed.
#[derive(Clone)]
pub struct Client {
    targets: Targets,
    /// How long a receiver may take to answer, from the first look for its address.
    timeout: Duration,
    tls: Option<TlsConnector>,
}

/// What a receiver has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, from 100.
    pub status: u16,
    /// After which time it wants to be asked again, if it says so.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer, as the owner of the webhook gets to read it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the messages say")]
pub enum Failure {
    #[error("its secret cannot be read at the moment")]
    NoSecret,
    #[error("the URL {0}")]
    NoTarget(&'static str),
    // One for both, or it would tell which names there are in a network that the owner may not see.
    #[error("the host cannot be found, or has no public address")]
    NoAddress,
    #[error("nobody accepts a connection")]
    NoConnection,
    #[error("no encrypted connection: {0}")]
    NotEncrypted(String),
    #[error("no answer in time")]
    NoAnswer,
    #[error("no HTTP answer: {0}")]
    NoHttp(String),
}

impl Client {
    /// A client that trusts the authorities that the system trusts, and those of the file. Without any, nothing can be
    /// encrypted.
    pub fn new(targets: Targets, timeout: Duration, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let tls = match ca_file {
            Some(file) => {
                let trusting = authorities(file).and_then(trusting_the_system_and);
                Some(trusting.with_context(|| format!("WEBHOOK_CA_FILE = {}", file.display()))?)
            }
            None => trusting_the_system_and(Vec::new())
                .map_err(|problem| warn!("webhooks cannot be encrypted: {problem:#}"))
                .ok(),
        };
        Ok(Self { targets, timeout, tls })
    }

    /// Sends JSON with these headers to the URL.
    pub async fn post(&self, url: &str, headers: [(HeaderName, String); 3], body: String) -> Result<Answer, Failure> {
        self.post_by(look_up, url, headers, body).await
    }

    /// The same with another way to find what a host and a port lead to. It is asked once.
    pub async fn post_by(
        &self,
        look_up: impl AsyncFnOnce(String, u16) -> io::Result<Vec<SocketAddr>>,
        url: &str,
        headers: [(HeaderName, String); 3],
        body: String,
    ) -> Result<Answer, Failure> {
        let target = self.targets.read(url).map_err(Failure::NoTarget)?;
        let posting = async {
            let found = look_up(target.host.clone(), target.port).await.map_err(|_| Failure::NoAddress)?;
            let connection = self.connect(&target, found).await?;
            send(connection, &target, headers, body).await
        };
        tokio::time::timeout(self.timeout, posting).await.unwrap_or(Err(Failure::NoAnswer))
    }

    async fn connect(&self, target: &Target, found: Vec<SocketAddr>) -> Result<Either<TcpStream, Tls>, Failure> {
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| self.targets.allow(address.ip())).collect();
        let stream = connect_to_one(&allowed).await?;
        if !target.is_encrypted {
            return Ok(Either::Left(stream));
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|_| Failure::NoAddress)?;
        let tls =
            self.tls.as_ref().ok_or_else(|| Failure::NotEncrypted("no certificate is trusted here".to_owned()))?;
        let encrypted = tls.connect(name, stream).await;
        encrypted.map(Either::Right).map_err(|problem| Failure::NotEncrypted(reason(problem)))
    }
}

async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

fn trusting_the_system_and(authorities: Vec<CertificateDer<'static>>) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))
        .context("nobody is trusted to vouch for receivers")?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS is not possible")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect_to_one(addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let mut failure = Failure::NoAddress;
    for address in addresses {
        match tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(_)) | Err(_) => failure = Failure::NoConnection,
        }
    }
    Err(failure)
}

async fn send(
    connection: Either<TcpStream, Tls>,
    target: &Target,
    headers: [(HeaderName, String); 3],
    body: String,
) -> Result<Answer, Failure> {
    let no_http = |problem: &dyn Display| Failure::NoHttp(reason(problem));
    let mut request = Request::post(&target.path_and_query)
        .header(HOST, &target.authority)
        .header(USER_AGENT, concat!("order-processing/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|problem| no_http(&problem))?;
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(connection)).await;
    let (mut sender, connection) = handshake.map_err(|problem| no_http(&problem))?;
    // Hangs up when the answer is dropped.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request).await.map_err(|problem| no_http(&problem))?;
    Ok(Answer { status: response.status().as_u16(), retry_after: retry_after(&response) })
}

fn reason(problem: impl Display) -> String {
    problem.to_string().chars().take(MAX_REASON_CHARS).collect()
}

/// Seconds, or a date.
fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - Utc::now()).to_std().ok()
}
