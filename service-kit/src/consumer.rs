//! Consuming events: decode, apply in batches, commit, then acknowledge.
//!
//! The publisher is told by a receipt what it need not send again.
//!
//! An acknowledgement proves nothing, so an event may come again at any time; what handlers do must be harmless to
//! repeat. A message that can never be applied is parked. Trouble of the database is waited out here, with the
//! messages in hand, so that it costs none of them a delivery. Only what somebody's lock keeps from being applied is let
//! go, for the sake of the others: without a receipt, it comes again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use crate::broker::{Broker, REPLY_SUCCESS, Session, within};
use crate::crash_point::crash_point;
use crate::database::{is_held, is_refusal, may_concern_one, retry_while};
use crate::outbox::Outbox;
use crate::parked::{self, Kind, Parked};
use crate::pool::Database;
use crate::queue_lengths;
use crate::received::{Batch, Label, Received, next_batch};
use crate::trace_context;

mod subscription;

use subscription::Refused;
pub use subscription::{Impossible, Subscription};

/// How many deliveries, of up to 256 events each, the broker hands out ahead of their acknowledgement.
const PREFETCH: u16 = 32;
/// With so many messages a batch is large enough.
const BATCH: usize = 256;
/// How many messages of a batch that could not be applied are applied at a time: requests need connections too.
const ALONE: usize = 4;
/// How long nothing may come before the subscription is renewed.
const QUIET: Duration = Duration::from_secs(10);
/// How long a session lasts in a cluster. RabbitMQ leaves it to the member of a queue on the consumer's node to hand messages
/// out, also when that member is behind or gone: then they never arrive, although subscribing works. Nothing tells, so each
/// session is on another node than the one before. Two such nodes in a row, and what is then sent again, are over within the
/// minute in which a fault has to be.
const TURN: Duration = Duration::from_secs(15);
/// How long everybody may take to have nothing in hand. Nobody begins anything meanwhile.
const HANDS_DEADLINE: Duration = Duration::from_secs(1);
const BROKER_DEADLINE: Duration = Duration::from_secs(10);

/// Consumes all `subscriptions` until `stop`, through as many sessions with the broker as it takes. What cannot be
/// applied is kept in `<schema>.parked`.
pub async fn run(
    broker: Broker,
    database: Database,
    schema: &'static str,
    outbox: Outbox,
    subscriptions: Vec<Subscription>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    for subscription in &subscriptions {
        broker.metrics.watch_queue(&subscription.queue);
    }
    let mut sessions = broker.sessions("consumer");
    while let Some(session) = sessions.next(&stop).await {
        let (session, end_of_session) = (Arc::new(session), stop.child_token());
        let (mut queues, hands) = (JoinSet::new(), Arc::<RwLock<()>>::default());
        for subscription in &subscriptions {
            let worker = Worker {
                broker: broker.clone(),
                session: Arc::clone(&session),
                database: database.clone(),
                schema,
                outbox: outbox.clone(),
                subscription: subscription.clone(),
                hands: Arc::clone(&hands),
            };
            queues.spawn(worker.run(end_of_session.clone()));
        }
        let names = subscriptions.iter().map(|subscription| subscription.queue.clone()).collect();
        queues.spawn(queue_lengths::watch(Arc::clone(&session), broker.metrics.clone(), names, end_of_session.clone()));
        if broker.has_several_nodes() {
            let (hands, end_of_session) = (Arc::clone(&hands), end_of_session.clone());
            queues.spawn(async move {
                end_of_session.run_until_cancelled(turn(&hands)).await;
                Ok(())
            });
        }
        // The first queue that fails ends the session; the others finish what they have in hand.
        while let Some(ended) = queues.join_next().await {
            end_of_session.cancel();
            if let Err(problem) = ended? {
                warn!("consuming was interrupted: {problem:#}");
            }
        }
        if stop.is_cancelled() {
            session.connection.end().await;
        }
    }
    Ok(())
}

/// Returns when it is another node's turn, at a moment when nobody has anything in hand: what the database is waited for with
/// is not given back, since that would cost it a delivery.
async fn turn(hands: &RwLock<()>) {
    loop {
        tokio::time::sleep(TURN).await;
        if tokio::time::timeout(HANDS_DEADLINE, hands.write()).await.is_ok() {
            return;
        }
    }
}

/// Consumes one queue during one session.
struct Worker {
    broker: Broker,
    session: Arc<Session>,
    database: Database,
    schema: &'static str,
    outbox: Outbox,
    subscription: Subscription,
    /// Shared while there are messages in hand.
    hands: Arc<RwLock<()>>,
}

impl Worker {
    async fn run(self, end_of_session: CancellationToken) -> anyhow::Result<()> {
        while !end_of_session.is_cancelled() {
            self.consume_until_quiet(&end_of_session).await.with_context(|| self.subscription.queue.clone())?;
        }
        Ok(())
    }

