//! A receipt: the consumer tells the publisher which events it is done with.
//!
//! The broker's confirm says that the broker has an event, and a broker can lose its disk. So the publisher keeps an
//! event in its outbox until the consumer has committed what it leads to (or parked it) and says so here. A lost
//! receipt costs a repeated event and no more.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The body of a message in the queue [`crate::topology::Topology::receipts_queue`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The ids of the events, as their envelopes have them.
    pub settled: Vec<Uuid>,
}
