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
//! No transaction is ever left open by that, since every unit of work is a single statement ([`crate::unprepared`] closes
//! its connection).

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use sqlx::postgres::{PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{Connection, Describe, Either, Execute, Executor, PgConnection, PgPool, SqlStr};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use crate::metrics::{Figure, Present};
use crate::servers::{Servers, ensure_writable, is_read_only, may_be_gone};

mod visits;

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
/// How long a connection that is not used is taken to be there: less than a server takes to come back, so that no statement
/// which could be carried out meets a connection that died with the server before.
const TRUST: Duration = Duration::from_millis(50);
/// How long a pool that was given up may take to close what still works of it.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);
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
    pool: PgPool,
    /// One for each connection. Who waits for one does so here, since the pool keeps 14 KiB for each that waits.
    turns: Arc<Semaphore>,
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

    /// Waits for what is running and closes all connections.
    pub async fn close(&self) {
        self.current().pool.close().await;
    }

    /// How the connections are used.
    pub(crate) fn figures(&self) -> [Figure; 5] {
        let Login { max_connections, usage, .. } = &*self.0;
        let pool = self.current().pool;
        let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
        [
            Figure::count("database_connections_open", "Open connections to PostgreSQL", pool.size().into()),
            Figure::count("database_connections_idle", "Those of them that nothing uses", idle),
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

    async fn in_time<T>(
        self,
        generation: u64,
        deadline: Instant,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let answered = timeout_at(deadline, work).await.unwrap_or_else(|_| {
            self.0.give_up(generation, "did not answer a statement in time");
            let too_late = "the database did not answer in time";
            Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, too_late)))
        });
        answered.inspect_err(|trouble| self.0.note(generation, trouble))
    }
}

impl Current {
    fn new(servers: &Servers, server: usize, max_connections: u32, generation: u64) -> Self {
        let turns = Semaphore::new(usize::try_from(max_connections).unwrap_or(Semaphore::MAX_PERMITS));
        Self { pool: new_pool(servers, server, max_connections), turns: Arc::new(turns), server, generation }
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
            let given_up = std::mem::replace(&mut *current, next);
            tokio::spawn(async move { drop(timeout(CLOSE_DEADLINE, given_up.pool.close()).await) });
        }
    }
}

/// A connection that was used a moment ago is taken as it is: if it has broken since, so has whatever else was under way.
async fn still_there(connection: &mut PgConnection, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if idle_for >= TRUST {
        connection.ping().await?;
    }
    Ok(true)
}

fn new_pool(servers: &Servers, server: usize, max_connections: u32) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // In place of a look at each connection that is taken, which costs a statement another round trip.
        .test_before_acquire(false)
        .before_acquire(|connection, used| still_there(connection, used.idle_for).boxed());
    let pool = if servers.are_several() {
        // It may have become a standby since it was visited.
        pool.after_connect(|connection, _| ensure_writable(connection).boxed())
    } else {
        pool
    };
    pool.connect_lazy_with(servers.options(server).clone())
}

async fn turn(turns: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, sqlx::Error> {
    let turn = timeout(ACQUIRE_TIMEOUT, turns.acquire_owned()).await;
    turn.ok().and_then(Result::ok).ok_or(sqlx::Error::PoolTimedOut)
}

/// Every statement of the services goes through here.
impl<'c> Executor<'c> for &Database {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (database, running) = (self.clone(), self.begin());
        let Current { pool, turns, generation, .. } = self.current();
        let (statements, deadline) = (self.0.servers.statements, Instant::now() + ANSWER_DEADLINE);
        async move {
            let turn = database.clone().in_time(generation, deadline, turn(turns)).await?;
            let rows = statements.fetch_many(&pool, query);
            Ok(stream::try_unfold((rows, (turn, running)), move |(mut rows, used)| {
                let database = database.clone();
                async move {
                    let row = database.in_time(generation, deadline, rows.try_next()).await?;
                    Ok(row.map(|row| (row, (rows, used))))
                }
            }))
        }
        .try_flatten_stream()
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (database, running) = (self.clone(), self.begin());
        let Current { pool, turns, generation, .. } = self.current();
        let statements = self.0.servers.statements;
        async move {
            let row = async {
                let _turn = turn(turns).await?;
                statements.fetch_optional(&pool, query).await
            };
            let answered = database.in_time(generation, Instant::now() + ANSWER_DEADLINE, row).await;
            drop(running);
            answered
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.current().pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.current().pool.describe(sql)
    }
}
