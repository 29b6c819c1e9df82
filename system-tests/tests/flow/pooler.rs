//! Both services through pgbouncer in transaction mode, which gives each transaction another connection to the database.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Parser;
use futures_util::future::join_all;
use orders_service::config::Config;
use service_kit::database::prepare;
use service_kit::pool::Database;
use service_kit::testing::{self, Login};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::services::{self, DEADLINE, Services};

/// Fewer connections than the services have, so that they have to share.
const CONFIGURATION: &str = "
[databases]
* = host=HOST port=PORT
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = LISTEN
unix_socket_dir =
auth_type = scram-sha-256
auth_file = FOLDER/logins
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits, options
";

const LOGINS: &str = r#"
"orders_service" "orders-demo-password"
"payments_service" "payments-demo-password"
"sandbox_processor" "sandbox-demo-password"
"#;

#[sqlx::test(migrations = false)]
async fn everything_goes_through_a_pooler_that_knows_of_no_prepared_statements(database: PgPool) {
    let pooler = Pooler::before(&database, "").await;
    everything_goes_through(pooler, 0, database).await;
}

#[sqlx::test(migrations = false)]
async fn prepared_statements_go_through_a_pooler_that_keeps_account_of_them_and_no_other(database: PgPool) {
    if Pooler::keeps_account() {
        let pooler = Pooler::before(&database, "max_prepared_statements = 100").await;
        return everything_goes_through(pooler, 100, database).await;
    }
    let pooler = Pooler::before(&database, "").await;
    let refusal = refusal(&pooler, 100, &database, "").await;
    assert!(refusal.contains("DATABASE_URL has to end in ?statement-cache-capacity=0"), "{refusal}");
}

#[sqlx::test(migrations = false)]
async fn a_login_that_lacks_what_is_asked_of_a_connection_is_refused_behind_a_pooler(database: PgPool) {
    let pooler = Pooler::before(&database, "").await;
    let refusal = refusal(&pooler, 0, &database, "reset lock_timeout").await;
    assert!(refusal.contains("a pooler lets lock_timeout be 0 where 2s was asked for"), "{refusal}");
}

#[sqlx::test(migrations = false)]
async fn every_login_has_of_itself_what_is_asked_of_a_connection(database: PgPool) {
    const SETTINGS: &str = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings";
    testing::bootstrap(&database).await;
    for schema in ["orders", "payments", "sandbox"] {
        let url = testing::url_of(&database, schema, Login::Service);
        let asking = Database::connect_lazy(&url, 1).expect("a URL");
        let asked: String = sqlx::query_scalar(SETTINGS).fetch_one(&asking).await.expect("settings");
        let mut plain = PgConnection::connect(&url).await.expect("a connection");
        let had: String = sqlx::query_scalar(SETTINGS).fetch_one(&mut plain).await.expect("settings");
        assert_eq!(had, asked, "{schema}");
    }
}

async fn everything_goes_through(pooler: Pooler, statement_cache: usize, database: PgPool) {
    let amqp = services::amqp_url();
    let reach = |url: String| pooler.reached(&url, statement_cache);
    let services = Services::start_over(database, reach, [&amqp, &amqp], &[]).await;
    // Many at a time: statements of different clients take turns on a connection.
    let paying = (0..20).map(|_| async {
        let id = services.place_order().await;
        assert_eq!(services.pay(id, "4242424242424242").await.0, 200);
        id
    });
    let paid = join_all(paying).await;
    let declined = services.place_order().await;
    assert_eq!(services.pay(declined, "4000000000009995").await.0, 402);
    let cancelled = services.place_order().await;
    assert_eq!(services.pay(cancelled, "4242424242424242").await.0, 200);
    assert_eq!(services.cancel(cancelled).await.0, 200);
    services.payment_becomes(cancelled, "refunded").await;
    services.order_becomes(cancelled, "cancelled", "refunded").await;
    services.order_becomes(declined, "declined", "declined").await;
    for id in paid {
        services.order_becomes(id, "delivered", "paid").await;
    }
    services.count_becomes("select count(*) from sandbox.charges where status = 'approved'", 20).await;
    for table in ["orders.outbox", "payments.outbox", "orders.parked", "payments.parked"] {
        services.count_becomes(format!("select count(*) from {table}"), 0).await;
    }
    let shared = "select count(*) from pg_stat_activity
        where usename = 'orders_service' and datname = current_database()";
    let connections: i64 = sqlx::query_scalar(shared).fetch_one(&services.database).await.expect("a count");
    assert!(
        (1..=2).contains(&connections),
        "{connections} connections of the orders service are not those of the pooler"
    );
    services.stop().await;
}

