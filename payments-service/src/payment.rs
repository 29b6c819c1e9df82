//! A payment and everything that can happen to it. Pure: no I/O, no clock, no chance.
//!
//! A decision is made on a payment as it was read and answers the [`Change`] to make. The change is stored only if the
//! payment still has the version that the decision was made on, so a decision can always be made again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::composite_type;
use service_kit::idempotency::Claim;
use shared_events::events::{PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::card::CardSummary;
use crate::processor::{AttemptId, Verdict};

/// A payment as it is stored, in its table and in the answers that are kept of it.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are described with the columns in migrations/payments")]
pub struct Payment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub created_by: Option<UserId>,
    pub bill: Option<MinorUnits>,
    pub currency: Option<Currency>,
    pub status: PaymentStatus,
    pub cancel_requested: bool,
    pub attempt_id: Option<AttemptId>,
    pub attempts: i32,
    pub card_brand: Option<String>,
    pub card_last4: Option<String>,
    pub card_exp_month: Option<i16>,
    pub card_exp_year: Option<i16>,
    pub decline_code: Option<String>,
    pub traceparent: Option<String>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Where a payment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Waits for a card.
    Pending,
    /// A card is being charged, or it is not known yet whether it was.
    Processing,
    /// The card was charged.
    Paid,
    /// The last card was declined; another may be tried.
    Declined,
    /// Closed without a charge.
    Cancelled,
    /// The charge is being given back.
    Refunding,
    /// The charge was given back.
    Refunded,
}

/// Why a card cannot be charged now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPayable {
    /// Another attempt is running.
    InProgress,
    /// It is paid.
    AlreadyPaid,
    /// The order was cancelled.
    Cancelled,
}

/// A change of one payment that was decided on its version `expected_version`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Encode)]
#[expect(missing_docs, reason = "the fields are those of the payment as it will be")]
pub struct Change {
    pub order_id: OrderId,
    pub expected_version: i32,
    pub status: PaymentStatus,
    pub cancel_requested: bool,
    pub attempt_id: Option<AttemptId>,
    pub attempts: i32,
    pub card_brand: Option<String>,
    pub card_last4: Option<String>,
    pub card_exp_month: Option<i16>,
    pub card_exp_year: Option<i16>,
    pub decline_code: Option<String>,
    /// How the attempt stands after the change, when the change touches it.
    pub attempt_outcome: Option<AttemptOutcome>,
    /// What is posted to the ledger.
    pub posting: Option<Posting>,
    /// What the orders service is told with the change.
    pub event: Option<Json<PaymentProcessed>>,
    /// The trace that it is part of: that of the last change, unless somebody asked for this one.
    pub traceparent: Option<String>,
    /// What makes a repetition of the request that began the attempt be answered the same.
    pub claim: Option<Json<Claim>>,
}

composite_type!(Change, "payments.change");

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are described with the column in migrations/payments")]
pub enum AttemptOutcome {
    Started,
    Approved,
    Declined,
    Voided,
}

/// A transaction of the ledger: `amount` into the card processor's account and out of revenue; negative for a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Encode)]
pub struct Posting {
    /// The attempt for a charge, derived from it for its refund, so that neither can be posted twice.
    pub tx_id: Uuid,
    /// In minor units of `currency`.
    pub amount: MinorUnits,
    /// In what.
    pub currency: Currency,
}

composite_type!(Posting, "payments.posting");

impl PaymentStatus {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Processing, Self::Paid, Self::Declined, Self::Cancelled, Self::Refunding, Self::Refunded];

    /// The transition table: everything that is not listed here never happens.
    pub fn may_become(self, next: Self) -> bool {
        use PaymentStatus::{Cancelled, Declined, Paid, Pending, Processing, Refunded, Refunding};
        match (self, next) {
            (Pending | Declined, Processing | Cancelled) => true,
            (Processing, Paid | Declined | Pending | Refunding | Cancelled) => true,
            (Paid, Refunding) | (Refunding, Refunded) => true,
            (Pending | Processing | Paid | Declined | Cancelled | Refunding | Refunded, _) => false,
        }
    }

    /// The name in JSON and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Paid => "paid",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }

    /// Whether the processor has answered for a card: the `processed` of the API.
    pub fn is_processed(self) -> bool {
        matches!(self, Self::Paid | Self::Declined | Self::Refunding | Self::Refunded)
    }
}

impl TryFrom<&str> for PaymentStatus {
    type Error = String;

    fn try_from(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| format!("must be one of {}", names()))
    }
}

impl Payment {
    /// Begins an attempt with a card; to be stored before the processor is asked.
    pub fn begin(&self, attempt_id: AttemptId, card: &CardSummary) -> Result<Change, NotPayable> {
        match self.status {
            PaymentStatus::Pending | PaymentStatus::Declined => Ok(Change {
                attempt_id: Some(attempt_id),
                attempts: self.attempts + 1,
                card_brand: Some(card.brand.clone()),
                card_last4: Some(card.last4.clone()),
                card_exp_month: Some(card.expiry.month),
                card_exp_year: Some(card.expiry.year),
                attempt_outcome: Some(AttemptOutcome::Started),
                ..self.change_to(PaymentStatus::Processing, None)
            }),
            PaymentStatus::Processing => Err(NotPayable::InProgress),
            PaymentStatus::Paid => Err(NotPayable::AlreadyPaid),
            PaymentStatus::Cancelled | PaymentStatus::Refunding | PaymentStatus::Refunded => Err(NotPayable::Cancelled),
        }
    }

