//! The outbox: an event is committed with the state it speaks of, then published, confirmed and deleted.
//!
//! The service that wrote an event hands it to its relay in memory, so a lone event waits for nobody. What a crash or
//! an absent broker leaves behind, the sweeper picks up from the table: it takes a lease on rows whose time has come,
//! so replicas share the work. At worst an event is published twice; consumers take no notice of a repeat.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use serde::Serialize;
use serde_json::Value;
use shared_events::envelope::{self, Envelope, SpecVersion};
use shared_events::events::Event;
use shared_events::ids::OrderId;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::broker::{Broker, Session, within};
use crate::trace_context;

const BATCH: usize = 500;
const SWEEP_PERIOD: Duration = Duration::from_millis(500);
/// The sweeper leaves younger rows alone; the default of `next_attempt_at` says the same.
const SWEEP_AFTER: TimeDelta = TimeDelta::seconds(2);
const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);
/// Batches that wait in memory while the relay is busy. What does not fit is left to the sweeper.
const HANDED_OVER: usize = 1024;

/// An event as a row of the outbox.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct Message {
    id: Uuid,
    event: String,
    order_id: OrderId,
    data: Value,
    traceparent: Option<String>,
}

impl Message {
    /// A new event, part of the trace that is running.
    pub fn new<E: Event>(event: &E) -> Self {
        Self::in_trace(event, trace_context::current())
    }

    /// A new event, part of this trace.
    pub fn in_trace<E: Event>(event: &E, traceparent: Option<String>) -> Self {
        Self {
            id: Uuid::now_v7(),
            event: E::NAME.to_owned(),
            order_id: event.order_id(),
            // Structs of strings and numbers, which always serialize.
            data: serde_json::to_value(event).unwrap_or_default(),
            traceparent,
        }
    }

    fn is_fresh(&self) -> bool {
        Utc::now() - self.time() < SWEEP_AFTER
    }

    /// The time is taken from the id, so it is the same each time the event is sent.
    fn time(&self) -> DateTime<Utc> {
        let (seconds, nanoseconds) = self.id.get_timestamp().map_or((0, 0), |time| time.to_unix());
        DateTime::from_timestamp(seconds.cast_signed(), nanoseconds).unwrap_or_default()
    }

    fn envelope(&self, source: String) -> Envelope<&Value> {
        Envelope {
            specversion: SpecVersion::V1,
            id: self.id,
            source,
            event: self.event.clone(),
            subject: self.order_id,
            time: self.time(),
            datacontenttype: "application/json".to_owned(),
            dataschema: envelope::data_schema(&self.event),
            traceparent: self.traceparent.clone(),
            data: &self.data,
        }
    }
}

/// A change and the event that is committed with it, as a row for a statement.
#[derive(Serialize)]
pub struct Announced<'a, Change> {
    /// The change.
    #[serde(flatten)]
    pub change: &'a Change,
    /// The event, if the change has one.
    pub message: Option<Message>,
}

impl<'a, Change> Announced<'a, Change> {
    /// The event becomes part of this trace, or else of the one that is running.
    pub fn new<E: Event>(change: &'a Change, event: Option<&E>, traceparent: Option<String>) -> Self {
        let traceparent = traceparent.or_else(trace_context::current);
        Self { change, message: event.map(|event| Message::in_trace(event, traceparent)) }
    }
}

/// Takes committed events to the relay.
#[derive(Clone)]
pub struct Outbox {
    committed: mpsc::Sender<Vec<Message>>,
}

impl Outbox {
    /// Hands over events that have just been committed. Never waits: what does not fit is in the table.
    pub fn hand_over(&self, messages: Vec<Message>) {
        if !messages.is_empty() {
            drop(self.committed.try_send(messages));
        }
    }
}

/// Publishes the outbox of one schema.
pub struct Relay {
    committed: mpsc::Receiver<Vec<Message>>,
    database: PgPool,
    broker: Broker,
    claim: String,
    delete: String,
    release: String,
}

/// The two ends of the outbox of `schema`.
pub fn open(database: PgPool, broker: Broker, schema: &'static str) -> (Outbox, Relay) {
    let (sender, committed) = mpsc::channel(HANDED_OVER);
    let claim = format!(
        "update {schema}.outbox set next_attempt_at = now() + interval '30 seconds'
         where id in (select id from {schema}.outbox where next_attempt_at <= now()
                      order by id limit {BATCH} for update skip locked)
         returning id, event, order_id, data, traceparent"
    );
    let delete = format!("delete from {schema}.outbox where id = any($1)");
    let release =
        format!("update {schema}.outbox set next_attempt_at = now() + interval '1 second' where id = any($1)");
    (Outbox { committed: sender }, Relay { committed, database, broker, claim, delete, release })
}

