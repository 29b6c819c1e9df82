//! What the users of the services may do at the broker, by trying. What they need of it is seen by all other tests, since the
//! services of the stack have these users.

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ExchangeBindOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, ExchangeUnbindOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, Event, ExchangeKind};
use tokio::time::timeout;

use crate::polling::DEADLINE;
use crate::stack::{self, Stack};
use crate::storage::waiting;

const EXCHANGE: &str = "order-processing";
const DEAD_LETTERS: &str = "order-processing.dead";
const FORBIDDEN: Option<u16> = Some(403);

struct User {
    name: &'static str,
    password: &'static str,
    own: &'static [&'static str],
    others: &'static [&'static str],
}

const USERS: [User; 2] = [
    User { name: "orders-service", password: "orders-demo-password", own: &OF_ORDERS, others: &OF_PAYMENTS },
    User { name: "payments-service", password: "payments-demo-password", own: &OF_PAYMENTS, others: &OF_ORDERS },
];

const OF_ORDERS: [&str; 4] = [
    "payment-processed-event",
    "payment-processed-event.dead",
    "payment-create-event.receipts",
    "payment-cancel-event.receipts",
];

const OF_PAYMENTS: [&str; 5] = [
    "payment-create-event",
    "payment-create-event.dead",
    "payment-cancel-event",
    "payment-cancel-event.dead",
    "payment-processed-event.receipts",
];

