//! The service under test, with its requests named after its routes and its rows after what they mean.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use chrono::Utc;
use clap::Parser;
use payments_service::card::{Card, PayWithCard};
use payments_service::config::Config;
use payments_service::processor::{AttemptId, CardProcessor, Charge, Verdict};
use payments_service::sandbox::{self, Sandbox};
use payments_service::{App, EVENTS, MIGRATOR, SCHEMA, http, openapi, order_events, payments, settlement};
use serde_json::{Value, json};
use service_kit::broker::Broker;
use service_kit::metrics::Metrics;
use service_kit::outbox;
use service_kit::pool::Database;
use service_kit::testing::{self, Answer, Client, DEMO_TOKENS, TOKEN};
use shared_events::envelope::{self, Envelope, SpecVersion};
use shared_events::events::{CancelReason, Event, PaymentCancel, PaymentCreate};
use shared_events::ids::{OrderId, UserId};
use shared_events::money::{Currency, MinorUnits};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::{NoContext, Timestamp, Uuid};

use crate::held_processor::{HeldProcessor, Hold};

pub const APPROVED: &str = "4242424242424242";
pub const DECLINED: &str = "4000000000000002";
/// Charged, and the answer is lost.
pub const CHARGED_IN_SILENCE: &str = "4000000000006108";
/// Not charged, and the answer is lost.
pub const LOST: &str = "4000000000006207";
pub const SLOW: &str = "4000000000006306";
/// Its refund fails once.
pub const STUMBLES_ON_REFUND: &str = "4000000000006405";

/// The bill of every [`TestApp::held_payment`].
pub const BILL: i64 = 62243;

/// The service on a fresh database, without a broker: what it would publish stays in its outbox.
pub struct TestApp {
    pub app: App,
    pub client: Client,
    /// The card processor's own login.
    pub book: Database,
    config: Config,
}

impl TestApp {
    /// The service with the sandbox.
    pub async fn start(superuser: PgPool) -> Arc<Self> {
        Self::start_with(superuser, None, Sandbox::new).await.0
    }

    /// The service with a processor that the test can hold.
    pub async fn start_held(superuser: PgPool, hold: Hold) -> (Arc<Self>, Arc<HeldProcessor>) {
        Self::start_with(superuser, None, |book| HeldProcessor::new(Sandbox::new(book), hold)).await
    }

    /// The service with a processor that no charge reaches, and pays that give up waiting for it almost at once.
    pub async fn start_impatient(superuser: PgPool) -> (Arc<Self>, Arc<HeldProcessor>) {
        let unreachable = |book| HeldProcessor::new(Sandbox::new(book), Hold::BeforeCharging);
        Self::start_with(superuser, Some(Duration::from_millis(100)), unreachable).await
    }

