//! `openapi.json`: one document for both services, as they are met behind the gateway.

use serde_json::{Map, Value, json};

use crate::gateway;

const INTRODUCTION: &str = "\
Place an order, pay it with a card, and it is delivered a while later; cancel it until then, and the money goes back.

**Money** is an integer in minor units of its currency: 62243 with `USD` is 622.43 dollars. **Times** are RFC 3339 in \
UTC. **Success** is `{\"data\": …}`. **Errors** are `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): \
`code` is for machines, `detail` says what to do, and `type` leads to [a page about it](/api/docs/problems).

New fields of answers and new problem codes may come at any time: ignore what you do not know. Anything else that could \
break a client would be a new route.

Try it with the token `thisisajwttoken`, or, where signed tokens are asked for, with a JWT of the issuer. No money moves: the card `4242424242424242` is approved, `4000000000009995` is \
declined. The events behind it are described in [asyncapi.json](/api/asyncapi.json).";

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
