//! The relay: publishes what the outbox has, sends the receipts for what was consumed, and replays what was parked.
//!
//! What was just committed comes in memory. What stays without a receipt, because a process, the broker or its disk was
//! lost, the sweeper takes from the table once its time has come; but only while few messages wait in its queue, since
//! an event that waits there is late and not lost.

use std::collections::{HashMap, HashSet};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use chrono::TimeDelta;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind};
use shared_events::receipt::Receipt;
use shared_events::topology::Topology;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::broker::{Broker, REPLY_SUCCESS, Session};
use crate::crash_point::crash_point;
use crate::message::Message;
use crate::outbox::{Addressed, BATCH, Table, ToSend};
use crate::parcel;
use crate::spans;

/// Where events come thick, those of so long travel together: a message costs the broker, and a batch its consumer, about
/// the same whatever is in it.
const EVENTS_PERIOD: Duration = Duration::from_millis(4);
/// Nobody waits for a receipt, and one for many events costs as much as one for one.
const RECEIPTS_PERIOD: Duration = Duration::from_millis(250);
const SWEEP_PERIOD: Duration = Duration::from_millis(500);
/// The sweeper leaves younger rows alone; the default of `next_attempt_at` says the same.
const SWEEP_AFTER: TimeDelta = TimeDelta::seconds(2);
/// With more messages than this, a queue is slow, and what has no receipt is taken to be in it.
const CROWD: u32 = 500;
const BROKER_DEADLINE: Duration = Duration::from_secs(5);
/// After so many refusals in a row another session is opened. A channel that meets a quorum queue while its node takes a dead
/// one for the leader may refuse for ever what is meant for the queue (seen with RabbitMQ 3.10); a new one does not.
const MAX_REFUSALS: u32 = 3;
/// How long after the stop the rest of the service may take to end, if a client keeps hold of it.
const LAST_CALL: Duration = Duration::from_secs(8);

/// Whether events are published as soon as they are committed, or because they have no receipt yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    First,
    Again,
}

/// Publishes the outbox of one schema.
pub struct Relay {
    broker: Broker,
    table: Table,
    events: &'static [&'static str],
    to_send: ToSend,
    /// Of the session, since it took a whole batch.
    refusals: u32,
}

