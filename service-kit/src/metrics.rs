//! What operators watch, in the text format of Prometheus (OpenMetrics 1.0).
//!
//! What a service counts is registered once with its [`Metrics`]: what both services count, here and in the files below;
//! what only one does, where it is counted. What the tables, the pool and the kernel know is read when it is asked for:
//! those are [`Figure`]s.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::parked::Kind;

mod figures;
mod messaging;
mod process;
mod requests;

pub use figures::{Figure, Figures, figures_of};
pub(crate) use messaging::Messaging;
pub(crate) use process::of_process;
pub(crate) use requests::measure;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// In seconds: from what a lone request takes to where everybody has given up.
const DURATIONS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Histograms of one name that differ in their labels.
pub type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// What one service counts. Copies count together.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    registry: Mutex<Registry>,
    requests: requests::Requests,
    messaging: Messaging,
    parked_messages: Family<ParkedLabels, Counter>,
    broker_sessions: Family<SessionLabels, Gauge>,
    batch_sizes: Histograms<BatcherLabels>,
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BatcherLabels {
    batcher: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = &mut Registry::default();
        let counted = Counted {
            requests: requests::Requests::registered(registry),
            messaging: Messaging::registered(registry),
            parked_messages: register(registry, "parked_messages", "Messages that were parked", Family::default()),
            broker_sessions: register(registry, "broker_sessions", "Open sessions with RabbitMQ", Family::default()),
            batch_sizes: register(registry, "batch_size", "How many jobs were done together", sizes()),
            registry: Mutex::new(std::mem::take(registry)),
        };
        Self(Arc::new(counted))
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Of durations in seconds.
pub fn durations<Labels: Clone + Eq + std::hash::Hash>() -> Histograms<Labels> {
    Family::new_with_constructor(|| Histogram::new(DURATIONS))
}

fn sizes<Labels: Clone + Eq + std::hash::Hash>() -> Histograms<Labels> {
    Family::new_with_constructor(|| Histogram::new(SIZES))
}

impl Metrics {
    /// Counts something that only one service has. The name is that of the README, without the suffix `_total`.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        register(&mut self.0.registry.lock().unwrap_or_else(PoisonError::into_inner), name, help, metric)
    }

    /// How many jobs this batcher does together.
    pub fn batch_sizes(&self, batcher: &str) -> Histogram {
        self.0.batch_sizes.get_or_create_owned(&BatcherLabels { batcher: batcher.to_owned() })
    }

    fn requests(&self) -> &requests::Requests {
        &self.0.requests
    }

    pub(crate) fn messaging(&self) -> &Messaging {
        &self.0.messaging
    }

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
        self.0.parked_messages.get_or_create_owned(&ParkedLabels { queue: queue.to_owned(), kind: kind.name() })
    }

    /// The sessions that are open for this purpose: none at first.
    pub(crate) fn sessions(&self, purpose: &str) -> Gauge {
        self.0.broker_sessions.get_or_create_owned(&SessionLabels { purpose: purpose.to_owned() })
    }

    /// Everything that is counted, and `figures`.
    pub fn text(&self, figures: &[Figure]) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        encode_registry(&mut text, &figures::registry_of(figures))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Counts one as long as it lives.
#[derive(Debug)]
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

/// Seconds, as Prometheus wants them.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.watch_queue("a-queue");
        metrics.count_parked("a-queue", Kind::Impossible);
        metrics.batch_sizes("placing").observe(3.0);
        let open = Present::in_gauge(metrics.sessions("consumer"));
        let text = metrics.text(&[Figure::count("outbox_events", "Events", 3)]).expect("a text");
        for line in [
            "# TYPE parked_messages counter",
            r#"parked_messages_total{queue="a-queue",kind="impossible"} 1"#,
            r#"parked_messages_total{queue="a-queue",kind="malformed"} 0"#,
            r#"broker_sessions{purpose="consumer"} 1"#,
            r#"batch_size_bucket{le="2.0",batcher="placing"} 0"#,
            r#"batch_size_bucket{le="4.0",batcher="placing"} 1"#,
            "# TYPE outbox_events gauge",
            "outbox_events 3",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        drop(open);
        let text = metrics.text(&[]).expect("a text");
        assert!(text.contains("broker_sessions{purpose=\"consumer\"} 0\n") && !text.contains("outbox"), "{text}");
    }
}
