//! The money of a cancelled order goes back, once.

use axum::http::StatusCode;
use payments_service::processor::AttemptId;
use serde_json::json;
use sqlx::PgPool;

use crate::held_processor::Hold;
use crate::helpers::{APPROVED, BILL, STUMBLES_ON_REFUND, TestApp};

#[sqlx::test(migrations = false)]
async fn a_cancelled_payment_is_given_back_and_told(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let paid = service.pay(id, APPROVED).await.expect(StatusCode::OK);
    service.hear_cancel(vec![id]).await;
    service.settle_due().await;
    let payment = service.get_payment(id).await;
    assert_eq!((&payment["status"], &payment["processed"]), (&json!("refunded"), &json!(true)));
    assert_eq!(service.told(id).await, ["paid 3", "refunded 5"]);
    let event = json!({"orderId": id, "paymentId": paid["id"], "status": "refunded", "version": 5, "bill": BILL,
                       "currency": "USD"});
    assert_eq!(service.outbox(id).await[1].1, event);
    assert_eq!(service.ledger(id).await, [BILL, -BILL]);
    assert_eq!(service.book(id).await, ["refunded"]);
    assert_eq!(service.attempts(id).await, ["1 approved visa 4242"]);
}

#[sqlx::test(migrations = false)]
async fn a_refund_that_fails_is_asked_for_again(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.pay(id, STUMBLES_ON_REFUND).await.expect(StatusCode::OK);
    service.hear_cancel(vec![id]).await;
    service.settle_due().await;
    assert_eq!(service.status(id).await, "refunding");
    assert_eq!(service.book(id).await, ["approved"]);
    assert_eq!(service.ledger(id).await, [BILL]);
    service.settle_in_time(id).await;
    assert_eq!(service.status(id).await, "refunded");
    assert_eq!(service.book(id).await, ["refunded"]);
    assert_eq!(service.ledger(id).await, [BILL, -BILL]);
}

#[sqlx::test(migrations = false)]
async fn a_refund_whose_answer_was_lost_is_not_made_twice(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.pay(id, APPROVED).await.expect(StatusCode::OK);
    service.hear_cancel(vec![id]).await;
    // The processor gave the money back, and then this service died.
    let attempt = "select attempt_id from payments.payments where order_id = $1";
    let attempt_id: AttemptId =
        sqlx::query_scalar(attempt).bind(id).fetch_one(&service.app.database).await.expect("there is an attempt");
    service.app.processor.refund(attempt_id).await.expect("an answer");
    service.settle_due().await;
    assert_eq!(service.told(id).await, ["paid 3", "refunded 5"]);
    assert_eq!(service.ledger(id).await, [BILL, -BILL]);
    assert_eq!(service.book(id).await, ["refunded"]);
}

#[sqlx::test(migrations = false)]
async fn a_payment_is_refunding_while_the_processor_is_silent(database: PgPool) {
    let (service, processor) = TestApp::start_held(database, Hold::AfterCharging).await;
    let id = service.held_payment().await;
    processor.let_go();
    service.pay(id, APPROVED).await.expect(StatusCode::OK);
    processor.be_silent(true);
    service.hear_cancel(vec![id]).await;
    service.settle_due().await;
    service.settle_in_time(id).await;
    assert_eq!(service.status(id).await, "refunding");
    assert_eq!(service.ledger(id).await, [BILL], "no refund is posted before it is done");
    processor.be_silent(false);
    service.settle_in_time(id).await;
    assert_eq!(service.status(id).await, "refunded");
}

#[sqlx::test(migrations = false)]
async fn several_replicas_give_the_money_back_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let mut payments = Vec::new();
    for _ in 0..20 {
        let id = service.held_payment().await;
        service.pay(id, APPROVED).await.expect(StatusCode::OK);
        payments.push(id);
    }
    service.hear_cancel(payments.clone()).await;
    tokio::join!(service.settle_due(), service.settle_due(), service.settle_due());
    for id in payments {
        let payment = service.get_payment(id).await;
        assert_eq!((&payment["status"], &payment["version"]), (&json!("refunded"), &json!(5)));
        assert_eq!(service.ledger(id).await, [BILL, -BILL]);
        assert_eq!(service.told(id).await, ["paid 3", "refunded 5"]);
        assert_eq!(service.book(id).await, ["refunded"]);
    }
}

#[sqlx::test(migrations = false)]
async fn replicas_that_work_on_the_same_refund_post_it_once(database: PgPool) {
    let service = TestApp::start(database).await;
    for _ in 0..10 {
        let id = service.held_payment().await;
        service.pay(id, APPROVED).await.expect(StatusCode::OK);
        service.hear_cancel(vec![id]).await;
        // The lease of the first runs out while it works.
        tokio::join!(service.settle_due(), service.settle_in_time(id), service.settle_in_time(id));
        // One that finds the refund due too late for it may hold it while another passes it by: it stays due.
        service.settle_due().await;
        assert_eq!(service.status(id).await, "refunded");
        assert_eq!(service.told(id).await, ["paid 3", "refunded 5"]);
        assert_eq!(service.ledger(id).await, [BILL, -BILL]);
    }
}
