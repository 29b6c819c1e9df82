//! `openapi.json`: one document for both services, as they are met behind the gateway.

use serde_json::{Map, Value, json};

use crate::gateway;

/// What a client should know before it looks at the routes, in Markdown.
const INTRODUCTION: &str = include_str!("introduction.md");

/// The document.
pub fn document() -> Value {
    let everywhere = gateway::everywhere();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Order processing",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Orders, and payments for them.",
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The gateway that serves this document."}],
        "security": [{"bearerAuth": []}, {"bareToken": []}],
        "tags": [
            {"name": "orders", "description": "Place, follow and cancel orders."},
            {"name": "payments", "description": "Pay orders; each has one payment."},
            {"name": "webhooks", "description": "Be told of what happens, at an address of your own."},
        ],
    });
    for description in [orders_service::openapi::description(), payments_service::openapi::description()] {
        merge(&mut document, description.write(&everywhere));
    }
    document["components"]["securitySchemes"] = json!({
        "bearerAuth": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A JWT whose `sub` is the user, signed by the issuer that the services are told (`AUTH_MODE=jwt`). \
                Unless they are told one, the tokens are those of the demo users, such as `thisisajwttoken`.",
        },
        "bareToken": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "The same token without `Bearer` before it.",
        },
    });
    document
}

/// Adds the members of `part` to those of `whole`, objects in objects.
fn merge(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                merge(whole.entry(name).or_insert_with(|| Map::new().into()), value);
            }
        }
        (whole, part) => *whole = part,
    }
}
