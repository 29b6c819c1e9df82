//! Two that change one payment, having read the same version of it, in each order in which they can be stored.

use std::time::Duration;

use axum::http::StatusCode;
use payments_service::{changing, payments};
use serde_json::json;
use service_kit::metrics::Metrics;
use service_kit::testing::RowLock;
use sqlx::PgPool;

use crate::held_processor::Hold;
use crate::helpers::{APPROVED, BILL, CHARGED_IN_SILENCE, DECLINED, LOST, TestApp};

/// The row that is locked.
const ROW: &str = "select from payments.payments where order_id = $1 for update";

#[sqlx::test(migrations = false)]
async fn of_two_pays_that_read_the_same_the_second_is_refused(database: PgPool) {
    let (service, processor) = TestApp::start_held(database.clone(), Hold::BeforeCharging).await;
    let id = service.held_payment().await;
    let lock = RowLock::hold(&database, ROW, id).await;
    let first = service.spawn_pay(id, APPROVED);
    lock.is_waited_for_by(1).await;
    let second = service.spawn_pay(id, "5555555555554444");
    lock.is_waited_for_by(2).await;
    lock.let_go().await;
    processor.charge_waits().await;
    second.await.expect("an answer").expect_problem(StatusCode::CONFLICT, "payment_in_progress");
    processor.let_go();
    first.await.expect("an answer").expect(StatusCode::OK);
    assert_eq!(service.attempts(id).await, ["1 approved visa 4242"]);
    assert_eq!(service.book(id).await, ["approved"]);
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn a_row_that_somebody_holds_delays_the_others_of_its_batch_and_fails_alone(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let (ours, outbox) = (service.app.database.clone(), service.app.outbox.clone());
    let changing = changing::start(ours, outbox, &Metrics::default(), Duration::from_mins(1));
    let [held, before, after] =
        [service.held_payment().await, service.held_payment().await, service.held_payment().await];
    let payments = payments::find_many(&service.app.database, &[held, before, after]).await.expect("an answer");
    let cancel = |id| payments[&id].cancel().expect("can be cancelled");

    let lock = RowLock::hold(&database, ROW, held).await;
    let (first, second, third) =
        tokio::join!(changing.submit(cancel(before)), changing.submit(cancel(held)), changing.submit(cancel(after)),);
    assert!(matches!(first, Some(Ok(Some(_)))) && matches!(third, Some(Ok(Some(_)))), "{first:?} {third:?}");
    assert!(matches!(second, Some(Err(_))), "{second:?}");
    lock.let_go().await;
    assert_eq!(service.status(held).await, "pending");
}

#[sqlx::test(migrations = false)]
async fn a_pay_that_read_what_a_cancel_then_changed_charges_nothing(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let id = service.held_payment().await;
    let lock = RowLock::hold(&database, ROW, id).await;
    let cancel = service.spawn_cancel(id);
    lock.is_waited_for_by(1).await;
    let pay = service.spawn_pay(id, APPROVED);
    lock.is_waited_for_by(2).await;
    lock.let_go().await;
    cancel.await.expect("no panic");
    pay.await.expect("an answer").expect_problem(StatusCode::CONFLICT, "payment_cancelled");
    assert_eq!(service.told(id).await, ["cancelled 2"]);
    assert_eq!(service.attempts(id).await, [""; 0]);
    assert_eq!(service.book(id).await, [""; 0]);
}

#[sqlx::test(migrations = false)]
async fn a_cancel_that_read_what_a_pay_then_changed_waits_for_its_end(database: PgPool) {
    let (service, processor) = TestApp::start_held(database.clone(), Hold::BeforeCharging).await;
    let id = service.held_payment().await;
    let lock = RowLock::hold(&database, ROW, id).await;
    let pay = service.spawn_pay(id, APPROVED);
    lock.is_waited_for_by(1).await;
    let cancel = service.spawn_cancel(id);
    lock.is_waited_for_by(2).await;
    lock.let_go().await;
    processor.charge_waits().await;
    cancel.await.expect("no panic");
    assert_eq!(service.status(id).await, "processing");
    processor.let_go();
    pay.await.expect("an answer").expect_problem(StatusCode::CONFLICT, "payment_cancelled");
    service.settle_due().await;
    assert_eq!(service.told(id).await, ["refunded 5"]);
    assert_eq!(service.ledger(id).await, [BILL, -BILL]);
    assert_eq!(service.book(id).await, ["refunded"]);
}

#[sqlx::test(migrations = false)]
async fn an_answer_and_a_cancel_at_once_end_without_money_whoever_is_first(database: PgPool) {
    for (number, cancel_is_first, told, charges) in [
        (APPROVED, true, vec!["refunded 5"], "refunded"),
        (APPROVED, false, vec!["paid 3", "refunded 5"], "refunded"),
        (DECLINED, true, vec!["cancelled 4"], "declined"),
        (DECLINED, false, vec!["declined 3", "cancelled 4"], "declined"),
    ] {
        let (service, processor) = TestApp::start_held(database.clone(), Hold::AfterCharging).await;
        let id = service.held_payment().await;
        let pay = service.spawn_pay(id, number);
        processor.charge_waits().await;
        let lock = RowLock::hold(&database, ROW, id).await;
        let cancel = if cancel_is_first {
            let cancel = service.spawn_cancel(id);
            lock.is_waited_for_by(1).await;
            processor.let_go();
            cancel
        } else {
            processor.let_go();
            lock.is_waited_for_by(1).await;
            service.spawn_cancel(id)
        };
        lock.is_waited_for_by(2).await;
        lock.let_go().await;
        cancel.await.expect("no panic");
        drop(pay.await.expect("an answer"));
        service.settle_due().await;
        assert_eq!(service.told(id).await, told, "{number}, cancel first: {cancel_is_first}");
        assert_eq!(service.book(id).await, [charges]);
        assert_eq!(service.ledger(id).await.iter().sum::<i64>(), 0);
    }
}

#[sqlx::test(migrations = false)]
async fn replicas_that_ask_about_the_same_charge_settle_it_once(database: PgPool) {
    let (service, processor) = TestApp::start_held(database.clone(), Hold::BeforeLookingUp).await;
    for (number, told, charges, moved) in
        [(CHARGED_IN_SILENCE, vec!["paid 3"], "approved", vec![BILL]), (LOST, vec![], "voided", vec![])]
    {
        let id = service.held_payment().await;
        service.pay(id, number).await.expect(StatusCode::ACCEPTED);
        let mut replicas = Vec::new();
        for _ in 0..2 {
            // The lease of the first has run out when the second comes.
            service.make_due(id).await;
            replicas.push(service.spawn_settlement_elsewhere());
            processor.question_waits().await;
        }
        let lock = RowLock::hold(&database, ROW, id).await;
        processor.let_go();
        processor.let_go();
        lock.is_waited_for_by(2).await;
        lock.let_go().await;
        for replica in replicas {
            replica.await.expect("no panic");
        }
        assert_eq!(service.get_payment(id).await["version"], 3, "{number}");
        assert_eq!(service.told(id).await, told, "{number}");
        assert_eq!(service.book(id).await, [charges], "{number}");
        assert_eq!(service.ledger(id).await, moved, "{number}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_charge_that_arrives_after_it_was_not_found_and_before_it_is_voided_counts(database: PgPool) {
    let (service, processor) = TestApp::start_held(database.clone(), Hold::BeforeVoiding).await;
    for (number, status) in [(APPROVED, "paid"), (DECLINED, "declined")] {
        let id = service.held_payment().await;
        let attempt_id = service.begin_and_die(id, number).await;
        service.make_due(id).await;
        let settlement = service.spawn_settlement();
        processor.question_waits().await;
        service.charge_late(id, attempt_id, number).await;
        processor.let_go();
        settlement.await.expect("no panic");
        let payment = service.get_payment(id).await;
        assert_eq!((&payment["status"], &payment["version"]), (&json!(status), &json!(3)));
        assert_eq!(service.told(id).await, [format!("{status} 3")]);
        let moved = if status == "paid" { vec![BILL] } else { vec![] };
        assert_eq!(service.ledger(id).await, moved);
    }
}

#[sqlx::test(migrations = false)]
async fn a_cancel_between_the_void_and_its_record_closes_the_payment(database: PgPool) {
    for cancel_is_first in [true, false] {
        let (service, processor) = TestApp::start_held(database.clone(), Hold::BeforeVoiding).await;
        let id = service.held_payment().await;
        service.begin_and_die(id, APPROVED).await;
        service.make_due(id).await;
        let settlement = service.spawn_settlement();
        processor.question_waits().await;
        let lock = RowLock::hold(&database, ROW, id).await;
        let cancel = if cancel_is_first {
            let cancel = service.spawn_cancel(id);
            lock.is_waited_for_by(1).await;
            processor.let_go();
            cancel
        } else {
            processor.let_go();
            lock.is_waited_for_by(1).await;
            service.spawn_cancel(id)
        };
        lock.is_waited_for_by(2).await;
        lock.let_go().await;
        cancel.await.expect("no panic");
        settlement.await.expect("no panic");
        assert_eq!(service.told(id).await, ["cancelled 4"], "cancel first: {cancel_is_first}");
        assert_eq!(service.book(id).await, ["voided"]);
        assert_eq!(service.ledger(id).await, [0; 0]);
        service.pay(id, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_cancelled");
    }
}
