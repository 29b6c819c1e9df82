//! `POST /api/payments/pay/{orderId}`: what each card leads to.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use service_kit::testing::TOKEN;
use sqlx::PgPool;

use crate::helpers::{APPROVED, BILL, CHARGED_IN_SILENCE, DECLINED, LOST, SLOW, TestApp, card_body, old_order};

#[sqlx::test(migrations = false)]
async fn an_approved_card_pays_the_order(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let payment = service.pay(id, APPROVED).await.expect(StatusCode::OK);
    for (field, expected) in [
        ("status", json!("paid")),
        ("processed", json!(true)),
        ("card", json!({"brand": "visa", "last4": "4242", "expMonth": 11, "expYear": 2099})),
        ("attempts", json!(1)),
        ("declineCode", json!(null)),
        ("version", json!(3)),
    ] {
        assert_eq!(payment[field], expected, "{field}");
    }
    assert_eq!(service.get_payment(id).await, payment);
    let event = json!({"orderId": id, "paymentId": payment["id"], "status": "paid", "version": 3, "bill": BILL,
                       "currency": "USD"});
    assert_eq!(service.outbox(id).await, [("payment-processed-event".to_owned(), event)]);
    assert_eq!(service.attempts(id).await, ["1 approved visa 4242"]);
    assert_eq!(service.ledger(id).await, [BILL]);
    assert_eq!(service.book(id).await, ["approved"]);
}

#[sqlx::test(migrations = false)]
async fn the_sample_of_the_documentation_pays_the_order(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let body = json!({"creditCardDetails": {"number": "10298310928301", "cvt": 345, "expiry": "4/12/2020"}});
    let payment = service.pay_with(id, &body).await.expect(StatusCode::OK);
    let card = json!({"brand": "unknown", "last4": "8301", "expMonth": 12, "expYear": 2020});
    assert_eq!((&payment["status"], &payment["card"]), (&json!("paid"), &card));
}

#[sqlx::test(migrations = false)]
async fn a_declined_card_is_refused_with_the_reason(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let with_expiry = |number: &str, expiry: &str| {
        let mut body = card_body(number);
        body["creditCardDetails"]["expiry"] = json!(expiry);
        body
    };
    for (body, decline_code) in [
        (card_body("4000000000000002"), "generic_decline"),
        (card_body("4000000000009995"), "insufficient_funds"),
        (card_body("4000000000009987"), "lost_card"),
        (card_body("4000000000009979"), "stolen_card"),
        (card_body("4000000000000069"), "expired_card"),
        (card_body("4000000000000127"), "incorrect_cvc"),
        (card_body("4000000000000119"), "processing_error"),
        (card_body("4242424242424241"), "incorrect_number"),
        (with_expiry("5555555555554444", "01/20"), "expired_card"),
    ] {
        let problem = service.pay_with(id, &body).await.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
        assert_eq!(problem["declineCode"], decline_code);
        let payment = service.get_payment(id).await;
        assert_eq!((&payment["status"], &payment["declineCode"]), (&json!("declined"), &json!(decline_code)));
    }
    assert_eq!(service.ledger(id).await, [0; 0]);
    assert_eq!(service.book(id).await, ["declined"; 9]);
}

#[sqlx::test(migrations = false)]
async fn a_declined_order_can_be_paid_with_another_card(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    for number in [DECLINED, "4000000000009995"] {
        service.pay(id, number).await.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
    }
    let payment = service.pay(id, "5555555555554444").await.expect(StatusCode::OK);
    assert_eq!((&payment["attempts"], &payment["declineCode"]), (&json!(3), &json!(null)));
    assert_eq!(payment["card"]["brand"], "mastercard");
    let attempts = [
        "1 declined visa 0002 generic_decline",
        "2 declined visa 9995 insufficient_funds",
        "3 approved mastercard 4444",
    ];
    assert_eq!(service.attempts(id).await, attempts);
    assert_eq!(service.told(id).await, ["declined 3", "declined 5", "paid 7"]);
    assert_eq!(service.outbox(id).await[1].1["declineCode"], "insufficient_funds");
    assert_eq!(service.ledger(id).await, [BILL]);
    assert_eq!(service.book(id).await, ["declined", "declined", "approved"]);
}

