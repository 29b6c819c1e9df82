//! An event on its way: from a decision to a row of the outbox to a message for the broker.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;
use shared_events::envelope::{self, Envelope, SpecVersion};
use shared_events::events::Event;
use shared_events::ids::OrderId;
use uuid::Uuid;

/// An event as a row of the outbox.
#[derive(Clone, Debug, sqlx::FromRow)]
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
    /// The event by this id, part of this trace. That of the work which is running may be wrong: a batch is nobody's.
    pub fn of<E: Event>(id: Uuid, event: &E, traceparent: Option<String>) -> Self {
        Self {
            id,
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

/// An id for the event of each of the rows, whether it has one or not.
pub fn ids_for<Row>(rows: &[Row]) -> Vec<Uuid> {
    rows.iter().map(|_| Uuid::now_v7()).collect()
}
