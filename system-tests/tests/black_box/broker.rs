//! The messages of the broker: those of every queue, and a copy of all that are sent.

use std::process::Command;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use shared_events::events::{Event, PaymentCancel, PaymentCreate, PaymentProcessed};
use shared_events::topology::Topology;
use uuid::Uuid;

use crate::polling::eventually;
use crate::stack::{self, Stack};
use crate::storage::{Reader, waiting};

/// A queue of our own that gets, and keeps, a copy of every event from now on.
pub struct Copies {
    queue: String,
}

impl Copies {
    pub fn begin() -> Self {
        let queue = format!("copies-{}", Uuid::new_v4());
        // As those of the services; should the test fail, it goes by itself.
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        arguments.insert("x-expires".into(), AMQPValue::LongInt(600_000));
        waiting().block_on(async {
            let (_connection, channel) = connect().await;
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.as_str().into(), durable, arguments).await.expect("the queue is declared");
            let exchange = Topology::default().exchange();
            let (queue, everything) = (queue.as_str().into(), "#".into());
            channel
                .queue_bind(queue, exchange.into(), everything, QueueBindOptions::default(), FieldTable::default())
                .await
                .expect("the queue is bound");
        });
        Self { queue }
    }

    /// Adds a message that is in no other queue.
    pub fn add(&self, message: &str) {
        publish(&self.queue, message);
    }

    pub fn read(&self) -> Vec<String> {
        waiting().block_on(read(&self.queue))
    }

    pub fn end(self) {
        waiting().block_on(async {
            let (_connection, channel) = connect().await;
            let queue = self.queue.as_str().into();
            channel.queue_delete(queue, QueueDeleteOptions::default()).await.expect("the queue is deleted");
        });
    }
}

/// Adds a message to this queue alone, as soon as its service has declared it.
#[track_caller]
pub fn publish(queue: &str, message: &str) {
    publish_in(&Stack::now(), queue, message);
}

/// The same in another stack than the common one.
#[track_caller]
pub fn publish_in(stack: &Stack, queue: &str, message: &str) {
    eventually(format_args!("{queue} takes a message"), || {
        let answer = waiting().block_on(async {
            let (_connection, channel) = connect_to(stack).await;
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
            let (straight, persistent) = ("".into(), BasicProperties::default().with_delivery_mode(2));
            let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let sent = channel.basic_publish(straight, queue.into(), mandatory, message.as_bytes(), persistent).await;
            sent.expect("it is sent").await.expect("it is answered")
        });
        assert!(answer.is_ack(), "the broker has not taken it");
        answer.take_message().map_or(Ok(()), |_| Err("there is no such queue yet"))
    });
}

/// Every message that waits in any queue of the broker, with its properties.
pub fn read_messages(tell: Reader) {
    for queue in queues() {
        let place = format!("queue {queue}");
        tell(&place, b"");
        for message in waiting().block_on(read(&queue)) {
            tell(&place, message.as_bytes());
        }
    }
}

/// How many messages wait in the queues of the services, where there are any.
pub fn waiting_messages() -> Vec<(String, u32)> {
    let topology = Topology::default();
    let events = [PaymentCreate::NAME, PaymentCancel::NAME, PaymentProcessed::NAME];
    let queues = events
        .iter()
        .flat_map(|event| [topology.queue(event), topology.receipts_queue(event), topology.dead_queue(event)]);
    waiting().block_on(async {
        let (_connection, channel) = connect().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let mut waiting = Vec::new();
        for name in queues {
            let queue = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await;
            waiting.push((name, queue.expect("the queue is there").message_count()));
        }
        waiting.retain(|(_, messages)| *messages > 0);
        waiting
    })
}

/// As the broker itself lists them.
fn queues() -> Vec<String> {
    control(&["list_queues", "name"])
}

/// What the broker answers to a command, line by line.
pub fn control(command: &[&str]) -> Vec<String> {
    let control = stack::dir().join("rabbitmq/ctl");
    let answer = Command::new(control).args(["--quiet", "--silent"]).args(command).output();
    let answer = answer.expect("rabbitmqctl can be run");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect()
}

/// The messages go back into the queue with the end of the connection.
async fn read(queue: &str) -> Vec<String> {
    let (_connection, channel) = connect().await;
    let mut messages = Vec::new();
    while let Some(message) =
        channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("the queue is read")
    {
        let delivery = message.delivery;
        messages.push(format!("{} {:?}", String::from_utf8_lossy(&delivery.data), delivery.properties));
    }
    messages
}

async fn connect() -> (Connection, Channel) {
    connect_to(&Stack::now()).await
}

async fn connect_to(stack: &Stack) -> (Connection, Channel) {
    let connection =
        Connection::connect(&stack.amqp, ConnectionProperties::default()).await.expect("the broker answers");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}
