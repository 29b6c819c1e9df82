//! Replaying a parked message: it goes to its queue once more, and is consumed like any other.
//!
//! Its row stays until then, so the broker is never the only one that has it. The copy that is sent says in a header
//! which row it comes from; the [`crate::consumer`] removes the row once the message is applied, or puts a new one in
//! its place with the fresh reason. So a replay may be asked for at any time and as often as one likes.

use std::time::Duration;

use anyhow::bail;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use shared_events::topology::Topology;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::broker::{Broker, Session};
use crate::parcel::PERSISTENT;

/// The header that names the row.
const HEADER: &str = "x-replay-of";
/// How long the broker may take, or be away.
const DEADLINE: Duration = Duration::from_secs(5);
/// How many replays wait for the relay.
const WAITING: usize = 16;

/// A parked message on its way back to a queue.
pub struct Replay {
    /// The row it is kept in.
    pub id: i64,
    /// Where it goes.
    pub queue: String,
    /// Its AMQP `message_id`.
    pub message_id: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// The broker has not said in time that it took the message.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not take the message")]
pub struct NotTaken;

/// Asks the relay for replays.
#[derive(Clone)]
pub(crate) struct Replays(mpsc::Sender<Asked>);

/// A replay and who waits to hear whether the broker took it.
pub(crate) struct Asked {
    replay: Replay,
    taken: oneshot::Sender<bool>,
}

pub(crate) fn channel() -> (Replays, mpsc::Receiver<Asked>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Replays(sender), receiver)
}

impl Replays {
    /// Returns once the broker has confirmed the message.
    pub(crate) async fn send(&self, replay: Replay) -> Result<(), NotTaken> {
        let (taken, answer) = oneshot::channel();
        let asking = async {
            self.0.send(Asked { replay, taken }).await.map_err(|_| NotTaken)?;
            answer.await.map_err(|_| NotTaken)
        };
        match tokio::time::timeout(DEADLINE, asking).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(NotTaken),
        }
    }
}

impl Asked {
    /// Publishes on the channel of the relay's session, which must have no other message under way.
    pub(crate) async fn publish(self, broker: &Broker, session: &Session) -> anyhow::Result<()> {
        // Whoever asked has been told that the broker is away.
        if self.taken.is_closed() {
            return Ok(());
        }
        let publishing = publish(&broker.topology, &session.channel, &self.replay);
        let is_taken = session.within(DEADLINE, "publishing a replay", publishing).await?;
        if !is_taken {
            warn!(queue = self.replay.queue, "the broker could not take a replay; declaring the queues again");
            broker.declare(&session.channel).await?;
        }
        // Nobody waits any more: then it is sent twice at worst.
        let _ = self.taken.send(is_taken);
        Ok(())
    }
}

/// Whether the broker took it, and had a queue for it.
async fn publish(topology: &Topology, channel: &Channel, replay: &Replay) -> anyhow::Result<bool> {
    let properties = properties(replay.message_id.as_deref(), replay.id);
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, routing_key) = (topology.exchange().into(), topology.routing_key(&replay.queue).into());
    let sent = channel.basic_publish(exchange, routing_key, mandatory, &replay.body, properties).await?;
    let confirmation = sent.await?;
    if confirmation == Confirmation::NotRequested {
        bail!("the channel does not confirm");
    }
    Ok(confirmation.is_ack() && confirmation.take_message().is_none())
}

/// The properties of a message that is replayed from this row.
pub(crate) fn properties(message_id: Option<&str>, row: i64) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(HEADER.into(), AMQPValue::LongLongInt(row));
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
    match message_id.and_then(|id| ShortString::try_new(id).ok()) {
        Some(id) => properties.with_message_id(id),
        None => properties,
    }
}

/// The row that a message was replayed from.
pub(crate) fn row_of(properties: &BasicProperties) -> Option<i64> {
    let headers = properties.headers().as_ref()?;
    match headers.inner().get(HEADER)? {
        AMQPValue::LongLongInt(row) => Some(*row),
        _ => None,
    }
}
