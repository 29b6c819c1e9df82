//! PostgreSQL: refusing an unsafe server, migrating, and telling passing trouble from lasting.
//!
//! Two rules keep acknowledged writes from being lost or half-done. Every write is one statement, and so its own
//! transaction: no `begin` is ever sent (a dropped one poisons the pool in sqlx 0.9,
//! <https://github.com/transact-rs/sqlx/issues/4385>). And every call runs in a task that nothing cancels: requests
//! in [`crate::http`], background work in tasks that look at their stop token only between calls.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use prometheus_client::metrics::histogram::Histogram;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::batcher::Batcher;
use crate::pool::SESSION;
use crate::problem::Problem;
use crate::servers::Servers;
use crate::settings::{DurabilityCheck, Settings};
use crate::unprepared::Statements;

/// How long it may take to find out that a database is as it should be.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);
/// How long a client is kept waiting for an absent database.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many jobs of a batch that could not be done are done at a time: others need connections too.
const ALONE: usize = 4;

/// Waits for the database as long as it takes, checks that it keeps what it acknowledges, and sees that `schema` is up
/// to date: a login that owns the schema migrates it, any other waits until its owner has done so. Safe with several
/// replicas: they queue for a lock. `Ok(false)` when told to stop first.
pub async fn prepare(
    url: &str,
    schema: &'static str,
    migrator: &Migrator,
    settings: &Settings,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let servers: Servers = url.parse()?;
    for pause in backoff() {
        match try_prepare(&servers, schema, migrator, settings.database_durability).await {
            Ok(()) => {
                info!(schema, "the database is ready");
                return Ok(true);
            }
            Err(problem) if is_worth_waiting(&problem) => warn!("waiting for the database: {problem:#}"),
            Err(problem) => return Err(problem),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    Ok(false)
}

async fn try_prepare(
    servers: &Servers,
    schema: &'static str,
    migrator: &Migrator,
    durability: DurabilityCheck,
) -> anyhow::Result<()> {
    let looking = async {
        let mut connection = servers.connect().await.context("cannot connect")?;
        servers.statements.begin_on(&mut connection).await?;
        check_durability(&mut connection, durability).await?;
        let is_up_to_date = is_up_to_date(&mut connection, schema, migrator).await;
        if !is_up_to_date {
            servers.statements.begin_on(&mut connection).await?;
            if !may_migrate(&mut connection, schema).await? {
                return Err(Outdated(schema).into());
            }
            let is_direct = servers.statements == Statements::Prepared;
            anyhow::ensure!(
                is_direct,
                "the schema {schema} is to be migrated by PostgreSQL's own address, not a pooler's"
            );
        }
        check_session(servers).await?;
        anyhow::Ok((connection, is_up_to_date))
    };
    let looked = tokio::time::timeout(LOOK_DEADLINE, looking).await.map(|looked| looked.map_err(explained));
    let (mut connection, is_up_to_date) = looked.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into()))?;
    if !is_up_to_date {
        migrate(&mut connection, schema, migrator).await?;
    }
    // What it was needed for is done.
    drop(tokio::time::timeout(LOOK_DEADLINE, connection.close()).await);
    Ok(())
}

/// Whether nothing is to be migrated. A service that starts anew waits for no lock then, and for no answer that may
/// never come: only migrations may take as long as they like.
async fn is_up_to_date(connection: &mut PgConnection, schema: &'static str, migrator: &Migrator) -> bool {
    // An error is that there is no such table yet, or will come up again when migrating.
    let Ok(applied) = connection.list_applied_migrations(&bookkeeping(schema)).await else { return false };
    migrator.iter().all(|ours| {
        let is_it = |theirs: &AppliedMigration| (theirs.version, &theirs.checksum) == (ours.version, &ours.checksum);
        applied.iter().any(is_it)
    })
}