    async fn start_with<Processor: CardProcessor + 'static>(
        superuser: PgPool,
        patience_of_pays: Option<Duration>,
        processor: impl FnOnce(Database) -> Processor,
    ) -> (Arc<Self>, Arc<Processor>) {
        testing::bootstrap(&superuser).await;
        let url = testing::migrate(&superuser, SCHEMA, &MIGRATOR).await;
        let book_url = testing::migrate(&superuser, sandbox::SCHEMA, &sandbox::MIGRATOR).await;
        let config = Config::parse_from([
            "payments-service",
            "--database-url",
            &url,
            "--sandbox-database-url",
            &book_url,
            "--amqp-url",
            "amqp://localhost",
            "--auth-demo-tokens",
            DEMO_TOKENS,
        ]);
        let (database, book) =
            (Database::connect_lazy(&url, 4).expect("a pool"), Database::connect_lazy(&book_url, 2).expect("a pool"));
        let broker = Broker::new(&config.settings, "payments-service", EVENTS).expect("a broker");
        let (outbox, _relay) = outbox::open(database.clone(), broker, SCHEMA, EVENTS);
        let processor = Arc::new(processor(book.clone()));
        let app = App::new(database, outbox, processor.clone(), &Metrics::default(), &config).expect("sound settings");
        let paying = patience_of_pays.map_or_else(
            || app.clone(),
            |patience| replica_of(&app, &Config { processor_timeout: patience, ..config.clone() }),
        );
        (
            Arc::new(Self {
                client: Client::documented(http::routes(paying), openapi::description()),
                app,
                book,
                config,
            }),
            processor,
        )
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.client.send(Method::GET, path, TOKEN, &Value::Null).await
    }

    pub async fn get_payment(&self, id: OrderId) -> Value {
        self.get(&format!("/api/payments/{id}")).await.expect(StatusCode::OK)
    }

    /// The `status` of the payment.
    pub async fn status(&self, id: OrderId) -> String {
        self.get_payment(id).await["status"].as_str().expect("a status").to_owned()
    }

    pub async fn pay(&self, id: OrderId, number: &str) -> Answer {
        self.pay_with(id, &card_body(number)).await
    }

    pub async fn pay_with(&self, id: OrderId, body: &Value) -> Answer {
        self.client.send(Method::POST, &format!("/api/payments/pay/{id}"), TOKEN, body).await
    }

    /// Pays as a client of its own.
    pub fn spawn_pay(self: &Arc<Self>, id: OrderId, number: &'static str) -> JoinHandle<Answer> {
        let service = Arc::clone(self);
        tokio::spawn(async move { service.pay(id, number).await })
    }

    /// Holds a payment for an order that was placed an hour ago, so that nobody waits for it; answers the order's id.
    pub async fn held_payment(&self) -> OrderId {
        let id = old_order();
        assert_eq!(self.hear_create(vec![create(id)]).await, [""; 0]);
        id
    }

    /// Gives events to the consumer, as one batch; answers why any were refused.
    pub async fn hear_create(&self, events: Vec<PaymentCreate>) -> Vec<String> {
        let batch = events.into_iter().map(in_envelope).collect();
        let refused = order_events::on_payment_create(self.app.clone(), batch).await.expect("the database answers");
        refused.into_iter().map(|impossible| impossible.reason).collect()
    }

    /// Gives cancels to the consumer, as one batch.
    pub async fn hear_cancel(&self, orders: Vec<OrderId>) {
        let cancel = |order_id| in_envelope(PaymentCancel { order_id, reason: CancelReason::User });
        let batch = orders.into_iter().map(cancel).collect();
        let refused = order_events::on_payment_cancel(self.app.clone(), batch).await.expect("the database answers");
        assert!(refused.is_empty(), "a cancel is never impossible");
    }

    /// Cancels as the consumer, in a task of its own.
    pub fn spawn_cancel(self: &Arc<Self>, id: OrderId) -> JoinHandle<()> {
        let service = Arc::clone(self);
        tokio::spawn(async move { service.hear_cancel(vec![id]).await })
    }

    /// Lets one more replica of the settlement worker look at all that is due.
    pub fn spawn_settlement(self: &Arc<Self>) -> JoinHandle<()> {
        let service = Arc::clone(self);
        tokio::spawn(async move { service.settle_due().await })
    }

    /// Another replica settles what is due.
    pub fn spawn_settlement_elsewhere(&self) -> JoinHandle<()> {
        let replica = replica_of(&self.app, &self.config);
        tokio::spawn(async move { settlement::settle_due(&replica).await.expect("the database answers") })
    }

    /// The charge of an attempt arrives at the processor now, however late that is.
    pub async fn charge_late(&self, id: OrderId, attempt_id: AttemptId, number: &str) -> Verdict {
        let (amount, currency) = (MinorUnits(BILL), Currency::DEFAULT);
        let charge = Charge { attempt_id, order_id: id, amount, currency, card: card(number) };
        Sandbox::new(self.book.clone()).charge(charge).await.expect("an answer")
    }

    /// Begins an attempt and then dies: the card processor has not been asked.
    pub async fn begin_and_die(&self, id: OrderId, number: &str) -> AttemptId {
        let attempt_id = AttemptId::generate();
        let mut payments = payments::find_many(&self.app.database, &[id]).await.expect("the database answers");
        let payment = payments.remove(&id).expect("a payment");
        let change = payment.begin(attempt_id, &card(number).summary()).expect("is payable");
        let begun = payments::apply(&self.app.database, &self.app.outbox, self.app.settle_after(), &[change]).await;
        assert!(begun.expect("the database answers").contains_key(&id));
        attempt_id
    }

    /// Lets the settlement worker look once at all that is due, after the time for this order has come.
    pub async fn settle_in_time(&self, id: OrderId) {
        self.make_due(id).await;
        self.settle_due().await;
    }

    pub async fn settle_due(&self) {
        settlement::settle_due(&self.app).await.expect("the database answers");
    }

    /// Makes time pass, for a charge or refund without an answer.
    pub async fn make_due(&self, id: OrderId) {
        for statement in [
            "update payments.attempts set settle_at = now() where order_id = $1 and settle_at is not null",
            "update payments.payments set settle_at = now() where order_id = $1 and settle_at is not null",
        ] {
            sqlx::query(statement).bind(id).execute(&self.app.database).await.expect("the statement runs");
        }
    }

    /// The outbox: what the orders service is told of this payment.
    pub async fn outbox(&self, id: OrderId) -> Vec<(String, Value)> {
        sqlx::query_as("select event, data from payments.outbox where order_id = $1 order by id")
            .bind(id)
            .fetch_all(&self.app.database)
            .await
            .expect("the outbox can be read")
    }

    /// The outbox in short: `status version` for each event.
    pub async fn told(&self, id: OrderId) -> Vec<String> {
        let line = |(event, data): (String, Value)| {
            assert_eq!(event, "payment-processed-event");
            format!("{} {}", data["status"].as_str().unwrap_or("?"), data["version"])
        };
        self.outbox(id).await.into_iter().map(line).collect()
    }

    /// Every attempt in short: `number outcome brand last4 declineCode`.
    pub async fn attempts(&self, id: OrderId) -> Vec<String> {
        sqlx::query_scalar(
            "select concat_ws(' ', number, outcome, card_brand, card_last4, decline_code)
             from payments.attempts where order_id = $1 order by number",
        )
        .bind(id)
        .fetch_all(&self.app.database)
        .await
        .expect("the attempts can be read")
    }

    /// What moved through the card processor's account for this order. The whole ledger is checked on the way: each
    /// transaction has two entries that sum to zero.
    pub async fn ledger(&self, id: OrderId) -> Vec<i64> {
        let unbalanced = "select tx_id from payments.ledger group by tx_id having sum(amount) <> 0 or count(*) <> 2";
        let unbalanced: Vec<Uuid> =
            sqlx::query_scalar(unbalanced).fetch_all(&self.app.database).await.expect("the ledger can be read");
        assert!(unbalanced.is_empty(), "{unbalanced:?}");
        sqlx::query_scalar(
            "select amount from payments.ledger where order_id = $1 and account = 'card_processor' order by posted_at",
        )
        .bind(id)
        .fetch_all(&self.app.database)
        .await
        .expect("the ledger can be read")
    }

    /// The card processor's own book: the status of each attempt it has heard of, oldest first.
    pub async fn book(&self, id: OrderId) -> Vec<String> {
        sqlx::query_scalar("select status from sandbox.charges where order_id = $1 order by attempt_id")
            .bind(id)
            .fetch_all(&self.book)
            .await
            .expect("the book can be read")
    }
}

