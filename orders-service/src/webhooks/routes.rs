//! The routes of webhooks.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use service_kit::auth::User;
use service_kit::body::Body;
use service_kit::http::PathId;
use service_kit::page::{Page, PageRequest, Place};
use service_kit::problem::{FieldError, Problem};
use tracing::info;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::problems::{delivery_not_found, too_many_webhooks, webhook_disabled, webhook_not_found};
use crate::webhooks::deliveries::{self, Delivery, DeliveryStatus};
use crate::webhooks::event::EventType;
use crate::webhooks::signing::Secret;
use crate::webhooks::store::{self, Webhook};

/// Everything below `/api/webhooks`.
pub(crate) fn described_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks, create_webhook))
        .routes(routes!(find_webhook, delete_webhook))
        .routes(routes!(enable_webhook))
        .routes(routes!(disable_webhook))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(list_webhook_deliveries))
        .routes(routes!(replay_webhook_delivery))
}

/// What a client writes to get a webhook.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where messages are to be posted to: a public host, by HTTPS.
    #[schema(max_length = 2048)]
    pub url: String,
    /// What it is to be told of; everything, unless given. What is named twice counts once.
    #[serde(default)]
    pub event_types: Vec<EventType>,
}

/// A webhook with its secret, which is shown only now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookWithSecret {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// What the signatures of its messages are checked with. Keep it: it is not shown again.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+=*$")]
    pub secret: String,
}

/// Make a webhook
///
/// From then on it is told of what happens to your orders and their payments, each thing at least once.
#[utoipa::path(post, path = "/api/webhooks", operation_id = "createWebhook", tag = "webhooks")]
async fn create_webhook(
    State(app): State<App>,
    User(user): User,
    Body(body): Body<CreateWebhook>,
) -> Result<Response, Problem> {
    app.webhook_targets.read(&body.url).map_err(unsafe_url)?;
    let mut event_types: Vec<String> = body.event_types.iter().map(|event| event.name().to_owned()).collect();
    event_types.sort_unstable();
    event_types.dedup();
    let secret = Secret::generate()?;
    let id = Uuid::now_v7();
    let sealed = app.webhook_keys.seal(id, &secret)?;
    let created = store::insert(&app.database, id, &user, &body.url, &event_types, &sealed).await?;
    let webhook = created.ok_or_else(too_many_webhooks)?;
    info!(webhook.id = %webhook.id, "a webhook was made");
    let location = [(LOCATION, format!("/api/webhooks/{}", webhook.id))];
    Ok((StatusCode::CREATED, location, with_secret(webhook, &secret)).into_response())
}

fn unsafe_url(detail: &'static str) -> Problem {
    Problem::validation_failed(&[FieldError::new("/url", "unsafe_url", detail)])
}

fn with_secret(webhook: Webhook, secret: &Secret) -> Json<serde_json::Value> {
    Json(json!({"data": WebhookWithSecret { webhook, secret: secret.shown() }}))
}

fn shown(webhook: Option<Webhook>) -> Result<Response, Problem> {
    let webhook = webhook.ok_or_else(webhook_not_found)?;
    Ok(Json(json!({"data": webhook})).into_response())
}

/// List your webhooks
///
/// The oldest first.
#[utoipa::path(get, path = "/api/webhooks", operation_id = "listWebhooks", tag = "webhooks")]
async fn list_webhooks(State(app): State<App>, User(user): User) -> Result<Response, Problem> {
    let webhooks = store::list(&app.database, &user).await?;
    Ok(Json(json!({"data": webhooks})).into_response())
}

/// Read a webhook
#[utoipa::path(get, path = "/api/webhooks/{id}", operation_id = "findWebhook", tag = "webhooks")]
async fn find_webhook(State(app): State<App>, User(user): User, id: PathId) -> Result<Response, Problem> {
    shown(store::find(&app.database, known(id)?, &user).await?)
}

/// Delete a webhook
///
/// With its deliveries. What is being sent at this moment still arrives.
#[utoipa::path(delete, path = "/api/webhooks/{id}", operation_id = "deleteWebhook", tag = "webhooks")]
async fn delete_webhook(State(app): State<App>, User(user): User, id: PathId) -> Result<Response, Problem> {
    shown(store::delete(&app.database, known(id)?, &user).await?)
}

