//! `payment-cancel-event`, in every state and in every order with what else happens.

use axum::http::StatusCode;
use serde_json::json;
use shared_events::ids::OrderId;
use sqlx::PgPool;

use crate::held_processor::Hold;
use crate::helpers::{APPROVED, BILL, DECLINED, LOST, TestApp, create, old_order, order_of};

/// Takes a payment into `state`, by the shortest way.
async fn payment_in(service: &TestApp, state: &str) -> OrderId {
    let id = service.held_payment().await;
    match state {
        "declined" => drop(service.pay(id, DECLINED).await),
        "processing" => drop(service.pay(id, LOST).await),
        "paid" | "refunding" | "refunded" => drop(service.pay(id, APPROVED).await),
        _ => {}
    }
    if ["cancelled", "refunding", "refunded"].contains(&state) {
        service.hear_cancel(vec![id]).await;
    }
    if state == "refunded" {
        service.settle_due().await;
    }
    assert_eq!(service.status(id).await, state);
    id
}

#[sqlx::test(migrations = false)]
async fn a_cancel_does_in_each_state_what_the_table_says(database: PgPool) {
    let service = TestApp::start(database).await;
    // The refunded one first: to get there everything due is settled.
    for (state, then, version, told) in [
        ("refunded", "refunded", 5, vec!["paid 3", "refunded 5"]),
        ("refunding", "refunding", 4, vec!["paid 3"]),
        ("pending", "cancelled", 2, vec!["cancelled 2"]),
        ("declined", "cancelled", 4, vec!["declined 3", "cancelled 4"]),
        ("processing", "processing", 3, vec![]),
        ("paid", "refunding", 4, vec!["paid 3"]),
        ("cancelled", "cancelled", 2, vec!["cancelled 2"]),
    ] {
        let id = payment_in(&service, state).await;
        service.hear_cancel(vec![id]).await;
        let payment = service.get_payment(id).await;
        assert_eq!((&payment["status"], &payment["version"]), (&json!(then), &json!(version)), "{state}");
        assert_eq!(service.told(id).await, told, "{state}");

        service.hear_cancel(vec![id]).await;
        service.hear_cancel(vec![id, id]).await;
        assert_eq!(service.get_payment(id).await, payment, "a repeated cancel changes nothing in {state}");
        assert_eq!(service.told(id).await, told, "{state}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_cancelled_payment_ends_without_money_whatever_it_was(database: PgPool) {
    let service = TestApp::start(database).await;
    for (state, end, moved) in [
        ("pending", "cancelled", vec![]),
        ("declined", "cancelled", vec![]),
        ("processing", "cancelled", vec![]),
        ("paid", "refunded", vec![BILL, -BILL]),
        ("cancelled", "cancelled", vec![]),
        ("refunding", "refunded", vec![BILL, -BILL]),
        ("refunded", "refunded", vec![BILL, -BILL]),
    ] {
        let id = payment_in(&service, state).await;
        service.hear_cancel(vec![id]).await;
        service.settle_in_time(id).await;
        assert_eq!(service.status(id).await, end, "{state}");
        assert_eq!(service.ledger(id).await, moved, "{state}");
        assert_eq!(service.told(id).await.iter().filter(|line| line.starts_with(end)).count(), 1, "{state}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_batch_cancels_payments_in_different_states_together(database: PgPool) {
    let service = TestApp::start(database).await;
    let (pending, paid, unheard_of) =
        (payment_in(&service, "pending").await, payment_in(&service, "paid").await, old_order());
    service.hear_cancel(vec![paid, unheard_of, pending, paid]).await;
    service.hear_create(vec![create(unheard_of)]).await;
    for (id, status) in [(pending, "cancelled"), (paid, "refunding"), (unheard_of, "cancelled")] {
        assert_eq!(service.status(id).await, status);
    }
}

#[sqlx::test(migrations = false)]
async fn a_cancel_that_overtakes_its_create_wins(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = old_order();
    service.hear_cancel(vec![id]).await;
    service.hear_cancel(vec![id]).await;
    assert_eq!(service.told(id).await, [""; 0], "what was cancelled is not known yet");

    assert_eq!(service.hear_create(vec![create(id), create(id)]).await, [""; 0]);
    let payment = service.get_payment(id).await;
    for (field, expected) in [
        ("status", json!("cancelled")),
        ("bill", json!(BILL)),
        ("currency", json!("USD")),
        ("createdBy", json!("somerandomuserid")),
        ("version", json!(2)),
    ] {
        assert_eq!(payment[field], expected, "{field}");
    }
    let event = json!({"orderId": id, "paymentId": payment["id"], "status": "cancelled", "version": 2, "bill": BILL,
                       "currency": "USD"});
    assert_eq!(service.outbox(id).await, [("payment-processed-event".to_owned(), event)]);

    service.hear_create(vec![create(id)]).await;
    service.hear_cancel(vec![id]).await;
    assert_eq!(service.get_payment(id).await, payment);
    assert_eq!(service.told(id).await, ["cancelled 2"], "once and for all");
}

#[sqlx::test(migrations = false)]
async fn create_and_cancel_at_once_end_the_same(database: PgPool) {
    let service = TestApp::start(database).await;
    for _ in 0..30 {
        let (id, other) = (old_order(), old_order());
        tokio::join!(
            service.hear_create(vec![create(id), create(other)]),
            service.hear_cancel(vec![other, id]),
            service.hear_create(vec![create(other), create(id)]),
            service.hear_cancel(vec![id]),
        );
        for id in [id, other] {
            let payment = service.get_payment(id).await;
            assert_eq!((&payment["status"], &payment["bill"]), (&json!("cancelled"), &json!(BILL)));
            assert_eq!(service.told(id).await, ["cancelled 2"]);
        }
    }
}

#[sqlx::test(migrations = false)]
async fn pay_and_cancel_at_once_leave_no_money_behind(database: PgPool) {
    let service = TestApp::start(database).await;
    for round in 0..30 {
        let id = service.held_payment().await;
        let number = if round % 3 == 0 { DECLINED } else { APPROVED };
        tokio::join!(service.pay(id, number), service.hear_cancel(vec![id]), service.hear_create(vec![create(id)]));
        service.settle_in_time(id).await;
        let charges = service.book(id).await;
        assert!(charges.iter().all(|status| status == "refunded" || status == "declined"), "{charges:?}");
        let end = if charges == ["refunded"] { "refunded" } else { "cancelled" };
        assert_eq!(service.status(id).await, end);
        assert_eq!(service.ledger(id).await.iter().sum::<i64>(), 0);
        let told = service.told(id).await;
        assert!(told.last().is_some_and(|line| line.starts_with(end)), "{told:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_cancel_during_a_charge_is_carried_out_when_the_charge_has_ended(database: PgPool) {
    for hold in [Hold::BeforeCharging, Hold::AfterCharging] {
        let (service, processor) = TestApp::start_held(database.clone(), hold).await;
        for (number, next, charges, told) in [
            (APPROVED, "refunding", "approved", vec![]),
            (DECLINED, "cancelled", "declined", vec!["cancelled 4".to_owned()]),
        ] {
            let id = service.held_payment().await;
            let paying = service.spawn_pay(id, number);
            processor.charge_waits().await;
            service.hear_cancel(vec![id]).await;
            assert_eq!(service.status(id).await, "processing", "whether there is money to give back is not known");
            processor.let_go();
            paying.await.expect("an answer").expect_problem(StatusCode::CONFLICT, "payment_cancelled");
            assert_eq!(service.status(id).await, next);
            assert_eq!(service.book(id).await, [charges]);
            assert_eq!(service.told(id).await, told, "the orders service hears how it ended, not what was meanwhile");
        }
        service.settle_due().await;
        let refunded = service.get("/api/payments?status=refunded").await.expect(StatusCode::OK);
        let id = order_of(&refunded[0]);
        assert_eq!(service.told(id).await, ["refunded 5"]);
        assert_eq!(service.book(id).await, ["refunded"]);
        assert_eq!(service.ledger(id).await, [BILL, -BILL]);
    }
}
