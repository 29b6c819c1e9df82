//! Messages that cannot be applied are parked in a table for a person to look at, never sent round and round.
//!
//! A parked message counts as settled for its publisher, so its row is the only copy and goes only when the message has
//! been applied after all, or is parked again in a new row, or was discarded: [`crate::replay`] tells how.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::pool::Database;

/// A message with the reason why it could not be applied.
#[derive(Debug)]
pub struct Parked {
    /// The queue it came from.
    pub queue: String,
    /// The AMQP `message_id`, if it had one.
    pub message_id: Option<String>,
    /// The body as it came.
    pub body: Vec<u8>,
    /// Why it was not applied.
    pub reason: String,
    /// The row it was replayed from, which the new one takes the place of.
    pub replay_of: Option<i64>,
}

/// What kind of reason it was, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not an event of its queue.
    Malformed,
    /// It contradicts what is known.
    Impossible,
    /// The database does not take its data.
    Refused,
    /// The broker gave up on delivering it.
    DeadLettered,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Malformed, Self::Impossible, Self::Refused, Self::DeadLettered];

    /// How metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Impossible => "impossible",
            Self::Refused => "refused",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

/// A row without its body.
#[derive(Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Later rows have greater ones.
    pub id: i64,
    /// The queue it came from.
    pub queue: String,
    /// The AMQP `message_id`, if it had one.
    pub message_id: Option<String>,
    /// The size of its body.
    pub bytes: i32,
    /// Why it was not applied.
    pub reason: String,
    /// The row it was replayed from, and has taken the place of.
    pub replay_of: Option<i64>,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
}

/// A whole row.
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    /// All but the body.
    #[sqlx(flatten)]
    pub summary: Summary,
    /// The body as it came.
    pub body: Vec<u8>,
}

const SUMMARY: &str = "id, queue, message_id, octet_length(body) as bytes, reason, replay_of, parked_at";

/// Keeps the message in `<schema>.parked`. A replay takes the place of the row it was replayed from, all or nothing; if
/// that is gone, the message was settled already, nothing is added and the answer is false.
pub async fn insert(database: &Database, schema: &'static str, parked: &Parked) -> Result<bool, sqlx::Error> {
    let statement = format!(
        "with replayed as (delete from {schema}.parked where id = $5 returning id)
         insert into {schema}.parked (queue, message_id, body, reason, replay_of)
         select $1, $2, $3, $4, $5 where $5 is null or exists (select from replayed)"
    );
    let inserted = sqlx::query(AssertSqlSafe(statement))
        .bind(&parked.queue)
        .bind(parked.message_id.as_deref().map(without_nul))
        .bind(&parked.body)
        .bind(without_nul(&parked.reason))
        .bind(parked.replay_of)
        .execute(database)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Up to `limit` rows with greater ids than `after`, the oldest first.
pub async fn list(
    database: &Database,
    schema: &'static str,
    after: i64,
    limit: i64,
) -> Result<Vec<Summary>, sqlx::Error> {
    let statement = format!("select {SUMMARY} from {schema}.parked where id > $1 order by id limit $2");
    sqlx::query_as(AssertSqlSafe(statement)).bind(after).bind(limit).fetch_all(database).await
}

/// One row.
pub async fn find(database: &Database, schema: &'static str, id: i64) -> Result<Option<Row>, sqlx::Error> {
    let statement = format!("select {SUMMARY}, body from {schema}.parked where id = $1");
    sqlx::query_as(AssertSqlSafe(statement)).bind(id).fetch_optional(database).await
}

/// Gives a message up; answers it for the last time.
pub async fn discard(database: &Database, schema: &'static str, id: i64) -> Result<Option<Row>, sqlx::Error> {
    let statement = format!("delete from {schema}.parked where id = $1 returning {SUMMARY}, body");
    sqlx::query_as(AssertSqlSafe(statement)).bind(id).fetch_optional(database).await
}

/// Forgets messages that were applied when they were replayed.
pub(crate) async fn forget(database: &Database, schema: &'static str, ids: &[i64]) -> Result<(), sqlx::Error> {
    let statement = format!("delete from {schema}.parked where id = any($1)");
    sqlx::query(AssertSqlSafe(statement)).bind(ids).execute(database).await.map(drop)
}

/// PostgreSQL keeps every character of a text but this one.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
