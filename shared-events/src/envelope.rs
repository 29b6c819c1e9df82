//! The envelope around every event: CloudEvents 1.0 in structured JSON mode
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ids::OrderId;

/// The content type of a message that carries an [`Envelope`].
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The content type of a message that carries an array of them, which are about different orders and in no order
/// (CloudEvents' JSON Batch Format).
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// One event with what is needed to route, trace and recognise it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Envelope<Data> {
    /// The version of CloudEvents, always `1.0`.
    pub specversion: SpecVersion,
    /// Unique for each event and the same each time it is sent; of an event that travels alone also the AMQP
    /// `message_id`.
    pub id: Uuid,
    /// The service that published it, as a URI reference: `/orders-service`.
    pub source: String,
    /// The event's name.
    #[serde(rename = "type")]
    pub event: String,
    /// The order it is about.
    pub subject: OrderId,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The media type of `data`.
    pub datacontenttype: String,
    /// Where the schema of `data` is named.
    pub dataschema: String,
    /// The trace that the event continues, as W3C Trace Context writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The event itself.
    pub data: Data,
}

/// The one version of CloudEvents that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum SpecVersion {
    /// 1.0
    #[serde(rename = "1.0")]
    V1,
}

/// The `dataschema` of an event: `/schemas/payment-create-event/1`.
pub fn data_schema(event: &str) -> String {
    format!("/schemas/{event}/1")
}
