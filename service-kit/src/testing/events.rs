//! A client of server-sent events, without a socket.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use serde_json::Value;

/// How long an event may take to come. Generous: it is waited for, not measured.
const DEADLINE: Duration = Duration::from_secs(30);

/// A stream that is open until it is dropped.
pub struct EventStream {
    body: BodyDataStream,
    /// What has come and is not a whole event yet.
    text: String,
}

/// An event with data.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as the specification has it")]
pub struct SentEvent {
    pub event: String,
    pub id: String,
    pub data: Value,
}

impl EventStream {
    pub(super) fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), text: String::new() }
    }

    /// Waits for the next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<SentEvent> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                if let Some(event) = SentEvent::read(&event) {
                    return Some(event);
                }
            } else {
                let chunk = tokio::time::timeout(DEADLINE, self.body.next()).await.expect("an event in time")?;
                self.text.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("whole characters"));
            }
        }
    }

    /// Waits for so many events.
    pub async fn take(&mut self, count: usize) -> Vec<SentEvent> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }
}

impl SentEvent {
    /// `None` for a comment and for what only says when to come back.
    fn read(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let data = serde_json::from_str(field("data")?).expect("JSON");
        Some(Self { event: field("event")?.to_owned(), id: field("id")?.to_owned(), data })
    }
}
