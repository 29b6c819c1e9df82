//! The connections to a real PostgreSQL, over a link that swallows what is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use futures_util::future::join_all;
use service_kit::database::{is_transient, prepare};
use service_kit::pool::Database;
use service_kit::settings::Settings;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long a fact may take to come true. Generous: it is waited for, not measured.
const DEADLINE: Duration = Duration::from_mins(1);

#[sqlx::test(migrations = false)]
async fn connections_that_do_not_answer_are_given_up_and_replaced(superuser: PgPool) {
    let link = Link::to(&superuser).await;
    let database = Database::connect_lazy(&link.url, 2).expect("a URL");
    let answers = || join_all((0..2).map(|_| sqlx::query("select 1").execute(&database)));
    assert!(answers().await.iter().all(Result::is_ok), "both connections are open");

    // Those that are being answered, and two more that wait for their connections.
    let in_doubt = join_all((0..4).map(|_| sqlx::query("select pg_sleep(1), 'in doubt'").execute(&database)));
    let ((), in_doubt) = tokio::join!(
        async {
            while running(&superuser).await < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            link.swallow_all_that_is_open();
        },
        tokio::time::timeout(DEADLINE, in_doubt),
    );
    let in_doubt = in_doubt.expect("every statement ends");
    assert!(in_doubt.iter().any(Result::is_err), "{in_doubt:?}");
    for answer in in_doubt {
        assert!(answer.is_ok() || answer.is_err_and(|trouble| is_transient(&trouble)), "its caller may try again");
    }
    assert!(answers().await.iter().all(Result::is_ok), "new connections have taken their place");
}

/// As a server's are that dies. It is back later than after a moment.
#[sqlx::test(migrations = false)]
async fn connections_that_ended_before_the_server_was_back_are_used_by_no_statement(superuser: PgPool) {
    let database = Database::connect_lazy(&Link::to(&superuser).await.url, 2).expect("a URL");
    let answers = || join_all((0..2).map(|_| sqlx::query("select 1").execute(&database)));
    assert!(answers().await.iter().all(Result::is_ok), "both connections are open");

    // It waits for each.
    let end = "select pg_terminate_backend(pid, 60000) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(end).execute(&superuser).await.expect("the connections end");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answers = answers().await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// As where thousands of requests a second are under way.
#[sqlx::test(migrations = false)]
async fn a_connection_does_not_let_everybody_go_first_while_it_logs_in(superuser: PgPool) {
    let database = Database::connect_lazy(&Link::to(&superuser).await.url, 1).expect("a URL");
    let others = tokio::spawn(async {
        loop {
            // Blocks, as work does.
            std::thread::sleep(Duration::from_millis(5));
            tokio::task::yield_now().await;
        }
    });
    sqlx::query("select 1").execute(&database).await.expect("a connection before those who wait for it are refused");
    others.abort();
}

#[sqlx::test(migrations = false)]
async fn a_statement_that_is_refused_does_not_cost_its_connection_and_one_that_ends_it_does(superuser: PgPool) {
    let database = Database::connect_lazy(&Link::to(&superuser).await.url, 1).expect("a URL");
    let session = async || sqlx::query_scalar::<_, i32>("select pg_backend_pid()").fetch_one(&database).await;
    let first = session().await.expect("a connection");
    sqlx::query("select 1 / 0").execute(&database).await.expect_err("it is refused");
    assert_eq!(session().await.expect("the connection is there"), first);
    let end = "select pg_terminate_backend(pg_backend_pid())";
    sqlx::query(end).execute(&database).await.expect_err("the session ends");
    assert_ne!(session().await.expect("another connection"), first);
}

#[sqlx::test(migrations = false)]
async fn of_several_servers_the_one_that_takes_writes_is_found(superuser: PgPool) {
    // It lets everybody in, and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = silent.local_addr().expect("an address");
    let url = Link::to(&superuser).await.url.replacen("127.0.0.1", &format!("{silent},127.0.0.1"), 1);
    let database = Database::connect_lazy(&url, 2).expect("a URL");
    let find = async { while sqlx::query("select 1").execute(&database).await.is_err() {} };
    tokio::time::timeout(DEADLINE, find).await.expect("it is found");
}

/// What a service is started with.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/orders");

#[sqlx::test(migrations = false)]
async fn a_service_that_is_started_again_does_not_wait_for_an_answer_that_never_comes(superuser: PgPool) {
    sqlx::raw_sql("create schema orders").execute(&superuser).await.expect("the schema is made");
    let link = Link::to(&superuser).await;
    let arguments = ["--database-url", &link.url, "--amqp-url", "amqp://localhost", "--database-durability", "ignored"];
    let Arguments { settings } = Arguments::parse_from(std::iter::once("service").chain(arguments));
    let stop = CancellationToken::new();
    let preparing = || prepare(&link.url, "orders", &MIGRATOR, &settings, &stop);
    assert!(preparing().await.expect("it is migrated"));

    let mut lock = superuser.acquire().await.expect("a connection");
    let holding = "begin; lock table orders._sqlx_migrations in access exclusive mode";
    sqlx::raw_sql(holding).execute(&mut *lock).await.expect("the table is locked");
    let (prepared, ()) = tokio::join!(tokio::time::timeout(DEADLINE, preparing()), async {
        while count(&superuser, "wait_event_type = 'Lock'").await < 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        link.swallow_all_that_is_open();
        sqlx::raw_sql("rollback").execute(&mut *lock).await.expect("the table is let go");
    });
    assert!(prepared.expect("it does not wait for ever").expect("it tries again"));
}

async fn running(superuser: &PgPool) -> i64 {
    count(superuser, "query like '%in doubt%' and state = 'active'").await
}

async fn count(superuser: &PgPool, connections: &str) -> i64 {
    let count = format!(
        "select count(*) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and {connections}"
    );
    let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(superuser).await;
    count.expect("the connections can be counted")
}

/// A way to the database whose connections can be made to swallow what is sent, without breaking.
struct Link {
    url: String,
    swallowing: Arc<std::sync::Mutex<Arc<AtomicBool>>>,
}

impl Link {
    async fn to(superuser: &PgPool) -> Self {
        use sqlx::ConnectOptions;
        let options = superuser.connect_options();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let options = options.as_ref().clone().host("127.0.0.1").port(address.port());
        let swallowing = Arc::new(std::sync::Mutex::new(Arc::new(AtomicBool::new(false))));
        let current = Arc::clone(&swallowing);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the database listens");
                let swallow = Arc::clone(&current.lock().expect("no panic"));
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(forward(from_client, to_server, Arc::clone(&swallow)));
                tokio::spawn(forward(from_server, to_client, swallow));
            }
        });
        Self { url: options.to_url_lossy().to_string(), swallowing }
    }

    /// Connections that are made later are not concerned.
    fn swallow_all_that_is_open(&self) {
        let mut current = self.swallowing.lock().expect("no panic");
        current.store(true, Ordering::SeqCst);
        *current = Arc::new(AtomicBool::new(false));
    }
}

async fn forward(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, swallow: Arc<AtomicBool>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !swallow.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
