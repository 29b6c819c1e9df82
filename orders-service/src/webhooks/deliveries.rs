//! The SQL of deliveries, as the owner of a webhook sees them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::page::PageRequest;
use service_kit::pool::Database;
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::webhooks::event::EventType;

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
    /// The latest attempts, the oldest first, those before a replay too; twenty at most.
    #[schema(value_type = Vec<Attempt>)]
    pub history: Json<Vec<Attempt>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// How one attempt to deliver has ended.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookAttempt)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub milliseconds: i64,
    /// What the receiver answered.
    #[schema(required)]
    pub response_status: Option<i32>,
    /// Why there was no answer.
    #[schema(required)]
    pub error: Option<String>,
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

/// A page of the webhook's deliveries, newest first, and one more if there is one.
pub async fn list(
    database: &Database,
    webhook_id: Uuid,
    page: &PageRequest<DeliveryStatus>,
) -> Result<Vec<Delivery>, sqlx::Error> {
    sqlx::query_as!(
        Delivery,
        r#"select id, message_id, event_type, order_id, status, attempts, next_attempt_at, last_attempt_at,
            response_status, error, history as "history: Json<Vec<Attempt>>", created_at
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
            history as "history!: Json<Vec<Attempt>>", created_at as "created_at!"
        from replayed
        "#,
        webhook_id,
        id,
    )
    .fetch_optional(database)
    .await
}
