//! Somebody who looks after the service, on its admin address.

use std::time::Duration;

use axum::extract::FromRef;
use axum::http::Method;
use orders_service::{SCHEMA, backlog, operations};
use serde_json::Value;
use service_kit::admin::{self, Admin};
use service_kit::auth::Authenticator;
use service_kit::http::{Limits, Readiness};
use service_kit::metrics::Metrics;
use service_kit::parked::{self, Parked};
use service_kit::pool::Database;
use service_kit::testing::{Answer, Client};
use shared_events::topology::Topology;

use crate::helpers::TestApp;

const TOKEN: &str = "a-token-of-operators";

/// Somebody with the token.
pub struct Operator {
    pub client: Client,
    pub database: Database,
    pub test: TestApp,
}

impl Operator {
    pub fn of(test: TestApp) -> Self {
        let admin = admin_of(&test, TOKEN);
        Self { client: client(admin), database: test.app.database.clone(), test }
    }

    pub fn admin(&self, token: &str) -> Admin {
        admin_of(&self.test, token)
    }

    /// Answers the id.
    pub async fn park(&self, queue: &str, body: &[u8]) -> i64 {
        assert!(parked::insert(&self.database, SCHEMA, &message(queue, body)).await.expect("the database answers"));
        let last = sqlx::query_scalar("select max(id) from orders.parked").fetch_one(&self.database).await;
        last.expect("the table is read")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path).await
    }

    pub async fn send(&self, method: Method, path: &str) -> Answer {
        self.client.send(method, path, &format!("Bearer {TOKEN}"), &Value::Null).await
    }
}

pub fn client(admin: Admin) -> Client {
    Client::of_app(admin::routes(admin))
}

fn admin_of(test: &TestApp, token: &str) -> Admin {
    let readiness = Readiness::default();
    readiness.declare();
    Admin {
        database: test.app.database.clone(),
        schema: SCHEMA,
        readiness,
        authenticator: Authenticator::from_ref(&test.app),
        metrics: Metrics::default(),
        figures: backlog::figures(test.app.database.clone()),
        own_routes: operations::routes(test.app.database.clone()),
        outbox: test.app.outbox.clone(),
        topology: Topology::default(),
        token: token.parse().expect("a token"),
        limits: Limits { request_timeout: Duration::from_secs(20), max_concurrent_requests: 16 },
    }
}

pub fn message(queue: &str, body: &[u8]) -> Parked {
    Parked {
        queue: queue.to_owned(),
        message_id: Some("its-id".to_owned()),
        body: body.to_vec(),
        reason: "malformed: it is a test".to_owned(),
        replay_of: None,
    }
}
