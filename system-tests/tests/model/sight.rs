//! What can be seen of an order from outside: the model says what should be, the system what is.

use serde::Deserialize;

use crate::words::{Event, OrderStatus, PaymentStatus, Reason};

/// Everything that is compared after each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// As its owner reads it.
    pub order: OrderSight,
    /// As its owner reads it; `None` while there is none.
    pub payment: Option<PaymentSight>,
    /// How each attempt stands in the table of the service and in the book of the processor.
    pub attempts: Vec<(Outcome, Option<Booked>)>,
    /// What moved through the processor's account, as the ledger has it.
    pub ledger: Vec<i64>,
    /// The events that were sent since the last look, sorted.
    pub sent: Vec<Event>,
}

/// The fields of an order that are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSight {
    pub status: OrderStatus,
    pub payment_status: PaymentStatus,
    pub cancel_reason: Option<Reason>,
}

/// The fields of a payment that are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSight {
    pub status: PaymentStatus,
    pub attempts: i32,
    pub decline_code: Option<String>,
}

/// How an attempt stands at the payments service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Started,
    Approved,
    Declined,
    Voided,
}

/// How an attempt stands at the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Booked {
    Approved,
    Declined,
    Voided,
    Refunded,
}
