//! One request of a client to the gateway, and what came of it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use socket2::SockRef;
use ureq::Agent;
use ureq::http::Request as HttpRequest;

/// Longer than the gateway waits for a service, which is 30 s, and a frozen gateway sleeps.
pub(crate) const HANGS_AFTER: Duration = Duration::from_secs(40);

/// Somebody with a token.
pub(crate) struct User {
    pub(crate) id: &'static str,
    pub(crate) token: &'static str,
}

pub(crate) const USERS: [User; 2] =
    [User { id: "somerandomuserid", token: "thisisajwttoken" }, User { id: "alice", token: "alice-token" }];

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    pub(crate) key: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) is_problem: bool,
    pub(crate) is_replayed: bool,
    /// Null when it is not JSON.
    pub(crate) body: Value,
}

/// Where a client that loses interest stops.
#[derive(Clone, Copy)]
pub(crate) enum HangUp {
    /// Before the request is complete.
    HalfWay,
    /// Without waiting for the answer.
    AtOnce,
    /// While the request is carried out, and rudely.
    Later(Duration),
}

/// A user's way to the gateway.
pub(crate) struct Line {
    user: &'static User,
    gateway: String,
    agent: Agent,
}

impl Request {
    pub(crate) fn get(path: String) -> Self {
        Self { method: "GET", path, body: None, key: None }
    }
}

impl Line {
    /// With `idle_connections`, requests follow each other on one connection, which may have died meanwhile.
    pub(crate) fn new(user: &'static User, gateway: &str, idle_connections: usize) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(HANGS_AFTER));
        let agent = config.max_idle_connections(idle_connections).proxy(None).build().into();
        Self { user, gateway: gateway.to_owned(), agent }
    }

    /// An error means that no answer came.
    pub(crate) fn send(&self, request: &Request) -> Result<Answer> {
        let Request { method, path, body, key } = request;
        let mut head = HttpRequest::builder().method(*method).uri(format!("{}{path}", self.gateway));
        head = head.header("Authorization", self.user.token);
        if let Some(key) = key {
            head = head.header("Idempotency-Key", key);
        }
        let mut answer = match body {
            Some(text) => self.agent.run(head.header("Content-Type", "application/json").body(text.clone())?)?,
            None => self.agent.run(head.body(())?)?,
        };
        let text = answer.body_mut().read_to_string()?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: answer.status().as_u16(),
            is_problem: header("Content-Type") == Some("application/problem+json"),
            is_replayed: header("Idempotent-Replayed") == Some("true"),
            body: serde_json::from_str(&text).unwrap_or_default(),
        })
    }

    /// Begins a request on a connection of its own and does not stay for the answer.
    pub(crate) fn hang_up(&self, request: &Request, when: HangUp) -> Result<()> {
        let address = self.gateway.strip_prefix("http://").context("the gateway has no address")?;
        let Request { method, path, body, key } = request;
        let body = body.as_deref().unwrap_or_default();
        let key = key.as_ref().map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {}\r\n{key}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.user.token,
            body.len(),
        );
        let mut stream = TcpStream::connect(address)?;
        stream.set_write_timeout(Some(HANGS_AFTER))?;
        let sent = if matches!(when, HangUp::HalfWay) { text.len() / 2 } else { text.len() };
        stream.write_all(&text.as_bytes()[..sent])?;
        if let HangUp::Later(pause) = when {
            thread::sleep(pause);
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }
}

/// Whether nobody listened, so that the request was not even sent.
pub(crate) fn is_refusal(problem: &anyhow::Error) -> bool {
    let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    match problem.downcast_ref() {
        Some(ureq::Error::Io(error)) => is_refused(error),
        Some(ureq::Error::ConnectionFailed) => true,
        _ => false,
    }
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// For people: the status and, of a refusal, its code.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.status, self.code()).trim_end().to_owned()
    }
}
