//! The connections to PostgreSQL, with a time limit for every statement.
//!
//! sqlx waits for an answer for as long as it takes. A link that swallows everything, or a server that is frozen, would
//! hold one connection after the other and with the last of them the whole service, also after the link is mended
//! (<https://github.com/transact-rs/sqlx/issues/4349>). So a statement that is not answered in time ends in an error,
//! and all connections of its pool are given up for new ones. Whether it was carried out is not known then, which is
//! the same as with a connection that breaks: every unit of work is harmless to repeat.
//!
//! A server that is asked to stop (SIGTERM) lets nobody in any more and waits until the last of its connections is
//! closed, however long that takes. So it is visited now and then, and let go when it turns the visitor away.
//!
//! Where the URL names several servers, one of them takes writes, and which that is may change at any time. The visitor
//! finds it, at once when a statement had trouble, and the connections are replaced by new ones to that server.
//!
//! No transaction is ever left open by that, since every unit of work is a single statement; one of
//! [`crate::unprepared`] ends with its connection.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError, QueueMode};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{Describe, Either, Execute, Executor, SqlStr};
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::warn;

use crate::metrics::{Figure, Present};
use crate::servers::{Servers, is_read_only, may_be_gone};

mod connections;
mod visits;

use connections::Connections;

/// How long a unit of work waits for a connection that is free or new.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// After which the server gives a statement up: long before that something is wrong.
const STATEMENT_TIMEOUT: &str = "8s";
/// How long what is written together waits for a row that somebody else holds: what is ours is held for a moment only.
const LOCK_TIMEOUT: &str = "2s";
/// Every statement here finds its rows by an index. Without being told, PostgreSQL would read all of a small table
/// instead, and keep to that plan for minutes while the table grows. While a table was never analysed it takes each user
/// to have few orders, all of which it would read, by a bitmap, and sort for one page of them. Nothing here runs so long
/// that compiling it pays, and no parameter leads to another plan, though with many partitions each might seem to be worth
/// one of its own.
pub(crate) const SESSION: [(&str, &str); 8] = [
    ("statement_timeout", STATEMENT_TIMEOUT),
    ("lock_timeout", LOCK_TIMEOUT),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];
/// After which a statement has no answer: longer than waiting for a connection and the server together.
const ANSWER_DEADLINE: Duration = Duration::from_secs(12);

/// What a statement is answered with.
type Answer = Vec<Either<PgQueryResult, PgRow>>;

/// A login to PostgreSQL: what every statement is executed on.
#[derive(Clone, Debug)]
pub struct Database(Arc<Login>);

#[derive(Debug)]
struct Login {
    servers: Servers,
    max_connections: u32,
    current: RwLock<Current>,
    usage: Usage,
    /// That it may be worth a visit to see which server takes writes.
    trouble: Arc<Notify>,
}

/// What is asked of the connections.
#[derive(Debug, Default)]
struct Usage {
    running: Gauge,
    waits: Counter,
}

#[derive(Clone, Debug)]
struct Current {
    pool: Pool<Connections>,
    /// Which of the servers they lead to.
    server: usize,
    /// Grows each time that the connections are given up.
    generation: u64,
}

impl Database {
    /// Connects when it is first used, so that a service can start before its database.
    pub fn connect_lazy(url: &str, max_connections: u32) -> anyhow::Result<Self> {
        let servers = url.parse::<Servers>()?.with(|options| options.options(SESSION));
        let current = Current::new(&servers, 0, max_connections, 0);
        let (current, usage, trouble) = (RwLock::new(current), Usage::default(), Arc::default());
        let login = Arc::new(Login { servers, max_connections, current, usage, trouble });
        tokio::spawn(visits::visit(Arc::downgrade(&login)));
        Ok(Self(login))
    }

    /// Closes all connections: those in use when their statement is done.
    pub fn close(&self) {
        self.current().pool.close();
    }

