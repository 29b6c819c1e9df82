//! Statements through a pooler that gives each transaction another connection and keeps no account of what is prepared
//! on it, as pgbouncer does in transaction mode before 1.21 or with `max_prepared_statements = 0`.
//!
//! sqlx prepares a statement and then executes it. To such a pooler those are two transactions, and between them it may
//! change to a connection on which somebody else has prepared another statement by that name. So both go into one
//! transaction, at whose begin nothing is prepared. That takes four round trips instead of one.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream};
use sqlx::postgres::{PgQueryResult, PgRow, Postgres};
use sqlx::{Either, Execute, Executor, PgConnection, PgPool};

/// How statements reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statements {
    /// Prepared once for each connection.
    Prepared,
    /// Each in a transaction, and anew.
    Unprepared,
}

impl Statements {
    /// Before what is not executed by a pool: until the connection is closed, all of it is one transaction.
    pub(crate) async fn begin_on(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self == Self::Unprepared {
            sqlx::raw_sql("rollback; begin; deallocate all").execute(connection).await?;
        }
        Ok(())
    }

    pub(crate) fn fetch_many<'e, 'q: 'e, E: Execute<'q, Postgres> + 'q>(
        self,
        pool: &PgPool,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>> {
        match self {
            Self::Prepared => pool.fetch_many(query),
            Self::Unprepared => {
                let rows = in_a_transaction(pool.clone(), query).map_ok(|rows| stream::iter(rows.into_iter().map(Ok)));
                rows.try_flatten_stream().boxed()
            }
        }
    }

    pub(crate) fn fetch_optional<'e, 'q: 'e, E: Execute<'q, Postgres> + 'q>(
        self,
        pool: &PgPool,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>> {
        match self {
            Self::Prepared => pool.fetch_optional(query),
            Self::Unprepared => {
                let rows = in_a_transaction(pool.clone(), query);
                rows.map_ok(|rows| rows.into_iter().find_map(Either::right)).boxed()
            }
        }
    }
}

async fn in_a_transaction<'q, E: Execute<'q, Postgres> + 'q>(
    pool: PgPool,
    query: E,
) -> Result<Vec<Either<PgQueryResult, PgRow>>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let work = async {
        sqlx::raw_sql("begin; deallocate all").execute(&mut *connection).await?;
        let rows = connection.fetch_many(query).try_collect().await?;
        sqlx::raw_sql("commit").execute(&mut *connection).await?;
        Ok(rows)
    };
    let done = work.await;
    if done.is_err() {
        // Which rolls back. When the waiting itself is given up, so is the pool with all its connections.
        connection.close_on_drop();
    }
    done
}
