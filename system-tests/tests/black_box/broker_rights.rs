//! What the users of the services may do at the broker, by trying. What they need of it is seen by all other tests, since the
//! services of the stack have these users.

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};

use crate::stack::Stack;
use crate::storage::waiting;

/// A user, a queue that is its own, and one that the other service takes its messages from.
const USERS: [(&str, &str, &str, &str); 2] = [
    ("orders-service", "orders-demo-password", "payment-processed-event", "payment-create-event"),
    ("payments-service", "payments-demo-password", "payment-create-event", "payment-processed-event"),
];

#[derive(Clone, Copy, Debug)]
enum Attempt {
    Consume,
    Get,
    Purge,
    Delete,
    Redeclare,
    BindToOurs,
    Publish,
    PublishToAnyTopic,
    DeclareAnother,
    DeclareAnotherExchange,
    DeleteAnExchangeOfTheBroker,
}

const ATTEMPTS: [Attempt; 11] = [
    Attempt::Consume,
    Attempt::Get,
    Attempt::Purge,
    Attempt::Delete,
    Attempt::Redeclare,
    Attempt::BindToOurs,
    Attempt::Publish,
    Attempt::PublishToAnyTopic,
    Attempt::DeclareAnother,
    Attempt::DeclareAnotherExchange,
    Attempt::DeleteAnExchangeOfTheBroker,
];

#[test]
fn a_service_reaches_no_queue_of_the_other_and_nothing_else_at_the_broker() {
    for (user, password, own, others) in USERS {
        for queue in [others.to_owned(), format!("{others}.dead"), format!("{own}.receipts")] {
            for attempt in ATTEMPTS {
                assert_eq!(
                    waiting().block_on(refusal(user, password, &queue, attempt)),
                    Some(403),
                    "{user}, {queue}: {attempt:?}"
                );
            }
        }
        let own = waiting().block_on(refusal(user, password, own, Attempt::Get));
        assert_eq!(own, None, "{user} may take from its own queue");
    }
}

/// The code with which the broker refuses something; `None` if it does not.
async fn refusal(user: &str, password: &str, queue: &str, attempt: Attempt) -> Option<u16> {
    let operator = Stack::now().amqp;
    let server = operator.split('@').nth(1).expect("a URL with a login").to_owned();
    let url = format!("amqp://{user}:{password}@{server}");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("the user is let in");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    let tried = dare(&channel, queue, attempt).await;
    tried.err().map(|problem| match problem.kind() {
        lapin::ErrorKind::ProtocolError(refusal) => refusal.get_id(),
        _ => panic!("{attempt:?}: {problem}"),
    })
}

async fn dare(channel: &Channel, queue: &str, attempt: Attempt) -> lapin::Result<()> {
    let none = FieldTable::default;
    let name = || queue.into();
    match attempt {
        Attempt::Consume => {
            channel.basic_consume(name(), "".into(), BasicConsumeOptions::default(), none()).await.map(drop)
        }
        Attempt::Get => channel.basic_get(name(), BasicGetOptions::default()).await.map(drop),
        Attempt::Purge => channel.queue_purge(name(), QueuePurgeOptions::default()).await.map(drop),
        Attempt::Delete => channel.queue_delete(name(), QueueDeleteOptions::default()).await.map(drop),
        Attempt::Redeclare => channel.queue_declare(name(), QueueDeclareOptions::default(), none()).await.map(drop),
        Attempt::BindToOurs => {
            let exchange = "order-processing".into();
            channel.queue_bind(name(), exchange, "#".into(), QueueBindOptions::default(), none()).await
        }
        // The default exchange leads to every queue there is.
        Attempt::Publish => publish(channel, "", queue).await,
        Attempt::PublishToAnyTopic => publish(channel, "amq.topic", queue).await,
        Attempt::DeclareAnother => {
            channel.queue_declare("planted".into(), QueueDeclareOptions::default(), none()).await.map(drop)
        }
        Attempt::DeclareAnotherExchange => {
            let options = ExchangeDeclareOptions::default();
            channel.exchange_declare("planted".into(), ExchangeKind::Fanout, options, none()).await
        }
        Attempt::DeleteAnExchangeOfTheBroker => {
            channel.exchange_delete("amq.topic".into(), ExchangeDeleteOptions::default()).await
        }
    }
}

async fn publish(channel: &Channel, exchange: &str, queue: &str) -> lapin::Result<()> {
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(exchange.into(), queue.into(), options, b"planted", BasicProperties::default());
    sent.await?.await.map(drop)
}
