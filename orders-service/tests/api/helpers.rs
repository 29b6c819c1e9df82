//! The service under test, with its requests named after its routes.

use axum::http::{Method, StatusCode};
use chrono::Utc;
use clap::Parser;
use orders_service::config::Config;
use orders_service::webhooks::measured::Measured;
use orders_service::{App, EVENTS, MIGRATOR, SCHEMA, http, openapi, payment_events};
use serde_json::{Value, json};
use service_kit::broker::Broker;
use service_kit::metrics::Metrics;
use service_kit::outbox;
use service_kit::pool::Database;
use service_kit::testing::events::EventStream;
use service_kit::testing::{self, Answer, Client, DEMO_TOKENS, Login, TOKEN};
use shared_events::envelope::{self, Envelope, SpecVersion};
use shared_events::events::{Event, PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, PaymentId};
use shared_events::money::{Currency, MinorUnits};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The service on a fresh database, without a broker: what it would publish stays in its outbox.
pub struct TestApp {
    pub app: App,
    pub client: Client,
    pub metrics: Metrics,
    /// What is counted of webhooks.
    pub measured: Measured,
    /// Ends the streams.
    pub stop: CancellationToken,
    /// Who may do to the rows what the service may not.
    pub superuser: PgPool,
}

impl TestApp {
    pub async fn start(superuser: PgPool) -> Self {
        testing::bootstrap(&superuser).await;
        testing::migrate(&superuser, SCHEMA, &MIGRATOR).await;
        Self::with(&superuser, &[])
    }

    /// Another replica on the same database.
    pub fn replica(superuser: &PgPool) -> Self {
        Self::with(superuser, &[])
    }

    /// One with these settings.
    pub fn with(superuser: &PgPool, settings: &[&str]) -> Self {
        let url = testing::url_of(superuser, SCHEMA, Login::Service);
        let usual = [
            "orders-service",
            "--database-url",
            &url,
            "--amqp-url",
            "amqp://localhost",
            "--auth-demo-tokens",
            DEMO_TOKENS,
        ];
        let config = Config::parse_from(usual.iter().chain(settings));
        let database = Database::connect_lazy(&url, 4).expect("a pool");
        let broker = Broker::new(&config.settings, "orders-service", EVENTS).expect("a broker");
        let (outbox, _relay) = outbox::open(database.clone(), broker, SCHEMA, EVENTS);
        let metrics = Metrics::default();
        let measured = Measured::new(&metrics);
        let app = App::new(database, outbox, &metrics, &config).expect("sound settings");
        let stop = CancellationToken::new();
        tokio::spawn(app.live.clone().run(stop.clone()));
        let client = Client::documented(http::routes(app.clone()), openapi::description());
        Self { client, metrics, measured, app, stop, superuser: superuser.clone() }
    }

    pub async fn post_order(&self, body: Value) -> Answer {
        self.client.send(Method::POST, "/api/orders", TOKEN, &body).await
    }

    /// Places an order and answers its id.
    pub async fn placed_order(&self) -> OrderId {
        id_of(&self.post_order(json!({"bill": 62243})).await.expect(StatusCode::CREATED))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.client.send(Method::GET, path, TOKEN, &Value::Null).await
    }

    /// Opens a stream.
    pub async fn follow(&self, path: &str, last_event_id: Option<&str>) -> EventStream {
        self.client.follow(path, TOKEN, last_event_id).await
    }

    pub async fn get_order(&self, id: OrderId) -> Value {
        self.get(&format!("/api/orders/{id}")).await.expect(StatusCode::OK)
    }

    pub async fn delete_order(&self, id: OrderId) -> Answer {
        self.client.send(Method::DELETE, &format!("/api/orders/{id}"), TOKEN, &Value::Null).await
    }

    /// The order's history as `status cause` lines.
    pub async fn history(&self, id: OrderId) -> Vec<String> {
        let entries = self.get(&format!("/api/orders/{id}/events")).await.expect(StatusCode::OK);
        let line = |entry: &Value| {
            format!("{} {}", entry["status"].as_str().unwrap_or("?"), entry["cause"].as_str().unwrap_or("?"))
        };
        entries.as_array().expect("a list").iter().map(line).collect()
    }

    /// Gives events to the consumer, as one batch; answers why any were refused.
    pub async fn hear(&self, events: Vec<PaymentProcessed>) -> Vec<String> {
        let batch = events.into_iter().map(in_envelope).collect();
        let refused =
            payment_events::on_payment_processed(self.app.clone(), batch).await.expect("the database answers");
        refused.into_iter().map(|impossible| impossible.reason).collect()
    }

    /// The names and data of the events in the outbox that are about this order.
    pub async fn outbox(&self, id: OrderId) -> Vec<(String, Value)> {
        sqlx::query_as("select event, data from orders.outbox where order_id = $1 order by id")
            .bind(id)
            .fetch_all(&self.app.database)
            .await
            .expect("the outbox can be read")
    }

    /// Changes the rows behind the service's back, to make time pass.
    pub async fn execute(&self, statement: &'static str, id: OrderId) {
        sqlx::query(statement).bind(id).execute(&self.superuser).await.expect("the statement runs");
    }
}

pub fn id_of(order: &Value) -> OrderId {
    OrderId(order["id"].as_str().expect("an id").parse().expect("a UUID"))
}

/// News of the payment of a [`TestApp::placed_order`].
pub fn processed(order_id: OrderId, version: i32, status: ProcessedStatus) -> PaymentProcessed {
    PaymentProcessed {
        order_id,
        payment_id: PaymentId(Uuid::nil()),
        status,
        version,
        bill: MinorUnits(62243),
        currency: Currency::DEFAULT,
        decline_code: None,
    }
}

fn in_envelope(event: PaymentProcessed) -> Envelope<PaymentProcessed> {
    Envelope {
        specversion: SpecVersion::V1,
        id: Uuid::now_v7(),
        source: "/payments-service".to_owned(),
        event: PaymentProcessed::NAME.to_owned(),
        subject: event.order_id,
        time: Utc::now(),
        datacontenttype: "application/json".to_owned(),
        dataschema: envelope::data_schema(PaymentProcessed::NAME),
        traceparent: None,
        data: event,
    }
}
