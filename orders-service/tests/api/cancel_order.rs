//! `DELETE /api/orders/{id}`.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use service_kit::testing::{Answer, TOKEN};
use shared_events::events::ProcessedStatus;
use shared_events::ids::OrderId;
use sqlx::PgPool;

use crate::helpers::{TestApp, processed};

#[sqlx::test(migrations = false)]
async fn a_cancel_is_told_to_the_payments_service(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let order = service.delete_order(id).await.expect(StatusCode::OK);
    assert_eq!((&order["status"], &order["cancelReason"]), (&json!("cancelled"), &json!("user")));
    let event = ("payment-cancel-event".to_owned(), json!({"orderId": id, "reason": "user"}));
    assert_eq!(service.outbox(id).await.last(), Some(&event));
    assert_eq!(service.history(id).await, ["created order_placed", "cancelled cancelled_by_user"]);
}

#[sqlx::test(migrations = false)]
async fn a_declined_order_can_be_cancelled(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    service.hear(vec![processed(id, 3, ProcessedStatus::Declined)]).await;
    let order = service.delete_order(id).await.expect(StatusCode::OK);
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("cancelled"), &json!("declined")));
    let event = ("payment-cancel-event".to_owned(), json!({"orderId": id, "reason": "user"}));
    assert_eq!(service.outbox(id).await.last(), Some(&event));
}

#[sqlx::test(migrations = false)]
async fn a_second_cancel_answers_the_same(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let first = service.delete_order(id).await.expect(StatusCode::OK);
    let second = service.delete_order(id).await.expect(StatusCode::OK);
    assert_eq!(first, second);
    assert_eq!(service.outbox(id).await.len(), 2, "one event for the order and one for its cancel");
}

#[sqlx::test(migrations = false)]
async fn many_cancels_at_once_cancel_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let (a, b, c) = tokio::join!(service.delete_order(id), service.delete_order(id), service.delete_order(id));
    for answer in [a, b, c] {
        assert_eq!(answer.expect(StatusCode::OK)["version"], 2);
    }
    assert_eq!(service.outbox(id).await.len(), 2);
}

#[sqlx::test(migrations = false)]
async fn a_paid_order_can_be_cancelled_until_it_is_delivered(database: PgPool) {
    let service = TestApp::start(database).await;
    let (paid, delivered) = (service.placed_order().await, service.placed_order().await);
    for id in [paid, delivered] {
        service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
    }
    let order = service.delete_order(paid).await.expect(StatusCode::OK);
    assert_eq!((&order["status"], &order["deliverAt"]), (&json!("cancelled"), &json!(null)));

    service.execute("update orders.orders set deliver_at = now() where id = $1", delivered).await;
    orders_service::timers::deliver_due(&service.app).await.expect("the database answers");
    let refusal = service.delete_order(delivered).await;
    refusal.expect_problem(StatusCode::CONFLICT, "order_not_cancellable");
    assert_eq!(service.get_order(delivered).await["status"], "delivered");
}

async fn delete_if_match(service: &TestApp, id: OrderId, if_match: &str) -> Answer {
    let request = Request::delete(format!("/api/orders/{id}")).header("authorization", TOKEN);
    service.client.send_raw(request.header("if-match", if_match).body(Body::empty()).expect("a request")).await
}

#[sqlx::test(migrations = false)]
async fn an_order_that_has_changed_since_it_was_read_is_not_cancelled(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    service.hear(vec![processed(id, 3, ProcessedStatus::Declined)]).await;
    for outdated in ["\"1\"", "\"1\", \"7\"", "W/\"2\"", "2", ""] {
        let answer = delete_if_match(&service, id, outdated).await;
        assert_eq!(answer.headers["etag"], "\"2\"", "{outdated}");
        answer.expect_problem(StatusCode::PRECONDITION_FAILED, "precondition_failed");
    }
    assert_eq!(service.get_order(id).await["status"], "declined");
    let answer = delete_if_match(&service, id, "\"1\", \"2\"").await;
    assert_eq!(answer.headers["etag"], "\"3\"");
    assert_eq!(answer.expect(StatusCode::OK)["status"], "cancelled");
    // The tag of the first answer is good for a repetition.
    assert_eq!(delete_if_match(&service, id, "\"3\"").await.expect(StatusCode::OK)["status"], "cancelled");
}

#[sqlx::test(migrations = false)]
async fn any_order_that_there_is_matches_a_star(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    assert_eq!(delete_if_match(&service, id, "*").await.expect(StatusCode::OK)["status"], "cancelled");
    let answer = delete_if_match(&service, OrderId::generate(), "*").await;
    answer.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
}

#[sqlx::test(migrations = false)]
async fn the_events_of_a_cancel_are_part_of_the_trace_of_its_request(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let request = Request::delete(format!("/api/orders/{id}")).header("authorization", TOKEN);
    let request = request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    service.client.send_raw(request.body(Body::empty()).expect("a request")).await.expect(StatusCode::OK);
    let traceparent: Option<String> =
        sqlx::query_scalar("select traceparent from orders.outbox where event = 'payment-cancel-event'")
            .fetch_one(&service.app.database)
            .await
            .expect("an event");
    assert_eq!(traceparent.as_deref(), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
}
