//! What happens to orders because time passes: delivery and expiry.
//!
//! The times are in the rows and the clock is the database's, so a restart or a second replica changes nothing: when
//! two replicas take the same order, one of them finds that it was decided already, and only the other one counts it.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use service_kit::crash_point::crash_point;
use service_kit::database::together_or_alone;
use service_kit::metrics::Metrics;
use service_kit::problem::Problem;
use service_kit::process::repeat;
use service_kit::spans::{self, Span, SpanKind};
use service_kit::trace_context;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::order::{Change, Order, OrderStatus};
use crate::{App, changing, orders};

const TICK: Duration = Duration::from_millis(250);

/// How many orders were decided here because their time had come. Copies count together.
#[derive(Clone)]
pub(crate) struct Timed {
    deliveries: Counter,
    expiries: Counter,
}

impl Timed {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            deliveries: metrics.register("deliveries", "Orders that this process has delivered", Counter::default()),
            expiries: metrics.register("expiries", "Orders that this process has cancelled unpaid", Counter::default()),
        }
    }

    fn count(&self, became: OrderStatus) {
        let counter = if became == OrderStatus::Delivered { &self.deliveries } else { &self.expiries };
        counter.inc();
    }
}

/// Looks for due orders until `stop`. A tick that fails is logged; the next one is the retry.
pub async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(TICK, stop, async || {
        // Their causes are in the log already.
        if deliver_due(&app).await.is_err() {
            warn!("deliveries are late");
        }
        if expire_due(&app).await.is_err() {
            warn!("expiries are late");
        }
    })
    .await
}

/// Delivers every order whose time has come.
pub async fn deliver_due(app: &App) -> Result<(), Problem> {
    loop {
        let due = orders::due_for_delivery(&app.database).await?;
        if !decide(app, due, Order::deliver).await? {
            return Ok(());
        }
    }
}

/// Cancels every order that nobody paid in time.
pub async fn expire_due(app: &App) -> Result<(), Problem> {
    loop {
        let due = orders::due_for_expiry(&app.database).await?;
        if !decide(app, due, Order::expire).await? {
            return Ok(());
        }
    }
}

/// What follows from the change belongs to it.
fn span_of(change: &mut Change) -> Span {
    let name = || format!("timer: order {}", change.status.name()).into();
    let span = Span::below(change.traceparent.as_deref(), SpanKind::Internal, name);
    let span = if spans::is_on() { span.with("order.id", change.order_id.to_string()) } else { span };
    change.traceparent = span.traceparent().or_else(|| change.traceparent.take());
    span
}

/// `false` when there was nothing to decide. An order that somebody holds does not keep the others waiting for long.
async fn decide(app: &App, due: Vec<Order>, decision: fn(&Order) -> Option<Change>) -> Result<bool, Problem> {
    let mut changes: Vec<Change> = due.iter().filter_map(decision).collect();
    let _spans: Vec<Span> = changes.iter_mut().map(span_of).collect();
    if changes.is_empty() {
        return Ok(false);
    }
    let apply = |changes: Arc<[Change]>| async move {
        changing::apply(&app.database, &app.outbox, app.delivery_delay, &changes).await
    };
    let mut outcome = Ok(true);
    for changed in together_or_alone(changes, &apply).await {
        match changed {
            Ok(Some(order)) => {
                app.timed.count(order.status);
                info!(order.id = %order.id, order.status = order.status.name(),
                    trace.id = trace_context::id_of(order.traceparent.as_ref()), "an order's time has come");
                crash_point("order delivered, timer not done");
            }
            Ok(None) => {}
            Err(problem) => outcome = Err(problem),
        }
    }
    outcome
}
