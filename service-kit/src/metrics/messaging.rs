//! What goes through the broker: how much, how old it is on arrival, and how long each step takes.

use chrono::{DateTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{DURATIONS, Histograms, durations, register, seconds};

/// In seconds: from a moment to an outage.
const AGES: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];

#[derive(Debug)]
pub(crate) struct Messaging {
    published: Family<PublishedLabels, Counter>,
    confirms: Histogram,
    ready: Family<QueueLabels, Gauge>,
    processing: Histograms<QueueLabels>,
    ages: Histograms<EventLabels>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishedLabels {
    event: String,
    again: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event: &'static str,
}

impl Messaging {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let ages = Family::new_with_constructor((|| Histogram::new(AGES)) as fn() -> Histogram);
        let (confirms, processing) = ("messaging_publish_duration_seconds", "messaging_process_duration_seconds");
        let processing_help = "From taking messages from a queue until they were applied or parked";
        let ages_help = "How long ago an event was made when it was applied";
        Self {
            published: register(registry, "events_published", "Events that RabbitMQ has confirmed", Family::default()),
            confirms: register(
                registry,
                confirms,
                "From publishing a batch until RabbitMQ has confirmed it",
                Histogram::new(DURATIONS),
            ),
            ready: register(registry, "queue_messages_ready", "Messages that wait in a queue", Family::default()),
            processing: register(registry, processing, processing_help, durations()),
            ages: register(registry, "event_age_seconds", ages_help, ages),
        }
    }

    /// The broker has this event, for the first time or again.
    pub(crate) fn count_published(&self, event: &str, again: bool) {
        self.published.get_or_create(&PublishedLabels { event: event.to_owned(), again }).inc();
    }

    /// How long the broker took to confirm a batch.
    pub(crate) fn confirms(&self) -> &Histogram {
        &self.confirms
    }

    /// So many messages wait in the queue.
    pub(crate) fn set_ready(&self, queue: &str, messages: u32) {
        self.ready.get_or_create(&QueueLabels { queue: queue.to_owned() }).set(messages.into());
    }

    /// Nobody knows how many messages wait in the queue.
    pub(crate) fn forget_ready(&self, queue: &str) {
        self.ready.remove(&QueueLabels { queue: queue.to_owned() });
    }

    /// How long it took to apply what came from this queue together.
    pub(crate) fn processing(&self, queue: &str) -> Histogram {
        self.processing.get_or_create_owned(&QueueLabels { queue: queue.to_owned() })
    }

    /// Events that were made at these times are applied.
    pub(crate) fn count_applied(&self, event: &'static str, times: impl Iterator<Item = DateTime<Utc>>) {
        let (ages, now) = (self.ages.get_or_create(&EventLabels { event }), Utc::now());
        for time in times {
            ages.observe(seconds((now - time).to_std().unwrap_or_default()));
        }
    }
}
