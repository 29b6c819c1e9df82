//! What a statement is given goes by position: that each field arrives where it belongs.

use orders_service::new_order::NewOrder;
use orders_service::order::{Cause, Change, OrderStatus, PaymentStatus};
use serde_json::{Value, json};
use service_kit::idempotency::{Claims, IdempotencyKey};
use shared_events::events::{CancelReason, PaymentCancel};
use shared_events::ids::{OrderId, UserId};
use sqlx::PgPool;
use sqlx::types::Json;

use crate::helpers::TestApp;

#[sqlx::test(migrations = false)]
async fn each_field_of_a_change_arrives_where_it_belongs(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let event = PaymentCancel { order_id: OrderId::generate(), reason: CancelReason::Expired };
    let change = Change {
        order_id: OrderId::generate(),
        expected_version: 7,
        status: OrderStatus::Cancelled,
        payment_status: PaymentStatus::Declined,
        payment_version: 3,
        cancel_reason: Some(CancelReason::User),
        cause: Cause::CancelledByUser,
        event: Some(Json(event.clone())),
        traceparent: Some("a trace".to_owned()),
    };
    let arrived: Value = sqlx::query_scalar("select to_jsonb(change) from unnest($1) as change")
        .bind(vec![change.clone()])
        .fetch_one(&superuser)
        .await
        .expect("the type fits");
    let expected = json!({
        "order_id": change.order_id,
        "expected_version": 7,
        "status": "cancelled",
        "payment_status": "declined",
        "payment_version": 3,
        "cancel_reason": "user",
        "cause": "cancelled_by_user",
        "event": event,
        "traceparent": "a trace",
    });
    assert_eq!(arrived, expected);
}

#[sqlx::test(migrations = false)]
async fn each_field_of_a_new_order_arrives_where_it_belongs(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let items = json!([{"sku": "TEA", "quantity": 2, "unitPrice": 5}]);
    let body = json!({"bill": 10, "currency": "EUR", "items": items, "reference": "R-1"});
    let user = UserId("somebody".to_owned());
    let mut new = NewOrder::new(user.clone(), serde_json::from_value(body).expect("a body")).expect("is valid");
    let key = IdempotencyKey { key: "k".to_owned(), request_id: None };
    let claim =
        Claims::new("a demo secret of the tests".parse().expect("a secret")).claim(key, &user, "route", &[&new.wish()]);
    new.claim = Some(Json(claim.clone()));
    let id = new.id;
    let mut arrived: Value = sqlx::query_scalar("select to_jsonb(new) from unnest($1) as new")
        .bind(vec![new])
        .fetch_one(&superuser)
        .await
        .expect("the type fits");
    let event_id = arrived["event_id"].take();
    assert!(event_id.is_string() && event_id != json!(id), "{event_id}");
    let expected = json!({
        "id": id,
        "created_by": "somebody",
        "bill": 10,
        "currency": "EUR",
        "items": items,
        "reference": "R-1",
        "event_id": null,
        "event": {"orderId": id, "createdBy": "somebody", "bill": 10, "currency": "EUR"},
        "traceparent": null,
        "claim": claim,
    });
    assert_eq!(arrived, expected);
}
