//! Everybody has their own orders and payments, and does not learn about those of others.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{GOOD_CARD, User};
use crate::stack;

#[test]
fn two_users_cannot_see_pay_or_cancel_each_others_orders() {
    let _stack = stack::shared();
    for (owner, stranger) in [(User::demo(), User::alice()), (User::alice(), User::demo())] {
        let id = owner.place_order();
        let payment = owner.payment_becomes(&id, "pending");
        let order = owner.order_becomes(&id, "created", "pending");

        stranger.get(&format!("/api/orders/{id}")).assert_problem(404, "order_not_found");
        stranger.get(&format!("/api/orders/{id}/events")).assert_problem(404, "order_not_found");
        stranger.cancel(&id).assert_problem(404, "order_not_found");
        stranger.get(&format!("/api/payments/{id}")).assert_problem(404, "payment_not_found");
        stranger.pay(&id, GOOD_CARD).assert_problem(404, "payment_not_found");
        for (path, key) in [("/api/orders", "id"), ("/api/payments", "orderId")] {
            assert!(lists(&owner, path, key, &id), "{path} of the owner has no {id}");
            assert!(!lists(&stranger, path, key, &id), "{path} of a stranger has {id}");
        }

        assert_eq!(owner.get(&format!("/api/orders/{id}")).body["data"], order);
        assert_eq!(owner.get(&format!("/api/payments/{id}")).body["data"], payment);
        assert_eq!(owner.pay(&id, GOOD_CARD).status, 200);
        owner.order_becomes(&id, "delivered", "paid");
    }
}

#[test]
fn without_a_token_nothing_is_shown_or_done() {
    let (_stack, nobody) = (stack::shared(), User::nobody());
    let id = User::demo().place_order();
    for (method, path, body) in [
        ("GET", "/api/orders".to_owned(), Value::Null),
        ("POST", "/api/orders".to_owned(), json!({"bill": 1})),
        ("GET", format!("/api/orders/{id}"), Value::Null),
        ("DELETE", format!("/api/orders/{id}"), Value::Null),
        ("GET", "/api/payments".to_owned(), Value::Null),
        ("GET", format!("/api/payments/{id}"), Value::Null),
        ("POST", format!("/api/payments/pay/{id}"), crate::client::card_details(GOOD_CARD)),
    ] {
        let answer = nobody.send(method, &path, &body);
        answer.assert_problem(401, "unauthorized");
        assert!(answer.header("WWW-Authenticate").is_some(), "{answer:?}");
    }
}

/// Whether the newest page of the list has the order. Other tests add to it at the same time.
fn lists(user: &User, path: &str, key: &str, order: &Uuid) -> bool {
    let answer = user.get(&format!("{path}?limit=1000"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["data"].as_array().is_some_and(|list| list.iter().any(|entry| entry[key] == order.to_string()))
}
