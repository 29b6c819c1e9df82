//! Delivery and expiry.

use axum::http::StatusCode;
use orders_service::timers::{deliver_due, expire_due};
use serde_json::json;
use service_kit::testing::RowLock;
use shared_events::events::ProcessedStatus;
use sqlx::PgPool;

use crate::helpers::{TestApp, processed};

const DELIVER_NOW: &str = "update orders.orders set deliver_at = now() where id = $1";
const EXPIRE_NOW: &str = "update orders.orders set expires_at = now() where id = $1";

#[sqlx::test(migrations = false)]
async fn a_confirmed_order_is_delivered_when_its_time_has_come(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
    deliver_due(&service.app).await.expect("the database answers");
    assert_eq!(service.get_order(id).await["status"], "confirmed", "not before");

    service.execute(DELIVER_NOW, id).await;
    deliver_due(&service.app).await.expect("the database answers");
    assert_eq!(service.get_order(id).await["status"], "delivered");
    assert_eq!(service.history(id).await.last().map(String::as_str), Some("delivered delivery_due"));
}

#[sqlx::test(migrations = false)]
async fn several_replicas_deliver_an_order_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let id = service.placed_order().await;
        service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
        service.execute(DELIVER_NOW, id).await;
        ids.push(id);
    }
    let (a, b, c) = tokio::join!(deliver_due(&service.app), deliver_due(&service.app), deliver_due(&service.app));
    a.and(b).and(c).expect("the database answers");
    for id in ids {
        let order = service.get_order(id).await;
        assert_eq!((&order["status"], &order["version"]), (&json!("delivered"), &json!(3)));
    }
}

#[sqlx::test(migrations = false)]
async fn an_order_that_somebody_holds_does_not_keep_the_others_from_being_delivered(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = service.placed_order().await;
        service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
        service.execute(DELIVER_NOW, id).await;
        ids.push(id);
    }
    let lock = RowLock::hold(&database, "select from orders.orders where id = $1 for update", ids[1]).await;
    deliver_due(&service.app).await.expect_err("one is held");
    for (id, status) in ids.iter().zip(["delivered", "confirmed", "delivered"]) {
        assert_eq!(service.get_order(*id).await["status"], status);
    }
    lock.let_go().await;
    deliver_due(&service.app).await.expect("the database answers");
    assert_eq!(service.get_order(ids[1]).await["status"], "delivered");
}

#[sqlx::test(migrations = false)]
async fn a_cancelled_order_is_never_delivered(database: PgPool) {
    let service = TestApp::start(database).await;
    for _ in 0..10 {
        let id = service.placed_order().await;
        service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
        service.execute(DELIVER_NOW, id).await;
        let (cancel, delivery) = tokio::join!(service.delete_order(id), deliver_due(&service.app));
        delivery.expect("the database answers");
        deliver_due(&service.app).await.expect("the database answers");
        let expected = if cancel.status == StatusCode::OK { "cancelled" } else { "delivered" };
        assert_eq!(service.get_order(id).await["status"], expected);
        assert_eq!(service.history(id).await.len(), 3, "one of the two happened");
    }
}

#[sqlx::test(migrations = false)]
async fn an_unpaid_order_expires(database: PgPool) {
    let service = TestApp::start(database).await;
    let (unpaid, paid, not_yet) =
        (service.placed_order().await, service.placed_order().await, service.placed_order().await);
    service.hear(vec![processed(paid, 3, ProcessedStatus::Paid)]).await;
    for id in [unpaid, paid] {
        service.execute(EXPIRE_NOW, id).await;
    }
    expire_due(&service.app).await.expect("the database answers");
    let order = service.get_order(unpaid).await;
    assert_eq!((&order["status"], &order["cancelReason"]), (&json!("cancelled"), &json!("expired")));
    let event = ("payment-cancel-event".to_owned(), json!({"orderId": unpaid, "reason": "expired"}));
    assert_eq!(service.outbox(unpaid).await.last(), Some(&event));
    assert_eq!(service.get_order(paid).await["status"], "confirmed");
    assert_eq!(service.get_order(not_yet).await["status"], "created");
}
