//! The SQL of webhooks: each verb is one statement, and so one transaction.

use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::pool::Database;
use shared_events::ids::UserId;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::webhooks::event::EventType;

/// How long both secrets are in use after a rotation.
pub const OVERLAP_HOURS: i32 = 24;

/// A webhook as it is stored and as it is shown. Its secret is shown only when it is new.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Names it.
    pub id: Uuid,
    /// Where messages are posted to.
    pub url: String,
    /// What it is told of; empty for everything.
    #[schema(value_type = Vec<EventType>)]
    pub event_types: Vec<String>,
    /// Whether it is told of anything.
    pub enabled: bool,
    /// Why it was disabled, if you have not done it.
    #[schema(required)]
    pub disabled_reason: Option<String>,
    /// When it last took a message.
    #[schema(required)]
    pub last_success_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Stores a new webhook; `None` if its owner has as many as there may be, which the table itself looks after.
pub async fn insert(
    database: &Database,
    id: Uuid,
    owner: &UserId,
    url: &str,
    event_types: &[String],
    sealed_secret: &[u8],
) -> Result<Option<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"
        insert into orders.webhooks (id, created_by, url, event_types, secret)
        values ($1, $2, $3, $4, $5)
        returning id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        "#,
        id,
        owner.0,
        url,
        event_types,
        sealed_secret,
    )
    .fetch_optional(database)
    .await
}

/// All webhooks of the user, oldest first.
pub async fn list(database: &Database, owner: &UserId) -> Result<Vec<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"select id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        from orders.webhooks where created_by = $1 order by created_at, id
        "#,
        owner.0,
    )
    .fetch_all(database)
    .await
}

/// The webhook, if it is this user's.
pub async fn find(database: &Database, id: Uuid, owner: &UserId) -> Result<Option<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"select id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        from orders.webhooks where id = $1 and created_by = $2
        "#,
        id,
        owner.0,
    )
    .fetch_optional(database)
    .await
}

/// Forgets the webhook with all its deliveries.
pub async fn delete(database: &Database, id: Uuid, owner: &UserId) -> Result<Option<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"delete from orders.webhooks where id = $1 and created_by = $2
        returning id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        "#,
        id,
        owner.0,
    )
    .fetch_optional(database)
    .await
}

/// Tells the webhook of what happens from now on, and sends what it has not been sent yet.
pub async fn enable(database: &Database, id: Uuid, owner: &UserId) -> Result<Option<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"update orders.webhooks
        set enabled = true, disabled_reason = null, due_at = now(),
            told_from = case when enabled then told_from else now() end
        where id = $1 and created_by = $2
        returning id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        "#,
        id,
        owner.0,
    )
    .fetch_optional(database)
    .await
}

/// Tells the webhook of nothing more.
pub async fn disable(database: &Database, id: Uuid, owner: &UserId) -> Result<Option<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"update orders.webhooks set enabled = false, disabled_reason = null, due_at = null
        where id = $1 and created_by = $2
        returning id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        "#,
        id,
        owner.0,
    )
    .fetch_optional(database)
    .await
}

/// Signs with another secret from now on, and for a while with the one before too.
pub async fn rotate(
    database: &Database,
    id: Uuid,
    owner: &UserId,
    sealed_secret: &[u8],
) -> Result<Option<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"update orders.webhooks
        set secret = $3, previous_secret = secret, previous_secret_until = now() + make_interval(hours => $4)
        where id = $1 and created_by = $2
        returning id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        "#,
        id,
        owner.0,
        sealed_secret,
        OVERLAP_HOURS,
    )
    .fetch_optional(database)
    .await
}
