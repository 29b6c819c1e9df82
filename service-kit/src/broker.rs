//! RabbitMQ: connecting within bounds, declaring the topology, and coming back for as long as it takes.
//!
//! lapin's own recovery is not used. A session is opened, used until anything about it fails, and dropped as a whole;
//! [`Sessions::next`] then opens the next, on another node if there are several. Publishing and consuming have a connection
//! each, because a broker short of memory stops reading from publishers, acknowledgements included.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ConnectionProperties, ExchangeKind};
use shared_events::events;
use shared_events::topology::{DELIVERY_LIMIT, Topology};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::database::backoff;
use crate::metrics::{Metrics, Present};
use crate::settings::Settings;

mod line;
mod nodes;

pub use line::Line;
use nodes::{Node, Turns};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const DECLARE_DEADLINE: Duration = Duration::from_secs(10);
/// An attempt to connect that is given up keeps a thread and a socket until the broker answers.
const MAX_ABANDONED_ATTEMPTS: u32 = 8;
/// AMQP's code for an orderly close.
pub(crate) const REPLY_SUCCESS: u16 = 200;
/// How many receipts wait for a publisher that is away.
const MAX_RECEIPTS: i32 = 10_000;

/// Where the broker is and what things are called there.
#[derive(Clone)]
pub struct Broker {
    nodes: Vec<Node>,
    service: &'static str,
    published: &'static [&'static str],
    abandoned_attempts: Arc<AtomicU32>,
    pub(crate) metrics: Metrics,
    /// The names of exchanges and queues.
    pub topology: Topology,
}

/// What a task opens one after the other.
pub struct Sessions {
    broker: Broker,
    purpose: &'static str,
    turns: Turns,
}

/// An open connection with one channel and the topology declared on it.
pub struct Session {
    /// Closing it, or dropping it, ends the session.
    pub connection: Line,
    /// The first channel.
    pub channel: Channel,
    stop: CancellationToken,
    _counted: Present,
}

impl Session {
    /// Bounds an exchange with the broker, as [`within`]. But as long as the broker takes nothing from us, for want of
    /// memory or disk, time does not count: another connection would fare no better, and this one could not be closed
    /// before that is over, so that each would keep a thread, a socket and megabytes.
    pub(crate) async fn within<T, Trouble: Into<anyhow::Error>>(
        &self,
        deadline: Duration,
        what: &str,
        exchange: impl Future<Output = Result<T, Trouble>>,
    ) -> anyhow::Result<T> {
        let mut exchange = pin!(exchange);
        loop {
            match tokio::time::timeout(deadline, exchange.as_mut()).await {
                Ok(answer) => return answer.map_err(Into::<anyhow::Error>::into).with_context(|| what.to_owned()),
                Err(_) if self.connection.status().blocked() && !self.stop.is_cancelled() => {
                    warn!(what, "RabbitMQ takes no messages: waiting");
                }
                Err(_) => bail!("{what}: no answer within {deadline:?}"),
            }
        }
    }
}

impl Sessions {
    /// Opens the next session, on another node than the last if there are several, trying for as long as it takes; `None`
    /// when told to stop first.
    pub async fn next(&mut self, stop: &CancellationToken) -> Option<Session> {
        let (broker, purpose) = (&self.broker, self.purpose);
        let open_sessions = broker.metrics.sessions(purpose);
        // The pause comes first, so that a session that fails as soon as it is open does not spin.
        for (pause, node) in backoff().zip(self.turns.by_ref()) {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
            match broker.open(&node, purpose).await {
                Ok((connection, channel)) => {
                    info!(purpose, %node, "connected to RabbitMQ");
                    let stop = stop.clone();
                    return Some(Session { connection, channel, stop, _counted: Present::in_gauge(open_sessions) });
                }
                Err(problem) => warn!(purpose, %node, "waiting for RabbitMQ: {problem:#}"),
            }
        }
        None
    }
}