    /// Subscribes, and settles what comes until nothing has come for a while. Then it is time for a new subscription:
    /// when a queue is deleted and at once declared again, RabbitMQ 3.10 can keep the old one in place and hand it
    /// messages that never arrive.
    async fn consume_until_quiet(&self, end_of_session: &CancellationToken) -> anyhow::Result<()> {
        let channel = within(BROKER_DEADLINE, "opening a channel", self.session.connection.create_channel()).await?;
        // Nobody else may bind a queue again that somebody has unbound.
        self.broker.declare(&channel).await?;
        // Set before consuming: the client buffers without bound.
        within(BROKER_DEADLINE, "setting the prefetch", channel.basic_qos(PREFETCH, BasicQosOptions::default()))
            .await?;
        let queue = self.subscription.queue.as_str().into();
        let consuming = channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default());
        let mut deliveries = within(BROKER_DEADLINE, "consuming", consuming).await?;
        let processing = self.broker.metrics.messaging().processing(&self.subscription.queue);
        let sizes = self.broker.metrics.batch_sizes(&self.subscription.queue);
        loop {
            let batch = tokio::select! {
                batch = tokio::time::timeout(QUIET, next_batch(&mut deliveries, BATCH)) => batch,
                // The channel ends with its connection.
                () = end_of_session.cancelled() => return Ok(()),
            };
            let Ok(batch) = batch else { break };
            let Batch { messages, last_tag } = batch?;
            let _in_hand = self.hands.read().await;
            let mut ids: Vec<Uuid> = messages.iter().filter_map(Received::event_id).collect();
            let (began, size) = (Instant::now(), messages.len());
            let let_go = self.settle(messages, end_of_session).await?;
            ids.retain(|id| !let_go.contains(id));
            processing.observe(began.elapsed().as_secs_f64());
            sizes.observe(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
            if let Some(queue) = &self.subscription.receipts_queue {
                crash_point("event applied, receipt not made");
                self.outbox.send_receipt(queue, ids);
                crash_point("receipt made, event not acknowledged");
            }
            let multiple = BasicAckOptions { multiple: true };
            within(BROKER_DEADLINE, "acknowledging", channel.basic_ack(last_tag, multiple)).await?;
        }
        within(BROKER_DEADLINE, "closing a channel", channel.close(REPLY_SUCCESS, "done".into())).await
    }

    /// Applies or parks every message, and comes back only when the database has committed that; or with an error when
    /// the session ends first, and then nothing is to be acknowledged. Answers the events that were let go.
    async fn settle(&self, batch: Vec<Received>, end_of_session: &CancellationToken) -> anyhow::Result<Vec<Uuid>> {
        let mut replayed: Vec<i64> = batch.iter().filter_map(|message| message.replay_of).collect();
        let is_alone = batch.len() == 1;
        // A replay does not come again by itself.
        let must_wait = is_alone && !replayed.is_empty();
        let worthwhile = |trouble: &sqlx::Error| {
            let is_up_to_the_batch = if must_wait { is_refusal(trouble) } else { may_concern_one(trouble) };
            !is_up_to_the_batch && !end_of_session.is_cancelled()
        };
        let refused = match retry_while(worthwhile, || (self.subscription.handler)(batch.clone())).await {
            Ok(refused) => refused,
            Err(refusal) if is_refusal(&refusal) && is_alone => {
                let reason = format!("the database refused it: {refusal}");
                let refuse = |message| Refused { message, kind: Kind::Refused, reason: reason.clone() };
                batch.into_iter().map(refuse).collect()
            }
            Err(held) if is_held(&held) && is_alone && !must_wait => {
                warn!(%held, "somebody holds what an event is about; it will come again");
                return Ok(batch.iter().filter_map(Received::event_id).collect());
            }
            Err(trouble) if may_concern_one(&trouble) && !is_alone => {
                warn!(%trouble, "a batch of events could not be applied; applying them one by one");
                let alone = batch.into_iter().map(|message| Box::pin(self.settle(vec![message], end_of_session)));
                let alone: Vec<_> = alone.collect();
                // All of them to their end, whatever becomes of one.
                let settled: Vec<anyhow::Result<_>> = stream::iter(alone).buffer_unordered(ALONE).collect().await;
                return Ok(settled.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat());
            }
            Err(trouble) => return Err(trouble).context("the database did not answer"),
        };
        let has_patience = |_: &sqlx::Error| !end_of_session.is_cancelled();
        for Refused { message, kind, reason } in refused {
            let Label { subject, traceparent } = message.label();
            let Received { message_id, body, replay_of } = message;
            replayed.retain(|row| Some(*row) != replay_of);
            let parked =
                Parked { queue: self.subscription.queue.clone(), message_id, body: body.into(), reason, replay_of };
            let park = || parked::insert(&self.database, self.schema, &parked);
            if retry_while(has_patience, park).await.context("a message could not be parked")? {
                let Parked { queue, message_id, reason, replay_of, .. } = &parked;
                error!(
                    queue,
                    message_id,
                    reason,
                    replay_of,
                    order.id = subject.map(tracing::field::display),
                    trace.id = trace_context::id_of(traceparent.as_ref()),
                    "a message is parked"
                );
                self.broker.metrics.count_parked(queue, kind);
            }
        }
        if !replayed.is_empty() {
            let forget = || parked::forget(&self.database, self.schema, &replayed);
            retry_while(has_patience, forget).await.context("a replayed message could not be forgotten")?;
        }
        Ok(Vec::new())
    }
}