impl Relay {
    /// Publishes until `stop`, through as many sessions with the broker as it takes.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        while let Some(session) = self.broker.session("publisher", &stop).await {
            match self.publish_on(&session, &stop).await {
                Ok(()) => return Ok(()),
                Err(problem) => warn!("publishing was interrupted: {problem:#}"),
            }
        }
        Ok(())
    }

    async fn publish_on(&mut self, session: &Session, stop: &CancellationToken) -> anyhow::Result<()> {
        let channel = &session.channel;
        within(PUBLISH_DEADLINE, "asking for confirms", channel.confirm_select(ConfirmSelectOptions::default()))
            .await?;
        let mut sweep = tokio::time::interval(SWEEP_PERIOD);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut handed_over = Vec::new();
        loop {
            tokio::select! {
                _ = self.committed.recv_many(&mut handed_over, BATCH) => {
                    // What has waited here through an outage is left to the sweeper, which has it too.
                    let messages: Vec<Message> = handed_over.drain(..).flatten().filter(Message::is_fresh).collect();
                    self.publish(channel, &messages).await?;
                }
                _ = sweep.tick() => self.sweep(session).await?,
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Publishes what is left in the table and due.
    async fn sweep(&self, session: &Session) -> anyhow::Result<()> {
        if !session.connection.status().connected() {
            bail!("the connection is lost");
        }
        loop {
            let claimed = sqlx::query_as(AssertSqlSafe(self.claim.clone())).fetch_all(&self.database).await;
            let mut messages: Vec<Message> = match claimed {
                Ok(messages) => messages,
                Err(problem) => {
                    warn!(%problem, "the outbox cannot be read");
                    return Ok(());
                }
            };
            if messages.is_empty() {
                return Ok(());
            }
            info!(messages = messages.len(), "publishing events that were left in the outbox");
            messages.sort_by_key(|message| message.id);
            self.publish(&session.channel, &messages).await?;
        }
    }

    /// Publishes events and deletes those that the broker has confirmed. The others stay in the table and come up again
    /// soon, here or at another replica.
    async fn publish(&self, channel: &Channel, messages: &[Message]) -> anyhow::Result<()> {
        for batch in messages.chunks(BATCH) {
            let publishing = tokio::time::timeout(PUBLISH_DEADLINE, self.publish_and_confirm(channel, batch)).await;
            let outcome = publishing.context("no confirm in time").flatten();
            let confirmed: &[Uuid] = outcome.as_deref().unwrap_or_default();
            let is_unconfirmed = |id: &Uuid| !confirmed.contains(id);
            let unconfirmed: Vec<Uuid> = batch.iter().map(|message| message.id).filter(is_unconfirmed).collect();
            self.execute(&self.delete, confirmed).await;
            self.execute(&self.release, &unconfirmed).await;
            outcome?;
            if !unconfirmed.is_empty() {
                let events = unconfirmed.len();
                warn!(events, "the broker could not route or store events; declaring the queues again");
                self.broker.declare(channel).await?;
            }
        }
        Ok(())
    }

    /// Does something to rows of the outbox. A failure costs a repeated event and no more.
    async fn execute(&self, statement: &str, ids: &[Uuid]) {
        if ids.is_empty() {
            return;
        }
        if let Err(problem) = sqlx::query(AssertSqlSafe(statement)).bind(ids).execute(&self.database).await {
            warn!(%problem, "events stay in the outbox and will be published again");
        }
    }

    /// The ids that the broker has taken. Only this task publishes on the channel, and it waits for the confirms of
    /// the whole batch before it looks at returned messages: lapin may attach a return to another message's confirm.
    async fn publish_and_confirm(&self, channel: &Channel, batch: &[Message]) -> anyhow::Result<Vec<Uuid>> {
        let exchange = self.broker.topology.exchange();
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut confirms = Vec::with_capacity(batch.len());
        for message in batch {
            let body = serde_json::to_vec(&message.envelope(self.broker.event_source()))?;
            let (exchange, routing_key) = (exchange.as_str().into(), message.event.as_str().into());
            let sent = channel.basic_publish(exchange, routing_key, mandatory, &body, properties(message)).await?;
            confirms.push((message.id, sent));
        }
        let mut taken = HashSet::with_capacity(batch.len());
        let mut returned = Vec::new();
        for (id, confirm) in confirms {
            let confirmation = confirm.await?;
            if confirmation == Confirmation::NotRequested {
                bail!("the channel does not confirm");
            }
            if confirmation.is_ack() {
                taken.insert(id);
            }
            returned.extend(confirmation.take_message());
        }
        for message in returned {
            let id = message.delivery.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
            match id {
                Some(id) => taken.remove(&id),
                None => bail!("a message came back without its id"),
            };
        }
        Ok(taken.into_iter().collect())
    }
}

fn properties(message: &Message) -> BasicProperties {
    const PERSISTENT: u8 = 2;
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(envelope::CONTENT_TYPE.into())
        .with_message_id(message.id.to_string().into())
        .with_type(message.event.as_str().into())
        .with_timestamp(message.time().timestamp().cast_unsigned())
}
