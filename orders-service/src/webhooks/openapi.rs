//! What the routes of webhooks take and answer, and what webhooks are told, for the document of the API.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use service_kit::openapi::{Content, Operation, Webhooks};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::order;
use crate::problems::{DELIVERY_NOT_FOUND, TOO_MANY_WEBHOOKS, WEBHOOK_DISABLED, WEBHOOK_NOT_FOUND};
use crate::webhooks::deliveries::{Delivery, DeliveryStatus};
use crate::webhooks::event::{EventType, Message};
use crate::webhooks::routes::{CreateWebhook, WebhookWithSecret};
use crate::webhooks::store::Webhook;

/// A webhook, in a path.
#[derive(ToSchema)]
pub struct WebhookId(pub Uuid);

/// A message for a webhook, in a path.
#[derive(ToSchema)]
#[schema(as = WebhookDeliveryId)]
pub struct DeliveryId(pub Uuid);

/// Their operations by the ids of the routes.
pub fn operations() -> Vec<(&'static str, Operation)> {
    let ok = |description, content| of_one_webhook().answers(StatusCode::OK, description, content, &[]);
    let shown = || Content::one::<Webhook>(&webhook());
    let secret = || Content::one::<WebhookWithSecret>(&with_secret());
    let all = Content::all::<Webhook>(&json!([webhook()]));
    let deliveries = Content::page::<Delivery>(&json!([delivery()]));
    vec![
        ("listWebhooks", Operation::new().answers(StatusCode::OK, "All your webhooks.", all, &[])),
        ("createWebhook", create_webhook(secret())),
        ("findWebhook", ok("The webhook.", shown())),
        ("deleteWebhook", ok("The webhook that there was.", shown())),
        ("enableWebhook", ok("The webhook is enabled.", shown())),
        ("disableWebhook", ok("The webhook is disabled.", shown())),
        ("rotateWebhookSecret", ok("The webhook has this secret from now on.", secret())),
        (
            "listWebhookDeliveries",
            of_one_webhook().pages::<DeliveryStatus>().answers(StatusCode::OK, "A page of it.", deliveries, &["Link"]),
        ),
        ("replayWebhookDelivery", replay_delivery()),
    ]
}

fn create_webhook(content: Content) -> Operation {
    Operation::new()
        .body::<CreateWebhook>(&[
            ("everything", json!({"url": "https://shop.example/webhooks"})),
            (
                "some",
                json!({"url": "https://shop.example/webhooks", "eventTypes": ["payment.refunded", "order.delivered"]}),
            ),
        ])
        .answers(StatusCode::CREATED, "The webhook was made.", content, &["Location"])
        .refuses(&[&TOO_MANY_WEBHOOKS])
}

fn replay_delivery() -> Operation {
    let content = Content::one::<Delivery>(&delivery());
    of_one_webhook()
        .id::<DeliveryId>("deliveryId", "The delivery.")
        .answers(StatusCode::ACCEPTED, "It will be sent at once.", content, &[])
        .refuses(&[&DELIVERY_NOT_FOUND, &WEBHOOK_DISABLED])
}

fn of_one_webhook() -> Operation {
    Operation::new().id::<WebhookId>("id", "The webhook.").refuses(&[&WEBHOOK_NOT_FOUND])
}

fn webhook() -> Value {
    json!({
        "id": "01a20616-f9c1-7d11-9d7e-0c6a4f1b2a33",
        "url": "https://shop.example/webhooks",
        "eventTypes": [],
        "enabled": true,
        "disabledReason": null,
        "lastSuccessAt": null,
        "createdAt": "2026-11-23T01:48:10.120431Z",
    })
}

fn with_secret() -> Value {
    let mut webhook = webhook();
    webhook["secret"] = json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=");
    webhook
}

fn delivery() -> Value {
    json!({
        "id": "01a20616-fa02-7b0c-8a3e-2f1c9d5e7b44",
        "messageId": "msg_0b1d6f0e4a5c5f3c9d2e7a8b6c4d1e2f",
        "eventType": "order.confirmed",
        "orderId": "01a20616-ee6f-759c-9ca9-709cba7d9bcf",
        "status": "pending",
        "attempts": 1,
        "nextAttemptAt": "2026-11-23T01:48:21.938201Z",
        "lastAttemptAt": "2026-11-23T01:48:16.712011Z",
        "responseStatus": 500,
        "error": null,
        "history": [
            {"at": "2026-11-23T01:48:16.698400Z", "milliseconds": 14, "responseStatus": 500, "error": null},
        ],
        "createdAt": "2026-11-23T01:48:16.601870Z",
    })
}

/// What is posted to webhooks.
pub fn messages() -> Webhooks {
    Webhooks::of::<Message>(messages_with)
}

/// A member of `webhooks` for each type of event.
fn messages_with(schema: &Value) -> Map<String, Value> {
    let header = |name: &str, description: &str, example: &str| {
        json!({"name": name, "in": "header", "required": true, "description": description,
            "schema": {"type": "string"}, "example": example})
    };
    let parameters = json!([
        header(
            "webhook-id",
            "Names the message: the same each time it is sent.",
            "msg_0b1d6f0e4a5c5f3c9d2e7a8b6c4d1e2f"
        ),
        header("webhook-timestamp", "When it was sent, in seconds since 1970.", "1764087000"),
        header(
            "webhook-signature",
            "`v1,` and the HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}`, in base64; more than one, separated \
             by spaces, for 24 hours after the secret was changed.",
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        ),
    ]);
    let message = |event_type: EventType| {
        let example = json!({"type": event_type.name(), "timestamp": "2026-11-23T01:48:15.857534Z", "data": order()});
        let operation = json!({
            "operationId": format!("on{event_type:?}"),
            "summary": event_type.name(),
            "description": "Answer with a status from 200 to 299 within 20 seconds. It may come more than once, and later \
                than something that happened after it: compare `webhook-id`, and `data.version`.",
            "security": [],
            "parameters": parameters,
            "requestBody": {"required": true, "content": {"application/json": {"schema": schema, "example": example}}},
            "responses": {"2XX": {"description": "It was taken."}, "410": {"description": "Nothing more is wanted."}},
        });
        (event_type.name().to_owned(), json!({"post": operation}))
    };
    EventType::ALL.into_iter().map(message).collect()
}
