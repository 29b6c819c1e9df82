//! What a statement is given goes by position: that each field arrives where it belongs.

use payments_service::payment::{AttemptOutcome, Change, PaymentStatus, Posting};
use payments_service::processor::AttemptId;
use serde_json::{Value, json};
use service_kit::idempotency::{Claims, IdempotencyKey};
use shared_events::events::{PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use crate::helpers::TestApp;

#[sqlx::test(migrations = false)]
async fn each_field_of_a_change_arrives_where_it_belongs(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let claims = Claims::new("a demo secret of the tests".parse().expect("a secret"));
    let key = IdempotencyKey { key: "k".to_owned(), request_id: Some("request".to_owned()) };
    let claim = claims.claim(key, &UserId("somebody".to_owned()), "route", &[b"body"]);
    let event = PaymentProcessed {
        order_id: OrderId::generate(),
        payment_id: PaymentId::generate(),
        status: ProcessedStatus::Paid,
        version: 3,
        bill: MinorUnits(62243),
        currency: Currency::DEFAULT,
        decline_code: None,
    };
    let change = Change {
        order_id: OrderId::generate(),
        expected_version: 7,
        status: PaymentStatus::Paid,
        cancel_requested: true,
        attempt_id: Some(AttemptId::generate()),
        attempts: 2,
        card_brand: Some("visa".to_owned()),
        card_last4: Some("4242".to_owned()),
        card_exp_month: Some(12),
        card_exp_year: Some(2030),
        decline_code: Some("lost_card".to_owned()),
        attempt_outcome: Some(AttemptOutcome::Approved),
        posting: Some(Posting { tx_id: Uuid::now_v7(), amount: MinorUnits(5), currency: Currency::DEFAULT }),
        event: Some(Json(event.clone())),
        traceparent: Some("a trace".to_owned()),
        claim: Some(Json(claim.clone())),
    };
    let arrived: Value = sqlx::query_scalar("select to_jsonb(change) from unnest($1) as change")
        .bind(vec![change.clone()])
        .fetch_one(&superuser)
        .await
        .expect("the type fits");
    let posting = change.posting.expect("one");
    let expected = json!({
        "order_id": change.order_id,
        "expected_version": 7,
        "status": "paid",
        "cancel_requested": true,
        "attempt_id": change.attempt_id,
        "attempts": 2,
        "card_brand": "visa",
        "card_last4": "4242",
        "card_exp_month": 12,
        "card_exp_year": 2030,
        "decline_code": "lost_card",
        "attempt_outcome": "approved",
        "posting": {"tx_id": posting.tx_id, "amount": 5, "currency": "USD"},
        "event": event,
        "traceparent": "a trace",
        "claim": claim,
    });
    assert_eq!(arrived, expected);
}
