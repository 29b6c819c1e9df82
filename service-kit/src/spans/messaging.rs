//! Spans of what goes through the broker, as OpenTelemetry's conventions for RabbitMQ have them
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/>): what consumes an event continues the trace from where the
//! event was made, and publishing it is beside that.

use shared_events::envelope::Envelope;
use shared_events::events::Event;
use shared_events::topology::Topology;

use super::{Span, SpanKind, is_on};
use crate::message::Message;

/// Publishing this event, with others, from now until the span is dropped.
pub(crate) fn of_publishing(message: &Message, exchange: &str, together: usize) -> Span {
    let destination = || format!("{exchange}:{}", message.event);
    let name = || format!("publish {}", destination()).into();
    let span = Span::below(message.traceparent.as_deref(), SpanKind::Producer, name);
    if !is_on() {
        return span;
    }
    span.with("messaging.system", "rabbitmq")
        .with("messaging.operation.type", "send")
        .with("messaging.operation.name", "publish")
        .with("messaging.destination.name", destination())
        .with("messaging.rabbitmq.destination.routing_key", message.event.clone())
        .with("messaging.message.id", message.id.to_string())
        .with("messaging.batch.message_count", i64::try_from(together).unwrap_or(i64::MAX))
}

/// A span for each event, which what is done for the event belongs to.
pub(crate) fn of_processing<E: Event>(envelopes: &mut [Envelope<E>], topology: &Topology) -> Vec<Span> {
    if !is_on() {
        return Vec::new();
    }
    let together = i64::try_from(envelopes.len()).unwrap_or(i64::MAX);
    let (exchange, queue) = (topology.exchange(), topology.queue(E::NAME));
    let behind = if queue == E::NAME { String::new() } else { format!(":{queue}") };
    let destination = format!("{exchange}:{}{behind}", E::NAME);
    let begin = |envelope: &mut Envelope<E>| {
        let name = || format!("process {destination}").into();
        let span = Span::below(envelope.traceparent.as_deref(), SpanKind::Consumer, name)
            .with("messaging.system", "rabbitmq")
            .with("messaging.operation.type", "process")
            .with("messaging.operation.name", "process")
            .with("messaging.destination.name", destination.clone())
            .with("messaging.rabbitmq.destination.routing_key", E::NAME)
            .with("messaging.message.id", envelope.id.to_string())
            .with("messaging.batch.message_count", together)
            .with("order.id", envelope.subject.to_string());
        envelope.traceparent = span.traceparent().or_else(|| envelope.traceparent.take());
        span
    };
    envelopes.iter_mut().map(begin).collect()
}
