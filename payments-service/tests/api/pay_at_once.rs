//! Several pays of one order at the same time, and clients that do not wait for the end.

use std::time::Duration;

use axum::http::StatusCode;
use sqlx::PgPool;

use crate::held_processor::Hold;
use crate::helpers::{APPROVED, BILL, DECLINED, TestApp};

#[sqlx::test(migrations = false)]
async fn of_two_pays_at_once_one_charges(database: PgPool) {
    let service = TestApp::start(database).await;
    for _ in 0..20 {
        let id = service.held_payment().await;
        let (first, second) = tokio::join!(service.pay(id, APPROVED), service.pay(id, "5555555555554444"));
        let (paid, refused) = if first.status == StatusCode::OK { (first, second) } else { (second, first) };
        paid.expect(StatusCode::OK);
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
        let code = refused.body["code"].as_str().expect("a code");
        assert!(["payment_in_progress", "payment_already_paid"].contains(&code), "{code}");
        assert_eq!(service.book(id).await, ["approved"]);
        assert_eq!(service.ledger(id).await, [BILL]);
    }
}

#[sqlx::test(migrations = false)]
async fn of_ten_pays_at_once_one_charges(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let clients: Vec<_> = (0..10).map(|_| service.spawn_pay(id, APPROVED)).collect();
    let mut paid = 0;
    for client in clients {
        let answer = client.await.expect("an answer");
        if answer.status == StatusCode::OK {
            paid += 1;
        } else {
            assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
        }
    }
    assert_eq!(paid, 1);
    assert_eq!(service.get_payment(id).await["attempts"], 1);
    assert_eq!(service.book(id).await, ["approved"]);
    assert_eq!(service.told(id).await, ["paid 3"]);
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn while_a_card_is_being_charged_no_other_is(database: PgPool) {
    for hold in [Hold::BeforeCharging, Hold::AfterCharging] {
        let (service, processor) = TestApp::start_held(database.clone(), hold).await;
        let id = service.held_payment().await;
        let paying = service.spawn_pay(id, DECLINED);
        processor.charge_waits().await;
        for _ in 0..3 {
            service.pay(id, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_in_progress");
        }
        processor.let_go();
        paying.await.expect("an answer").expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
        assert_eq!(service.attempts(id).await, ["1 declined visa 0002 generic_decline"]);
        assert_eq!(service.book(id).await, ["declined"]);
    }
}

#[sqlx::test(migrations = false)]
async fn a_payment_is_recorded_even_if_its_client_hangs_up(database: PgPool) {
    for hold in [Hold::BeforeCharging, Hold::AfterCharging] {
        let (service, processor) = TestApp::start_held(database.clone(), hold).await;
        let id = service.held_payment().await;
        let client = service.spawn_pay(id, APPROVED);
        processor.charge_waits().await;
        client.abort();
        assert!(client.await.expect_err("the client is gone").is_cancelled());
        processor.let_go();
        let settled = async { while service.status(id).await == "processing" {} };
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("the pay goes on without its client");
        assert_eq!(service.status(id).await, "paid");
        assert_eq!(service.told(id).await, ["paid 3"]);
        assert_eq!(service.ledger(id).await, [BILL]);
        assert_eq!(service.book(id).await, ["approved"]);
    }
}
