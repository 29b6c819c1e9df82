//! What operators watch, in the text format of Prometheus (OpenMetrics 1.0).
//!
//! A new metric is a field of [`Metrics`], a line in its `default` and a method that changes it. What the tables know
//! is read when it is asked for: that is [`Stored`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use sqlx::AssertSqlSafe;

use crate::parked::Kind;
use crate::pool::Database;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What one service counts. Copies count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    parked_messages: Family<ParkedLabels, Counter>,
    broker_sessions: Family<SessionLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ParkedLabels {
    queue: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionLabels {
    purpose: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        Self {
            parked_messages: register(&mut registry, "parked_messages", "Messages that were parked"),
            broker_sessions: register(&mut registry, "broker_sessions", "Open sessions with RabbitMQ"),
            registry: Arc::new(registry),
        }
    }
}

fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// Counts from 0, so that the first message that is parked from this queue is seen as an increase.
    pub(crate) fn watch_queue(&self, queue: &str) {
        for kind in Kind::ALL {
            drop(self.parked(queue, kind));
        }
    }

    /// A message of this queue was parked.
    pub(crate) fn count_parked(&self, queue: &str, kind: Kind) {
        self.parked(queue, kind).inc();
    }

    fn parked(&self, queue: &str, kind: Kind) -> Counter {
        self.parked_messages.get_or_create_owned(&ParkedLabels { queue: queue.to_owned(), kind: kind.name() })
    }

    /// The sessions that are open for this purpose: none at first.
    pub(crate) fn sessions(&self, purpose: &str) -> Gauge {
        self.broker_sessions.get_or_create_owned(&SessionLabels { purpose: purpose.to_owned() })
    }

    /// Everything, and what is stored if that is known.
    pub fn text(&self, stored: Option<&Stored>) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &registry_of(stored))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Counts one as long as it lives.
pub(crate) struct Present(Gauge);

impl Present {
    pub(crate) fn in_gauge(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What the tables of one service say at this moment.
#[derive(Debug, sqlx::FromRow)]
pub struct Stored {
    parked_rows: i64,
    outbox_events: i64,
    outbox_oldest_age_seconds: f64,
}

impl Stored {
    /// Looks into the tables of `schema`.
    pub async fn read(database: &Database, schema: &'static str) -> Result<Self, sqlx::Error> {
        let statement = format!(
            "select (select count(*) from {schema}.parked) as parked_rows, count(*) as outbox_events,
                 coalesce(extract(epoch from greatest(now() - min(created_at), '0')), 0)::float8
                     as outbox_oldest_age_seconds
             from {schema}.outbox"
        );
        sqlx::query_as(AssertSqlSafe(statement)).fetch_one(database).await
    }
}

/// A gauge that is not known is left out: a number that is no longer true would be believed.
fn registry_of(stored: Option<&Stored>) -> Registry {
    let mut registry = Registry::default();
    let answers: Gauge = register(&mut registry, "database_up", "Whether PostgreSQL has answered just now");
    answers.set(stored.is_some().into());
    if let Some(stored) = stored {
        let parked: Gauge = register(&mut registry, "parked_rows", "Messages that are parked now");
        parked.set(stored.parked_rows);
        let events: Gauge = register(&mut registry, "outbox_events", "Events that have no receipt yet");
        events.set(stored.outbox_events);
        let (name, help) = ("outbox_oldest_age_seconds", "How long the oldest of them has been there");
        let age: Gauge<f64, AtomicU64> = register(&mut registry, name, help);
        age.set(stored.outbox_oldest_age_seconds);
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.watch_queue("a-queue");
        metrics.count_parked("a-queue", Kind::Impossible);
        let open = Present::in_gauge(metrics.sessions("consumer"));
        let stored = Stored { parked_rows: 2, outbox_events: 3, outbox_oldest_age_seconds: 1.5 };
        let text = metrics.text(Some(&stored)).expect("a text");
        for line in [
            "# TYPE parked_messages counter",
            r#"parked_messages_total{queue="a-queue",kind="impossible"} 1"#,
            r#"parked_messages_total{queue="a-queue",kind="malformed"} 0"#,
            r#"broker_sessions{purpose="consumer"} 1"#,
            "database_up 1",
            "parked_rows 2",
            "outbox_events 3",
            "outbox_oldest_age_seconds 1.5",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        drop(open);
        let text = metrics.text(None).expect("a text");
        assert!(text.contains("broker_sessions{purpose=\"consumer\"} 0\n"), "{text}");
        assert!(
            text.contains("database_up 0\n") && !text.contains("outbox") && !text.contains("parked_rows"),
            "{text}"
        );
    }
}
