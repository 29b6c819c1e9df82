//! `payment-create-event`: once, again, and contradicting.

use axum::http::StatusCode;
use serde_json::json;
use shared_events::events::PaymentCreate;
use shared_events::ids::UserId;
use shared_events::money::{Currency, MinorUnits};
use sqlx::PgPool;

use crate::helpers::{APPROVED, TestApp, create, old_order};

const CONTRADICTION: &str = "impossible: the order's payment has another bill or owner";

#[sqlx::test(migrations = false)]
async fn a_payment_is_held_for_its_owner(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = old_order();
    let currency = Currency::try_from("EUR").expect("is known");
    let created_by = UserId("alice".to_owned());
    let refused = service.hear_create(vec![PaymentCreate { created_by, currency, ..create(id) }]).await;
    assert_eq!(refused, [""; 0]);
    let path = format!("/api/payments/{id}");
    let answer = service.client.send(axum::http::Method::GET, &path, "alice-token", &json!(null)).await;
    let payment = answer.expect(StatusCode::OK);
    assert_eq!((&payment["currency"], &payment["createdBy"]), (&json!("EUR"), &json!("alice")));
    assert_eq!(service.told(id).await, [""; 0], "there is nothing to tell yet");
}

#[sqlx::test(migrations = false)]
async fn a_repeated_event_changes_nothing(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = old_order();
    assert_eq!(service.hear_create(vec![create(id), create(id)]).await, [""; 0], "twice in one batch");
    let payment = service.get_payment(id).await;
    assert_eq!(service.hear_create(vec![create(id)]).await, [""; 0]);
    assert_eq!(service.get_payment(id).await, payment);

    let paid = service.pay(id, APPROVED).await.expect(StatusCode::OK);
    assert_eq!(service.hear_create(vec![create(id)]).await, [""; 0]);
    assert_eq!(service.get_payment(id).await, paid, "not even later");
    assert_eq!(service.told(id).await, ["paid 3"]);
}

#[sqlx::test(migrations = false)]
async fn the_same_event_many_times_at_once_holds_one_payment(database: PgPool) {
    let service = TestApp::start(database).await;
    let orders: Vec<_> = (0..20).map(|_| old_order()).collect();
    let forward = || service.hear_create(orders.iter().map(|id| create(*id)).collect());
    let backward = || service.hear_create(orders.iter().rev().map(|id| create(*id)).collect());
    let refused = tokio::join!(forward(), backward(), forward(), backward());
    assert_eq!(refused, (vec![], vec![], vec![], vec![]));
    let list = service.get("/api/payments").await.expect(StatusCode::OK);
    assert_eq!(list.as_array().map(Vec::len), Some(20));
}

#[sqlx::test(migrations = false)]
async fn an_event_that_contradicts_the_payment_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    let (id, other) = (service.held_payment().await, old_order());
    let payment = service.get_payment(id).await;
    let refused = service
        .hear_create(vec![
            PaymentCreate { bill: MinorUnits(1), ..create(id) },
            PaymentCreate { created_by: UserId("alice".to_owned()), ..create(id) },
            create(other),
            PaymentCreate { currency: Currency::try_from("EUR").expect("is known"), ..create(id) },
        ])
        .await;
    assert_eq!(refused, [CONTRADICTION; 3]);
    assert_eq!(service.get_payment(id).await, payment);
    assert_eq!(service.status(other).await, "pending", "the others of the batch are applied");
}

#[sqlx::test(migrations = false)]
async fn of_two_events_that_contradict_each_other_the_first_counts(database: PgPool) {
    let service = TestApp::start(database).await;
    let wrong = |id| PaymentCreate { bill: MinorUnits(1), ..create(id) };
    let (one_batch, two_batches) = (old_order(), old_order());
    let refused = service.hear_create(vec![create(one_batch), wrong(one_batch), create(one_batch)]).await;
    assert_eq!(refused, [CONTRADICTION]);
    let mut refused = service.hear_create(vec![create(two_batches)]).await;
    refused.extend(service.hear_create(vec![wrong(two_batches)]).await);
    assert_eq!(refused, [CONTRADICTION]);
    for id in [one_batch, two_batches] {
        assert_eq!(service.get_payment(id).await["bill"], 62243);
    }
}
