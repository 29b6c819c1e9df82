//! What the orders service asks for: hold a payment, or see that no money is kept.

use std::collections::HashMap;

use service_kit::consumer::Impossible;
use service_kit::database::found_no_more;
use service_kit::trace_context;
use shared_events::envelope::Envelope;
use shared_events::events::{PaymentCancel, PaymentCreate, PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, PaymentId};
use tracing::info;

use crate::payment::{Change, Payment};
use crate::payments::NewPayment;
use crate::tombstones::Entombed;
use crate::{App, payments, tombstones};

/// The version of a payment that was created on a tombstone: the tombstone had the first.
const CREATED_ON_TOMBSTONE: i32 = 2;

/// Holds payments for new orders.
pub async fn on_payment_create(app: App, batch: Vec<Envelope<PaymentCreate>>) -> Result<Vec<Impossible>, sqlx::Error> {
    // Of those that speak of one order, the first counts, as it would in batches of their own.
    let mut new: HashMap<OrderId, NewPayment> = HashMap::new();
    for event in &batch {
        new.entry(event.data.order_id).or_insert_with(|| new_payment(event));
    }
    let mut held = payments::create(&app.database, &new.values().cloned().collect::<Vec<_>>()).await?;
    new.retain(|order_id, _| !held.contains_key(order_id));
    if !new.is_empty() {
        // Their order was cancelled before, or they are repeated.
        let entombed: Vec<Entombed> =
            batch.iter().filter_map(|event| new.remove(&event.data.order_id)).map(entombed).collect();
        held.extend(tombstones::name(&app.database, &app.outbox, &entombed).await?);
    }
    app.finding.announce(held.clone());
    for payment in held.values() {
        info!(order.id = %payment.order_id, payment.status = payment.status.name(),
            trace.id = trace_context::id_of(payment.traceparent.as_ref()), "a payment is held");
    }
    let known: Vec<OrderId> =
        batch.iter().map(|event| event.data.order_id).filter(|order| !held.contains_key(order)).collect();
    if !known.is_empty() {
        let replicated = payments::find_replicated(&app.database, &known).await?;
        // Every tombstone has been told by now what it was for.
        let is_held = |order| replicated.get(order).is_some_and(|payment| payment.created_by.is_some());
        if !known.iter().all(is_held) {
            return Err(found_no_more());
        }
        held.extend(replicated);
    }
    // A repeat says the same again; anything else contradicts what somebody may have paid already.
    Ok(batch.iter().filter(|event| contradicts(event, held.get(&event.data.order_id))).map(refuse).collect())
}

/// Cancels the payments of cancelled orders, in whatever state they are.
pub async fn on_payment_cancel(app: App, batch: Vec<Envelope<PaymentCancel>>) -> Result<Vec<Impossible>, sqlx::Error> {
    let traces: HashMap<OrderId, Option<String>> =
        batch.into_iter().map(|event| (event.data.order_id, event.traceparent)).collect();
    let mut outdated: Vec<OrderId> = traces.keys().copied().collect();
    // What was decided on an outdated payment is decided again.
    while !outdated.is_empty() {
        let held = payments::find_replicated(&app.database, &outdated).await?;
        let unheard_of: Vec<OrderId> = outdated.iter().filter(|order| !held.contains_key(order)).copied().collect();
        if !unheard_of.is_empty() {
            tombstones::leave(&app.database, &unheard_of).await?;
        }

        let decide = |payment: &Payment| {
            let traceparent = traces.get(&payment.order_id).cloned().flatten();
            payment.cancel().map(|change| Change { traceparent, ..change })
        };
        let changes: Vec<Change> = held.values().filter_map(decide).collect();
        let changed = payments::apply(&app.database, &app.outbox, app.settle_after(), &changes).await?;
        for payment in changed.values() {
            info!(order.id = %payment.order_id, payment.status = payment.status.name(),
                trace.id = trace_context::id_of(payment.traceparent.as_ref()), "a payment was cancelled");
        }
        let lost = changes.iter().map(|change| change.order_id).filter(|order| !changed.contains_key(order));
        // An order that was unheard of may have been created before its tombstone was set.
        outdated = lost.chain(unheard_of).collect();
    }
    Ok(Vec::new())
}

fn new_payment(event: &Envelope<PaymentCreate>) -> NewPayment {
    let PaymentCreate { order_id, created_by, bill, currency } = event.data.clone();
    let traceparent = event.traceparent.clone();
    NewPayment { id: PaymentId::generate(), order_id, created_by, bill, currency, traceparent }
}

fn entombed(new: NewPayment) -> Entombed {
    let event = PaymentProcessed {
        order_id: new.order_id,
        payment_id: new.id,
        status: ProcessedStatus::Cancelled,
        version: CREATED_ON_TOMBSTONE,
        bill: new.bill,
        currency: new.currency,
        decline_code: None,
    };
    Entombed { new, event }
}

fn contradicts(event: &Envelope<PaymentCreate>, held: Option<&Payment>) -> bool {
    let PaymentCreate { created_by, bill, currency, .. } = &event.data;
    held.is_some_and(|held| {
        (held.created_by.as_ref(), held.bill, held.currency) != (Some(created_by), Some(*bill), Some(*currency))
    })
}

fn refuse(event: &Envelope<PaymentCreate>) -> Impossible {
    Impossible { event_id: event.id, reason: "impossible: the order's payment has another bill or owner".to_owned() }
}
