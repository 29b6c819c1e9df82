//! A service with webhooks: what its owner does, and what happens in it meanwhile.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use orders_service::webhooks::client::Client;
use orders_service::webhooks::fan_out::fan_out;
use orders_service::webhooks::lease;
use orders_service::webhooks::sending::Sending;
use orders_service::webhooks::target::Targets;
use serde_json::Value;
use service_kit::testing::TOKEN;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::helpers::TestApp;

pub const WEBHOOKS: &str = "/api/webhooks";
/// Short, so that a test which waits for it does not take long.
pub const TIMEOUT: Duration = Duration::from_secs(1);

/// A service whose users may have webhooks anywhere.
pub async fn start(superuser: &PgPool) -> TestApp {
    TestApp::start(superuser.clone()).await;
    let service = TestApp::with(superuser, &["--webhook-targets", "any"]);
    fan_out(&service.app.database).await.expect("it begins");
    service
}

impl TestApp {
    pub async fn webhook(&self, body: Value) -> Value {
        self.client.send(Method::POST, WEBHOOKS, TOKEN, &body).await.expect(StatusCode::CREATED)
    }

    pub async fn post(&self, path: &str) -> Value {
        let answer = self.client.send(Method::POST, path, TOKEN, &Value::Null).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.body["data"].clone()
    }

    pub fn sending(&self, timeout: Duration) -> Sending {
        self.sending_with(Client::new(Targets::Any, timeout, None).expect("a client"))
    }

    fn sending_with(&self, client: Client) -> Sending {
        let app = &self.app;
        let (database, keys) = (app.database.clone(), app.webhook_keys.clone());
        Sending::new(database, client, keys, self.measured.clone(), CancellationToken::new())
    }

    /// Makes all changes into deliveries.
    pub async fn fan_out(&self) {
        while !fan_out(&self.app.database).await.expect("the database answers") {}
    }

    /// Makes all changes into deliveries and sends what is due.
    pub async fn deliver(&self) {
        self.deliver_with(Client::new(Targets::Any, TIMEOUT, None).expect("a client")).await;
    }

    /// The same with a client of the test's own.
    pub async fn deliver_with(&self, client: Client) {
        self.fan_out().await;
        let (sending, database) = (self.sending_with(client), &self.app.database);
        loop {
            let leased = lease::take(database, 100).await.expect("the database answers");
            if leased.is_empty() {
                return;
            }
            for leased in &leased {
                sending.turn(leased).await.expect("the database answers");
            }
        }
    }

    /// Lets all the time pass that is waited for.
    pub async fn wait(&self) {
        for statement in [
            "update orders.webhook_deliveries set next_attempt_at = now() where status = 'pending'",
            "update orders.webhooks set due_at = now() where enabled",
        ] {
            sqlx::query(statement).execute(&self.app.database).await.expect("time passes");
        }
    }

    pub async fn deliveries(&self, webhook: &Value) -> Vec<Value> {
        let path = format!("{WEBHOOKS}/{}/deliveries", text(&webhook["id"]));
        self.get(&path).await.expect(StatusCode::OK).as_array().expect("a list").clone()
    }

    /// The attempts of the only delivery.
    pub async fn attempts_of(&self, webhook: &Value) -> Vec<Value> {
        self.deliveries(webhook).await[0]["history"].as_array().expect("a list").clone()
    }

    pub async fn as_it_is(&self, webhook: &Value) -> Value {
        self.get(&format!("{WEBHOOKS}/{}", text(&webhook["id"]))).await.expect(StatusCode::OK)
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}