/// What the orders service says that is started behind a pooler, with its login changed like this.
async fn refusal(pooler: &Pooler, statement_cache: usize, database: &PgPool, change: &str) -> String {
    testing::bootstrap(database).await;
    let url = testing::migrate(database, orders_service::SCHEMA, &orders_service::MIGRATOR).await;
    if !change.is_empty() {
        let name = database.connect_options().get_database().expect("the database has a name").to_owned();
        let change = format!(r#"alter role orders_service in database "{name}" {change}"#);
        sqlx::raw_sql(AssertSqlSafe(change)).execute(database).await.expect("the login can be changed");
    }
    let url = pooler.reached(&url, statement_cache);
    let arguments = ["--database-url", &url, "--amqp-url", "amqp://localhost", "--database-durability", "ignored"];
    let Config { settings, .. } = Config::parse_from(std::iter::once("service").chain(arguments));
    let stop = CancellationToken::new();
    let preparing = prepare(&url, orders_service::SCHEMA, &orders_service::MIGRATOR, &settings, &stop);
    let prepared = tokio::time::timeout(DEADLINE, preparing).await.expect("nothing is waited for");
    format!("{:#}", prepared.expect_err("it is refused"))
}

/// A running pgbouncer, ended with the test.
struct Pooler {
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Pooler {
    /// One that leads to the server of this database.
    async fn before(database: &PgPool, further: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let folder = Path::new("/var/tmp").join(format!("order-processing-pooler-{}", Uuid::new_v4()));
        fs::create_dir(&folder).expect("a folder");
        let options = database.connect_options();
        let configuration = CONFIGURATION
            .replace("HOST", options.get_host())
            .replace("PORT", &options.get_port().to_string())
            .replace("LISTEN", &port.to_string())
            .replace("FOLDER", folder.to_str().expect("a path"));
        fs::write(folder.join("pgbouncer.ini"), configuration + further).expect("it can be written");
        fs::write(folder.join("logins"), LOGINS).expect("it can be written");
        let mut command = program();
        command.args(["--quiet"]).arg(folder.join("pgbouncer.ini"));
        let process = command.stdin(Stdio::null()).spawn().expect("pgbouncer can be run");
        let pooler = Self { folder, port, process };
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, listening).await.expect("pgbouncer listens");
        pooler
    }

    /// Whether the pgbouncer of this machine, from 1.21 on, can tell apart what its clients have prepared.
    fn keeps_account() -> bool {
        let output = program().arg("--version").output().expect("pgbouncer can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers = text.split_whitespace().nth(1).map(|version| version.split('.').flat_map(str::parse).collect());
        let numbers: Vec<u32> = numbers.unwrap_or_else(|| panic!("a version: {text}"));
        numbers >= vec![1, 21]
    }

    fn reached(&self, url: &str, statement_cache: usize) -> String {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let options = options.host("127.0.0.1").port(self.port).statement_cache_capacity(statement_cache);
        options.to_url_lossy().to_string()
    }
}

/// pgbouncer, as somebody else if we are root, whom it does not run as.
fn program() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if fs::metadata("/proc/self").expect("we run").uid() == 0 {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.args(["--", "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "pgbouncer"]);
    command
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        drop(self.process.kill().and_then(|()| self.process.wait()));
        drop(fs::remove_dir_all(&self.folder));
    }
}
