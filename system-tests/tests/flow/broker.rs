//! The tests' own hands at the broker.

use std::time::Duration;

use lapin::options::{
    BasicPublishOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};
use shared_events::ids::OrderId;
use uuid::Uuid;

use crate::services::{DEADLINE, Services, amqp_url};

/// A channel of the tests.
pub struct Hands {
    connection: Connection,
    channel: Channel,
}

impl Hands {
    pub async fn new() -> Self {
        let connection =
            Connection::connect(&amqp_url(), ConnectionProperties::default()).await.expect("the broker answers");
        let channel = connection.create_channel().await.expect("a channel");
        Self { connection, channel }
    }

    /// Publishes any body as if it were this event.
    pub async fn publish(&self, services: &Services, event: &str, body: &[u8]) {
        let exchange = services.topology.exchange();
        self.publish_to(&exchange, event, body).await;
    }

    /// Publishes any body to an exchange; the default exchange, `""`, routes to the queue of that name.
    pub async fn publish_to(&self, exchange: &str, routing_key: &str, body: &[u8]) {
        self.channel
            .basic_publish(
                exchange.into(),
                routing_key.into(),
                BasicPublishOptions::default(),
                body,
                BasicProperties::default().with_message_id("from-a-test".into()),
            )
            .await
            .expect("it is sent")
            .await
            .expect("it is confirmed or needs no confirm");
    }

    pub async fn delete_queue(&self, name: &str) {
        self.channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.expect("the queue is deleted");
    }

    /// Takes the queue out of the exchange, so that what is published comes back to its publisher.
    pub async fn unbind(&self, services: &Services, event: &str) {
        let (queue, exchange) = (services.topology.queue(event), services.topology.exchange());
        let unbound =
            self.channel.queue_unbind(queue.into(), exchange.into(), event.into(), FieldTable::default()).await;
        unbound.expect("the queue is unbound");
    }

    /// A queue of the tests that is to have this event too and takes nothing, so that the broker refuses to confirm it.
    pub async fn refuse(&self, services: &Services, event: &str) -> String {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(0));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare("".into(), exclusive, arguments).await;
        let full = declared.expect("a queue").name().to_string();
        self.bind(services, event, &full).await;
        full
    }

    async fn bind(&self, services: &Services, event: &str, queue: &str) {
        let (exchange, options) = (services.topology.exchange(), QueueBindOptions::default());
        let bound =
            self.channel.queue_bind(queue.into(), exchange.into(), event.into(), options, FieldTable::default());
        bound.await.expect("the queue is bound");
    }

    /// Throws away what waits in the queue; answers how many messages that were.
    pub async fn purge(&self, queue: &str) -> u32 {
        self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("the queue is purged")
    }

    pub async fn exists(&self, queue: &str) -> bool {
        let channel = self.connection.create_channel().await.expect("a channel");
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), passive, FieldTable::default()).await.is_ok()
    }

    /// A queue of the tests that gets a copy of this event from now on.
    pub async fn copies_of(&self, services: &Services, event: &str) -> String {
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare("".into(), exclusive, FieldTable::default()).await;
        let copies = declared.expect("a queue").name().to_string();
        self.bind(services, event, &copies).await;
        copies
    }

    /// Whether nothing waits in the queue, now or before the deadline.
    pub async fn is_empty_soon(&self, queue: &str) -> bool {
        self.holds_soon(queue, 0).await
    }

    /// How many have subscribed to the queue.
    pub async fn consumers(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
        declared.expect("the queue is there").consumer_count()
    }

    /// Whether so many messages wait in the queue, now or before the deadline.
    pub async fn holds_soon(&self, queue: &str, messages: u32) -> bool {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let waiting = async {
            let declare = || self.channel.queue_declare(queue.into(), passive, FieldTable::default());
            while declare().await.expect("the queue is there").message_count() != messages {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.is_ok()
    }
}

/// An event in its envelope.
pub fn event(name: &str, order_id: OrderId, data: &Value) -> Vec<u8> {
    json!({
        "specversion": "1.0",
        "id": Uuid::now_v7(),
        "source": "/tests",
        "type": name,
        "subject": order_id,
        "time": "2026-01-01T10:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": format!("/schemas/{name}/1"),
        "data": data,
    })
    .to_string()
    .into_bytes()
}
