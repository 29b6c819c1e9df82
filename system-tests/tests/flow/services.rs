//! Both services, running, and a client of their routes.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use clap::Parser;
use payments_service::sandbox;
use serde_json::{Value, json};
use service_kit::testing::{self, DEMO_TOKENS, TOKEN};
use shared_events::ids::OrderId;
use shared_events::topology::Topology;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a fact may take to come true. Generous: it is waited for, not measured.
pub const DEADLINE: Duration = Duration::from_secs(30);
const ADMIN_TOKEN: &str = "a-token-of-operators";

const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// The running services.
pub struct Services {
    orders: SocketAddr,
    payments: SocketAddr,
    admins: [SocketAddr; 2],
    /// A superuser's view of the database.
    pub database: PgPool,
    /// The names at the broker.
    pub topology: Topology,
    stop: CancellationToken,
    running: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Services {
    /// Starts both services with the broker of `AMQP_URL`.
    pub async fn start(database: PgPool) -> Self {
        let amqp_url = amqp_url();
        Self::start_with(database, &amqp_url, &amqp_url).await
    }

    /// Starts both services, each with a broker of its own to talk to.
    pub async fn start_with(database: PgPool, orders_amqp_url: &str, payments_amqp_url: &str) -> Self {
        Self::start_over(database, |url| url, [orders_amqp_url, payments_amqp_url], &[]).await
    }

    /// Starts both services with further arguments, each with a broker of its own to talk to, and with the database behind
    /// whatever their URLs are turned into.
    pub async fn start_over(
        database: PgPool,
        reach: impl Fn(String) -> String,
        [orders_amqp_url, payments_amqp_url]: [&str; 2],
        further: &[&str],
    ) -> Self {
        // Shown with the test that fails. Another test of the process may have started the log already.
        drop(tracing_subscriber::fmt().with_test_writer().with_ansi(false).try_init());
        testing::bootstrap(&database).await;
        let prefix = format!("test-{}-", Uuid::new_v4().simple());
        let orders_url = testing::migrate(&database, orders_service::SCHEMA, &orders_service::MIGRATOR).await;
        let payments_url = testing::migrate(&database, payments_service::SCHEMA, &payments_service::MIGRATOR).await;
        let sandbox_url = testing::migrate(&database, sandbox::SCHEMA, &sandbox::MIGRATOR).await;
        let arguments = |database_url: String, amqp_url: &str| {
            let pairs = [
                ("--database-url", database_url.as_str()),
                ("--database-max-connections", "6"),
                ("--database-durability", "ignored"),
                ("--amqp-url", amqp_url),
                ("--amqp-prefix", prefix.as_str()),
                ("--auth-demo-tokens", DEMO_TOKENS),
                ("--admin-token", ADMIN_TOKEN),
            ];
            let named = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]);
            let further = further.iter().map(|argument| (*argument).to_owned());
            std::iter::once("service".to_owned()).chain(named).chain(further).collect::<Vec<_>>()
        };

        let mut orders_arguments = arguments(reach(orders_url), orders_amqp_url);
        orders_arguments.extend(["--delivery-delay".to_owned(), "1s".to_owned()]);
        let mut payments_arguments = arguments(reach(payments_url), payments_amqp_url);
        payments_arguments.extend(["--sandbox-database-url".to_owned(), reach(sandbox_url)]);

