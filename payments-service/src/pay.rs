//! Paying with a card: the attempt is committed, then the processor is asked, then the answer is committed.
//!
//! No transaction is open while the processor is asked. Whatever dies in between leaves a `processing` payment behind,
//! which [`crate::settlement`] brings to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::crash_point::crash_point;
use service_kit::idempotency::Claim;
use service_kit::problem::Problem;
use service_kit::trace_context;
use shared_events::ids::{OrderId, UserId};
use sqlx::types::Json;
use tracing::{info, warn};

use crate::card::Card;
use crate::payment::{Change, NotPayable, Payment};
use crate::processor::{AttemptId, CardProcessor, Charge, NoAnswer, Verdict, ask};
use crate::{App, answers, payments};

/// How long a pay may take besides the processor: waiting for the payment, and twice for the database.
pub const TIME_AROUND_THE_PROCESSOR: Duration = Duration::from_secs(8);
/// How long a repeated request waits for the answer of the first one that still runs.
const PATIENCE_FOR_FIRST: Duration = Duration::from_secs(2);
/// How often it looks: at first, and at last.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// Why a payment was not even tried.
#[derive(Debug)]
pub enum PayError {
    /// There is no such payment, or it is somebody else's.
    NotFound,
    /// It cannot be paid now.
    NotPayable(NotPayable),
    /// An earlier request with the same Idempotency-Key had another card.
    KeyReused,
    /// An earlier request with the same Idempotency-Key has no answer yet.
    KeyInUse,
    /// The attempt was given up before its answer could be kept: nothing was charged.
    Voided,
    /// The database failed before anything was charged, or before the answer could be kept.
    Database(Problem),
}

/// What a pay led to.
#[derive(Debug)]
pub enum Paid {
    /// The payment as it is after the attempt: still `processing` when the processor's answer is not known.
    Now(Payment),
    /// An earlier request with the same Idempotency-Key was answered with this.
    Before {
        /// The payment as it was then.
        payment: Payment,
        /// The request that was answered so.
        request_id: Option<String>,
    },
}

impl From<Problem> for PayError {
    fn from(problem: Problem) -> Self {
        Self::Database(problem)
    }
}

impl From<sqlx::Error> for PayError {
    fn from(cause: sqlx::Error) -> Self {
        Self::Database(cause.into())
    }
}

/// Charges the card for the order, once for each claim.
pub async fn pay(
    app: &App,
    owner: &UserId,
    order_id: OrderId,
    card: Card,
    claim: Option<&Claim>,
) -> Result<Paid, PayError> {
    let mut attempt_id = AttemptId::generate();
    let mut found = app.finding.find_soon_to_change(owner, order_id).await?;
    let begun = loop {
        let payment = found.ok_or(PayError::NotFound)?;
        if payment.is_being_charged(attempt_id) {
            // Our change was made, and the database's answer to it was lost. A charge must not be all that is left of it.
            let replicated = payments::find_replicated(&app.database, &[order_id]).await?.remove(&order_id);
            if let Some(begun) = replicated.filter(|payment| payment.is_being_charged(attempt_id)) {
                break begun;
            }
            found = app.finding.find_soon(owner, order_id).await?;
            continue;
        }
        // After the payment was read: an attempt that came between changes its version, and this one will not begin.
        if let Some(claim) = claim
            && answers::find(&app.database, claim).await?.is_some()
        {
            return answer_of_first(app, claim).await;
        }
        // Another one each time: what was begun before may have been voided since.
        attempt_id = AttemptId::generate();
        let change = payment.begin(attempt_id, &card.summary()).map_err(PayError::NotPayable)?;
        if let Some(begun) = make(app, Change { claim: claim.cloned().map(Json), ..change }).await? {
            break begun;
        }
        // Somebody else changed the payment meanwhile: look again and decide anew.
        found = app.finding.find_soon(owner, order_id).await?;
    };
    crash_point("attempt committed, processor not asked");
    let payment = charge(app, begun, attempt_id, card).await?;
    crash_point("outcome recorded, client not answered");
    match claim {
        None => Ok(Paid::Now(payment)),
        Some(claim) => Ok(Paid::Now(recorded(app, claim, order_id, attempt_id).await?)),
    }
}

