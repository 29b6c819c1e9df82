//! What the payments service asks of a card processor.
//!
//! Every call names an attempt, and the attempt is the idempotency key: asking again never charges again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use service_kit::trace_context;
use shared_events::ids::OrderId;
use shared_events::money::{Currency, MinorUnits};
use uuid::Uuid;

use crate::card::Card;

/// One try to charge a card; the idempotency key at the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[sqlx(transparent)]
#[serde(transparent)]
pub struct AttemptId(pub Uuid);

impl AttemptId {
    /// A new attempt.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request to charge a card.
pub struct Charge {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// What is paid for.
    pub order_id: OrderId,
    /// How much, in minor units of `currency`.
    pub amount: MinorUnits,
    /// In what.
    pub currency: Currency,
    /// The card.
    pub card: Card,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The card was charged.
    Approved,
    /// The card was not charged, and the reason why.
    Declined(String),
    /// The attempt was voided: the card was not charged and will not be.
    Voided,
}

/// What the processor's book says of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// It ended so.
    Ended(Verdict),
    /// It was charged and the money was given back.
    Refunded,
    /// Nothing. That is no proof: the charge may still be on its way.
    NotFound,
}

/// The processor did not answer in time, or not in a way that can be understood. Whatever was asked may have happened.
#[derive(Clone, Debug)]
pub struct NoAnswer(pub String);

/// A company that charges cards, or something that stands in for one.
#[async_trait]
pub trait CardProcessor: Send + Sync {
    /// Charges the card, once for each attempt.
    async fn charge(&self, charge: Charge) -> Result<Verdict, NoAnswer>;

    /// What became of the attempt.
    async fn look_up(&self, attempt_id: AttemptId) -> Result<Record, NoAnswer>;

    /// Sees to it that an attempt that was not charged never will be; answers what became of it.
    async fn void(&self, charge: VoidRequest) -> Result<Record, NoAnswer>;

    /// Gives the money of a charged attempt back, once.
    async fn refund(&self, attempt_id: AttemptId) -> Result<(), NoAnswer>;
}

/// Asks the processor and waits for its answer, but not for ever. The question itself is asked to its end: nothing is
/// cut off half-way when time runs out.
pub async fn ask<T, Asking>(
    processor: &Arc<dyn CardProcessor>,
    patience: Duration,
    question: impl FnOnce(Arc<dyn CardProcessor>) -> Asking,
) -> Result<T, NoAnswer>
where
    T: Send + 'static,
    Asking: Future<Output = Result<T, NoAnswer>> + Send + 'static,
{
    let question = trace_context::scope(trace_context::current(), question(Arc::clone(processor)));
    match tokio::time::timeout(patience, tokio::spawn(question)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(NoAnswer(panic.to_string())),
        Err(_) => Err(NoAnswer("no answer in time".to_owned())),
    }
}

/// A request to void an attempt that the processor may not have heard of yet.
#[derive(Clone, Copy, Debug)]
pub struct VoidRequest {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// What was to be paid for.
    pub order_id: OrderId,
    /// How much it was, in minor units of `currency`.
    pub amount: MinorUnits,
    /// In what.
    pub currency: Currency,
}
