//! What is kept of every time a card was tried.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::held_processor::Hold;
use crate::helpers::{APPROVED, DECLINED, TestApp};

/// The order's attempts as the table has them, without their ids; times as how they follow each other.
async fn kept(service: &TestApp, id: shared_events::ids::OrderId) -> Value {
    const ATTEMPTS: &str = "
        select jsonb_agg(to_jsonb(attempt) - array['id', 'order_id', 'started_at', 'settle_at', 'settled_at'] || jsonb_build_object(
            'began', case when started_at between before and now() then 'in turn' else 'out of turn' end,
            'ended', case when settled_at between started_at and now() then 'later' end
        ) order by number)
        from (
            select *, lag(settled_at, 1, '-infinity') over (order by number) as before
            from payments.attempts where order_id = $1
        ) attempt";
    let mut attempts: Value =
        sqlx::query_scalar(ATTEMPTS).bind(id).fetch_one(&service.app.database).await.expect("the attempts are read");
    for attempt in attempts.as_array_mut().into_iter().flatten() {
        drop(attempt.as_object_mut().expect("an attempt").remove("before"));
    }
    attempts
}

#[sqlx::test(migrations = false)]
async fn every_attempt_is_kept_with_its_card_its_end_and_its_times(database: PgPool) {
    let (service, processor) = TestApp::start_held(database, Hold::BeforeCharging).await;
    let id = service.held_payment().await;
    for number in [DECLINED, "4000000000009995"] {
        processor.let_go();
        service.pay(id, number).await.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
        processor.charge_waits().await;
    }
    let paying = service.spawn_pay(id, APPROVED);
    processor.charge_waits().await;
    let attempt = |number: u8, last4: &str, outcome: &str, decline_code: Option<&str>, ended: Option<&str>| {
        json!({
            "number": number, "outcome": outcome, "decline_code": decline_code,
            "card_brand": "visa", "card_last4": last4, "card_exp_month": 11, "card_exp_year": 2099,
            "began": "in turn", "ended": ended,
        })
    };
    let ended = [
        attempt(1, "0002", "declined", Some("generic_decline"), Some("later")),
        attempt(2, "9995", "declined", Some("insufficient_funds"), Some("later")),
    ];
    let [first, second] = &ended;
    assert_eq!(kept(&service, id).await, json!([first, second, attempt(3, "4242", "started", None, None)]));

    processor.let_go();
    paying.await.expect("an answer").expect(StatusCode::OK);
    assert_eq!(kept(&service, id).await, json!([first, second, attempt(3, "4242", "approved", None, Some("later"))]));
}

#[sqlx::test(migrations = false)]
async fn no_attempt_takes_the_place_of_another(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let id = service.held_payment().await;
    let other = "
        insert into payments.attempts (id, order_id, number, outcome, card_brand, card_last4, card_exp_month, card_exp_year)
        values (gen_random_uuid(), $1, 1, 'declined', 'visa', '0002', 11, 2099)";
    sqlx::query(other).bind(id).execute(&database).await.expect("an attempt that nobody counted");
    let before = service.attempts(id).await;

    service.pay(id, APPROVED).await.expect_problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error");
    assert_eq!(service.attempts(id).await, before);
    assert_eq!(service.status(id).await, "pending", "nothing was begun");
    assert_eq!(service.book(id).await, [""; 0], "no card was charged");
}
