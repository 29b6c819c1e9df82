//! The outbox: an event is committed with the state it speaks of, published, and kept until its consumer is done with it.
//!
//! The service that wrote an event hands it to its [`crate::relay`] in memory, so a lone event waits for nobody. The
//! row goes when the consumer's receipt comes ([`shared_events::receipt`]), not when the broker confirms: so the broker
//! is never the only one that has an event, and may lose its disk. What has no receipt is published again; at worst an
//! event comes twice, and consumers take no notice of a repeat.

use chrono::{DateTime, Utc};
use lapin::types::ShortString;
use serde::Serialize;
use shared_events::receipt::Receipt;
use sqlx::AssertSqlSafe;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::broker::Broker;
use crate::crash_point::crash_point;
use crate::message::Message;
use crate::pool::Database;
use crate::relay::Relay;
use crate::replay::{self, Asked, NotTaken, Replay, Replays};

/// How many events are taken from the table at a time.
pub(crate) const BATCH: usize = 500;
/// What waits in memory while the relay is busy. What does not fit is left to the sweeper.
const HANDED_OVER: usize = 1024;

/// How many events an operator makes due at a time.
const MADE_DUE: usize = 10_000;

/// An event that has no receipt yet, as operators see it.
#[derive(Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unsettled {
    pub(crate) id: Uuid,
    event: String,
    order_id: Uuid,
    traceparent: Option<String>,
    created_at: DateTime<Utc>,
    /// When the relay publishes it again.
    next_attempt_at: DateTime<Utc>,
}

/// A service's own end of its outbox.
#[derive(Clone)]
pub struct Outbox {
    committed: mpsc::Sender<Vec<Message>>,
    receipts: mpsc::Sender<Addressed>,
    replays: Replays,
    table: Table,
}

/// What waits for the relay.
pub(crate) struct ToSend {
    pub(crate) committed: mpsc::Receiver<Vec<Message>>,
    pub(crate) receipts: mpsc::Receiver<Addressed>,
    pub(crate) replays: mpsc::Receiver<Asked>,
}

/// A receipt and the queue that it goes to.
pub(crate) struct Addressed {
    pub(crate) queue: ShortString,
    pub(crate) receipt: Receipt,
}

/// The two ends of the outbox of `schema`, for the events that its service publishes.
pub fn open(
    database: Database,
    broker: Broker,
    schema: &'static str,
    events: &'static [&'static str],
) -> (Outbox, Relay) {
    let (committed, committed_to_send) = mpsc::channel(HANDED_OVER);
    let (receipts, receipts_to_send) = mpsc::channel(HANDED_OVER);
    let (replays, replays_to_send) = replay::channel();
    let to_send = ToSend { committed: committed_to_send, receipts: receipts_to_send, replays: replays_to_send };
    let table = Table { database, schema };
    let relay = Relay::new(broker, table.clone(), events, to_send);
    (Outbox { committed, receipts, replays, table }, relay)
}

impl Outbox {
    /// Hands over events that have just been committed. Never waits: what does not fit is in the table.
    pub fn hand_over(&self, messages: Vec<Message>) {
        if !messages.is_empty() {
            crash_point("event committed, not handed over");
            drop(self.committed.try_send(messages));
        }
    }

    /// Tells the publisher of events, who listens to `queue`, that they are settled. Never waits: a receipt that does
    /// not fit is lost, and the events come again.
    pub fn send_receipt(&self, queue: &str, settled: Vec<Uuid>) {
        if !settled.is_empty() {
            drop(self.receipts.try_send(Addressed { queue: queue.into(), receipt: Receipt { settled } }));
        }
    }

    /// Sends a parked message to its queue once more; returns when the broker has confirmed it. Without a broker it gives
    /// up soon.
    pub async fn replay(&self, replay: Replay) -> Result<(), NotTaken> {
        self.replays.send(replay).await
    }

    /// Forgets events of ours that their consumer has settled.
    pub async fn forget(&self, settled: &[Uuid]) -> Result<(), sqlx::Error> {
        self.table.forget(settled).await
    }
}

/// The rows, as the relay works with them.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) database: Database,
    pub(crate) schema: &'static str,
}

impl Table {
    /// Whether any event is due to be published again.
    pub(crate) async fn has_due(&self) -> Result<bool, sqlx::Error> {
        // By the index, from its beginning: it remembers which of its entries are of events that are gone, while all that was
        // there since the last vacuum would be read in the table, half a million events after a busy minute.
        let statement = format!(
            "select exists (select from {}.outbox where id > '{}' and next_attempt_at <= now())",
            self.schema,
            Uuid::nil()
        );
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&self.database).await
    }

    /// Takes a lease on some of these events that are due, the oldest first; other replicas take others.
    pub(crate) async fn claim(&self, events: &[&str]) -> Result<Vec<Message>, sqlx::Error> {
        // The statement would read the whole outbox to find none, just when it is long.
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let schema = self.schema;
        let statement = format!(
            "update {schema}.outbox set next_attempt_at = now() + interval '15 seconds'
             where id = any(array(select id from {schema}.outbox where next_attempt_at <= now() and event = any($1)
                                  order by id limit {BATCH} for update skip locked))
             returning id, event, order_id, data, traceparent"
        );
        let mut messages: Vec<Message> =
            sqlx::query_as(AssertSqlSafe(statement)).bind(events).fetch_all(&self.database).await?;
        messages.sort_by_key(|message| message.id);
        Ok(messages)
    }

    /// Makes events that the broker has not taken due again soon.
    pub(crate) async fn release(&self, ids: &[Uuid]) -> Result<(), sqlx::Error> {
        let statement = format!(
            "update {}.outbox set next_attempt_at = now() + interval '1 second' where id = any($1)",
            self.schema
        );
        sqlx::query(AssertSqlSafe(statement)).bind(ids).execute(&self.database).await.map(drop)
    }

    /// Up to `limit` events with greater ids than `after`, the oldest first.
    pub(crate) async fn list(&self, after: Uuid, limit: i64) -> Result<Vec<Unsettled>, sqlx::Error> {
        let statement = format!(
            "select id, event, order_id, traceparent, created_at, next_attempt_at from {}.outbox
             where id > $1 order by id limit $2",
            self.schema
        );
        sqlx::query_as(AssertSqlSafe(statement)).bind(after).bind(limit).fetch_all(&self.database).await
    }

    /// Makes the oldest events due at once, also those that have been published a moment ago; answers how many.
    pub(crate) async fn make_due(&self) -> Result<u64, sqlx::Error> {
        let schema = self.schema;
        let statement = format!(
            "update {schema}.outbox set next_attempt_at = now()
             where id in (select id from {schema}.outbox order by id limit {MADE_DUE} for update skip locked)"
        );
        let updated = sqlx::query(AssertSqlSafe(statement)).execute(&self.database).await?;
        Ok(updated.rows_affected())
    }

    /// Deletes events that are settled.
    pub(crate) async fn forget(&self, settled: &[Uuid]) -> Result<(), sqlx::Error> {
        let statement = format!("delete from {}.outbox where id = any($1)", self.schema);
        sqlx::query(AssertSqlSafe(statement)).bind(settled).execute(&self.database).await.map(drop)
    }
}