/// Enable a webhook
///
/// What was not delivered before it was disabled is sent now.
#[utoipa::path(post, path = "/api/webhooks/{id}/enable", operation_id = "enableWebhook", tag = "webhooks")]
async fn enable_webhook(State(app): State<App>, User(user): User, id: PathId) -> Result<Response, Problem> {
    shown(store::enable(&app.database, known(id)?, &user).await?)
}

/// Disable a webhook
///
/// Nothing is sent until it is enabled again, and it never hears of what happens meanwhile.
#[utoipa::path(post, path = "/api/webhooks/{id}/disable", operation_id = "disableWebhook", tag = "webhooks")]
async fn disable_webhook(State(app): State<App>, User(user): User, id: PathId) -> Result<Response, Problem> {
    shown(store::disable(&app.database, known(id)?, &user).await?)
}

/// Change the secret of a webhook
///
/// Messages are signed with the new one, and for 24 hours with the one before too.
#[utoipa::path(post, path = "/api/webhooks/{id}/rotate-secret", operation_id = "rotateWebhookSecret", tag = "webhooks")]
async fn rotate_webhook_secret(State(app): State<App>, User(user): User, id: PathId) -> Result<Response, Problem> {
    let (id, secret) = (known(id)?, Secret::generate()?);
    let sealed = app.webhook_keys.seal(id, &secret)?;
    let webhook = store::rotate(&app.database, id, &user, &sealed).await?.ok_or_else(webhook_not_found)?;
    info!(webhook.id = %webhook.id, "a webhook got another secret");
    Ok(with_secret(webhook, &secret).into_response())
}

/// List what a webhook is told
///
/// The newest first, of the last 30 days.
#[utoipa::path(get, path = "/api/webhooks/{id}/deliveries", operation_id = "listWebhookDeliveries", tag = "webhooks")]
async fn list_webhook_deliveries(
    State(app): State<App>,
    User(user): User,
    id: PathId,
    page: PageRequest<DeliveryStatus>,
) -> Result<Page<Delivery>, Problem> {
    let webhook = store::find(&app.database, known(id)?, &user).await?.ok_or_else(webhook_not_found)?;
    let found = deliveries::list(&app.database, webhook.id, &page).await?;
    Ok(page.page(found, |delivery| Place { created_at: delivery.created_at, id: delivery.id }))
}

/// Tell a webhook once more
///
/// The same message with the same `webhook-id`, whether it has taken it before or not.
#[utoipa::path(
    post,
    path = "/api/webhooks/{id}/deliveries/{deliveryId}/replay",
    operation_id = "replayWebhookDelivery",
    tag = "webhooks"
)]
async fn replay_webhook_delivery(
    State(app): State<App>,
    User(user): User,
    DeliveryPath(id, delivery_id): DeliveryPath,
) -> Result<Response, Problem> {
    let id = id.ok_or_else(webhook_not_found)?;
    let webhook = store::find(&app.database, id, &user).await?.ok_or_else(webhook_not_found)?;
    if !webhook.enabled {
        return Err(webhook_disabled());
    }
    let delivery_id = delivery_id.ok_or_else(delivery_not_found)?;
    let delivery = deliveries::replay(&app.database, id, delivery_id).await?.ok_or_else(delivery_not_found)?;
    Ok((StatusCode::ACCEPTED, Json(json!({"data": delivery}))).into_response())
}

fn known(PathId(id): PathId) -> Result<Uuid, Problem> {
    id.ok_or_else(webhook_not_found)
}

/// The `{id}` and the `{deliveryId}` of a route; `None` for what is no UUID, and so names nothing.
struct DeliveryPath(Option<Uuid>, Option<Uuid>);

impl<S: Send + Sync> FromRequestParts<S> for DeliveryPath {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await.ok();
        let ids = path.map(|Path((id, delivery_id))| (id.parse().ok(), delivery_id.parse().ok()));
        let (id, delivery_id) = ids.unwrap_or_default();
        Ok(Self(id, delivery_id))
    }
}
