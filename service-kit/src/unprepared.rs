//! Statements through a pooler that gives each transaction another connection and keeps no account of what is prepared
//! on it, as pgbouncer does in transaction mode before 1.21 or with `max_prepared_statements = 0`.
//!
//! sqlx prepares a statement and then executes it. To such a pooler those are two transactions, and between them it may
//! change to a connection on which somebody else has prepared another statement by that name. So both go into one
//! transaction, at whose begin nothing is prepared. That takes four round trips instead of one.

use futures_util::TryStreamExt;
use sqlx::postgres::{PgDatabaseError, PgQueryResult, PgRow, PgSeverity, Postgres};
use sqlx::{Either, Execute, Executor, PgConnection};

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

    /// Answers all of a statement's rows.
    pub(crate) async fn execute<'q, E: Execute<'q, Postgres> + 'q>(
        self,
        connection: &mut PgConnection,
        query: E,
    ) -> Result<Vec<Either<PgQueryResult, PgRow>>, sqlx::Error> {
        match self {
            Self::Prepared => connection.fetch_many(query).try_collect().await,
            Self::Unprepared => {
                sqlx::raw_sql("begin; deallocate all").execute(&mut *connection).await?;
                let rows = connection.fetch_many(query).try_collect().await?;
                sqlx::raw_sql("commit").execute(&mut *connection).await?;
                Ok(rows)
            }
        }
    }

    /// Whether the connection can be used after this came of a statement: the server has only refused it, and no
    /// transaction is open.
    pub(crate) fn can_go_on_after(self, trouble: &sqlx::Error) -> bool {
        let refusal = trouble.as_database_error().and_then(|refusal| refusal.try_downcast_ref::<PgDatabaseError>());
        self == Self::Prepared && refusal.is_some_and(|refusal| refusal.severity() == PgSeverity::Error)
    }
}