#[derive(Clone, Copy, Debug)]
enum Attempt {
    Consume(&'static str),
    Get(&'static str),
    Purge(&'static str),
    Delete(&'static str),
    Declare(&'static str),
    /// A queue to the exchange, under a key.
    Bind(&'static str, &'static str),
    Unbind(&'static str, &'static str),
    /// To an exchange, under a key.
    Publish(&'static str, &'static str),
    DeclareExchange(&'static str),
    DeleteExchange(&'static str),
    /// What comes to the second is to go to the first as well, under a key.
    BindExchanges(&'static str, &'static str, &'static str),
    UnbindExchanges(&'static str, &'static str, &'static str),
}

#[test]
fn a_service_reaches_no_queue_of_the_other_and_nothing_else_at_the_broker() {
    let _stack = stack::shared();
    for user in &USERS {
        for queue in user.others.iter().copied().chain(["planted"]) {
            for attempt in [
                Attempt::Consume(queue),
                Attempt::Get(queue),
                Attempt::Purge(queue),
                Attempt::Delete(queue),
                Attempt::Declare(queue),
                Attempt::Bind(queue, "#"),
                Attempt::Unbind(queue, queue),
            ] {
                user.tries(attempt, FORBIDDEN);
            }
        }
        for attempt in [
            Attempt::DeclareExchange("planted"),
            Attempt::DeleteExchange("amq.topic"),
            Attempt::BindExchanges("amq.topic", EXCHANGE, user.own[0]),
            Attempt::BindExchanges(EXCHANGE, "amq.topic", user.own[0]),
        ] {
            user.tries(attempt, FORBIDDEN);
        }
        user.tries(Attempt::Get(user.own[0]), None);
    }
}

#[test]
fn a_service_has_only_that_led_to_its_queues_which_is_meant_for_them() {
    let _stack = stack::shared();
    for user in &USERS {
        let own = user.own[0];
        user.tries(Attempt::Bind(own, own), None);
        for key in user.others.iter().copied().chain(["#", "*", "payment-*"]) {
            user.tries(Attempt::Bind(own, key), FORBIDDEN);
            user.tries(Attempt::BindExchanges(DEAD_LETTERS, EXCHANGE, key), FORBIDDEN);
        }
        // As THREATS.md admits. It is not done, but it would be: there is no such binding.
        user.tries(Attempt::UnbindExchanges(EXCHANGE, DEAD_LETTERS, "planted"), None);
    }
}

#[test]
fn a_service_publishes_to_the_exchanges_of_the_system_and_to_no_queue_that_they_do_not_lead_to() {
    let _stack = stack::shared();
    for user in &USERS {
        for key in OF_ORDERS.into_iter().chain(OF_PAYMENTS).chain(["planted", "#"]) {
            // The default exchange leads to every queue there is.
            for exchange in ["", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"] {
                user.tries(Attempt::Publish(exchange, key), FORBIDDEN);
            }
            // Its own events, its receipts of the other's, and what it replays to itself.
            let is_known = key.ends_with("-event") || key.ends_with(".receipts");
            user.tries(Attempt::Publish(EXCHANGE, key), if is_known { None } else { FORBIDDEN });
            // As THREATS.md admits: who declares a queue has to have this right to where its dead letters go.
            user.tries(Attempt::Publish(DEAD_LETTERS, key), None);
        }
        // As THREATS.md admits: it is only because they are in use that they are not deleted here.
        for exchange in [EXCHANGE, DEAD_LETTERS] {
            user.tries(Attempt::DeleteExchange(exchange), Some(406));
        }
    }
}

impl User {
    #[track_caller]
    fn tries(&self, attempt: Attempt, expected: Option<u16>) {
        let refused = waiting().block_on(self.refusal(attempt));
        assert_eq!(refused, expected, "{}: {attempt:?}", self.name);
    }

    /// The code with which the broker refuses something; `None` if it does not.
    async fn refusal(&self, attempt: Attempt) -> Option<u16> {
        let operator = Stack::now().amqp;
        let server = operator.split('@').nth(1).expect("a URL with a login").to_owned();
        let url = format!("amqp://{}:{}@{server}", self.name, self.password);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("the user is let in");
        let (channel, mut events) =
            (connection.create_channel().await.expect("a channel"), connection.events_listener());
        let problem = dare(&channel, attempt).await.err()?;
        // What is said on a channel that the broker has closed already is not told why.
        let refused = async {
            while let Some(event) = events.next().await {
                if let Event::Error(problem) = event
                    && let ErrorKind::ProtocolError(refusal) = problem.kind()
                {
                    return Some(refusal.get_id());
                }
            }
            None
        };
        let code = timeout(DEADLINE, refused).await.ok().flatten();
        Some(code.unwrap_or_else(|| panic!("{}, {attempt:?}: {problem}", self.name)))
    }
}

async fn dare(channel: &Channel, attempt: Attempt) -> lapin::Result<()> {
    let none = FieldTable::default;
    match attempt {
        Attempt::Consume(queue) => {
            channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), none()).await.map(drop)
        }
        Attempt::Get(queue) => channel.basic_get(queue.into(), BasicGetOptions::default()).await.map(drop),
        Attempt::Purge(queue) => channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.map(drop),
        Attempt::Delete(queue) => channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.map(drop),
        Attempt::Declare(queue) => {
            channel.queue_declare(queue.into(), QueueDeclareOptions::default(), none()).await.map(drop)
        }
        Attempt::Bind(queue, key) => {
            let options = QueueBindOptions::default();
            channel.queue_bind(queue.into(), EXCHANGE.into(), key.into(), options, none()).await
        }
        Attempt::Unbind(queue, key) => channel.queue_unbind(queue.into(), EXCHANGE.into(), key.into(), none()).await,
        Attempt::Publish(exchange, key) => publish(channel, exchange, key).await,
        Attempt::DeclareExchange(exchange) => {
            let options = ExchangeDeclareOptions::default();
            channel.exchange_declare(exchange.into(), ExchangeKind::Fanout, options, none()).await
        }
        Attempt::DeleteExchange(exchange) => {
            channel.exchange_delete(exchange.into(), ExchangeDeleteOptions { if_unused: true, nowait: false }).await
        }
        Attempt::BindExchanges(to, from, key) => {
            let options = ExchangeBindOptions::default();
            channel.exchange_bind(to.into(), from.into(), key.into(), options, none()).await
        }
        Attempt::UnbindExchanges(to, from, key) => {
            let options = ExchangeUnbindOptions::default();
            channel.exchange_unbind(to.into(), from.into(), key.into(), options, none()).await
        }
    }
}

/// Of what is allowed nothing arrives.
async fn publish(channel: &Channel, exchange: &str, key: &str) -> lapin::Result<()> {
    channel.tx_select().await?;
    let properties = BasicProperties::default();
    channel.basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), b"planted", properties).await?;
    channel.tx_rollback().await
}
