//! POST /api/payments/pay/{orderId} with an Idempotency-Key: sent again, it is answered again and charges nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use futures_util::future::join_all;
use payments_service::SCHEMA;
use serde_json::{Value, json};
use service_kit::idempotency::forget_older_than;
use service_kit::testing::{Answer, TOKEN};
use shared_events::ids::OrderId;
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::held_processor::Hold;
use crate::helpers::{APPROVED, BILL, CHARGED_IN_SILENCE, DECLINED, LOST, TestApp, card_body};

impl TestApp {
    async fn pay_with_key(&self, id: OrderId, key: &str, body: &Value) -> Answer {
        self.client.post_with_key(&format!("/api/payments/pay/{id}"), TOKEN, key, body).await
    }

    /// Pays with the key `k`.
    async fn pay_once(&self, id: OrderId, number: &str) -> Answer {
        self.pay_with_key(id, "k", &card_body(number)).await
    }

    /// The same, and again as long as the answer says that another request is still at it.
    async fn insist_on_paying_once(&self, id: OrderId, number: &str) -> Answer {
        loop {
            let answer = self.pay_once(id, number).await;
            if answer.body["code"] != "idempotency_key_in_use" {
                return answer;
            }
        }
    }

    /// The same as a client of its own.
    fn spawn_pay_once(self: &Arc<Self>, id: OrderId, number: &'static str) -> JoinHandle<Answer> {
        let service = Arc::clone(self);
        tokio::spawn(async move { service.pay_once(id, number).await })
    }

    async fn known_keys(&self) -> i64 {
        let count = "select count(*) from payments.idempotency_keys";
        sqlx::query_scalar(count).fetch_one(&self.app.database).await.expect("the count can be read")
    }
}

#[track_caller]
fn assert_replay(first: &Answer, again: &Answer) {
    assert!(!first.is_replayed() && again.is_replayed(), "{first:?} {again:?}");
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    for header in [ETAG, LOCATION] {
        assert_eq!(first.headers.get(&header), again.headers.get(&header), "{header}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_repeated_pay_is_answered_the_same_and_charges_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let first = service.pay_once(id, APPROVED).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_replay(&first, &service.pay_once(id, APPROVED).await);
    // However card and key are written.
    let mut body = card_body("4242-4242 4242 4242");
    body["creditCardDetails"]["expiry"] = json!("3/11/2099");
    assert_replay(&first, &service.pay_with_key(id, "\"k\"", &body).await);
    assert_eq!(service.book(id).await, ["approved"]);
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn the_answer_stays_the_same_after_the_payment_moved_on(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let declined = service.pay_once(id, DECLINED).await;
    assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED);
    assert_replay(&declined, &service.pay_once(id, DECLINED).await);

    let paid = service.pay_with_key(id, "another", &card_body(APPROVED)).await;
    assert_eq!(paid.status, StatusCode::OK, "{}", paid.body);
    assert_replay(&declined, &service.pay_once(id, DECLINED).await);
    service.hear_cancel(vec![id]).await;
    service.settle_in_time(id).await;
    assert_eq!(service.status(id).await, "refunded");
    assert_replay(&declined, &service.pay_once(id, DECLINED).await);
    assert_replay(&paid, &service.pay_with_key(id, "another", &card_body(APPROVED)).await);
    assert_eq!(service.book(id).await, ["declined", "refunded"]);
}

#[sqlx::test(migrations = false)]
async fn fifty_equal_pays_at_once_charge_once_and_are_answered_alike(database: PgPool) {
    let service = TestApp::start(database).await;
    for (number, status, book) in
        [(APPROVED, StatusCode::OK, "approved"), (DECLINED, StatusCode::PAYMENT_REQUIRED, "declined")]
    {
        let id = service.held_payment().await;
        let answers = join_all((0..50).map(|_| service.insist_on_paying_once(id, number))).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (status, &answers[0].body));
        }
        assert_eq!(answers.iter().filter(|answer| !answer.is_replayed()).count(), 1);
        assert_eq!(service.book(id).await, [book]);
    }
}

#[sqlx::test(migrations = false)]
async fn a_key_is_good_for_one_card(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.pay_once(id, DECLINED).await.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
    let (mut other_code, mut other_expiry) = (card_body(DECLINED), card_body(DECLINED));
    other_code["creditCardDetails"]["cvt"] = json!("8352");
    other_expiry["creditCardDetails"]["expiry"] = json!("12/2099");
    for body in [card_body(APPROVED), other_code, other_expiry] {
        let answer = service.pay_with_key(id, "k", &body).await;
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    }
    assert_eq!(service.book(id).await, ["declined"]);
    // Another order is another thing to pay.
    assert_eq!(service.pay_once(service.held_payment().await, APPROVED).await.status, StatusCode::OK);
}

