//! What webhooks are told of: each thing that happens to an order or its payment. Pure: no I/O.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::order::{Order, OrderStatus, Past, PaymentStatus};

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookEventType)]
#[expect(missing_docs, reason = "each is its own sentence")]
pub enum EventType {
    #[serde(rename = "order.created")]
    OrderCreated,
    #[serde(rename = "order.confirmed")]
    OrderConfirmed,
    #[serde(rename = "order.declined")]
    OrderDeclined,
    #[serde(rename = "order.cancelled")]
    OrderCancelled,
    #[serde(rename = "order.delivered")]
    OrderDelivered,
    #[serde(rename = "payment.paid")]
    PaymentPaid,
    #[serde(rename = "payment.declined")]
    PaymentDeclined,
    #[serde(rename = "payment.cancelled")]
    PaymentCancelled,
    #[serde(rename = "payment.refunded")]
    PaymentRefunded,
}

/// The body of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookMessage)]
pub struct Message {
    /// What has happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// The order as this has left it. What comes late has a lower `version` than what you have.
    pub data: Order,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OrderCreated,
        Self::OrderConfirmed,
        Self::OrderDeclined,
        Self::OrderCancelled,
        Self::OrderDelivered,
        Self::PaymentPaid,
        Self::PaymentDeclined,
        Self::PaymentCancelled,
        Self::PaymentRefunded,
    ];

    /// The name in JSON and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrderCreated => "order.created",
            Self::OrderConfirmed => "order.confirmed",
            Self::OrderDeclined => "order.declined",
            Self::OrderCancelled => "order.cancelled",
            Self::OrderDelivered => "order.delivered",
            Self::PaymentPaid => "payment.paid",
            Self::PaymentDeclined => "payment.declined",
            Self::PaymentCancelled => "payment.cancelled",
            Self::PaymentRefunded => "payment.refunded",
        }
    }

    fn of_order(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Created => Self::OrderCreated,
            OrderStatus::Confirmed => Self::OrderConfirmed,
            OrderStatus::Declined => Self::OrderDeclined,
            OrderStatus::Cancelled => Self::OrderCancelled,
            OrderStatus::Delivered => Self::OrderDelivered,
        }
    }

    fn of_payment(status: PaymentStatus) -> Option<Self> {
        match status {
            PaymentStatus::Pending => None,
            PaymentStatus::Paid => Some(Self::PaymentPaid),
            PaymentStatus::Declined => Some(Self::PaymentDeclined),
            PaymentStatus::Cancelled => Some(Self::PaymentCancelled),
            PaymentStatus::Refunded => Some(Self::PaymentRefunded),
        }
    }
}

/// What has happened with the version that this order has: to its payment, to the order, or to both. `past` is its history.
pub fn of_version(order: &Order, past: &[Past]) -> Vec<EventType> {
    let Some(change) = past.iter().find(|change| change.version == order.version) else {
        return vec![EventType::OrderCreated];
    };
    let before = past.iter().rfind(|change| change.version < order.version);
    let status_before = before.map_or(OrderStatus::Created, |change| change.status);
    let of_payment = change.cause.payment_status().and_then(EventType::of_payment);
    let of_order = (change.status != status_before).then(|| EventType::of_order(change.status));
    of_payment.into_iter().chain(of_order).collect()
}

/// The `webhook-id`: the same for all who are told, each time they are told.
pub fn message_id(order: &Order, event_type: EventType) -> String {
    let name = format!("{} {}", order.version, event_type.name());
    format!("msg_{}", Uuid::new_v5(&order.id.0, name.as_bytes()).simple())
}
