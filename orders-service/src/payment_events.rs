//! What the payments service tells of payments, and what that does to orders.

use std::collections::{HashMap, HashSet};

use service_kit::consumer::Impossible;
use service_kit::database::found_no_more;
use service_kit::trace_context;
use shared_events::envelope::Envelope;
use shared_events::events::PaymentProcessed;
use shared_events::ids::OrderId;
use tracing::info;

use crate::order::{Change, Order};
use crate::{App, orders};

/// Applies a batch of events, in whatever order and however often they come.
pub async fn on_payment_processed(
    app: App,
    batch: Vec<Envelope<PaymentProcessed>>,
) -> Result<Vec<Impossible>, sqlx::Error> {
    let ids: Vec<OrderId> = batch.iter().map(|event| event.data.order_id).collect();
    let mut orders = orders::find_many(&app.database, &ids).await?;
    let (mut news, mut impossible) = (Vec::new(), Vec::new());
    for event in batch {
        match orders.get(&event.data.order_id) {
            None => impossible.push(refuse(&event, "there is no such order")),
            Some(order) if (order.bill, order.currency) != (event.data.bill, event.data.currency) => {
                impossible.push(refuse(&event, "the order has another bill"));
            }
            Some(_) => news.push(event),
        }
    }
    // One change of an order at a time; what was decided on an outdated order is decided again.
    let mut certain = HashSet::new();
    loop {
        let changes = learn(&news, &orders);
        if changes.is_empty() {
            // What is no news to an order may be so on a server only that is no longer asked.
            let known = news.iter().map(|event| event.data.order_id);
            let known: Vec<OrderId> = known.filter(|id| !certain.contains(id)).collect();
            if known.is_empty() {
                return Ok(impossible);
            }
            let replicated = orders::find_replicated(&app.database, &known).await?;
            if known.iter().any(|id| !replicated.contains_key(id)) {
                return Err(found_no_more());
            }
            certain.extend(known);
            orders.extend(replicated);
            continue;
        }
        let changed = orders::apply(&app.database, &app.outbox, app.delivery_delay, &changes).await?;
        for order in changed.values() {
            info!(order.id = %order.id, order.status = order.status.name(),
                trace.id = trace_context::id_of(order.traceparent.as_ref()), "an order heard of its payment");
        }
        let outdated: Vec<OrderId> =
            changes.iter().map(|change| change.order_id).filter(|id| !changed.contains_key(id)).collect();
        certain.extend(changed.keys().copied());
        certain.retain(|id| !outdated.contains(id));
        orders.extend(changed);
        if !outdated.is_empty() {
            orders.extend(orders::find_many(&app.database, &outdated).await?);
        }
    }
}

/// The first change of each order that something is news to.
fn learn(news: &[Envelope<PaymentProcessed>], orders: &HashMap<OrderId, Order>) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for event in news {
        let is_first = changes.iter().all(|change| change.order_id != event.data.order_id);
        if let (true, Some(order)) = (is_first, orders.get(&event.data.order_id)) {
            let change = order.learn(&event.data);
            changes.extend(change.map(|change| Change { traceparent: event.traceparent.clone(), ..change }));
        }
    }
    changes
}

fn refuse(event: &Envelope<PaymentProcessed>, reason: &str) -> Impossible {
    Impossible { event_id: event.id, reason: format!("impossible: {reason}") }
}
