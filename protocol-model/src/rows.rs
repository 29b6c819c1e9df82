//! The two rows of an order, as small as they can be, and what the statements do to them.

use chrono::DateTime;
use orders_service::order::{self, Order, OrderStatus};
use payments_service::card::{CardSummary, Expiry};
use payments_service::payment::{self, Payment, PaymentStatus};
use payments_service::processor::AttemptId;
use shared_events::events::CancelReason;
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use uuid::Uuid;

/// What is charged for every order.
pub const BILL: MinorUnits = MinorUnits(62243);

/// A row of `orders.orders`, without what no decision looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderRow {
    pub status: OrderStatus,
    pub payment_status: order::PaymentStatus,
    pub payment_version: i32,
    pub cancel_reason: Option<CancelReason>,
    pub has_deliver_at: bool,
    pub version: i32,
}

/// A row of `payments.payments`, without what no decision looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PaymentRow {
    pub owner: Owner,
    pub status: PaymentStatus,
    pub cancel_requested: bool,
    /// The attempt that began last.
    pub attempt: Option<usize>,
    pub attempts: i32,
    pub version: i32,
}

/// Whether the payment is more than a tombstone: what it is for is known once its create has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    Known,
    Unknown,
}

impl OrderRow {
    /// `placing::place`.
    pub const PLACED: Self = Self {
        status: OrderStatus::Created,
        payment_status: order::PaymentStatus::Pending,
        payment_version: 0,
        cancel_reason: None,
        has_deliver_at: false,
        version: 1,
    };

    /// As the service reads it.
    pub fn read(self) -> Order {
        Order {
            id: OrderId(Uuid::nil()),
            status: self.status,
            bill: BILL,
            currency: Currency::DEFAULT,
            items: None,
            reference: None,
            created_by: UserId(String::new()),
            payment_status: self.payment_status,
            payment_version: self.payment_version,
            deliver_at: self.has_deliver_at.then_some(DateTime::UNIX_EPOCH),
            expires_at: DateTime::UNIX_EPOCH,
            cancel_reason: self.cancel_reason,
            traceparent: None,
            version: self.version,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    /// The `update` of `orders::apply`.
    pub fn update(self, change: &order::Change) -> Self {
        Self {
            status: change.status,
            payment_status: change.payment_status,
            payment_version: change.payment_version,
            cancel_reason: change.cancel_reason,
            has_deliver_at: match change.status {
                OrderStatus::Cancelled => false,
                OrderStatus::Confirmed => true,
                _ => self.has_deliver_at,
            },
            version: self.version + 1,
        }
    }
}

impl PaymentRow {
    /// `payments::create` where there is no payment.
    pub const CREATED: Self = Self {
        owner: Owner::Known,
        status: PaymentStatus::Pending,
        cancel_requested: false,
        attempt: None,
        attempts: 0,
        version: 1,
    };

    /// `tombstones::leave` where there is no payment.
    pub const TOMBSTONE: Self = Self { owner: Owner::Unknown, status: PaymentStatus::Cancelled, ..Self::CREATED };

    /// `payments::create`: `None` when the payment is known already.
    pub fn create(held: Option<Self>) -> Option<Self> {
        match held {
            None => Some(Self::CREATED),
            Some(tombstone) if tombstone.owner == Owner::Unknown => {
                Some(Self { owner: Owner::Known, version: tombstone.version + 1, ..tombstone })
            }
            Some(_) => None,
        }
    }

    /// As the service reads it.
    pub fn read(self) -> Payment {
        let is_known = self.owner == Owner::Known;
        Payment {
            id: PaymentId(Uuid::nil()),
            order_id: OrderId(Uuid::nil()),
            created_by: is_known.then(|| UserId(String::new())),
            bill: is_known.then_some(BILL),
            currency: is_known.then_some(Currency::DEFAULT),
            status: self.status,
            cancel_requested: self.cancel_requested,
            attempt_id: self.attempt.map(attempt_id),
            attempts: self.attempts,
            card_brand: None,
            card_last4: None,
            card_exp_month: None,
            card_exp_year: None,
            decline_code: None,
            traceparent: None,
            version: self.version,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    /// The `update` of `payments::apply`.
    pub fn update(self, change: &payment::Change) -> Self {
        Self {
            owner: self.owner,
            status: change.status,
            cancel_requested: change.cancel_requested,
            attempt: change.attempt_id.map(attempt_number),
            attempts: change.attempts,
            version: self.version + 1,
        }
    }
}

/// The id of the order's first attempt, its second, and so on.
pub fn attempt_id(number: usize) -> AttemptId {
    AttemptId(Uuid::from_u128(number as u128))
}

fn attempt_number(id: AttemptId) -> usize {
    usize::try_from(id.0.as_u128()).expect("made of a small number")
}

/// Of a card, nothing counts but what the processor will say to it.
pub fn card_summary() -> CardSummary {
    CardSummary { brand: String::new(), last4: String::new(), expiry: Expiry { year: 2030, month: 12 } }
}
