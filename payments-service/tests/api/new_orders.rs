//! A client that is quicker than the event which brings the payment of its order.

use axum::http::StatusCode;
use shared_events::ids::OrderId;
use sqlx::PgPool;
use std::sync::Arc;

use crate::helpers::{APPROVED, DECLINED, TestApp, create, old_order};

/// Looks for the payment of an order that is too old to wait for; comes back when that was answered.
///
/// The requests that were sent before have then looked for theirs too, and wait.
async fn ask_in_vain(service: &TestApp) {
    let answer = service.get(&format!("/api/payments/{}", old_order())).await;
    answer.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
    let answer = service.pay(old_order(), APPROVED).await;
    answer.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
}

#[sqlx::test(migrations = false)]
async fn a_new_order_can_be_paid_before_its_payment_has_arrived(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = OrderId::generate();
    let paying = service.spawn_pay(id, APPROVED);
    ask_in_vain(&service).await;
    assert!(!paying.is_finished(), "a new order is waited for");
    service.hear_create(vec![create(id)]).await;
    assert_eq!(paying.await.expect("an answer").expect(StatusCode::OK)["status"], "paid");
}

#[sqlx::test(migrations = false)]
async fn a_new_order_can_be_read_before_its_payment_has_arrived(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = OrderId::generate();
    let reader = Arc::clone(&service);
    let reading = tokio::spawn(async move { reader.get_payment(id).await });
    ask_in_vain(&service).await;
    assert!(!reading.is_finished(), "a new order is waited for");
    service.hear_create(vec![create(id)]).await;
    assert_eq!(reading.await.expect("an answer")["status"], "pending");
}

#[sqlx::test(migrations = false)]
async fn a_pay_and_the_payment_it_is_for_may_come_at_once(database: PgPool) {
    let service = TestApp::start(database).await;
    for _ in 0..20 {
        let id = OrderId::generate();
        let (answer, refused) = tokio::join!(service.pay(id, APPROVED), service.hear_create(vec![create(id)]));
        assert_eq!(answer.expect(StatusCode::OK)["status"], "paid");
        assert_eq!(refused, [""; 0]);
    }
}

#[sqlx::test(migrations = false)]
async fn a_new_order_that_was_cancelled_before_its_payment_arrived_cannot_be_paid(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = OrderId::generate();
    let paying = service.spawn_pay(id, APPROVED);
    service.hear_cancel(vec![id]).await;
    ask_in_vain(&service).await;
    service.hear_create(vec![create(id)]).await;
    paying.await.expect("an answer").expect_problem(StatusCode::CONFLICT, "payment_cancelled");
    assert_eq!(service.book(id).await, [""; 0]);
}

#[sqlx::test(migrations = false)]
async fn an_order_that_never_comes_is_not_found_in_the_end(database: PgPool) {
    let service = TestApp::start(database).await;
    let answer = service.get(&format!("/api/payments/{}", OrderId::generate())).await;
    answer.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
}

#[sqlx::test(migrations = false)]
async fn a_payment_that_another_replica_holds_is_found_too(database: PgPool) {
    let (service, other) = (TestApp::start(database.clone()).await, TestApp::start(database).await);
    for _ in 0..20 {
        let (read, paid) = (OrderId::generate(), OrderId::generate());
        other.hear_create(vec![create(read), create(paid)]).await;
        assert_eq!(service.status(read).await, "pending");
        service.pay(paid, APPROVED).await.expect(StatusCode::OK);
    }
}

#[sqlx::test(migrations = false)]
async fn what_another_replica_has_done_with_a_payment_since_it_was_held_counts(database: PgPool) {
    let (service, other) = (TestApp::start(database.clone()).await, TestApp::start(database).await);
    let (paid, cancelled, declined) = (OrderId::generate(), OrderId::generate(), OrderId::generate());
    service.hear_create(vec![create(paid), create(cancelled), create(declined)]).await;
    other.pay(paid, APPROVED).await.expect(StatusCode::OK);
    other.hear_cancel(vec![cancelled]).await;
    other.pay(declined, DECLINED).await.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
    service.pay(paid, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_already_paid");
    service.pay(cancelled, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_cancelled");
    assert_eq!(service.pay(declined, APPROVED).await.expect(StatusCode::OK)["attempts"], 2);
    let statuses = [service.status(paid).await, service.status(cancelled).await, service.status(declined).await];
    assert_eq!(statuses, ["paid", "cancelled", "paid"]);
    assert_eq!(service.book(paid).await, ["approved"]);
}