        let stop = CancellationToken::new();
        let (orders_socket, orders) = socket();
        let (payments_socket, payments) = socket();
        let (orders_admin_listener, orders_admin) = admin_listener().await;
        let (payments_admin_listener, payments_admin) = admin_listener().await;
        let running = vec![
            tokio::spawn(orders_service::serve(
                orders_service::config::Config::parse_from(orders_arguments),
                orders_socket,
                orders_admin_listener,
                stop.clone(),
            )),
            tokio::spawn(payments_service::serve(
                payments_service::config::Config::parse_from(payments_arguments),
                payments_socket,
                payments_admin_listener,
                stop.clone(),
            )),
        ];
        let topology = Topology::with_prefix(prefix);
        let admins = [orders_admin, payments_admin];
        let services = Self { orders, payments, admins, database, topology, stop, running };
        services.become_ready().await;
        services
    }

    async fn become_ready(&self) {
        let waiting = async {
            // They listen as soon as they are ready.
            for service in [self.orders, self.payments] {
                while TcpStream::connect(service).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("both services become ready");
    }

    /// Stops both in order, as SIGTERM does.
    pub async fn stop(self) {
        self.stop.cancel();
        for service in self.running {
            let ended = tokio::time::timeout(DEADLINE, service).await.expect("a service stops in time");
            ended.expect("no panic").expect("an orderly stop");
        }
    }

    /// Waits until an order has gone through the broker, and so every queue is there.
    pub async fn queues_are_declared(&self) {
        let id = self.place_order().await;
        self.payment_becomes(id, "pending").await;
    }

    pub async fn place_order(&self) -> OrderId {
        let (status, order) = self.send("POST", "/api/orders", json!({"bill": 62243})).await;
        assert_eq!(status, 201, "{order}");
        OrderId(order["data"]["id"].as_str().expect("an id").parse().expect("a UUID"))
    }

    pub async fn pay(&self, id: OrderId, card: &str) -> (u16, Value) {
        let card = json!({"number": card, "cvt": 345, "expiry": "4/12/2020"});
        self.send("POST", &format!("/api/payments/pay/{id}"), json!({"creditCardDetails": card})).await
    }

    /// Pays as a client of its own.
    pub fn spawn_pay(&self, id: OrderId, card: &'static str) -> JoinHandle<(u16, Value)> {
        let url = format!("http://{}/api/payments/pay/{id}", self.payments);
        let card = json!({"number": card, "cvt": 345, "expiry": "4/12/2020"});
        tokio::task::spawn_blocking(move || send("POST", &url, TOKEN, &json!({"creditCardDetails": card})))
    }

    pub async fn cancel(&self, id: OrderId) -> (u16, Value) {
        self.send("DELETE", &format!("/api/orders/{id}"), Value::Null).await
    }

    /// Waits until the order is as expected.
    #[track_caller]
    pub fn order_becomes(&self, id: OrderId, status: &str, payment_status: &str) -> impl Future<Output = Value> {
        let expected = json!([status, payment_status]);
        self.becomes(format!("/api/orders/{id}"), expected, |order| json!([order["status"], order["paymentStatus"]]))
    }

    /// Waits until the payment of the order is as expected.
    #[track_caller]
    pub fn payment_becomes(&self, id: OrderId, status: &str) -> impl Future<Output = Value> {
        self.becomes(format!("/api/payments/{id}"), json!(status), |payment| payment["status"].clone())
    }

    #[track_caller]
    fn becomes(&self, path: String, expected: Value, view: fn(&Value) -> Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let mut last = Value::Null;
            let waiting = async {
                loop {
                    last = self.send("GET", &path, Value::Null).await.1["data"].clone();
                    if view(&last) == expected {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let came_true = tokio::time::timeout(DEADLINE, waiting).await.is_ok();
            assert!(came_true, "{caller}: {path} does not become {expected}: {last}");
            last
        }
    }

    /// Runs a statement as the superuser; `{}` in it becomes the name of the database.
    pub async fn execute(&self, statement: &str) {
        let name: String = sqlx::query_scalar("select quote_ident(current_database())")
            .fetch_one(&self.database)
            .await
            .expect("the database has a name");
        let statement = AssertSqlSafe(statement.replace("{}", &name));
        sqlx::raw_sql(statement).execute(&self.database).await.expect("the statement runs");
    }

    /// Ends the connections of a role to this database.
    pub async fn hang_up_on(&self, role: &str) {
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and datname = current_database()",
        )
        .bind(role)
        .execute(&self.database)
        .await
        .expect("the connections end");
    }

    /// Waits until a count in the database is as expected.
    pub async fn count_becomes(&self, query: impl AsRef<str>, expected: i64) {
        let query = query.as_ref();
        let mut last = -1;
        let waiting = async {
            while last != expected {
                let count = sqlx::query_scalar(AssertSqlSafe(query));
                last = count.fetch_one(&self.database).await.expect("the count is read");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came_true = tokio::time::timeout(DEADLINE, waiting).await.is_ok();
        assert!(came_true, "{query} does not become {expected}: {last}");
    }

    /// Sends a request to the service that the path belongs to; answers its status and body.
    pub async fn send(&self, method: &'static str, path: &str, body: Value) -> (u16, Value) {
        let address = if path.starts_with("/api/orders") { self.orders } else { self.payments };
        let url = format!("http://{address}{path}");
        tokio::task::spawn_blocking(move || send(method, &url, TOKEN, &body)).await.expect("no panic")
    }

    /// Asks the orders service as an operator.
    pub async fn ask_orders(&self, method: &'static str, path: &str) -> (u16, Value) {
        ask(self.admins[0], method, path).await
    }

    /// Asks the payments service as an operator.
    pub async fn ask_payments(&self, method: &'static str, path: &str) -> (u16, Value) {
        ask(self.admins[1], method, path).await
    }

    /// Waits until the payments service has this line among its metrics.
    pub async fn metric_becomes(&self, line: &str) {
        let mut last = String::new();
        let waiting = async {
            while !last.lines().any(|found| found == line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                last = scrape(self.admins[1]).await;
            }
        };
        let came_true = tokio::time::timeout(DEADLINE, waiting).await.is_ok();
        assert!(came_true, "{line} does not come up in\n{last}");
    }

    /// The metrics of both services.
    pub async fn metrics(&self) -> [String; 2] {
        [scrape(self.admins[0]).await, scrape(self.admins[1]).await]
    }
}

async fn scrape(admin: SocketAddr) -> String {
    let url = format!("http://{admin}/metrics");
    let scrape = move || ureq::get(url).call().expect("an answer").body_mut().read_to_string();
    tokio::task::spawn_blocking(scrape).await.expect("no panic").expect("a text")
}

/// Where `cargo xtask test` has started a broker.
pub fn amqp_url() -> String {
    option_env("AMQP_URL").expect("AMQP_URL is set by `cargo xtask test`, which starts what the tests need")
}

#[expect(clippy::disallowed_methods, reason = "a test has no settings; the task that runs it says where things are")]
fn option_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn ask(admin: SocketAddr, method: &'static str, path: &str) -> (u16, Value) {
    let url = format!("http://{admin}{path}");
    let asking = move || send(method, &url, ADMIN_TOKEN, &Value::Null);
    tokio::task::spawn_blocking(asking).await.expect("no panic")
}

fn send(method: &str, url: &str, token: &str, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE)).build().into();
    let request = ureq::http::Request::builder().method(method).uri(url).header("Authorization", token);
    let answer = if body.is_null() {
        agent.run(request.body(()).expect("a request"))
    } else {
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        agent.run(request.expect("a request"))
    };
    let mut answer = answer.expect("the service answers");
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or_default())
}

fn socket() -> (TcpSocket, SocketAddr) {
    let socket = service_kit::listening::bind(ANY_PORT).expect("a free port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

async fn admin_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(ANY_PORT).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}
