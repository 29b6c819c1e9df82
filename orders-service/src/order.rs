//! An order and everything that can happen to it. Pure: no I/O, no clock, no chance.
//!
//! A decision is made on an order as it was read and answers the [`Change`] to make. The change is stored only if the
//! order still has the version that the decision was made on, so a decision can always be made again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::composite_type;
use shared_events::events::{CancelReason, PaymentCancel, PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, UserId};
use shared_events::money::{Currency, MinorUnits};
use sqlx::types::Json;
use utoipa::ToSchema;

use crate::new_order::Item;

/// An order as it is stored and as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Names it, also in the routes of its payment.
    pub id: OrderId,
    /// Where it is in its life.
    pub status: OrderStatus,
    /// What is due, in minor units of `currency`.
    pub bill: MinorUnits,
    /// What the bill is counted in.
    pub currency: Currency,
    /// What was ordered, if it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Item>>, nullable = false)]
    pub items: Option<Json<Vec<Item>>>,
    /// The client's own name for it, if it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reference: Option<String>,
    /// Who placed it.
    pub created_by: UserId,
    /// What is known of its payment.
    pub payment_status: PaymentStatus,
    /// The newest version of the payment that this was learned of.
    #[serde(skip)]
    pub payment_version: i32,
    /// When it will be delivered, once it is paid.
    #[schema(required)]
    pub deliver_at: Option<DateTime<Utc>>,
    /// When it is cancelled if nobody has paid it.
    pub expires_at: DateTime<Utc>,
    /// Why it was cancelled, if it was.
    #[schema(required)]
    pub cancel_reason: Option<CancelReason>,
    /// The trace of the request that placed it.
    #[serde(skip)]
    pub traceparent: Option<String>,
    /// Grows with every change; the entity tag is made of it.
    pub version: i32,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Placed, not yet paid.
    Created,
    /// Paid; will be delivered.
    Confirmed,
    /// The card was declined; another may be tried.
    Declined,
    /// Will not be delivered, and no money is kept.
    Cancelled,
    /// Done.
    Delivered,
}

/// What the payment events told of an order's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderPaymentStatus)]
pub enum PaymentStatus {
    /// Nothing yet.
    Pending,
    /// The card was charged.
    Paid,
    /// The card was declined.
    Declined,
    /// The payment was closed without a charge.
    Cancelled,
    /// The charge was given back.
    Refunded,
}

/// What made an order change, for its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is its own sentence")]
pub enum Cause {
    OrderPlaced,
    PaymentPaid,
    PaymentDeclined,
    PaymentCancelled,
    PaymentRefunded,
    CancelledByUser,
    Expired,
    DeliveryDue,
}

/// A change of one order that was decided on its version `expected_version`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Encode)]
#[expect(missing_docs, reason = "the fields are those of the order as it will be")]
pub struct Change {
    pub order_id: OrderId,
    pub expected_version: i32,
    pub status: OrderStatus,
    pub payment_status: PaymentStatus,
    pub payment_version: i32,
    pub cancel_reason: Option<CancelReason>,
    pub cause: Cause,
    /// What the payments service is told with the change.
    pub event: Option<Json<PaymentCancel>>,
    /// The trace that it is part of: that of the order, unless somebody asked for the change.
    pub traceparent: Option<String>,
}

composite_type!(Change, "orders.change");

/// A change as the history of the order has it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of the order as it was then")]
pub struct Past {
    pub order_id: OrderId,
    pub version: i32,
    pub status: OrderStatus,
    pub cause: Cause,
    pub deliver_at: Option<DateTime<Utc>>,
    pub at: DateTime<Utc>,
}

/// The order was delivered and can no longer be cancelled.
#[derive(Debug, PartialEq, Eq)]
pub struct NotCancellable;

impl OrderStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Created, Self::Confirmed, Self::Declined, Self::Cancelled, Self::Delivered];

    /// The transition table: everything that is not listed here never happens.
    pub fn may_become(self, next: Self) -> bool {
        use OrderStatus::{Cancelled, Confirmed, Created, Declined, Delivered};
        match (self, next) {
            (Created | Declined, Confirmed) | (Created, Declined) | (Confirmed, Delivered) => true,
            (Created | Declined | Confirmed, Cancelled) => true,
            (Created | Declined | Confirmed | Cancelled | Delivered, _) => false,
        }
    }

    /// The name in JSON and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Delivered => "delivered",
        }
    }
}

impl Cause {
    /// What it tells of the payment.
    pub fn payment_status(self) -> Option<PaymentStatus> {
        match self {
            Self::PaymentPaid => Some(PaymentStatus::Paid),
            Self::PaymentDeclined => Some(PaymentStatus::Declined),
            Self::PaymentCancelled => Some(PaymentStatus::Cancelled),
            Self::PaymentRefunded => Some(PaymentStatus::Refunded),
            Self::OrderPlaced | Self::CancelledByUser | Self::Expired | Self::DeliveryDue => None,
        }
    }