impl Relay {
    pub(crate) fn new(broker: Broker, table: Table, events: &'static [&'static str], to_send: ToSend) -> Self {
        Self { broker, table, events, to_send, refusals: 0 }
    }

    /// Publishes, through as many sessions with the broker as it takes, until `stop` and all that is committed before
    /// the service ends: what its last requests have led to is not left to the sweeper.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut last_call = pin!(async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_CALL).await;
        });
        let mut sessions = self.broker.sessions("publisher");
        while let Some(session) = sessions.next(&stop).await {
            match self.publish_on(&session, last_call.as_mut()).await {
                Ok(()) => return Ok(()),
                Err(problem) => warn!("publishing was interrupted: {problem:#}"),
            }
        }
        Ok(())
    }

    async fn publish_on(
        &mut self,
        session: &Session,
        mut last_call: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<()> {
        self.refusals = 0;
        let asking = session.channel.confirm_select(ConfirmSelectOptions::default());
        session.within(BROKER_DEADLINE, "asking for confirms", asking).await?;
        let mut look = self.look_after(Duration::ZERO);
        let mut receipts = tokio::time::interval(RECEIPTS_PERIOD);
        receipts.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut committed = Vec::new();
        loop {
            tokio::select! {
                received = self.to_send.committed.recv_many(&mut committed, BATCH) => {
                    // Nobody is left who could commit something.
                    if received == 0 {
                        return self.send_receipts(session).await;
                    }
                    // What has waited here through an outage is left to the sweeper, which has it too.
                    let messages = committed.drain(..).flatten().filter(|message| message.age() < SWEEP_AFTER);
                    let messages: Vec<_> = messages.collect();
                    self.publish(session, &messages, Time::First).await?;
                    if messages.len() > 1 {
                        tokio::time::sleep(EVENTS_PERIOD).await;
                    }
                }
                _ = receipts.tick() => self.send_receipts(session).await?,
                Some(asked) = self.to_send.replays.recv() => asked.publish(&self.broker, session).await?,
                has_due = &mut look => {
                    let swept = self.sweep(session, has_due?).await?;
                    look = self.look_after(if swept == 0 { SWEEP_PERIOD } else { Duration::ZERO });
                }
                () = &mut last_call => return Ok(()),
            }
        }
    }

    /// Sends the receipts that have come together.
    async fn send_receipts(&mut self, session: &Session) -> anyhow::Result<()> {
        let receipts: Vec<Addressed> = std::iter::from_fn(|| self.to_send.receipts.try_recv().ok()).collect();
        if receipts.is_empty() {
            return Ok(());
        }
        crash_point("receipt made, not sent");
        let sending = send_receipts(&self.broker.topology, &session.channel, receipts);
        session.within(BROKER_DEADLINE, "sending receipts", sending).await
    }

    /// Whether any event is due to be published again, seen after `pause`; what was just committed does not wait for it.
    fn look_after(&self, pause: Duration) -> JoinHandle<Result<bool, sqlx::Error>> {
        let table = self.table.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            table.has_due().await
        })
    }

    /// Publishes some of what has no receipt and is due, if anything is; answers how many events.
    async fn sweep(&mut self, session: &Session, has_due: Result<bool, sqlx::Error>) -> anyhow::Result<usize> {
        if !session.connection.status().connected() {
            bail!("the connection is lost");
        }
        let messages = match has_due {
            Ok(false) => return Ok(0),
            Ok(true) => self.table.claim(&self.events_without_crowd(session).await?).await,
            Err(problem) => Err(problem),
        };
        match messages {
            Ok(messages) if messages.is_empty() => Ok(0),
            Ok(messages) => {
                info!(messages = messages.len(), "publishing events that have no receipt");
                self.publish(session, &messages, Time::Again).await?;
                Ok(messages.len())
            }
            Err(problem) => {
                warn!(%problem, "the outbox cannot be read");
                Ok(0)
            }
        }
    }

    /// The events that have a queue in which little is waiting.
    async fn events_without_crowd(&self, session: &Session) -> anyhow::Result<Vec<&'static str>> {
        let mut events = Vec::new();
        for event in self.events {
            let length = length_of(session, &self.broker.topology.queue(event)).await?;
            if length.is_some_and(|length| length <= CROWD) {
                events.push(*event);
            }
        }
        Ok(events)
    }

    /// Publishes events and waits for the broker's confirms. What it did not take comes up again soon, here or at
    /// another replica.
    async fn publish(&mut self, session: &Session, messages: &[Message], time: Time) -> anyhow::Result<()> {
        let (metrics, exchange) = (self.broker.metrics.messaging(), self.broker.topology.exchange());
        for batch in messages.chunks(BATCH) {
            let (began, began_at) = (Instant::now(), SystemTime::now());
            let publishing = self.publish_and_confirm(&session.channel, batch);
            let outcome = session.within(BROKER_DEADLINE, "publishing", publishing).await;
            if outcome.is_ok() {
                metrics.confirms().observe(began.elapsed().as_secs_f64());
            }
            let is_unconfirmed = |id: &Uuid| !outcome.as_ref().is_ok_and(|confirmed| confirmed.contains(id));
            let unconfirmed: Vec<Uuid> = batch.iter().map(|message| message.id).filter(is_unconfirmed).collect();
            for message in batch.iter().filter(|message| !is_unconfirmed(&message.id)) {
                metrics.count_published(&message.event, time == Time::Again);
                drop(spans::of_publishing(message, &exchange, batch.len()).since(began_at));
            }
            if !unconfirmed.is_empty()
                && let Err(problem) = self.table.release(&unconfirmed).await
            {
                warn!(%problem, "events will be published again later than they could be");
            }
            outcome?;
            crash_point("event confirmed, without receipt");
            if unconfirmed.is_empty() {
                self.refusals = 0;
                continue;
            }
            let events = unconfirmed.len();
            warn!(events, "the broker could not route or store events; declaring the queues again");
            self.broker.declare(&session.channel).await?;
            self.refusals += 1;
            if self.refusals == MAX_REFUSALS {
                bail!("the broker refuses on one channel what it may take on another");
            }
        }
        Ok(())
    }

    /// The ids that the broker has taken. Only this task publishes on the channel, and it waits for the confirms of
    /// the whole batch before it looks at returned messages: lapin may attach a return to another message's confirm.
    async fn publish_and_confirm(&self, channel: &Channel, batch: &[Message]) -> anyhow::Result<HashSet<Uuid>> {
        let exchange = self.broker.topology.exchange();
        let source = self.broker.event_source();
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut confirms = Vec::new();
        for parcel in parcel::pack(batch) {
            let (exchange, routing_key) = (exchange.as_str().into(), parcel.event.into());
            let body = parcel.body(&source)?;
            let sent = channel.basic_publish(exchange, routing_key, mandatory, &body, parcel.properties()).await?;
            confirms.push((parcel, sent));
        }
        crash_point("event published, not confirmed");
        let mut taken = HashMap::with_capacity(confirms.len());
        let mut returned = Vec::new();
        for (parcel, confirm) in confirms {
            let confirmation = confirm.await?;
            if confirmation == Confirmation::NotRequested {
                bail!("the channel does not confirm");
            }
            if confirmation.is_ack() {
                taken.insert(parcel.id, parcel.messages);
            }
            returned.extend(confirmation.take_message());
        }
        for message in returned {
            let id = message.delivery.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
            match id {
                Some(id) => taken.remove::<Uuid>(&id),
                None => bail!("a message came back without its id"),
            };
        }
        Ok(taken.into_values().flatten().map(|message| message.id).collect())
    }
}

