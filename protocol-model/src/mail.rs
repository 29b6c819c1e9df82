//! An event on its way: a row of the outbox, a message at the broker, a receipt that comes back.
//!
//! A message in the network may be delivered at any time and any number of times, so whether one is there is all that
//! counts. The row stays until the receipt has come, and as long as it stays it may be published again.

use shared_events::events::{CancelReason, ProcessedStatus};

/// An event with how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mail<Event> {
    pub event: Event,
    pub way: Way,
}

/// What the orders service tells the payments service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    Create,
    Cancel(CancelReason),
}

/// What the payments service tells the orders service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    pub status: ProcessedStatus,
    pub version: i32,
}

/// Where an event is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    pub in_outbox: bool,
    pub in_network: bool,
    pub receipt_in_network: bool,
}

/// Whose outbox it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbox {
    Orders,
    Payments,
}

/// What can become of an event besides being consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The relay or its sweeper sends it, perhaps again.
    Publish,
    /// The receipt comes back, and the row is deleted.
    TakeReceipt,
    LoseMessage,
    LoseReceipt,
}

impl Transport {
    pub const ALL: [Self; 4] = [Self::Publish, Self::TakeReceipt, Self::LoseMessage, Self::LoseReceipt];
}

impl Way {
    pub fn committed() -> Self {
        Self { in_outbox: true, in_network: false, receipt_in_network: false }
    }

    pub fn publish(self) -> Self {
        Self { in_network: self.in_network || self.in_outbox, ..self }
    }

    /// The consumer has committed what the event leads to, and says so; nobody listens once the row is deleted.
    pub fn acknowledge(self) -> Self {
        Self { receipt_in_network: self.in_outbox, ..self }
    }

    /// As it is after `transport`; `publish` is the rule of that name.
    pub fn after(self, transport: Transport, publish: fn(Self) -> Self) -> Self {
        match transport {
            Transport::Publish if self.in_outbox => publish(self),
            Transport::TakeReceipt if self.receipt_in_network => {
                Self { in_outbox: false, receipt_in_network: false, ..self }
            }
            Transport::LoseMessage => Self { in_network: false, ..self },
            Transport::LoseReceipt => Self { receipt_in_network: false, ..self },
            Transport::Publish | Transport::TakeReceipt => self,
        }
    }

    /// Grows with every step of the transport that is no loss.
    pub fn progress(self) -> i32 {
        let steps = [(!self.in_outbox, 3), (self.in_network, 1), (self.receipt_in_network, 1)];
        steps.into_iter().filter_map(|(is_done, weight)| is_done.then_some(weight)).sum()
    }
}
