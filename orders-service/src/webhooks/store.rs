//! The SQL of webhooks and their deliveries: each verb is one statement, and so one transaction.

use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::page::PageRequest;
use service_kit::pool::Database;
use shared_events::ids::UserId;
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::webhooks::event::EventType;
use crate::webhooks::signing::Secret;

/// How many webhooks a user may have.
pub const MAX_WEBHOOKS: i64 = 10;
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

/// A message for a webhook, as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
pub struct Delivery {
    /// Names it.
    pub id: Uuid,
    /// The `webhook-id` that it is sent with, each time.
    pub message_id: String,
    /// What has happened.
    #[schema(value_type = EventType)]
    pub event_type: String,
    /// The order that it has happened to.
    pub order_id: Uuid,
    /// What became of it.
    #[schema(value_type = DeliveryStatus)]
    pub status: String,
    /// How often it was sent since it was made, or was replayed.
    pub attempts: i32,
    /// When it is sent next.
    #[schema(required)]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was last sent.
    #[schema(required)]
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// What the receiver then answered.
    #[schema(required)]
    pub response_status: Option<i32>,
    /// Why there was no answer.
    #[schema(required)]
    pub error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookDeliveryStatus)]
pub enum DeliveryStatus {
    /// It will be sent, perhaps again.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// It was tried often enough.
    Failed,
}

impl DeliveryStatus {
    /// The name in JSON and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl TryFrom<&str> for DeliveryStatus {
    type Error = String;

    fn try_from(name: &str) -> Result<Self, String> {
        let all = [Self::Pending, Self::Delivered, Self::Failed];
        let found = all.into_iter().find(|status| status.name() == name);
        found.ok_or_else(|| "must be one of pending, delivered, failed".to_owned())
    }
}

/// Stores a new webhook; `None` if its owner has as many as there may be.
pub async fn insert(
    database: &Database,
    owner: &UserId,
    url: &str,
    event_types: &[String],
    secret: &Secret,
) -> Result<Option<Webhook>, sqlx::Error> {
    sqlx::query_as!(
        Webhook,
        r#"
        insert into orders.webhooks (id, created_by, url, event_types, secret)
        select $1::uuid, $2::text, $3::text, $4::text[], $5::bytea
        where (select count(*) from orders.webhooks where created_by = $2) < $6
        returning id, url, event_types, enabled, disabled_reason, last_success_at, created_at
        "#,
        Uuid::now_v7(),
        owner.0,
        url,
        event_types,
        secret.as_bytes(),
        MAX_WEBHOOKS,
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
    secret: &Secret,
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
        secret.as_bytes(),
        OVERLAP_HOURS,
    )
    .fetch_optional(database)
    .await
}

/// A page of the webhook's deliveries, newest first, and one more if there is one.
pub async fn deliveries(
    database: &Database,
    webhook_id: Uuid,
    page: &PageRequest<DeliveryStatus>,
) -> Result<Vec<Delivery>, sqlx::Error> {
    sqlx::query_as!(
        Delivery,
        r#"select id, message_id, event_type, order_id, status, attempts, next_attempt_at, last_attempt_at,
            response_status, error, created_at
        from orders.webhook_deliveries
        where webhook_id = $1
            and (created_at, id) < (
                coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
            )
            and created_at > coalesce($4, '-infinity'::timestamptz)
            and ($5::text is null or status = $5)
        order by created_at desc, id desc
        limit $6
        "#,
        webhook_id,
        page.before.map(|place| place.created_at),
        page.before.map(|place| place.id),
        page.created_after,
        page.status.map(DeliveryStatus::name),
        page.rows_to_read(),
    )
    .fetch_all(database)
    .await
}

/// Has the message sent once more, as if it were new.
pub async fn replay(database: &Database, webhook_id: Uuid, id: Uuid) -> Result<Option<Delivery>, sqlx::Error> {
    sqlx::query_as!(
        Delivery,
        r#"with replayed as (
            update orders.webhook_deliveries set status = 'pending', attempts = 0, next_attempt_at = now()
            where id = $2 and webhook_id = $1
            returning *
        ), told as (
            update orders.webhooks set due_at = case when enabled then least(due_at, now()) end
            where id = $1 and exists (select from replayed)
        )
        select id as "id!", message_id as "message_id!", event_type as "event_type!", order_id as "order_id!",
            status as "status!", attempts as "attempts!", next_attempt_at, last_attempt_at, response_status, error,
            created_at as "created_at!"
        from replayed
        "#,
        webhook_id,
        id,
    )
    .fetch_optional(database)
    .await
}

/// A message that is to be sent to a webhook.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns")]
pub struct NewDelivery {
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub message_id: String,
    pub event_type: &'static str,
    pub order_id: Uuid,
    pub payload: String,
}

/// Which changes have been made into deliveries; `None` at the very first time. With whether there is any webhook.
pub async fn cursor(database: &Database) -> Result<(Option<String>, bool), sqlx::Error> {
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
            select * from jsonb_to_recordset($4) as new (
                id uuid, webhook_id uuid, message_id text, event_type text, order_id uuid, payload text
            )
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
        Json(deliveries) as _,
    )
    .execute(database)
    .await
    .map(drop)
}
