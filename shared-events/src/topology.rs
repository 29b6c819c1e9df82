//! The names of exchanges and queues at the broker.
//!
//! One durable topic exchange; the routing key is the event's name; one queue for each consumed event, named after it.
//! What a queue gives up on goes through the dead-letter exchange to `<queue>.dead`. What its consumer is done with, the
//! publisher hears from `<queue>.receipts`, to which the same exchange leads: so nobody needs the right to publish to
//! any queue there is, as the default exchange would take it.

use crate::events;

/// How often the broker hands out one message before it gives up and dead-letters it.
///
/// Wide, because a consumer that dies returns all it had prefetched and so burns the count of innocent messages
/// (<https://github.com/rabbitmq/rabbitmq-server/discussions/11937>).
pub const DELIVERY_LIMIT: i32 = 1000;

/// The names, under an optional prefix that lets several installations share one broker.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    prefix: String,
}

impl Topology {
    /// Names that all begin with `prefix`; the empty prefix gives the plain ones.
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The topic exchange that every event is published to.
    pub fn exchange(&self) -> String {
        format!("{}order-processing", self.prefix)
    }

    /// The direct exchange for messages that a queue gave up on.
    pub fn dead_letter_exchange(&self) -> String {
        format!("{}order-processing.dead", self.prefix)
    }

    /// The queue that carries `event`.
    pub fn queue(&self, event: &str) -> String {
        format!("{}{event}", self.prefix)
    }

    /// Where the publisher of `event` hears what has been settled.
    pub fn receipts_queue(&self, event: &str) -> String {
        format!("{}{event}.receipts", self.prefix)
    }

    /// The key under which the exchange leads to a queue of events or receipts: its name without the prefix.
    pub fn routing_key<'a>(&self, queue: &'a str) -> &'a str {
        queue.strip_prefix(&self.prefix).unwrap_or(queue)
    }

    /// Where messages of `event` end that its queue gave up on.
    pub fn dead_queue(&self, event: &str) -> String {
        format!("{}{event}.dead", self.prefix)
    }

    /// Where a message that came from `queue` goes to be consumed again; `None` when the queue is none of these.
    pub fn queue_to_replay(&self, queue: &str) -> Option<String> {
        events::NAMES.iter().find_map(|event| {
            let (its_queue, its_receipts) = (self.queue(event), self.receipts_queue(event));
            if queue == its_queue || queue == self.dead_queue(event) {
                Some(its_queue)
            } else {
                Some(its_receipts).filter(|receipts| receipts == queue)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_back_to_where_it_is_consumed() {
        let topology = Topology::with_prefix("ours-");
        for (from, to) in [
            ("ours-payment-create-event", Some("ours-payment-create-event")),
            ("ours-payment-cancel-event.dead", Some("ours-payment-cancel-event")),
            ("ours-payment-processed-event.receipts", Some("ours-payment-processed-event.receipts")),
            ("payment-create-event", None),
            ("theirs-payment-create-event.dead", None),
            ("ours-another-event", None),
            ("", None),
        ] {
            assert_eq!(topology.queue_to_replay(from).as_deref(), to, "{from:?}");
        }
    }
}
