//! What the tests of both services stand on: a database with roles and schemas, and a client without a socket.

use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use shared_events::ids::OrderId;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgPool, Postgres};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::contract::Contract;
use crate::http::{Limits, with_conventions};
use crate::openapi::Description;
use crate::testing::events::EventStream;

pub mod authority;
pub mod events;
pub mod plans;
pub mod receiver;

/// The token of the demo user `somerandomuserid`.
pub const TOKEN: &str = "thisisajwttoken";
/// The token of another demo user, `alice`.
pub const ALICE: &str = "alice-token";
/// Both, as the setting `AUTH_DEMO_TOKENS`.
pub const DEMO_TOKENS: &str = "thisisajwttoken=somerandomuserid,alice-token=alice";

/// The schemas that the bootstrap makes.
const SCHEMAS: [&str; 3] = ["orders", "payments", "sandbox"];

/// A login that the bootstrap makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Brings the schema up to date.
    Owner,
    /// Works with the rows.
    Service,
}

/// Sets up roles and schemas in the empty database of a test, as an operator would.
pub async fn bootstrap(superuser: &PgPool) {
    let statements = include_str!("../../migrations/bootstrap.sql");
    sqlx::raw_sql(statements).execute(superuser).await.expect("the bootstrap runs");
}

/// The URL of the same database for a login of the bootstrap.
pub fn url_of(superuser: &PgPool, schema: &str, login: Login) -> String {
    let (role, password) = match (login, schema) {
        (Login::Owner, _) => (format!("{schema}_owner"), format!("{schema}-owner-demo-password")),
        (Login::Service, "sandbox") => ("sandbox_processor".to_owned(), "sandbox-demo-password".to_owned()),
        (Login::Service, _) => (format!("{schema}_service"), format!("{schema}-demo-password")),
    };
    let options: PgConnectOptions = superuser.connect_options().as_ref().clone();
    options.username(&role).password(&password).to_url_lossy().to_string()
}

/// Runs the migrations of a schema as its owner; answers the URL with which the service works there.
pub async fn migrate(superuser: &PgPool, schema: &'static str, migrator: &sqlx::migrate::Migrator) -> String {
    let owner = PgConnectOptions::from_str(&url_of(superuser, schema, Login::Owner)).expect("a URL");
    let mut connection = owner.connect().await.expect("the owner may log in");
    crate::database::migrate(&mut connection, schema, migrator).await.expect("the migrations run");
    url_of(superuser, schema, Login::Service)
}

/// Partitions the tables of a schema by months, of which there are so many that are past, as an operator would.
pub async fn partition(superuser: &PgPool, schema: &'static str, past_months: i32) {
    let owner = PgConnectOptions::from_str(&url_of(superuser, schema, Login::Owner)).expect("a URL");
    let mut connection = owner.connect().await.expect("the owner may log in");
    let settings = "select set_config('partitions.schema', $1, false), set_config('partitions.first',
         (date_trunc('month', now() at time zone 'UTC') - make_interval(months => $2))::date::text, false)";
    sqlx::query(settings).bind(schema).bind(past_months).execute(&mut connection).await.expect("settings");
    for statement in [include_str!("../../xtask/src/partition.sql"), include_str!("partitions.sql")] {
        sqlx::raw_sql(statement).execute(&mut connection).await.expect("the tables are partitioned");
    }
}

/// Fails with a migration that would break the program before it, which goes on while the tables are already new.
#[track_caller]
pub fn assert_additive(migrator: &sqlx::migrate::Migrator) {
    const BREAKING: [&str; 8] = [
        "drop table",
        "drop column",
        "drop schema",
        "rename",
        "set not null",
        "set data type",
        "drop default",
        "truncate",
    ];
    for migration in migrator.iter() {
        let statements = migration.sql.as_str().to_lowercase();
        let code: Vec<_> = statements.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        for statement in code.join(" ").split(';') {
            let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_breaking = |breaking: &&str| words.starts_with("alter") && words.contains(*breaking);
            let drops = ["drop table", "drop schema", "truncate"].iter().any(|drop| words.starts_with(drop));
            let needs_a_value =
                words.contains("add column") && words.contains("not null") && !words.contains("default");
            assert!(
                !drops && !needs_a_value && !BREAKING.iter().any(is_breaking),
                "migration {} breaks the program before it: {words}",
                migration.version
            );
        }
    }
}

