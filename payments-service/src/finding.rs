//! Finding payments for clients, many at a time: one statement for all that look at the same moment.
//!
//! An order is placed before its payment can be held, so a client that is quick is made to wait for a moment instead of
//! being told that there is nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service_kit::batcher::Batcher;
use service_kit::database::batched;
use service_kit::metrics::Metrics;
use service_kit::pool::Database;
use service_kit::problem::Problem;
use shared_events::ids::{OrderId, UserId};
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::payment::Payment;
use crate::payments;

const BATCH: usize = 256;
/// How long a client waits for the payment of an order that it has just placed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How old an order may be to count as just placed; also how far our clock may be ahead of the other service's.
const NEW_ORDER_AGE: Duration = Duration::from_secs(5);
/// How often a client that waits looks into the table, at first and at last: another replica may hold the payment.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));
/// How many batches of new payments a client that waits may be behind, before it looks into the table.
const BATCHES_BEHIND: usize = 16;

/// Where payments are looked up by their orders, and new ones are waited for.
#[derive(Clone)]
pub struct Finding {
    looking: Batcher<OrderId, Result<Option<Payment>, Problem>>,
    held: broadcast::Sender<Arc<HashMap<OrderId, Payment>>>,
}

impl Finding {
    /// Starts looking payments up.
    pub fn start(database: Database, metrics: &Metrics) -> Self {
        let looking = batched(BATCH, metrics.batch_sizes("finding"), move |orders: Arc<[OrderId]>| {
            let database = database.clone();
            async move {
                let payments = payments::find_many(&database, &orders).await?;
                Ok(orders.iter().map(|order| payments.get(order).cloned()).collect())
            }
        });
        Self { looking, held: broadcast::Sender::new(BATCHES_BEHIND) }
    }

    /// Tells those who wait for them of payments that are committed now.
    pub fn announce(&self, held: &HashMap<OrderId, Payment>) {
        // Whoever begins to wait from here on finds them in the table.
        if self.held.receiver_count() > 0 {
            drop(self.held.send(Arc::new(held.clone())));
        }
    }

    /// The payment of the order, if it is this user's. That of an order that was placed a moment ago is waited for, and
    /// somebody else's just as long.
    pub async fn find_soon(&self, owner: &UserId, order_id: OrderId) -> Result<Option<Payment>, Problem> {
        let is_theirs = |payment: &Payment| payment.created_by.as_ref() == Some(owner);
        let started = Instant::now();
        let mut pause = LOOK_AGAIN.0;
        // From before the first look, so that nothing is missed.
        let mut news = self.held.subscribe();
        loop {
            let payment = self.looking.submit_or_refuse(order_id).await?.filter(is_theirs);
            if payment.is_some() || !is_new(order_id) || started.elapsed() >= PATIENCE {
                return Ok(payment);
            }
            let told = timeout(pause, told_of(&mut news, order_id)).await;
            if let Some(payment) = told.unwrap_or_default().filter(is_theirs) {
                return Ok(Some(payment));
            }
            pause = (pause * 2).min(LOOK_AGAIN.1);
        }
    }
}

/// The payment of the order, when it comes; `None` if it may have been missed.
async fn told_of(news: &mut broadcast::Receiver<Arc<HashMap<OrderId, Payment>>>, order_id: OrderId) -> Option<Payment> {
    while let Ok(held) = news.recv().await {
        if let Some(payment) = held.get(&order_id) {
            return Some(payment.clone());
        }
    }
    None
}

/// Whether the time in the order's id is about now, or to come: ids never go back in time, so those of a service whose
/// clock was set back show the time before that until the clock has caught up.
fn is_new(order_id: OrderId) -> bool {
    let Some(placed_at) = order_id.0.get_timestamp().map(|time| time.to_unix().0) else {
        return false;
    };
    let now = chrono::Utc::now().timestamp().cast_unsigned();
    now.saturating_sub(placed_at) <= NEW_ORDER_AGE.as_secs()
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp, Uuid};

    use super::*;

    #[test]
    fn an_order_is_new_for_a_few_seconds_and_when_its_service_is_ahead() {
        let now = chrono::Utc::now().timestamp();
        let placed_at = |seconds: i64| {
            let time = Timestamp::from_unix(NoContext, (now + seconds).cast_unsigned(), 0);
            is_new(OrderId(Uuid::new_v7(time)))
        };
        assert!(placed_at(0) && placed_at(-3) && placed_at(600));
        assert!(!placed_at(-60));
        assert!(!is_new(OrderId(Uuid::nil())), "an id without a time");
    }
}
