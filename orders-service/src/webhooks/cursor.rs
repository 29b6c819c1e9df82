//! The SQL of telling: which changes have been made into deliveries, and for whom.

use chrono::{DateTime, Utc};
use service_kit::composite_type;
use service_kit::pool::Database;
use uuid::Uuid;

/// A message that is to be sent to a webhook.
#[derive(Clone, Debug, sqlx::Encode)]
#[expect(missing_docs, reason = "the fields are the columns")]
pub struct NewDelivery {
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub message_id: String,
    pub event_type: &'static str,
    pub order_id: Uuid,
    pub payload: String,
}

composite_type!(NewDelivery, "orders.new_delivery");

/// Which changes have been made into deliveries; `None` at the very first time. With whether there is any webhook.
pub async fn read(database: &Database) -> Result<(Option<String>, bool), sqlx::Error> {
    let cursor = sqlx::query!(
        r#"select (select seen from orders.webhook_cursor where id) as seen,
            coalesce((select true from orders.webhooks where enabled limit 1), false) as "has_webhooks!""#
    )
    .fetch_one(database)
    .await?;
    Ok((cursor.seen, cursor.has_webhooks))
}

/// Begins with what happens from now on, unless another replica has begun.
pub async fn begin(database: &Database, seen: &str, seen_below: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into orders.webhook_cursor (seen, seen_below) values ($1, $2) on conflict do nothing",
        seen,
        seen_below,
    )
    .execute(database)
    .await
    .map(drop)
}

/// Who is to be told of what.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns")]
pub struct Told {
    pub id: Uuid,
    pub created_by: String,
    pub event_types: Vec<String>,
    pub told_from: DateTime<Utc>,
}

/// The webhooks that are told of what happens to orders of these users.
pub async fn told(database: &Database, owners: &[String]) -> Result<Vec<Told>, sqlx::Error> {
    sqlx::query_as!(
        Told,
        "select id, created_by, event_types, told_from from orders.webhooks where created_by = any($1) and enabled",
        owners,
    )
    .fetch_all(database)
    .await
}

/// Stores the deliveries, and that the changes they are made of have been made into deliveries; does nothing if another
/// replica was quicker, and fails if a webhook was deleted meanwhile.
pub async fn advance(
    database: &Database,
    from: &str,
    to: &str,
    to_below: i64,
    deliveries: &[NewDelivery],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with moved as (
            update orders.webhook_cursor set seen = $2, seen_below = $3 where id and seen = $1 returning id
        ), new as (
            select * from unnest($4::orders.new_delivery[])
            where exists (select from moved)
        ), made as (
            insert into orders.webhook_deliveries (id, webhook_id, message_id, event_type, order_id, payload)
            select id, webhook_id, message_id, event_type, order_id, payload
            from new
            returning webhook_id
        )
        update orders.webhooks set due_at = case when enabled then least(due_at, now()) end
        where id = any(array(select distinct webhook_id from made))
        "#,
        from,
        to,
        to_below,
        deliveries as _,
    )
    .execute(database)
    .await
    .map(drop)
}
