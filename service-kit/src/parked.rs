//! Messages that cannot be applied are parked in a table for a person to look at, never sent round and round.

use crate::pool::Database;
use sqlx::AssertSqlSafe;

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
}

/// Keeps the message in `<schema>.parked`.
pub async fn insert(database: &Database, schema: &'static str, parked: &Parked) -> Result<(), sqlx::Error> {
    let statement = format!("insert into {schema}.parked (queue, message_id, body, reason) values ($1, $2, $3, $4)");
    sqlx::query(AssertSqlSafe(statement))
        .bind(&parked.queue)
        .bind(parked.message_id.as_deref().map(without_nul))
        .bind(&parked.body)
        .bind(without_nul(&parked.reason))
        .execute(database)
        .await
        .map(drop)
}

/// PostgreSQL keeps every character of a text but this one.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
