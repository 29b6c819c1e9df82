//! What the tables that each service has say of its messages.

use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::metrics::Figure;
use crate::pool::Database;

/// How far is counted: far enough to see that something is very wrong, and cheap also then.
pub const COUNTED: u32 = 100_000;

/// What the tables that each service has say at this moment. What is more than [`COUNTED`] is counted as that.
#[derive(Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Messages that are parked.
    pub parked_rows: i64,
    /// Events without a receipt.
    pub outbox_events: i64,
    /// The age of the oldest of them, 0 if there is none.
    pub outbox_oldest_age_seconds: f64,
}

impl Stored {
    /// Looks into the tables of `schema`.
    pub async fn read(database: &Database, schema: &'static str) -> Result<Self, sqlx::Error> {
        let statement = format!(
            "select (select count(*) from (select from {schema}.parked order by id limit {COUNTED}) as parked) as parked_rows,
                 count(*) as outbox_events,
                 coalesce(extract(epoch from greatest(now() - min(created_at), '0')), 0)::float8
                     as outbox_oldest_age_seconds
             from (select created_at from {schema}.outbox order by id limit {COUNTED}) as oldest"
        );
        sqlx::query_as(AssertSqlSafe(statement)).fetch_one(database).await
    }

    pub(crate) fn figures(&self) -> [Figure; 3] {
        let age = ("outbox_oldest_age_seconds", "How long the oldest of them has been there");
        [
            Figure::count("parked_rows", "Messages that are parked now", self.parked_rows),
            Figure::count("outbox_events", "Events that have no receipt yet", self.outbox_events),
            Figure::seconds(age.0, age.1, self.outbox_oldest_age_seconds),
        ]
    }
}
