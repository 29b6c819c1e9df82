//! Two that change one order, having read the same version of it, in each order in which they can be stored.

use std::sync::Arc;

use axum::http::StatusCode;
use orders_service::timers::{deliver_due, expire_due};
use serde_json::json;
use service_kit::testing::RowLock;
use shared_events::events::ProcessedStatus;
use shared_events::ids::OrderId;
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::helpers::{TestApp, processed};

/// The row that is locked.
const ROW: &str = "select from orders.orders where id = $1 for update";

const EXPIRE_NOW: &str = "update orders.orders set expires_at = now() where id = $1";
const DELIVER_NOW: &str = "update orders.orders set deliver_at = now() where id = $1";

/// Something that changes an order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pay,
    Cancel,
    Expire,
    Deliver,
}

impl Step {
    /// Takes the step in a task of its own; the answer to the client if there is one.
    fn spawn(self, service: &Arc<TestApp>, id: OrderId) -> JoinHandle<Option<StatusCode>> {
        let service = Arc::clone(service);
        tokio::spawn(async move {
            match self {
                Self::Pay => {
                    let refused = service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
                    assert_eq!(refused, [""; 0]);
                }
                Self::Cancel => return Some(service.delete_order(id).await.status),
                Self::Expire => expire_due(&service.app).await.expect("the database answers"),
                Self::Deliver => deliver_due(&service.app).await.expect("the database answers"),
            }
            None
        })
    }
}

/// Takes both steps, decided on the same version of the order and stored one after the other; the answers.
async fn collide(database: &PgPool, service: &Arc<TestApp>, id: OrderId, steps: [Step; 2]) -> [Option<StatusCode>; 2] {
    let lock = RowLock::hold(database, ROW, id).await;
    let first = steps[0].spawn(service, id);
    lock.is_waited_for_by(1).await;
    let second = steps[1].spawn(service, id);
    lock.is_waited_for_by(2).await;
    lock.let_go().await;
    [first.await.expect("no panic"), second.await.expect("no panic")]
}

/// `payment-cancel-event`s in the outbox.
async fn cancels_told(service: &TestApp, id: OrderId) -> usize {
    service.outbox(id).await.iter().filter(|(event, _)| event == "payment-cancel-event").count()
}

#[sqlx::test(migrations = false)]
async fn a_payment_and_the_end_of_the_order_at_once_leave_no_money_behind(database: PgPool) {
    let service = Arc::new(TestApp::start(database.clone()).await);
    // The cancel goes out again with the news of the money, unless it was decided with the news.
    for (steps, status, reason, cancels) in [
        ([Step::Pay, Step::Cancel], "cancelled", json!("user"), 1),
        ([Step::Cancel, Step::Pay], "cancelled", json!("user"), 2),
        ([Step::Expire, Step::Pay], "cancelled", json!("expired"), 2),
        ([Step::Pay, Step::Expire], "confirmed", json!(null), 0),
    ] {
        let id = service.placed_order().await;
        if steps.iter().any(|step| matches!(step, Step::Expire)) {
            service.execute(EXPIRE_NOW, id).await;
        }
        let answers = collide(&database, &service, id, steps).await;
        assert!(answers.iter().flatten().all(|answer| *answer == StatusCode::OK), "{steps:?}: {answers:?}");
        let order = service.get_order(id).await;
        let seen = (&order["status"], &order["cancelReason"], &order["paymentStatus"]);
        assert_eq!(seen, (&json!(status), &reason, &json!("paid")), "{steps:?}");
        assert_eq!(cancels_told(&service, id).await, cancels, "{steps:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn an_order_is_either_cancelled_or_delivered(database: PgPool) {
    let service = Arc::new(TestApp::start(database.clone()).await);
    for (steps, status, answer, cancels) in [
        ([Step::Cancel, Step::Deliver], "cancelled", StatusCode::OK, 1),
        ([Step::Deliver, Step::Cancel], "delivered", StatusCode::CONFLICT, 0),
    ] {
        let id = service.placed_order().await;
        service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await;
        service.execute(DELIVER_NOW, id).await;
        let answers = collide(&database, &service, id, steps).await;
        assert_eq!(answers.into_iter().flatten().collect::<Vec<_>>(), [answer], "{steps:?}");
        assert_eq!(service.get_order(id).await["status"], status, "{steps:?}");
        assert_eq!(cancels_told(&service, id).await, cancels, "{steps:?}");
        assert_eq!(service.history(id).await.len(), 3, "one of the two happened");
    }
}

#[sqlx::test(migrations = false)]
async fn an_order_is_cancelled_for_one_reason(database: PgPool) {
    let service = Arc::new(TestApp::start(database.clone()).await);
    for (steps, reason) in [([Step::Cancel, Step::Expire], "user"), ([Step::Expire, Step::Cancel], "expired")] {
        let id = service.placed_order().await;
        service.execute(EXPIRE_NOW, id).await;
        let answers = collide(&database, &service, id, steps).await;
        assert_eq!(answers.into_iter().flatten().collect::<Vec<_>>(), [StatusCode::OK], "{steps:?}");
        let order = service.get_order(id).await;
        assert_eq!((&order["cancelReason"], &order["version"]), (&json!(reason), &json!(2)), "{steps:?}");
        assert_eq!(cancels_told(&service, id).await, 1, "{steps:?}");
    }
}
