//! The three events. Each says who publishes it, who consumes it and what a duplicate means.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{OrderId, PaymentId, UserId};
use crate::money::{Currency, MinorUnits};

/// A fact or a request that one service tells the other, always about one order.
pub trait Event: Serialize + DeserializeOwned {
    /// The event's name: its `type` in the envelope, its routing key and the queue that carries it.
    const NAME: &'static str;

    /// The order this is about.
    fn order_id(&self) -> OrderId;
}

/// The names of all events.
pub const NAMES: [&str; 3] = [PaymentCreate::NAME, PaymentCancel::NAME, PaymentProcessed::NAME];

/// Orders to payments: an order was placed, hold a pending payment for it.
///
/// A duplicate changes nothing: an order has one payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCreate {
    /// The order to be paid.
    pub order_id: OrderId,
    /// Who may see and pay it.
    pub created_by: UserId,
    /// How much is due, in minor units of `currency`.
    pub bill: MinorUnits,
    /// What the bill is counted in.
    pub currency: Currency,
}

/// Orders to payments: the order was cancelled, see that no money is kept.
///
/// It may overtake its [`PaymentCreate`]; a duplicate changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCancel {
    /// The order that was cancelled.
    pub order_id: OrderId,
    /// Why.
    pub reason: CancelReason,
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Its owner asked for it.
    User,
    /// Nobody paid it in time.
    Expired,
}

/// Payments to orders: where the payment stands now.
///
/// `version` grows with every change of the payment, so a late or repeated event is told from news by comparing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentProcessed {
    /// The order that the payment belongs to.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// Where it stands.
    pub status: ProcessedStatus,
    /// The payment's version that first had this status.
    pub version: i32,
    /// How much was due, in minor units of `currency`.
    pub bill: MinorUnits,
    /// What the bill is counted in.
    pub currency: Currency,
    /// Why the card was declined, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
}

/// The outcomes of a payment that the orders service hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessedStatus {
    /// The card was charged.
    Paid,
    /// The card was declined; another may be tried.
    Declined,
    /// The payment was closed without a charge.
    Cancelled,
    /// The charge was given back.
    Refunded,
}

impl Event for PaymentCreate {
    const NAME: &'static str = "payment-create-event";

    fn order_id(&self) -> OrderId {
        self.order_id
    }
}

impl Event for PaymentCancel {
    const NAME: &'static str = "payment-cancel-event";

    fn order_id(&self) -> OrderId {
        self.order_id
    }
}

impl Event for PaymentProcessed {
    const NAME: &'static str = "payment-processed-event";

    fn order_id(&self) -> OrderId {
        self.order_id
    }
}