    /// Whether this attempt is the one that is running.
    pub fn is_being_charged(&self, attempt_id: AttemptId) -> bool {
        self.status == PaymentStatus::Processing && self.attempt_id == Some(attempt_id)
    }

    /// Ends the running attempt: `None` when it has ended already. A cancel that came meanwhile is carried out.
    pub fn settle(&self, attempt_id: AttemptId, verdict: &Verdict) -> Option<Change> {
        if !self.is_being_charged(attempt_id) {
            return None;
        }
        let (next, attempt_outcome) = match (verdict, self.cancel_requested) {
            (Verdict::Approved, false) => (PaymentStatus::Paid, AttemptOutcome::Approved),
            (Verdict::Approved, true) => (PaymentStatus::Refunding, AttemptOutcome::Approved),
            (Verdict::Declined(_), false) => (PaymentStatus::Declined, AttemptOutcome::Declined),
            (Verdict::Declined(_), true) => (PaymentStatus::Cancelled, AttemptOutcome::Declined),
            (Verdict::Voided, false) => (PaymentStatus::Pending, AttemptOutcome::Voided),
            (Verdict::Voided, true) => (PaymentStatus::Cancelled, AttemptOutcome::Voided),
        };
        let (decline_code, posting) = match verdict {
            Verdict::Approved => (None, self.posting_of_charge()),
            Verdict::Declined(code) => (Some(code.clone()), None),
            Verdict::Voided => (None, None),
        };
        Some(Change { attempt_outcome: Some(attempt_outcome), posting, ..self.change_to(next, decline_code) })
    }

    /// What the cancel of its order does: `None` when it was carried out already.
    pub fn cancel(&self) -> Option<Change> {
        match self.status {
            PaymentStatus::Pending | PaymentStatus::Declined => {
                Some(self.change_to(PaymentStatus::Cancelled, self.decline_code.clone()))
            }
            PaymentStatus::Processing if self.cancel_requested => None,
            // Whether there is money to give back is not known yet; the end of the attempt decides.
            PaymentStatus::Processing => Some(Change { cancel_requested: true, ..self.unchanged() }),
            PaymentStatus::Paid => Some(self.change_to(PaymentStatus::Refunding, None)),
            PaymentStatus::Cancelled | PaymentStatus::Refunding | PaymentStatus::Refunded => None,
        }
    }

    /// The processor has given the money back: `None` when that is known already.
    pub fn refund(&self) -> Option<Change> {
        if self.status != PaymentStatus::Refunding {
            return None;
        }
        let posting = self.posting_of_charge().map(|charge| Posting {
            tx_id: Uuid::new_v5(&charge.tx_id, b"refund"),
            amount: MinorUnits(-charge.amount.0),
            ..charge
        });
        Some(Change { posting, ..self.change_to(PaymentStatus::Refunded, None) })
    }

    fn unchanged(&self) -> Change {
        Change {
            order_id: self.order_id,
            expected_version: self.version,
            status: self.status,
            cancel_requested: self.cancel_requested,
            attempt_id: self.attempt_id,
            attempts: self.attempts,
            card_brand: self.card_brand.clone(),
            card_last4: self.card_last4.clone(),
            card_exp_month: self.card_exp_month,
            card_exp_year: self.card_exp_year,
            decline_code: self.decline_code.clone(),
            attempt_outcome: None,
            posting: None,
            event: None,
            traceparent: self.traceparent.clone(),
            claim: None,
        }
    }

    fn change_to(&self, next: PaymentStatus, decline_code: Option<String>) -> Change {
        debug_assert!(self.status.may_become(next), "{:?} may not become {next:?}", self.status);
        let event = self.processed_event(next, decline_code.clone()).map(Json);
        Change { status: next, decline_code, event, ..self.unchanged() }
    }

    /// What the orders service is told of a new status, if it is one that concerns it.
    fn processed_event(&self, next: PaymentStatus, decline_code: Option<String>) -> Option<PaymentProcessed> {
        let status = match next {
            PaymentStatus::Paid => ProcessedStatus::Paid,
            PaymentStatus::Declined => ProcessedStatus::Declined,
            PaymentStatus::Cancelled => ProcessedStatus::Cancelled,
            PaymentStatus::Refunded => ProcessedStatus::Refunded,
            PaymentStatus::Pending | PaymentStatus::Processing | PaymentStatus::Refunding => return None,
        };
        Some(PaymentProcessed {
            order_id: self.order_id,
            payment_id: self.id,
            status,
            version: self.version + 1,
            bill: self.bill?,
            currency: self.currency?,
            decline_code,
        })
    }

    fn posting_of_charge(&self) -> Option<Posting> {
        Some(Posting { tx_id: self.attempt_id?.0, amount: self.bill?, currency: self.currency? })
    }
}
