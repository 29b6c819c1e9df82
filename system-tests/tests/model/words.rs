//! The words that scripts, the model and the system have in common.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use shared_events::ids::OrderId;
use uuid::Uuid;

use crate::sight::{OrderSight, PaymentSight};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    Created,
    Confirmed,
    Declined,
    Cancelled,
    Delivered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    Pending,
    Processing,
    Paid,
    Declined,
    Cancelled,
    Refunding,
    Refunded,
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    User,
    Expired,
}

/// What the services tell each other about one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Create,
    Cancel(Reason),
    Processed(News),
}

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct News {
    pub status: PaymentStatus,
    pub version: i32,
    pub decline_code: Option<String>,
}

/// An event as it was taken from an outbox: what the model understands of it, and what a consumer is given.
#[derive(Clone, Debug)]
pub struct Letter {
    pub event: Event,
    pub id: Uuid,
    pub order_id: OrderId,
    pub name: String,
    pub data: Value,
}

/// The cards of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Card {
    Approved,
    Declined,
    Empty,
    ChargedInSilence,
    Lost,
    StumblesOnRefund,
}

/// Where the processor keeps a charge waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// It has not heard of it.
    BeforeCharging,
    /// It has written it down and not answered.
    AfterCharging,
}

/// A charge is kept waiting until its ticket is called. One that is never called is a service that died there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    pub place: Place,
    pub ticket: u32,
}

/// The line to the processor while the settlement talks to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    Good,
    /// Nothing gets through.
    Dead,
    /// Voids and refunds are carried out, and the answers are lost.
    Deaf,
}

/// Something that is done to one order.
#[derive(Clone, Debug)]
pub enum Act {
    ReadOrder,
    ReadPayment,
    Cancel,
    Pay(Card, Option<Hold>),
    LetGo(u32),
    Hear(Vec<Letter>),
    Settle(Line),
    Expire,
    Deliver,
}

/// What comes of it for whoever did it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Order(u16, OrderSight),
    Payment(u16, PaymentSight),
    /// The status, the code and, of a card that was declined, why.
    Problem(u16, String, Option<String>),
    /// Consumers and timers have nothing to say.
    Nothing,
    /// The processor keeps the pay waiting.
    Waits,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hear(letters) => {
                f.debug_tuple("Hear").field(&letters.iter().map(|letter| &letter.event).collect::<Vec<_>>()).finish()
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl Answer {
    pub fn problem(status: u16, code: &str) -> Self {
        Self::Problem(status, code.to_owned(), None)
    }
}

impl Card {
    pub fn number(self) -> &'static str {
        match self {
            Self::Approved => "4242424242424242",
            Self::Declined => "4000000000000002",
            Self::Empty => "4000000000009995",
            Self::ChargedInSilence => "4000000000006108",
            Self::Lost => "4000000000006207",
            Self::StumblesOnRefund => "4000000000006405",
        }
    }

    pub fn decline_code(self) -> Option<&'static str> {
        match self {
            Self::Declined => Some("generic_decline"),
            Self::Empty => Some("insufficient_funds"),
            Self::Approved | Self::ChargedInSilence | Self::Lost | Self::StumblesOnRefund => None,
        }
    }
}