/// The tables are older than this program, or not there yet.
#[derive(Debug, thiserror::Error)]
#[error("the schema {0} is not up to date, and this login may not change it: run the command `migrate` as its owner")]
struct Outdated(&'static str);

async fn may_migrate(connection: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    let right = "select has_schema_privilege(oid, 'create') from pg_namespace where nspname = $1";
    let found = sqlx::query_scalar(right).bind(schema).fetch_optional(connection).await?;
    // Before the bootstrap there is none, which the migration says best.
    Ok(found.unwrap_or(true))
}

fn bookkeeping(schema: &'static str) -> String {
    format!("{schema}._sqlx_migrations")
}

/// Brings `schema` up to date; its bookkeeping lives in `<schema>._sqlx_migrations`. A newer schema is left as it is: what
/// comes next fits the program before it, so that both can run side by side.
pub async fn migrate(
    connection: &mut PgConnection,
    schema: &'static str,
    migrator: &Migrator,
) -> Result<(), MigrateError> {
    let mut migrator = Migrator { migrations: migrator.migrations.clone(), ignore_missing: true, ..Migrator::DEFAULT };
    migrator.dangerous_set_table_name(bookkeeping(schema));
    // `run` would make the future of everything above it impossible to spawn.
    migrator.run_direct(None, connection, false).await
}

/// A server without these may lose what it acknowledged when it crashes, and then every promise here is void.
async fn check_durability(connection: &mut PgConnection, durability: DurabilityCheck) -> anyhow::Result<()> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut *connection).await?;
        if value != "off" {
            continue;
        }
        match durability {
            DurabilityCheck::Required => anyhow::bail!(
                "PostgreSQL runs with {setting} = off and can lose acknowledged writes; \
                 switch it on, or set DATABASE_DURABILITY=ignored for throw-away data"
            ),
            DurabilityCheck::Ignored => warn!(setting, "PostgreSQL can lose acknowledged writes"),
        }
    }
    Ok(())
}

/// A pooler may leave out what a connection asks for at its start, and then has to have it of the login.
async fn check_session(servers: &Servers) -> anyhow::Result<()> {
    let servers = servers.clone().with(|options| options.options(SESSION));
    let mut connection = servers.connect().await.context("cannot connect")?;
    servers.statements.begin_on(&mut connection).await?;
    for (setting, value) in SESSION {
        let found: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut connection).await?;
        anyhow::ensure!(
            found == value,
            "a pooler lets {setting} be {found} where {value} was asked for: apply migrations/bootstrap.sql again, which \
             gives it to the logins, and have the pooler open its connections anew"
        );
    }
    Ok(connection.close().await?)
}

/// Names the pooler that has mixed up what different connections have prepared.
fn explained(problem: anyhow::Error) -> anyhow::Error {
    let code = |cause: &sqlx::Error| cause.as_database_error()?.code().map(Cow::into_owned);
    match problem.downcast_ref().and_then(code).as_deref() {
        // invalid_sql_statement_name, duplicate_prepared_statement
        Some("26000" | "42P05") => problem.context(
            "a pooler keeps no account of prepared statements: DATABASE_URL has to end in \
             ?statement-cache-capacity=0, or pgbouncer (1.21 or newer) to have max_prepared_statements",
        ),
        _ => problem,
    }
}

fn is_worth_waiting(problem: &anyhow::Error) -> bool {
    problem.is::<Outdated>()
        || problem.chain().any(|cause| match (cause.downcast_ref(), cause.downcast_ref()) {
            (Some(cause), _) => is_transient(cause),
            (_, Some(MigrateError::Execute(cause))) => is_transient(cause),
            _ => false,
        })
}

