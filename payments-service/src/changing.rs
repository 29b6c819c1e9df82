//! Changing payments for clients, many at a time: one statement and one commit for all that wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use service_kit::batcher::Batcher;
use service_kit::database::batched;
use service_kit::metrics::Metrics;
use service_kit::outbox::Outbox;
use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::ids::OrderId;

use crate::payment::{Change, Payment};
use crate::payments;

const BATCH: usize = 128;

/// Where changes are made; a change that was decided on something outdated is answered with `None`, and so is one that
/// was made although the database's answer to it was lost.
pub type Changing = Batcher<Change, Result<Option<Payment>, Problem>>;

/// Starts making changes.
pub fn start(database: Database, outbox: Outbox, metrics: &Metrics, settle_after: Duration) -> Changing {
    batched(BATCH, metrics.batch_sizes("changing"), move |changes: Arc<[Change]>| {
        let (database, outbox) = (database.clone(), outbox.clone());
        async move { apply(&database, &outbox, settle_after, &changes).await }
    })
}

/// Answers in the order of the changes. Of those of one payment only the first can be made: it outdates the others.
async fn apply(
    database: &Database,
    outbox: &Outbox,
    settle_after: Duration,
    changes: &[Change],
) -> Result<Vec<Option<Payment>>, sqlx::Error> {
    let mut first: HashMap<OrderId, Change> = HashMap::new();
    for change in changes {
        first.entry(change.order_id).or_insert_with(|| change.clone());
    }
    let first: Vec<Change> = first.into_values().collect();
    let mut changed = payments::apply(database, outbox, settle_after, &first).await?;
    Ok(changes.iter().map(|change| changed.remove(&change.order_id)).collect())
}