/// Asks the processor and records its answer. Without one, the payment stays `processing`.
async fn charge(app: &App, payment: Payment, attempt_id: AttemptId, card: Card) -> Result<Payment, PayError> {
    let order_id = payment.order_id;
    let (Some(amount), Some(currency)) = (payment.bill, payment.currency) else {
        return Err(PayError::NotFound);
    };

    let charge = Charge { attempt_id, order_id, amount, currency, card };
    let charging = |processor: Arc<dyn CardProcessor>| async move { processor.charge(charge).await };
    let verdict = match ask(&app.processor, app.processor_timeout, charging).await {
        Ok(verdict) => verdict,
        Err(NoAnswer(reason)) => {
            warn!(order.id = %order_id, attempt.id = %attempt_id, reason, "a charge is in doubt");
            return Ok(payment);
        }
    };

    crash_point("card charged, not recorded");
    let settled = settle(app, payment.clone(), attempt_id, &verdict).await;
    Ok(settled.unwrap_or_else(|_| {
        warn!(order.id = %order_id, attempt.id = %attempt_id, "an answered charge could not be recorded yet");
        payment
    }))
}

/// Records how an attempt ended, unless that is recorded already; answers the payment as it is then.
pub async fn settle(
    app: &App,
    mut payment: Payment,
    attempt_id: AttemptId,
    verdict: &Verdict,
) -> Result<Payment, Problem> {
    while let Some(change) = payment.settle(attempt_id, verdict) {
        if let Some(settled) = make(app, change).await? {
            info!(order.id = %settled.order_id, attempt.id = %attempt_id, payment.status = settled.status.name(),
                "an attempt to pay has ended");
            return Ok(settled);
        }
        // A cancel came in between: read it and decide anew.
        let current = payments::find_many(&app.database, &[payment.order_id]).await?;
        payment = current.into_values().next().ok_or(sqlx::Error::RowNotFound)?;
    }
    Ok(payment)
}

/// Makes the change, as a part of the trace that is running, unless it is outdated.
async fn make(app: &App, change: Change) -> Result<Option<Payment>, Problem> {
    let change = Change { traceparent: trace_context::current(), ..change };
    app.changing.submit_or_refuse(change).await
}

/// What the claim's pay is answered with: how its attempt ended, or else that its end is not known yet. The first to
/// ask decides, and every later answer is the same.
async fn recorded(app: &App, claim: &Claim, order: OrderId, attempt_id: AttemptId) -> Result<Payment, PayError> {
    loop {
        let known = answers::find(&app.database, claim).await?;
        let known = known.filter(|known| known.attempt_id == attempt_id).ok_or(PayError::Voided)?;
        if let Some(Json(payment)) = known.answer {
            return Ok(payment);
        }
        answers::record(&app.database, claim, order).await?;
    }
}

/// Waits for the answer of the request that had the same key before, for a moment.
async fn answer_of_first(app: &App, claim: &Claim) -> Result<Paid, PayError> {
    let started = Instant::now();
    let (mut pause, longest_pause) = LOOK_AGAIN;
    loop {
        let first = answers::find(&app.database, claim).await?.ok_or(PayError::KeyInUse)?;
        if first.fingerprint != claim.fingerprint.as_bytes() {
            return Err(PayError::KeyReused);
        }
        if let Some(Json(payment)) = first.answer {
            return Ok(Paid::Before { payment, request_id: first.request_id });
        }
        if started.elapsed() >= PATIENCE_FOR_FIRST {
            return Err(PayError::KeyInUse);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest_pause);
    }
}