    /// How the connections are used.
    pub(crate) fn figures(&self) -> [Figure; 5] {
        let Login { max_connections, usage, .. } = &*self.0;
        let deadpool::Status { size, available, .. } = self.current().pool.status();
        let count = |connections| i64::try_from(connections).unwrap_or(i64::MAX);
        [
            Figure::count("database_connections_open", "Open connections to PostgreSQL", count(size)),
            Figure::count("database_connections_idle", "Those of them that nothing uses", count(available)),
            Figure::count("database_connections_max", "How many may be open", (*max_connections).into()),
            Figure::count("database_statements_running", "Statements, those that wait included", usage.running.get()),
            Figure::total("database_waits", "Statements that had to wait for a connection", usage.waits.get()),
        ]
    }

    /// A statement begins; it has a connection at once unless all are taken.
    fn begin(&self) -> Present {
        let Login { max_connections, usage, .. } = &*self.0;
        if usage.running.get() >= i64::from(*max_connections) {
            usage.waits.inc();
        }
        Present::in_gauge(usage.running.clone())
    }

    fn current(&self) -> Current {
        self.0.current()
    }

    /// Carries a statement out, whatever that leads to, and answers all of its rows.
    async fn execute_in_time<'q, E: Execute<'q, Postgres> + 'q>(self, query: E) -> Result<Answer, sqlx::Error> {
        let _running = self.begin();
        let Current { pool, generation, .. } = self.current();
        let answered = timeout(ANSWER_DEADLINE, self.execute(&pool, query)).await.unwrap_or_else(|_| {
            self.0.give_up(generation, "did not answer a statement in time");
            let too_late = "the database did not answer in time";
            Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, too_late)))
        });
        answered.inspect_err(|trouble| self.0.note(generation, trouble))
    }

    async fn execute<'q, E: Execute<'q, Postgres> + 'q>(
        &self,
        pool: &Pool<Connections>,
        query: E,
    ) -> Result<Answer, sqlx::Error> {
        let statements = self.0.servers.statements;
        let mut connection = connection_of(pool).await?;
        let answered = statements.execute(&mut connection, query).await;
        if answered.as_ref().is_err_and(|trouble| !statements.can_go_on_after(trouble)) {
            drop(Object::take(connection));
        }
        answered
    }
}

impl Current {
    fn new(servers: &Servers, server: usize, max_connections: u32, generation: u64) -> Self {
        let pool = Pool::builder(Connections { servers: servers.clone(), server })
            .max_size(usize::try_from(max_connections).unwrap_or(usize::MAX))
            // A few that are warm, instead of all of them in turn.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without time limits of its own needs no runtime");
        Self { pool, server, generation }
    }
}

impl Login {
    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Heeds what an error says about the server.
    fn note(&self, generation: u64, trouble: &sqlx::Error) {
        if is_read_only(trouble) {
            self.give_up(generation, "takes no writes");
        }
        if self.servers.are_several() && may_be_gone(trouble) {
            self.trouble.notify_one();
        }
    }

    fn give_up(&self, generation: u64, reason: &str) {
        self.replace(generation, self.current().server, reason);
    }

    /// The connections of a pool are replaced, unless they have been already.
    fn replace(&self, generation: u64, server: usize, reason: &str) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation == generation {
            let to = self.servers.options(server);
            warn!(reason, host = to.get_host(), port = to.get_port(), "all connections to the database are replaced");
            let next = Current::new(&self.servers, server, self.max_connections, generation + 1);
            std::mem::replace(&mut *current, next).pool.close();
        }
    }
}

/// Waits for a connection that is free or new.
async fn connection_of(pool: &Pool<Connections>) -> Result<Object<Connections>, sqlx::Error> {
    match timeout(ACQUIRE_TIMEOUT, pool.get()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(PoolError::Backend(trouble))) => Err(trouble),
        Ok(Err(PoolError::Closed)) => Err(sqlx::Error::PoolClosed),
        Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Every statement of the services goes through here.
impl<'c> Executor<'c> for &Database {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let answer = self.clone().execute_in_time(query);
        answer.map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let answer = self.clone().execute_in_time(query);
        answer.map_ok(|rows| rows.into_iter().find_map(Either::right)).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let Current { pool, .. } = self.current();
        async move { connection_of(&pool).await?.prepare_with(sql, parameters).await }.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let Current { pool, .. } = self.current();
        async move { connection_of(&pool).await?.describe(sql).await }.boxed()
    }
}