    /// Why the order was cancelled by it, if it was.
    pub fn cancel_reason(self) -> Option<CancelReason> {
        match self {
            Self::CancelledByUser => Some(CancelReason::User),
            Self::Expired => Some(CancelReason::Expired),
            _ => None,
        }
    }
}

impl TryFrom<&str> for OrderStatus {
    type Error = String;

    fn try_from(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| format!("must be one of {}", names()))
    }
}

impl Order {
    /// The order as its creation was answered, whatever has happened since.
    #[must_use]
    pub fn as_placed(self) -> Self {
        Self {
            status: OrderStatus::Created,
            payment_status: PaymentStatus::Pending,
            payment_version: 0,
            deliver_at: None,
            cancel_reason: None,
            version: 1,
            updated_at: self.created_at,
            ..self
        }
    }

    /// The order as it was at this version. `past` is its history, oldest first, at least up to there.
    #[must_use]
    pub fn as_of(&self, version: i32, past: &[Past]) -> Self {
        let until_then = past.iter().filter(|change| change.version <= version);
        until_then.fold(self.clone().as_placed(), |order, change| Self {
            status: change.status,
            payment_status: change.cause.payment_status().unwrap_or(order.payment_status),
            cancel_reason: change.cause.cancel_reason().or(order.cancel_reason),
            deliver_at: change.deliver_at,
            version: change.version,
            updated_at: change.at,
            ..order
        })
    }

    /// What a cancel does: `None` when the order is cancelled already.
    pub fn cancel(&self, reason: CancelReason) -> Result<Option<Change>, NotCancellable> {
        if self.status == OrderStatus::Cancelled {
            return Ok(None);
        }
        if !self.status.may_become(OrderStatus::Cancelled) {
            return Err(NotCancellable);
        }
        let cause = match reason {
            CancelReason::User => Cause::CancelledByUser,
            CancelReason::Expired => Cause::Expired,
        };
        Ok(Some(Change {
            status: OrderStatus::Cancelled,
            cancel_reason: Some(reason),
            event: Some(self.payment_cancel(reason)),
            ..self.change(cause)
        }))
    }

    /// What the expiry timer does once `expires_at` has passed: `None` when somebody paid or cancelled meanwhile.
    pub fn expire(&self) -> Option<Change> {
        match self.status {
            OrderStatus::Created | OrderStatus::Declined => self.cancel(CancelReason::Expired).ok().flatten(),
            OrderStatus::Confirmed | OrderStatus::Cancelled | OrderStatus::Delivered => None,
        }
    }

    /// What the delivery timer does once `deliver_at` has passed: `None` when the order is not waiting for it.
    pub fn deliver(&self) -> Option<Change> {
        let due = self.status.may_become(OrderStatus::Delivered);
        due.then(|| Change { status: OrderStatus::Delivered, ..self.change(Cause::DeliveryDue) })
    }

    /// What news of the payment does: `None` when it is no news. Any order of events, each any number of times, leads
    /// to the same end, because the newest version of the payment wins.
    pub fn learn(&self, news: &PaymentProcessed) -> Option<Change> {
        if news.version <= self.payment_version {
            return None;
        }
        let (payment_status, cause, next) = match news.status {
            ProcessedStatus::Paid => (PaymentStatus::Paid, Cause::PaymentPaid, OrderStatus::Confirmed),
            ProcessedStatus::Declined => (PaymentStatus::Declined, Cause::PaymentDeclined, OrderStatus::Declined),
            // A payment is closed or refunded because its order was cancelled.
            ProcessedStatus::Cancelled => (PaymentStatus::Cancelled, Cause::PaymentCancelled, self.status),
            ProcessedStatus::Refunded => (PaymentStatus::Refunded, Cause::PaymentRefunded, self.status),
        };
        // Paid although cancelled: the cancel came too late or got lost, so it is sent again and the money goes back.
        let event = match (self.cancel_reason, news.status) {
            (Some(reason), ProcessedStatus::Paid) => Some(self.payment_cancel(reason)),
            _ => None,
        };
        Some(Change {
            status: if self.status.may_become(next) { next } else { self.status },
            payment_status,
            payment_version: news.version,
            event,
            ..self.change(cause)
        })
    }

    /// A change that changes nothing yet.
    fn change(&self, cause: Cause) -> Change {
        Change {
            order_id: self.id,
            expected_version: self.version,
            status: self.status,
            payment_status: self.payment_status,
            payment_version: self.payment_version,
            cancel_reason: self.cancel_reason,
            cause,
            event: None,
            traceparent: self.traceparent.clone(),
        }
    }

    fn payment_cancel(&self, reason: CancelReason) -> Json<PaymentCancel> {
        Json(PaymentCancel { order_id: self.id, reason })
    }
}
