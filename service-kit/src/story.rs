//! The story of one order, as far as one service knows it: what its tables have, in the order in which it happened.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::types::Json;
use uuid::Uuid;

use crate::pool::Database;
use crate::stored::COUNTED;

/// Something that happened.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct Entry {
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// What, in a few words.
    pub what: String,
    /// What else is known of it.
    pub details: Json<Value>,
}

/// What one service knows of an order.
#[derive(Debug, Serialize)]
pub struct Story {
    /// Its row as it is now, if there is one, with the names of the columns.
    pub row: Option<Json<Value>>,
    /// What happened, the oldest first.
    pub entries: Vec<Entry>,
}

impl Story {
    /// With what waits in the tables that each service has: events without a receipt, and messages that were parked.
    pub async fn with_messages(
        mut self,
        database: &Database,
        schema: &'static str,
        order: Uuid,
    ) -> Result<Self, sqlx::Error> {
        let statement = format!(
            "select created_at as at, event || ' waits for its receipt' as what,
                 jsonb_build_object('id', id, 'nextAttemptAt', next_attempt_at, 'traceparent', traceparent) as details
             from (select * from {schema}.outbox order by id limit {COUNTED}) as oldest
             where order_id = $1
             union all
             select parked_at, 'a message was parked',
                 jsonb_build_object('id', id, 'queue', queue, 'reason', reason)
             from (select * from {schema}.parked order by id desc limit {COUNTED}) as newest
             where position(convert_to($1::text, 'UTF8') in body) > 0"
        );
        let messages: Vec<Entry> = sqlx::query_as(AssertSqlSafe(statement)).bind(order).fetch_all(database).await?;
        self.entries.extend(messages);
        self.entries.sort_by_key(|entry| entry.at);
        Ok(self)
    }

    /// Whether anything is known.
    pub fn is_empty(&self) -> bool {
        self.row.is_none() && self.entries.is_empty()
    }
}
