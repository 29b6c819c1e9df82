//! Charges without an answer: how each is brought to its one end.

use axum::http::StatusCode;
use payments_service::processor::Verdict;
use serde_json::json;
use shared_events::ids::OrderId;
use sqlx::PgPool;

use crate::held_processor::Hold;
use crate::helpers::{APPROVED, BILL, CHARGED_IN_SILENCE, DECLINED, LOST, TestApp};

/// A charge of the last attempt arrives at the processor now, however late that is.
async fn charge_late(service: &TestApp, id: OrderId, number: &str) -> Verdict {
    let latest = "select attempt_id from payments.payments where order_id = $1";
    let attempt_id =
        sqlx::query_scalar(latest).bind(id).fetch_one(&service.app.database).await.expect("there is an attempt");
    service.charge_late(id, attempt_id, number).await
}

#[sqlx::test(migrations = false)]
async fn a_charge_whose_answer_was_lost_is_paid(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.pay(id, CHARGED_IN_SILENCE).await.expect(StatusCode::ACCEPTED);
    assert_eq!(service.book(id).await, ["approved"]);
    service.settle_in_time(id).await;
    let payment = service.get_payment(id).await;
    assert_eq!((&payment["status"], &payment["card"]["last4"]), (&json!("paid"), &json!("6108")));
    assert_eq!(service.attempts(id).await, ["1 approved visa 6108"]);
    assert_eq!(service.told(id).await, ["paid 3"]);
    assert_eq!(service.ledger(id).await, [BILL]);

    service.settle_in_time(id).await;
    assert_eq!(service.get_payment(id).await, payment, "what is settled stays as it is");
}

#[sqlx::test(migrations = false)]
async fn nothing_is_settled_before_its_time(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let payment = service.pay(id, CHARGED_IN_SILENCE).await.expect(StatusCode::ACCEPTED);
    service.settle_due().await;
    assert_eq!(service.get_payment(id).await, payment);
    service.hear_cancel(vec![id]).await;
    service.settle_due().await;
    assert_eq!(service.status(id).await, "processing", "a cancel does not hurry it");
}

