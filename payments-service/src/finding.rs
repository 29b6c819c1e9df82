//! Finding payments for clients, many at a time: one statement for all that look at the same moment.
//!
//! An order is placed before its payment can be held, so a client that is quick is made to wait for a moment instead of
//! being told that there is nothing. What this replica has just held is told to those who wait, and remembered for a
//! moment: most clients pay at once, and the table need not be asked for any of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
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
/// Until when the payment of an order is more likely to come in a moment than to be there.
const EARLY: Duration = Duration::from_millis(50);
/// How often the table is looked into for those who wait: another replica may hold their payments. A part of a second.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How often it is when more than this many ask at a time: then payments come late for all who wait, and most looks are in
/// vain.
const LOOK_AGAIN_IN_A_CROWD: Duration = Duration::from_millis(40);
const CROWD: usize = 16;
/// How many batches of new payments a client that waits may be behind, before it looks into the table; and how many are
/// remembered.
const BATCHES_BEHIND: usize = 16;

/// New payments, as they were committed.
type Held = Arc<HashMap<OrderId, Payment>>;

/// Where payments are looked up by their orders, and new ones are waited for.
#[derive(Clone)]
pub struct Finding {
    looking: Batcher<OrderId, Result<Option<Payment>, Problem>>,
    news: broadcast::Sender<Held>,
    lately: Arc<Mutex<VecDeque<Held>>>,
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
        Self { looking, news: broadcast::Sender::new(BATCHES_BEHIND), lately: Arc::default() }
    }

    /// Tells those who wait for them, and those who come in a moment, of payments that are committed now.
    pub fn announce(&self, held: HashMap<OrderId, Payment>) {
        if held.is_empty() {
            return;
        }
        let held = Arc::new(held);
        // Whoever asked too early for this listens to the news by now.
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.truncate(BATCHES_BEHIND - 1);
        lately.push_front(Arc::clone(&held));
        drop(lately);
        // It is no error that nobody listens.
        drop(self.news.send(held));
    }

    /// The payment of the order, if it is this user's. That of an order that was placed a moment ago is waited for, and
    /// somebody else's just as long.
    pub async fn find_soon(&self, owner: &UserId, order_id: OrderId) -> Result<Option<Payment>, Problem> {
        let is_theirs = |payment: &Payment| payment.created_by.as_ref() == Some(owner);
        let (started, age) = (Instant::now(), age(order_id));
        let is_younger = |limit| age.is_some_and(|age| age <= limit);
        // From before the first look, so that nothing is missed.
        let mut news = self.news.subscribe();
        let mut told = async || {
            let told = timeout(self.until_next_look(), told_of(&mut news, order_id)).await;
            told.unwrap_or_default().filter(is_theirs)
        };
        if is_younger(EARLY)
            && self.held_lately(order_id).is_none()
            && let Some(payment) = told().await
        {
            return Ok(Some(payment));
        }
        loop {
            let payment = self.looking.submit_or_refuse(order_id).await?.filter(is_theirs);
            if payment.is_some() || !is_younger(NEW_ORDER_AGE) || started.elapsed() >= PATIENCE {
                return Ok(payment);
            }
            if let Some(payment) = told().await {
                return Ok(Some(payment));
            }
        }
    }

    /// The same, but one that was held a moment ago is as it was then: enough for a change, which is not made when its
    /// payment has changed since.
    pub async fn find_soon_to_change(&self, owner: &UserId, order_id: OrderId) -> Result<Option<Payment>, Problem> {
        match self.held_lately(order_id) {
            Some(payment) if payment.created_by.as_ref() == Some(owner) => Ok(Some(payment)),
            _ => self.find_soon(owner, order_id).await,
        }
    }

    /// All who wait look at the same moments, by the clock, so that one statement looks for all.
    fn until_next_look(&self) -> Duration {
        let pause = if self.news.receiver_count() > CROWD { LOOK_AGAIN_IN_A_CROWD } else { LOOK_AGAIN };
        let nanoseconds = pause.subsec_nanos();
        Duration::from_nanos((nanoseconds - Utc::now().timestamp_subsec_nanos() % nanoseconds).into())
    }

    fn held_lately(&self, order_id: OrderId) -> Option<Payment> {
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.iter().find_map(|held| held.get(&order_id)).cloned()
    }
}

/// The payment of the order, when it comes; `None` if it may have been missed.
async fn told_of(news: &mut broadcast::Receiver<Held>, order_id: OrderId) -> Option<Payment> {
    while let Ok(held) = news.recv().await {
        if let Some(payment) = held.get(&order_id) {
            return Some(payment.clone());
        }
    }
    None
}

/// How long ago the order was placed by the time in its id; no time when that is yet to come, since ids never go back in
/// time: those of a service whose clock was set back show the time before that until the clock has caught up.
fn age(order_id: OrderId) -> Option<Duration> {
    let (seconds, nanoseconds) = order_id.0.get_timestamp()?.to_unix();
    let placed_at = DateTime::from_timestamp(seconds.cast_signed(), nanoseconds)?;
    Some((Utc::now() - placed_at).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp, Uuid};

    use super::*;

    #[test]
    fn an_order_is_as_old_as_its_id_and_of_no_age_when_its_service_is_ahead() {
        let now = Utc::now().timestamp();
        let age_of_one_placed_at = |seconds: i64| {
            let time = Timestamp::from_unix(NoContext, (now + seconds).cast_unsigned(), 0);
            age(OrderId(Uuid::new_v7(time)))
        };
        let is_old = |age: Option<Duration>| age.is_some_and(|age| age > NEW_ORDER_AGE);
        assert_eq!(age_of_one_placed_at(600), Some(Duration::ZERO));
        assert!(age_of_one_placed_at(-3).is_some_and(|age| age >= Duration::from_secs(3)));
        assert!(is_old(age_of_one_placed_at(-60)) && !is_old(age_of_one_placed_at(0)));
        assert_eq!(age(OrderId(Uuid::nil())), None, "an id without a time");
    }
}
