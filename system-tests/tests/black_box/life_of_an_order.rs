//! The main paths, from the order to its end.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Answer, EMPTY_CARD, GOOD_CARD, SAMPLE_CARD, User};
use crate::stack;

#[test]
fn an_order_that_is_paid_at_once_is_confirmed_and_delivered() {
    let (_stack, user) = (stack::shared(), User::demo());
    let id = user.place_order();
    assert_paid(&user.pay(&id, SAMPLE_CARD), &id);
    user.payment_becomes(&id, "paid");
    user.order_becomes(&id, "delivered", "paid");
    let expected = [("created", "order_placed"), ("confirmed", "payment_paid"), ("delivered", "delivery_due")];
    assert_history(&user, &id, &expected);
}

#[test]
fn a_declined_order_is_paid_with_another_card_and_delivered() {
    let (_stack, user) = (stack::shared(), User::demo());
    let id = user.place_order();
    let refusal = user.pay(&id, EMPTY_CARD);
    refusal.assert_problem(402, "card_declined");
    assert_eq!(refusal.body["declineCode"], "insufficient_funds", "{refusal:?}");
    user.order_becomes(&id, "declined", "declined");
    assert_paid(&user.pay(&id, GOOD_CARD), &id);
    let order = user.order_becomes(&id, "delivered", "paid");
    assert_eq!(order["bill"], 62243, "{order}");
    let expected = [
        ("created", "order_placed"),
        ("declined", "payment_declined"),
        ("confirmed", "payment_paid"),
        ("delivered", "delivery_due"),
    ];
    assert_history(&user, &id, &expected);
    user.pay(&id, GOOD_CARD).assert_problem(409, "payment_already_paid");
    user.cancel(&id).assert_problem(409, "order_not_cancellable");
}

#[test]
fn a_cancelled_order_cannot_be_paid() {
    let (_stack, user) = (stack::shared(), User::demo());
    let id = user.place_order();
    let answer = user.cancel(&id);
    assert_eq!((answer.status, &answer.body["data"]["status"]), (200, &json!("cancelled")), "{answer:?}");
    user.order_becomes(&id, "cancelled", "cancelled");
    user.pay(&id, GOOD_CARD).assert_problem(409, "payment_cancelled");
    user.payment_becomes(&id, "cancelled");
    // Once more changes nothing.
    let again = user.cancel(&id);
    assert_eq!((again.status, &again.body["data"]["status"]), (200, &json!("cancelled")), "{again:?}");
}

#[test]
fn the_money_of_a_paid_and_cancelled_order_goes_back() {
    let (_stack, user) = (stack::shared(), User::demo());
    let id = user.place_order();
    assert_paid(&user.pay(&id, GOOD_CARD), &id);
    let answer = user.cancel(&id);
    assert_eq!((answer.status, &answer.body["data"]["status"]), (200, &json!("cancelled")), "{answer:?}");
    user.payment_becomes(&id, "refunded");
    user.order_becomes(&id, "cancelled", "refunded");
    user.pay(&id, GOOD_CARD).assert_problem(409, "payment_cancelled");
}

#[track_caller]
fn assert_paid(answer: &Answer, order: &Uuid) {
    let payment = &answer.body["data"];
    let seen = (answer.status, &payment["status"], &payment["orderId"], &payment["bill"]);
    assert_eq!(seen, (200, &json!("paid"), &json!(order), &json!(62243)), "{answer:?}");
}

#[track_caller]
fn assert_history(user: &User, order: &Uuid, expected: &[(&str, &str)]) {
    let answer = user.get(&format!("/api/orders/{order}/events"));
    let history: Vec<_> = answer.body["data"].as_array().into_iter().flatten().map(view).collect();
    let expected: Vec<_> = expected.iter().map(|(status, cause)| json!([status, cause])).collect();
    assert_eq!((answer.status, history), (200, expected), "{answer:?}");
    let times: Vec<_> =
        answer.body["data"].as_array().into_iter().flatten().map(|entry| entry["at"].as_str()).collect();
    assert!(times.is_sorted() && times.iter().all(Option::is_some), "{answer:?}");
}

fn view(entry: &Value) -> Value {
    json!([entry["status"], entry["cause"]])
}