/// The id of an order that was placed an hour ago.
pub fn old_order() -> OrderId {
    let placed_at = Utc::now() - Duration::from_hours(1);
    OrderId(Uuid::new_v7(Timestamp::from_unix(NoContext, placed_at.timestamp().cast_unsigned(), 0)))
}

/// The order of the payment.
pub fn order_of(payment: &Value) -> OrderId {
    OrderId(payment["orderId"].as_str().expect("an id").parse().expect("a UUID"))
}

/// The event that holds a [`TestApp::held_payment`].
pub fn create(order_id: OrderId) -> PaymentCreate {
    let created_by = UserId("somerandomuserid".to_owned());
    PaymentCreate { order_id, created_by, bill: MinorUnits(BILL), currency: Currency::DEFAULT }
}

/// The body that pays with this card.
pub fn card_body(number: &str) -> Value {
    json!({"creditCardDetails": {"number": number, "cvt": "8351", "expiry": "11/2099"}})
}

pub fn card(number: &str) -> Card {
    let body: PayWithCard = serde_json::from_value(card_body(number)).expect("a body");
    body.into_card().expect("a card")
}

/// Another replica, on the same tables and the same processor.
fn replica_of(app: &App, config: &Config) -> App {
    let (database, outbox, processor) = (app.database.clone(), app.outbox.clone(), app.processor.clone());
    App::new(database, outbox, processor, &Metrics::default(), config).expect("sound settings")
}

fn in_envelope<E: Event>(event: E) -> Envelope<E> {
    Envelope {
        specversion: SpecVersion::V1,
        id: Uuid::now_v7(),
        source: "/orders-service".to_owned(),
        event: E::NAME.to_owned(),
        subject: event.order_id(),
        time: Utc::now(),
        datacontenttype: "application/json".to_owned(),
        dataschema: envelope::data_schema(E::NAME),
        traceparent: None,
        data: event,
    }
}
