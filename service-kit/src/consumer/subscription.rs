//! What is done with the messages of a queue: decode and apply events, park what was given up, forget what has a receipt.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared_events::envelope::Envelope;
use shared_events::events::Event;
use shared_events::receipt::Receipt;
use uuid::Uuid;

use crate::broker::Broker;
use crate::crash_point::crash_point;
use crate::outbox::Outbox;
use crate::parked::Kind;
use crate::received::Received;
use crate::spans;

/// An event that contradicts what is known: no repetition will make it fit.
#[derive(Debug)]
pub struct Impossible {
    /// The envelope's id.
    pub event_id: Uuid,
    /// What it contradicts.
    pub reason: String,
}

type Handler = Arc<dyn Fn(Vec<Received>) -> BoxFuture<'static, Result<Vec<Refused>, sqlx::Error>> + Send + Sync>;

/// A message that cannot be applied, and why.
pub(super) struct Refused {
    pub(super) message: Received,
    pub(super) kind: Kind,
    pub(super) reason: String,
}

impl Refused {
    fn malformed(message: Received, why: impl std::fmt::Display) -> Self {
        Self { message, kind: Kind::Malformed, reason: format!("malformed: {why}") }
    }
}

/// What to do with the messages of one queue.
#[derive(Clone)]
pub struct Subscription {
    pub(super) queue: String,
    /// Where the publisher hears what has been settled.
    pub(super) receipts_queue: Option<String>,
    pub(super) handler: Handler,
}

impl Subscription {
    /// Gives batches of `E` to `apply`, which answers those that are impossible. It may be given any event again; what it takes
    /// for known has to be so where a standby has it, too.
    pub fn new<E, Apply, Applying>(broker: &Broker, apply: Apply) -> Self
    where
        E: Event + Send + 'static,
        Apply: Fn(Vec<Envelope<E>>) -> Applying + Send + Sync + 'static,
        Applying: Future<Output = Result<Vec<Impossible>, sqlx::Error>> + Send + 'static,
    {
        let (apply, metrics, topology) = (Arc::new(apply), broker.metrics.clone(), broker.topology.clone());
        let handler = move |messages: Vec<Received>| {
            let (apply, metrics, topology) = (Arc::clone(&apply), metrics.clone(), topology.clone());
            async move {
                let (events, mut refused) = decode::<E>(messages);
                let (messages, mut envelopes): (Vec<_>, Vec<_>) = events.into_iter().unzip();
                let ids: Vec<Uuid> = envelopes.iter().map(|envelope| envelope.id).collect();
                let times: Vec<_> = envelopes.iter().map(|envelope| envelope.time).collect();
                let spans = spans::of_processing(&mut envelopes, &topology);
                crash_point("event consumed, not applied");
                let impossible = apply(envelopes).await?;
                drop(spans);
                metrics.messaging().count_applied(E::NAME, times.into_iter());
                let reasons: HashMap<Uuid, String> =
                    impossible.into_iter().map(|impossible| (impossible.event_id, impossible.reason)).collect();
                refused.extend(messages.into_iter().zip(ids).filter_map(|(message, id)| {
                    let reason = reasons.get(&id)?.clone();
                    Some(Refused { message, kind: Kind::Impossible, reason })
                }));
                Ok(refused)
            }
            .boxed()
        };
        let topology = &broker.topology;
        Self {
            queue: topology.queue(E::NAME),
            receipts_queue: Some(topology.receipts_queue(E::NAME)),
            handler: Arc::new(handler),
        }
    }

    /// Parks what the queue of `E` gave up on.
    pub fn dead_letters<E: Event>(broker: &Broker) -> Self {
        let handler = |messages: Vec<Received>| {
            let refuse = |message| {
                let reason = "its queue gave up on delivering it".to_owned();
                Refused { message, kind: Kind::DeadLettered, reason }
            };
            async move { Ok(messages.into_iter().map(refuse).collect()) }.boxed()
        };
        let topology = &broker.topology;
        Self {
            queue: topology.dead_queue(E::NAME),
            receipts_queue: Some(topology.receipts_queue(E::NAME)),
            handler: Arc::new(handler),
        }
    }

    /// Forgets the events `E` of our own that their consumer has settled.
    pub fn receipts<E: Event>(broker: &Broker, outbox: Outbox) -> Self {
        let handler = move |messages: Vec<Received>| {
            let outbox = outbox.clone();
            async move {
                let (mut settled, mut refused) = (Vec::new(), Vec::new());
                for message in messages {
                    match serde_json::from_slice::<Receipt>(&message.body) {
                        Ok(receipt) => settled.extend(receipt.settled),
                        Err(problem) => refused.push(Refused::malformed(message, problem)),
                    }
                }
                crash_point("receipt consumed, event not forgotten");
                outbox.forget(&settled).await?;
                Ok(refused)
            }
            .boxed()
        };
        Self { queue: broker.topology.receipts_queue(E::NAME), receipts_queue: None, handler: Arc::new(handler) }
    }
}

fn decode<E: Event>(messages: Vec<Received>) -> (Vec<(Received, Envelope<E>)>, Vec<Refused>) {
    let (mut events, mut refused) = (Vec::new(), Vec::new());
    for message in messages {
        match serde_json::from_slice::<Envelope<E>>(&message.body) {
            Err(problem) => refused.push(Refused::malformed(message, problem)),
            Ok(envelope) if envelope.event != E::NAME => {
                refused.push(Refused::malformed(message, format_args!("its type is not {}", E::NAME)));
            }
            Ok(envelope) if envelope.subject != envelope.data.order_id() => {
                refused.push(Refused::malformed(message, "its subject is not its order"));
            }
            Ok(envelope) => events.push((message, envelope)),
        }
    }
    (events, refused)
}