/// How many messages wait in a queue; `None` if its consumer has not declared it yet.
async fn length_of(session: &Session, queue: &str) -> anyhow::Result<Option<u32>> {
    // Of its own, since the broker closes the channel on which somebody asks for a queue that is not there.
    let channel = session.within(BROKER_DEADLINE, "opening a channel", session.connection.create_channel()).await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asking = channel.queue_declare(queue.into(), passive, FieldTable::default());
    match session.within(BROKER_DEADLINE, "asking for the length of a queue", asking).await {
        Err(problem) if is_not_found(&problem) => Ok(None),
        answer => {
            let length = answer?.message_count();
            session.within(BROKER_DEADLINE, "closing a channel", channel.close(REPLY_SUCCESS, "done".into())).await?;
            Ok(Some(length))
        }
    }
}

fn is_not_found(problem: &anyhow::Error) -> bool {
    const NOT_FOUND: u16 = 404;
    let refusal = problem.downcast_ref::<lapin::Error>().map(lapin::Error::kind);
    matches!(refusal, Some(ErrorKind::ProtocolError(refusal)) if refusal.get_id() == NOT_FOUND)
}

/// One message for each queue. Whether the broker takes it does not matter, but it must not pile up on the way there.
async fn send_receipts(topology: &Topology, channel: &Channel, receipts: Vec<Addressed>) -> anyhow::Result<()> {
    let mut by_queue: HashMap<ShortString, Vec<Uuid>> = HashMap::new();
    for Addressed { queue, receipt } in receipts {
        by_queue.entry(queue).or_default().extend(receipt.settled);
    }
    for (queue, settled) in by_queue {
        let body = serde_json::to_vec(&Receipt { settled })?;
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let options = BasicPublishOptions::default();
        let (exchange, routing_key) = (topology.exchange().into(), topology.routing_key(queue.as_str()).into());
        channel.basic_publish(exchange, routing_key, options, &body, properties).await?.await?;
    }
    Ok(())
}