/// Sends requests to routes as the gateway would.
pub struct Client {
    app: Router,
    contract: Option<Contract>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `null` when there is none or it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Client {
    /// A client of these routes.
    pub fn new(routes: Router) -> Self {
        let limits = Limits { request_timeout: Duration::from_secs(20), max_concurrent_requests: 1024 };
        Self::of_app(with_conventions(routes, limits, &TaskTracker::new()))
    }

    /// A client of routes that are documented, to whom no other answer may be given.
    pub fn documented(routes: Router, description: Description) -> Self {
        Self { contract: Some(Contract::new(description.write(&[]))), ..Self::new(routes) }
    }

    /// A client of something that has all it needs.
    pub fn of_app(app: Router) -> Self {
        Self { app, contract: None }
    }

    /// What is promised to it.
    pub fn contract(&self) -> &Contract {
        self.contract.as_ref().expect("a client of routes that are documented")
    }

    /// Sends a request with a token and, unless it is `null`, a JSON body.
    pub async fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(AUTHORIZATION, token);
        if !body.is_null() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send_raw(request.body(body).expect("a request")).await
    }

    /// Opens a stream of events, where an earlier one was cut off behind the event with this id. While the service is too
    /// busy it asks again.
    pub async fn follow(&self, path: &str, token: &str, last_event_id: Option<&str>) -> EventStream {
        loop {
            let mut request = Request::get(path).header(AUTHORIZATION, token).header(ACCEPT, "text/event-stream");
            if let Some(id) = last_event_id {
                request = request.header("Last-Event-ID", id);
            }
            let Ok(response) = self.app.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
            if response.status() == StatusCode::OK {
                assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
                return EventStream::new(response.into_body());
            }
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
    }

    /// Sends a POST with an Idempotency-Key.
    pub async fn post_with_key(&self, path: &str, token: &str, key: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header(AUTHORIZATION, token)
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", key)
            .body(Body::from(body.to_string()));
        self.send_raw(request.expect("a request")).await
    }

    /// Sends any request.
    pub async fn send_raw(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let Ok(response) = self.app.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(contract) = &self.contract {
            contract.assert_kept(&method, &path, parts.status.as_u16(), &parts.headers, &text);
        }
        Answer { status: parts.status, headers: parts.headers, body, text }
    }
}

impl Answer {
    /// Asserts the status and answers the `data` of the body.
    #[track_caller]
    pub fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["data"].clone()
    }

    /// Whether the answer says that it was given before.
    pub fn is_replayed(&self) -> bool {
        self.headers.get("Idempotent-Replayed").is_some_and(|value| value == "true")
    }

    /// Asserts that this is a problem as RFC 9457 has it, with this status and code, and answers its body.
    #[track_caller]
    pub fn expect_problem(self, status: StatusCode, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers.get(CONTENT_TYPE).expect("a content type"), "application/problem+json");
        assert_eq!(self.body["status"], status.as_u16());
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        for member in ["title", "detail", "instance", "requestId"] {
            assert!(self.body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {}", self.body);
        }
        self.body
    }
}

/// A lock on rows, by which a test decides who is first.
///
/// Whoever changes a row has read it and decided before the statement that stores the change stops at the lock. Once
/// several wait there, all have decided on the same version; they go on in the order in which they came.
pub struct RowLock {
    superuser: PgPool,
    connection: PoolConnection<Postgres>,
}

impl RowLock {
    /// Held until it is let go. `statement` selects the row of this order for update.
    pub async fn hold(superuser: &PgPool, statement: &'static str, id: OrderId) -> Self {
        let mut connection = superuser.acquire().await.expect("a connection");
        sqlx::raw_sql("begin").execute(&mut *connection).await.expect("a transaction begins");
        let locked = sqlx::query(statement).bind(id).execute(&mut *connection).await.expect("the row is locked");
        assert_eq!(locked.rows_affected(), 1, "there is a row to lock");
        Self { superuser: superuser.clone(), connection }
    }

    /// Comes back once so many statements wait for a lock in this database.
    pub async fn is_waited_for_by(&self, statements: i64) {
        wait_for_waiting(&self.superuser, statements).await;
    }

    /// Lets the statements go on that wait for it.
    pub async fn let_go(mut self) {
        sqlx::raw_sql("rollback").execute(&mut *self.connection).await.expect("the transaction ends");
    }
}

/// Comes back once so many statements wait for a lock in this database.
pub async fn wait_for_waiting(superuser: &PgPool, statements: i64) {
    const WAITING: &str = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    let waiting = async {
        while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(superuser).await.expect("a count") < statements {
            tokio::task::yield_now().await;
        }
    };
    let came_true = tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok();
    assert!(came_true, "fewer than {statements} statements wait for a lock");
}
