//! An event on its way: from a decision to a row of the outbox to a message for the broker.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use shared_events::envelope::{self, Envelope, SpecVersion};
use shared_events::events::Event;
use shared_events::ids::OrderId;
use uuid::Uuid;

use crate::trace_context;

/// An event as a row of the outbox.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct Message {
    /// A UUIDv7: the same each time the event is sent.
    pub(crate) id: Uuid,
    pub(crate) event: String,
    order_id: OrderId,
    #[sqlx(json)]
    data: Box<RawValue>,
    pub(crate) traceparent: Option<String>,
}

impl Message {
    /// A new event, part of the trace that is running.
    pub fn new<E: Event>(event: &E) -> Self {
        Self::in_trace(event, trace_context::current())
    }

    /// A new event, part of this trace.
    pub fn in_trace<E: Event>(event: &E, traceparent: Option<String>) -> Self {
        Self {
            id: Uuid::now_v7(),
            event: E::NAME.to_owned(),
            order_id: event.order_id(),
            // Structs of strings and numbers, which always serialize.
            data: serde_json::value::to_raw_value(event).unwrap_or_default(),
            traceparent,
        }
    }

    /// How long ago the event was made.
    pub(crate) fn age(&self) -> TimeDelta {
        Utc::now() - self.time()
    }

    /// The time is taken from the id, so it is the same each time the event is sent.
    pub(crate) fn time(&self) -> DateTime<Utc> {
        let (seconds, nanoseconds) = self.id.get_timestamp().map_or((0, 0), |time| time.to_unix());
        DateTime::from_timestamp(seconds.cast_signed(), nanoseconds).unwrap_or_default()
    }

    /// What is published.
    pub(crate) fn envelope(&self, source: &str) -> Envelope<&RawValue> {
        Envelope {
            specversion: SpecVersion::V1,
            id: self.id,
            source: source.to_owned(),
            event: self.event.clone(),
            subject: self.order_id,
            time: self.time(),
            datacontenttype: "application/json".to_owned(),
            dataschema: envelope::data_schema(&self.event),
            traceparent: self.traceparent.clone(),
            data: &self.data,
        }
    }
}

/// A change and the event that is committed with it, as a row for a statement.
#[derive(Serialize)]
pub struct Announced<'a, Change> {
    /// The change.
    #[serde(flatten)]
    pub change: &'a Change,
    /// The event, if the change has one.
    pub message: Option<Message>,
}

impl<'a, Change> Announced<'a, Change> {
    /// The event becomes part of this trace. That of the work which is running would be wrong: a batch is nobody's.
    pub fn new<E: Event>(change: &'a Change, event: Option<&E>, traceparent: Option<String>) -> Self {
        Self { change, message: event.map(|event| Message::in_trace(event, traceparent)) }
    }
}
