//! The tokens, keys and passwords that the stack runs with, and what shows them where they might be kept.

use serde_json::{Value, json};

use crate::client::User;
use crate::stack::Stack;

/// What users, operators and services have shown, and what is sealed with.
pub const TOKENS_AND_KEYS: [&str; 5] = [
    "thisisajwttoken",
    "alice-token",
    "admin-demo-token",
    "idempotency-demo-secret",
    "ZGVtb25zdHJhdGlvbi1vbmx5LW5vdC1hLXNlY3JldC4=",
];

pub const PASSWORDS: [&str; 4] =
    ["orders-demo-password", "payments-demo-password", "sandbox-demo-password", "owner-demo-password"];

/// Takes no message: nothing is refunded in between.
const TARGET: &str = "https://receiver.example/hooks";

/// Where there is something to complain of that has them.
pub fn show_where_they_are_refused(user: &User) {
    for token in ["thisisajwttoken", "admin-demo-token"] {
        let header = format!("Bearer {token} {token}");
        let stranger = User::nobody().try_send_text("GET", "/api/orders", None, &[("Authorization", &header)]);
        assert_eq!(stranger.expect("an answer").status, 401);
        let answer = user.get(&format!("/api/orders?limit={token}"));
        assert!(answer.status == 422 && !answer.body.to_string().contains(token), "{answer:?}");
    }
}

/// What messages to somebody are signed with, and were before.
pub fn of_a_webhook() -> [String; 2] {
    let user = User::alice();
    let made = user.send("POST", "/api/webhooks", &json!({"url": TARGET, "eventTypes": ["payment.refunded"]}));
    let path = format!("/api/webhooks/{}", made.id().expect("a webhook"));
    let rotated = user.send("POST", &format!("{path}/rotate-secret"), &Value::Null);
    assert_eq!(user.send("DELETE", &path, &Value::Null).status, 200);
    [made, rotated].map(|answer| {
        let secret = answer.body["data"]["secret"].as_str().and_then(|secret| secret.strip_prefix("whsec_"));
        secret.unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    })
}

/// Of the superuser of PostgreSQL, and of the operator at RabbitMQ.
pub fn passwords_of_servers() -> [String; 2] {
    let stack = Stack::now();
    [stack.postgres, stack.amqp].map(|address| {
        let password = address.split('@').next().and_then(|login| login.rsplit(':').next());
        password.expect("an address with a login").to_owned()
    })
}