#[sqlx::test(migrations = false)]
async fn a_charge_without_an_answer_is_accepted_and_can_be_followed(database: PgPool) {
    let service = TestApp::start(database).await;
    for number in [CHARGED_IN_SILENCE, LOST] {
        let id = service.held_payment().await;
        let answer = service.pay(id, number).await;
        let location = answer.headers.get("location").expect("a location").to_str().expect("text").to_owned();
        assert_eq!(location, format!("/api/payments/{id}"));
        let payment = answer.expect(StatusCode::ACCEPTED);
        assert_eq!((&payment["status"], &payment["processed"]), (&json!("processing"), &json!(false)));
        assert_eq!(service.get(&location).await.expect(StatusCode::OK), payment);
        assert_eq!(service.told(id).await, [""; 0], "nothing is known yet");
        assert_eq!(service.ledger(id).await, [0; 0]);

        let answer = service.pay(id, APPROVED).await;
        assert!(answer.headers.contains_key("retry-after"));
        answer.expect_problem(StatusCode::CONFLICT, "payment_in_progress");
    }
}

#[sqlx::test(migrations = false)]
async fn a_slow_card_is_waited_for(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    assert_eq!(service.pay(id, SLOW).await.expect(StatusCode::OK)["status"], "paid");
    assert_eq!(service.book(id).await, ["approved"]);
}

#[sqlx::test(migrations = false)]
async fn what_is_paid_cannot_be_paid_again(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let paid = service.pay(id, APPROVED).await.expect(StatusCode::OK);
    for number in [APPROVED, DECLINED, LOST] {
        service.pay(id, number).await.expect_problem(StatusCode::CONFLICT, "payment_already_paid");
    }
    assert_eq!(service.get_payment(id).await, paid);
    assert_eq!(service.book(id).await, ["approved"]);
}

#[sqlx::test(migrations = false)]
async fn what_is_cancelled_cannot_be_paid(database: PgPool) {
    let service = TestApp::start(database).await;
    let (unpaid, declined, refunding, refunded) = (
        service.held_payment().await,
        service.held_payment().await,
        service.held_payment().await,
        service.held_payment().await,
    );
    service.pay(declined, DECLINED).await.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
    service.pay(refunded, APPROVED).await.expect(StatusCode::OK);
    service.hear_cancel(vec![unpaid, declined, refunded]).await;
    service.settle_due().await;
    service.pay(refunding, APPROVED).await.expect(StatusCode::OK);
    service.hear_cancel(vec![refunding]).await;
    for (id, status) in
        [(unpaid, "cancelled"), (declined, "cancelled"), (refunding, "refunding"), (refunded, "refunded")]
    {
        let charges = service.book(id).await;
        service.pay(id, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_cancelled");
        assert_eq!(service.status(id).await, status);
        assert_eq!(service.book(id).await, charges, "the processor was not asked");
    }
}

#[sqlx::test(migrations = false)]
async fn what_is_not_there_cannot_be_paid(database: PgPool) {
    let service = TestApp::start(database).await;
    for id in [old_order().to_string().as_str(), "7", "not-a-uuid", "%00", "%ff", "'--"] {
        let path = format!("/api/payments/pay/{id}");
        let answer =
            service.client.send(axum::http::Method::POST, &path, "thisisajwttoken", &card_body(APPROVED)).await;
        answer.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
    }
}

#[sqlx::test(migrations = false)]
async fn the_event_of_a_pay_is_part_of_the_trace_of_its_request(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let request = Request::post(format!("/api/payments/pay/{id}")).header("authorization", TOKEN);
    let request = request.header("content-type", "application/json");
    let request = request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let body = Body::from(card_body(APPROVED).to_string());
    service.client.send_raw(request.body(body).expect("a request")).await.expect(StatusCode::OK);
    let traceparent: Option<String> = sqlx::query_scalar("select traceparent from payments.outbox where order_id = $1")
        .bind(id)
        .fetch_one(&service.app.database)
        .await
        .expect("an event");
    assert_eq!(traceparent.as_deref(), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
}