#[sqlx::test(migrations = false)]
async fn a_pay_that_still_runs_is_not_begun_again(database: PgPool) {
    for hold in [Hold::BeforeCharging, Hold::AfterCharging] {
        let (service, processor) = TestApp::start_held(database.clone(), hold).await;
        let id = service.held_payment().await;
        let first = service.spawn_pay_once(id, APPROVED);
        processor.charge_waits().await;
        let running = service.pay_once(id, APPROVED).await;
        assert_eq!(running.headers.get("Retry-After").expect("says when"), "1");
        running.expect_problem(StatusCode::CONFLICT, "idempotency_key_in_use");
        let other = service.pay_once(id, DECLINED).await;
        other.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
        service.pay(id, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_in_progress");

        processor.let_go();
        let first = first.await.expect("an answer");
        assert_eq!(first.status, StatusCode::OK);
        assert_replay(&first, &service.pay_once(id, APPROVED).await);
        assert_eq!(service.book(id).await, ["approved"]);
    }
}

#[sqlx::test(migrations = false)]
async fn an_answer_in_doubt_is_repeated_too(database: PgPool) {
    let service = TestApp::start(database).await;
    for (number, settled) in [(CHARGED_IN_SILENCE, "paid"), (LOST, "pending")] {
        let id = service.held_payment().await;
        let first = service.pay_once(id, number).await;
        assert_eq!(first.status, StatusCode::ACCEPTED);
        assert_replay(&first, &service.pay_once(id, number).await);
        service.settle_in_time(id).await;
        assert_eq!(service.status(id).await, settled);
        assert_replay(&first, &service.pay_once(id, number).await);
        assert_eq!(service.attempts(id).await.len(), 1);
    }
}

#[sqlx::test(migrations = false)]
async fn whoever_asks_after_a_crash_gets_the_answer_that_was_never_given(database: PgPool) {
    let (service, processor) = TestApp::start_held(database, Hold::AfterCharging).await;
    let id = service.held_payment().await;
    // This client does not hear of its charge, as if the service had stopped in the middle of it.
    let lost = service.spawn_pay_once(id, APPROVED);
    processor.charge_waits().await;
    service.settle_in_time(id).await;
    let paid = service.pay_once(id, APPROVED).await;
    assert!(paid.is_replayed());
    let again = service.pay_once(id, APPROVED).await;
    assert_eq!((paid.status, &paid.body), (again.status, &again.body));
    assert_eq!(paid.expect(StatusCode::OK)["status"], "paid");
    // The service had not stopped after all: its late answer is no other.
    processor.let_go();
    let late = lost.await.expect("an answer");
    assert_eq!((late.status, &late.body), (again.status, &again.body));
    assert_eq!(service.book(id).await, ["approved"]);
}

#[sqlx::test(migrations = false)]
async fn a_key_whose_attempt_was_voided_before_any_answer_may_be_used_again(database: PgPool) {
    let (service, processor) = TestApp::start_held(database, Hold::BeforeCharging).await;
    let id = service.held_payment().await;
    let late = service.spawn_pay_once(id, APPROVED);
    processor.charge_waits().await;
    service.settle_in_time(id).await;
    assert_eq!((service.status(id).await.as_str(), service.known_keys().await), ("pending", 0));
    let again = service.spawn_pay_once(id, APPROVED);
    processor.charge_waits().await;
    // The first charge comes after its void, and its answer is nobody's.
    processor.let_go();
    late.await.expect("an answer").expect_problem(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable");
    processor.let_go();
    let again = again.await.expect("an answer");
    assert_eq!(again.status, StatusCode::OK);
    assert_replay(&again, &service.pay_once(id, APPROVED).await);
    assert_eq!(service.book(id).await, ["voided", "approved"]);
    assert_eq!(service.ledger(id).await, [BILL]);
}

#[sqlx::test(migrations = false)]
async fn a_refused_pay_does_not_use_up_its_key(database: PgPool) {
    let service = TestApp::start(database).await;
    let (cancelled, paid) = (service.held_payment().await, service.held_payment().await);
    service.hear_cancel(vec![cancelled]).await;
    service.pay(paid, APPROVED).await.expect(StatusCode::OK);
    service.pay_once(cancelled, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_cancelled");
    service.pay_once(paid, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_already_paid");
    let refused = service.pay_with_key(paid, "", &card_body(APPROVED)).await;
    refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_idempotency_key");
    assert_eq!(service.known_keys().await, 0);
}

#[sqlx::test(migrations = false)]
async fn keys_are_forgotten_when_they_are_old(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    service.pay_once(id, APPROVED).await.expect(StatusCode::OK);
    forget_older_than(&service.app.database, SCHEMA, Duration::from_hours(1)).await.expect("the database answers");
    assert_eq!(service.known_keys().await, 1);
    forget_older_than(&service.app.database, SCHEMA, Duration::ZERO).await.expect("the database answers");
    assert_eq!(service.known_keys().await, 0);
    service.pay_once(id, APPROVED).await.expect_problem(StatusCode::CONFLICT, "payment_already_paid");
}