#[sqlx::test(migrations = false)]
async fn a_charge_that_never_arrived_is_voided_and_the_order_is_payable_again(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.pay(id, LOST).await.expect(StatusCode::ACCEPTED);
    assert_eq!(service.book(id).await, [""; 0]);
    service.settle_in_time(id).await;
    let payment = service.get_payment(id).await;
    assert_eq!((&payment["status"], &payment["processed"]), (&json!("pending"), &json!(false)));
    assert_eq!(service.book(id).await, ["voided"]);
    assert_eq!(service.told(id).await, [""; 0], "nothing has changed for the orders service");

    let late = charge_late(&service, id, APPROVED).await;
    assert_eq!(late, Verdict::Voided);
    assert_eq!(service.book(id).await, ["voided"]);

    assert_eq!(service.pay(id, APPROVED).await.expect(StatusCode::OK)["attempts"], 2);
    assert_eq!(service.attempts(id).await, ["1 voided visa 6207", "2 approved visa 4242"]);
    assert_eq!(service.told(id).await, ["paid 5"]);
    assert_eq!(service.book(id).await, ["voided", "approved"]);
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn an_attempt_that_died_before_its_charge_is_voided(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.begin_and_die(id, APPROVED).await;
    service.pay(id, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_in_progress");
    service.settle_in_time(id).await;
    assert_eq!(service.status(id).await, "pending");
    assert_eq!(charge_late(&service, id, APPROVED).await, Verdict::Voided);
    service.pay(id, APPROVED).await.expect(StatusCode::OK);
    assert_eq!(service.attempts(id).await, ["1 voided visa 4242", "2 approved visa 4242"]);
}

#[sqlx::test(migrations = false)]
async fn an_attempt_that_died_after_its_charge_ends_as_the_charge_did(database: PgPool) {
    let service = TestApp::start(database).await;
    for (number, status, told, moved) in
        [(APPROVED, "paid", "paid 3", vec![BILL]), (DECLINED, "declined", "declined 3", vec![])]
    {
        let id = service.held_payment().await;
        service.begin_and_die(id, number).await;
        charge_late(&service, id, number).await;
        service.settle_in_time(id).await;
        assert_eq!(service.status(id).await, status);
        assert_eq!(service.told(id).await, [told]);
        assert_eq!(service.ledger(id).await, moved);
    }
}

#[sqlx::test(migrations = false)]
async fn what_was_cancelled_in_doubt_ends_without_money(database: PgPool) {
    let service = TestApp::start(database).await;
    for (number, end, told, charges) in
        [(CHARGED_IN_SILENCE, "refunded", "refunded 5", "refunded"), (LOST, "cancelled", "cancelled 4", "voided")]
    {
        let id = service.held_payment().await;
        service.pay(id, number).await.expect(StatusCode::ACCEPTED);
        service.hear_cancel(vec![id]).await;
        service.settle_in_time(id).await;
        assert_eq!(service.status(id).await, end);
        assert_eq!(service.told(id).await, [told]);
        assert_eq!(service.book(id).await, [charges]);
        assert_eq!(service.ledger(id).await.iter().sum::<i64>(), 0);
    }
}

#[sqlx::test(migrations = false)]
async fn an_answer_that_comes_after_its_attempt_was_voided_changes_nothing(database: PgPool) {
    let (service, processor) = TestApp::start_held(database, Hold::BeforeCharging).await;
    let id = service.held_payment().await;
    let late = service.spawn_pay(id, APPROVED);
    processor.charge_waits().await;
    service.settle_in_time(id).await;
    assert_eq!(service.status(id).await, "pending");

    // The late one stands first in the line to the processor, so it is let go first.
    let next = service.spawn_pay(id, "5555555555554444");
    processor.charge_waits().await;
    processor.let_go();
    let answer = late.await.expect("an answer").expect(StatusCode::ACCEPTED);
    assert_eq!(answer["attempts"], 2, "the payment is shown as it is now");
    processor.let_go();
    next.await.expect("an answer").expect(StatusCode::OK);
    assert_eq!(service.attempts(id).await, ["1 voided visa 4242", "2 approved mastercard 4444"]);
    assert_eq!(service.book(id).await, ["voided", "approved"]);
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn an_answer_that_comes_after_it_was_looked_up_is_told_to_the_client(database: PgPool) {
    let (service, processor) = TestApp::start_held(database, Hold::AfterCharging).await;
    let id = service.held_payment().await;
    let paying = service.spawn_pay(id, APPROVED);
    processor.charge_waits().await;
    service.settle_in_time(id).await;
    let paid = service.get_payment(id).await;
    assert_eq!(paid["status"], "paid");
    processor.let_go();
    assert_eq!(paying.await.expect("an answer").expect(StatusCode::OK), paid);
    assert_eq!(service.told(id).await, ["paid 3"]);
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn an_attempt_stays_in_doubt_while_the_processor_is_silent(database: PgPool) {
    let (service, processor) = TestApp::start_held(database, Hold::AfterCharging).await;
    let (charged, lost) = (service.held_payment().await, service.held_payment().await);
    for (id, number) in [(charged, CHARGED_IN_SILENCE), (lost, LOST)] {
        processor.let_go();
        service.pay(id, number).await.expect(StatusCode::ACCEPTED);
    }
    processor.be_silent(true);
    for id in [charged, lost] {
        service.settle_in_time(id).await;
        assert_eq!(service.status(id).await, "processing");
        service.pay(id, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_in_progress");
    }
    processor.be_silent(false);
    for (id, status) in [(charged, "paid"), (lost, "pending")] {
        service.settle_due().await;
        assert_eq!(service.status(id).await, "processing", "not at once again");
        service.settle_in_time(id).await;
        assert_eq!(service.status(id).await, status);
    }
}

#[sqlx::test(migrations = false)]
async fn a_processor_that_hangs_is_not_waited_for(database: PgPool) {
    let (service, _processor) = TestApp::start_impatient(database).await;
    let id = service.held_payment().await;
    assert_eq!(service.pay(id, APPROVED).await.expect(StatusCode::ACCEPTED)["status"], "processing");
    service.settle_in_time(id).await;
    assert_eq!(service.status(id).await, "pending");
    assert_eq!(service.book(id).await, ["voided"]);
}

#[sqlx::test(migrations = false)]
async fn several_replicas_settle_a_charge_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let mut payments = Vec::new();
    for round in 0..20 {
        let id = service.held_payment().await;
        let (number, status) = if round % 2 == 0 { (CHARGED_IN_SILENCE, "paid") } else { (LOST, "pending") };
        service.pay(id, number).await.expect(StatusCode::ACCEPTED);
        service.make_due(id).await;
        payments.push((id, status));
    }
    tokio::join!(service.settle_due(), service.settle_due(), service.settle_due());
    for (id, status) in payments {
        let payment = service.get_payment(id).await;
        assert_eq!((&payment["status"], &payment["version"]), (&json!(status), &json!(3)));
        let moved = if status == "paid" { vec![BILL] } else { vec![] };
        assert_eq!(service.ledger(id).await, moved);
    }
}

#[sqlx::test(migrations = false)]
async fn pay_cancel_and_settlement_at_once_end_without_money(database: PgPool) {
    let service = TestApp::start(database).await;
    for _ in 0..20 {
        let id = service.held_payment().await;
        service.pay(id, LOST).await.expect(StatusCode::ACCEPTED);
        service.make_due(id).await;
        tokio::join!(
            service.settle_due(),
            service.pay(id, APPROVED),
            service.hear_cancel(vec![id]),
            service.settle_due()
        );
        service.settle_in_time(id).await;
        let status = service.status(id).await;
        let charges = service.book(id).await;
        match status.as_str() {
            "cancelled" => assert_eq!(charges, ["voided"]),
            "refunded" => assert_eq!(charges, ["voided", "refunded"]),
            other => panic!("{other}: {charges:?}"),
        }
        assert_eq!(service.ledger(id).await.iter().sum::<i64>(), 0);
    }
}