impl Broker {
    /// The broker of the settings, as `service` sees it, which publishes these events and consumes all others. Connects
    /// to nothing yet.
    pub fn new(settings: &Settings, service: &'static str, published: &'static [&'static str]) -> anyhow::Result<Self> {
        Ok(Self {
            nodes: nodes::of_url(&settings.amqp_url, settings.amqp_ca_file.as_deref())?,
            service,
            published,
            abandoned_attempts: Arc::default(),
            metrics: Metrics::default(),
            topology: Topology::with_prefix(&settings.amqp_prefix),
        })
    }

    /// The same broker; its sessions, and the messages that are parked, are counted there.
    #[must_use]
    pub fn counted_in(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The source of events that this service publishes, as CloudEvents wants it.
    pub fn event_source(&self) -> String {
        format!("/{}", self.service)
    }

    /// Sessions for a purpose, one after the other.
    pub fn sessions(&self, purpose: &'static str) -> Sessions {
        Sessions { broker: self.clone(), purpose, turns: nodes::in_turn(&self.nodes) }
    }

    /// Whether sessions differ in what they lead to.
    pub(crate) fn has_several_nodes(&self) -> bool {
        self.nodes.len() > 1
    }

    async fn open(&self, node: &Node, purpose: &str) -> anyhow::Result<(Line, Channel)> {
        node.preflight().await?;
        let connection = self.connect(node, purpose).await?;
        let channel = within(DECLARE_DEADLINE, "opening a channel", connection.create_channel()).await?;
        self.declare(&channel).await?;
        Ok((connection, channel))
    }

    async fn connect(&self, node: &Node, purpose: &str) -> anyhow::Result<Line> {
        if self.abandoned_attempts.load(Ordering::Relaxed) >= MAX_ABANDONED_ATTEMPTS {
            error!("too many attempts to connect are hanging: starting over with a new process");
            std::process::exit(1);
        }
        let properties =
            ConnectionProperties::default().with_connection_name(format!("{} {purpose}", self.service).into());
        let mut attempt = tokio::spawn(node.clone().connect(properties));
        if let Ok(connected) = tokio::time::timeout(CONNECT_DEADLINE, &mut attempt).await {
            return Ok(Line::new(connected??));
        }
        let abandoned_attempts = Arc::clone(&self.abandoned_attempts);
        abandoned_attempts.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            // The connection of an attempt that ends after all is dropped, and so closed.
            drop(attempt.await);
            abandoned_attempts.fetch_sub(1, Ordering::Relaxed);
        });
        bail!("no connection within {CONNECT_DEADLINE:?}")
    }

    /// Declares the exchanges and the queues that this service takes messages from, so that it needs no right to those of
    /// the other one. Repeating it changes nothing.
    pub async fn declare(&self, channel: &Channel) -> anyhow::Result<()> {
        within(DECLARE_DEADLINE, "declaring exchanges and queues", self.declare_all(channel)).await
    }

    async fn declare_all(&self, channel: &Channel) -> lapin::Result<()> {
        let (exchange, dead_letter_exchange) = (self.topology.exchange(), self.topology.dead_letter_exchange());
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        for (name, kind) in [(&exchange, ExchangeKind::Topic), (&dead_letter_exchange, ExchangeKind::Direct)] {
            channel.exchange_declare(name.as_str().into(), kind, durable, FieldTable::default()).await?;
        }
        for event in self.published {
            let receipts = self.topology.receipts_queue(event);
            declare_queue(channel, &receipts, receipts_queue_arguments()).await?;
            bind(channel, &receipts, &exchange, self.topology.routing_key(&receipts)).await?;
        }
        for event in events::NAMES.iter().filter(|event| !self.published.contains(event)) {
            let (queue, dead_queue) = (self.topology.queue(event), self.topology.dead_queue(event));
            declare_queue(channel, &queue, event_queue_arguments(&dead_letter_exchange, &dead_queue)).await?;
            bind(channel, &queue, &exchange, event).await?;
            declare_queue(channel, &dead_queue, quorum_queue_arguments()).await?;
            bind(channel, &dead_queue, &dead_letter_exchange, &dead_queue).await?;
        }
        Ok(())
    }
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, routing_key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), routing_key.into(), options, FieldTable::default()).await
}

/// Quorum queues confirm only what is on disk, also on a single node; classic queues of RabbitMQ 4 do not.
fn quorum_queue_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn event_queue_arguments(dead_letter_exchange: &str, dead_queue: &str) -> FieldTable {
    let mut arguments = quorum_queue_arguments();
    // Stated, since RabbitMQ 4 has a default of 20 and RabbitMQ 3 has none.
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(dead_letter_exchange));
    arguments.insert("x-dead-letter-routing-key".into(), text(dead_queue));
    // A message on its way to the dead queue survives a crash of the broker; needs the overflow policy beside it.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

/// Receipts that nobody takes are dropped, the oldest first: what they would have settled is published again.
fn receipts_queue_arguments() -> FieldTable {
    let mut arguments = quorum_queue_arguments();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(MAX_RECEIPTS));
    arguments.insert("x-overflow".into(), text("drop-head"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// Bounds an exchange with the broker: lapin may wait for ever.
pub async fn within<T>(
    deadline: Duration,
    what: &str,
    exchange: impl Future<Output = lapin::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(deadline, exchange).await {
        Ok(answer) => answer.with_context(|| what.to_owned()),
        Err(_) => bail!("{what}: no answer within {deadline:?}"),
    }
}