/// Whether the same statement may succeed later: the server is away, starting, stopping, full or in a conflict.
pub fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        // The last is a connection that breaks in the middle of an answer.
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| {
            // https://www.postgresql.org/docs/current/errcodes-appendix.html
            let class_may_pass = ["08", "40", "53", "55", "57", "58"].contains(&code.get(..2).unwrap_or_default());
            // The bootstrap has not made the database (3D000), the role (28000, 28P01) or the schema yet (3F000); the
            // server is a standby for now (25006).
            class_may_pass || ["3D000", "28000", "28P01", "3F000", "25006"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// Pauses between attempts, without end: from 100 ms doubling to 1 s, with jitter so that replicas spread.
pub fn backoff() -> impl Iterator<Item = Duration> + Send {
    use backon::BackoffBuilder;
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
        .without_max_times()
        .build()
}

/// Whether the statement was understood and its data refused: no repetition will help. Anything else may pass, be it
/// only when an operator has mended something.
pub fn is_refusal(error: &sqlx::Error) -> bool {
    match error {
        // Data exceptions and integrity constraint violations.
        sqlx::Error::Database(refusal) => {
            refusal.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// Repeats a unit of work while the database is in passing trouble, for as long as the caller has `patience`. The work
/// must be harmless to repeat, since an attempt whose answer was lost may have been committed.
pub async fn retry<T, Work>(patience: Duration, work: impl FnMut() -> Work) -> Result<T, sqlx::Error>
where
    Work: Future<Output = Result<T, sqlx::Error>>,
{
    let started = Instant::now();
    retry_while(|trouble| is_transient(trouble) && started.elapsed() < patience, work).await
}

/// Where jobs of clients are done many at a time, each batch by one statement, and how many is counted in `sizes`. `work`
/// answers in the order of the jobs and must be harmless to repeat.
pub fn batched<Job, Answer, Work>(
    limit: usize,
    sizes: Histogram,
    work: impl Fn(Arc<[Job]>) -> Work + Send + Sync + 'static,
) -> Batcher<Job, Result<Answer, Problem>>
where
    Job: Clone + Send + Sync + 'static,
    Answer: Clone + Send + 'static,
    Work: Future<Output = Result<Vec<Answer>, sqlx::Error>> + Send + 'static,
{
    let work = Arc::new(work);
    Batcher::start(limit, move |jobs| {
        sizes.observe(f64::from(u32::try_from(jobs.len()).unwrap_or(u32::MAX)));
        let work = Arc::clone(&work);
        async move { together_or_alone(jobs, &*work).await }
    })
}

/// Has a batch done by one statement, which is repeated as by [`retry`]. When the database refuses its data, or one row
/// is held by somebody else for too long, each job is done on its own, so that one which cannot be done fails alone.
/// Answers in the order of the jobs.
pub async fn together_or_alone<Job, Answer, Work>(
    jobs: Vec<Job>,
    work: &impl Fn(Arc<[Job]>) -> Work,
) -> Vec<Result<Answer, Problem>>
where
    Job: Clone,
    Answer: Clone,
    Work: Future<Output = Result<Vec<Answer>, sqlx::Error>>,
{
    let jobs: Arc<[Job]> = jobs.into();
    let mut answers = Vec::with_capacity(jobs.len());
    match retry(PATIENCE, || work(Arc::clone(&jobs))).await {
        Ok(all) => answers.extend(all.into_iter().map(Ok)),
        Err(trouble) if may_concern_one(&trouble) && jobs.len() > 1 => {
            warn!(%trouble, "a batch could not be done; doing its jobs one by one");
            let alone: Vec<_> = jobs.iter().map(|job| retry(PATIENCE, || work(Arc::new([job.clone()])))).collect();
            let mut alone = stream::iter(alone).buffered(ALONE);
            while let Some(done) = alone.next().await {
                match done {
                    Ok(alone) => answers.extend(alone.into_iter().map(Ok)),
                    Err(problem) => answers.push(Err(problem.into())),
                }
            }
        }
        Err(problem) => answers.resize(jobs.len(), Err(problem.into())),
    }
    answers
}

/// What was found at one server is not there at the one that answers now: it has taken over, and never had it. Passing
/// trouble, since all that was decided on it can be decided again.
pub fn found_no_more() -> sqlx::Error {
    sqlx::Error::Io(io::Error::other("another server has taken over, which has never had what was found"))
}

/// Whether somebody else held a row, or all of them, for longer than is waited for that.
pub fn is_held(error: &sqlx::Error) -> bool {
    // lock_not_available
    error.as_database_error().is_some_and(|refusal| refusal.code().as_deref() == Some("55P03"))
}

/// Whether the rest of what was to be written together may well be written.
pub fn may_concern_one(error: &sqlx::Error) -> bool {
    is_refusal(error) || is_held(error)
}

/// Repeats a unit of work, which must be harmless to repeat, while `worthwhile` says so of its error.
pub async fn retry_while<T, Work>(
    worthwhile: impl Fn(&sqlx::Error) -> bool,
    mut work: impl FnMut() -> Work,
) -> Result<T, sqlx::Error>
where
    Work: Future<Output = Result<T, sqlx::Error>>,
{
    let mut pauses = backoff();
    loop {
        match work().await {
            Err(trouble) if worthwhile(&trouble) => warn!(%trouble, "the database did not answer; trying again"),
            answered => return answered,
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
    }
}
