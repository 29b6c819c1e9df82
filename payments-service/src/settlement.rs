//! Charges and refunds without an answer are brought to their end here.
//!
//! Whatever was in the middle of a charge when its answer was lost, or when this service died, is `processing` in the
//! table with a time to look at it. The processor is asked what became of the attempt; what follows, [`doubt`] decides.
//! Refunds are asked for until they are done.

use std::time::Duration;

use futures_util::future::join_all;
use service_kit::crash_point::crash_point;
use service_kit::problem::Problem;
use service_kit::process::repeat;
use service_kit::spans::{Span, SpanKind};
use service_kit::trace_context;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::doubt::{self, Finding};
use crate::payment::{Payment, PaymentStatus};
use crate::processor::{AttemptId, NoAnswer, VoidRequest, ask};
use crate::{App, pay, payments};

const TICK: Duration = Duration::from_millis(250);

/// Settles what is due until `stop`. What fails is logged and comes up again.
pub async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(TICK, stop, async || {
        if let Err(problem) = settle_due(&app).await {
            warn!(%problem, "settlements are late");
        }
    })
    .await
}

/// Settles the charges and refunds that are due, side by side: one that hangs does not hold up the others.
pub async fn settle_due(app: &App) -> Result<(), sqlx::Error> {
    // Longer than the two questions that settling a charge may take, so that nothing is taken twice at a time.
    let again_after = app.processor_timeout * 2 + Duration::from_secs(1);
    loop {
        let unsettled = payments::claim_unsettled(&app.database, again_after).await?;
        if unsettled.is_empty() {
            return Ok(());
        }
        join_all(unsettled.into_iter().map(|payment| settle_in_trace(app, payment))).await;
    }
}

/// What fails is logged and comes up again.
async fn settle_in_trace(app: &App, payment: Payment) {
    let (order_id, status) = (payment.order_id, payment.status.name());
    let span = Span::below(payment.traceparent.as_deref(), SpanKind::Internal, || "settle payment".into())
        .with("order.id", order_id.to_string());
    let trace = span.traceparent().or_else(|| payment.traceparent.clone());
    let log = info_span!("settlement", order.id = %order_id, trace.id = trace_context::id_of(trace.as_ref()));
    let settling = async {
        if let Err(problem) = trace_context::scope(trace, settle(app, payment)).await {
            warn!(payment.status = status, ?problem, "a payment is still in doubt");
        }
    };
    settling.instrument(log).await;
}

/// Why a payment could not be settled this time.
#[derive(Debug)]
#[expect(dead_code, reason = "read in the log only")]
enum Unsettled {
    Processor(NoAnswer),
    Database(Problem),
}

async fn settle(app: &App, payment: Payment) -> Result<(), Unsettled> {
    let Some(attempt_id) = payment.attempt_id else {
        return Ok(());
    };
    match payment.status {
        PaymentStatus::Processing => settle_charge(app, payment, attempt_id).await,
        PaymentStatus::Refunding => settle_refund(app, payment, attempt_id).await,
        PaymentStatus::Pending
        | PaymentStatus::Paid
        | PaymentStatus::Declined
        | PaymentStatus::Cancelled
        | PaymentStatus::Refunded => Ok(()),
    }
}

async fn settle_charge(app: &App, mut payment: Payment, attempt_id: AttemptId) -> Result<(), Unsettled> {
    let record =
        ask(&app.processor, app.processor_timeout, |processor| async move { processor.look_up(attempt_id).await })
            .await?;
    let mut finding = doubt::finding(record);
    crash_point("charge looked up, not recorded");
    if let (Finding::InDoubt, Some(amount), Some(currency)) = (&finding, payment.bill, payment.currency) {
        let request = VoidRequest { attempt_id, order_id: payment.order_id, amount, currency };
        let record =
            ask(&app.processor, app.processor_timeout, |processor| async move { processor.void(request).await })
                .await?;
        finding = doubt::finding(record);
        crash_point("attempt voided, not recorded");
    }
    let Finding::Over { verdict, is_cancelled } = finding else {
        return Err(NoAnswer("a voided attempt is not in the book".to_owned()).into());
    };
    payment.cancel_requested |= is_cancelled;
    pay::settle(app, payment, attempt_id, &verdict).await?;
    Ok(())
}

async fn settle_refund(app: &App, payment: Payment, attempt_id: AttemptId) -> Result<(), Unsettled> {
    ask(&app.processor, app.processor_timeout, |processor| async move { processor.refund(attempt_id).await }).await?;
    crash_point("card refunded, not recorded");
    let Some(change) = payment.refund() else { return Ok(()) };
    // Nothing but this worker changes a refunding payment; should the change be outdated, it comes up again.
    let refunded = payments::apply(&app.database, &app.outbox, app.settle_after(), &[change]).await?;
    if refunded.contains_key(&payment.order_id) {
        info!(order.id = %payment.order_id, attempt.id = %attempt_id, "a charge was refunded");
    }
    Ok(())
}

impl From<NoAnswer> for Unsettled {
    fn from(cause: NoAnswer) -> Self {
        Self::Processor(cause)
    }
}

impl From<Problem> for Unsettled {
    fn from(problem: Problem) -> Self {
        Self::Database(problem)
    }
}

impl From<sqlx::Error> for Unsettled {
    fn from(cause: sqlx::Error) -> Self {
        Self::Database(cause.into())
    }
}
