//! `POST /api/orders`.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use orders_service::new_order::{CreateOrder, NewOrder};
use orders_service::placing::{self, Placed};
use serde_json::{Value, json};
use service_kit::testing::TOKEN;
use shared_events::ids::UserId;
use sqlx::PgPool;
use std::time::Duration;

use crate::helpers::{TestApp, id_of};

#[sqlx::test(migrations = false)]
async fn an_order_is_placed_with_its_event(database: PgPool) {
    let service = TestApp::start(database).await;
    let answer = service.post_order(json!({"bill": 62243})).await;
    let location = answer.headers.get("location").expect("a location").to_str().expect("text").to_owned();
    let order = answer.expect(StatusCode::CREATED);
    let id = id_of(&order);
    assert_eq!(location, format!("/api/orders/{id}"));
    for (field, expected) in [
        ("status", json!("created")),
        ("paymentStatus", json!("pending")),
        ("bill", json!(62243)),
        ("currency", json!("USD")),
        ("createdBy", json!("somerandomuserid")),
        ("deliverAt", json!(null)),
        ("cancelReason", json!(null)),
        ("version", json!(1)),
    ] {
        assert_eq!(order[field], expected, "{field}");
    }
    assert_eq!(service.get_order(id).await, order);
    assert_eq!(service.history(id).await, ["created order_placed"]);
    let event = json!({"orderId": id, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD"});
    assert_eq!(service.outbox(id).await, [("payment-create-event".to_owned(), event)]);
}

#[sqlx::test(migrations = false)]
async fn items_are_kept_and_their_sum_is_the_bill(database: PgPool) {
    let service = TestApp::start(database).await;
    let items = json!([{"sku": "tea", "quantity": 2, "unitPrice": 350},
                       {"sku": "cup", "description": "blue", "quantity": 1, "unitPrice": 0}]);
    let body = json!({"items": items, "currency": "EUR", "reference": "my order 7"});
    let order = service.post_order(body).await.expect(StatusCode::CREATED);
    assert_eq!((&order["bill"], &order["currency"]), (&json!(700), &json!("EUR")));
    assert_eq!((&order["items"], &order["reference"]), (&items, &json!("my order 7")));
    let same_sum = json!({"bill": 700, "items": items});
    service.post_order(same_sum).await.expect(StatusCode::CREATED);
}

#[sqlx::test(migrations = false)]
async fn everything_that_is_wrong_is_named(database: PgPool) {
    let service = TestApp::start(database).await;
    let item = |changed: Value| {
        let mut item = json!({"sku": "tea", "quantity": 1, "unitPrice": 5});
        item.as_object_mut().expect("an object").extend(changed.as_object().expect("an object").clone());
        json!({"items": [item]})
    };
    for (body, pointer, code) in [
        (json!({}), "#/bill", "required"),
        (json!({"bill": null}), "#/bill", "required"),
        (json!({"bill": "62243"}), "#/bill", "invalid_type"),
        (json!({"bill": 1.5}), "#/bill", "invalid_type"),
        (json!({"bill": true}), "#/bill", "invalid_type"),
        (json!({"bill": 0}), "#/bill", "out_of_range"),
        (json!({"bill": -1}), "#/bill", "out_of_range"),
        (json!({"bill": 1_000_000_000_000_i64}), "#/bill", "out_of_range"),
        (json!({"bill": 18_446_744_073_709_551_615_u64}), "#/bill", "invalid_type"),
        (json!({"bill": 1, "currency": "usd"}), "#/currency", "unknown_currency"),
        (json!({"bill": 1, "currency": "ZZZ"}), "#/currency", "unknown_currency"),
        (json!({"bill": 1, "status": "confirmed"}), "#/status", "unknown_field"),
        (json!({"bill": 1, "reference": ""}), "#/reference", "wrong_length"),
        (json!({"bill": 1, "reference": "x".repeat(129)}), "#/reference", "wrong_length"),
        (json!({"bill": 1, "reference": "a\u{0}b"}), "#/reference", "control_character"),
        (json!({"bill": 1, "items": []}), "#/items", "wrong_length"),
        (json!({"bill": 6, "items": [{"sku": "tea", "quantity": 1, "unitPrice": 5}]}), "#/bill", "sum_differs"),
        (item(json!({"unitPrice": 0})), "#/bill", "out_of_range"),
        (item(json!({"sku": ""})), "#/items/0/sku", "wrong_length"),
        (item(json!({"sku": "x".repeat(65)})), "#/items/0/sku", "wrong_length"),
        (item(json!({"description": "x".repeat(257)})), "#/items/0/description", "wrong_length"),
        (item(json!({"quantity": 0})), "#/items/0/quantity", "out_of_range"),
        (item(json!({"quantity": 10001})), "#/items/0/quantity", "out_of_range"),
        (item(json!({"unitPrice": -1})), "#/items/0/unitPrice", "out_of_range"),
        (item(json!({"unitPrice": i64::MAX})), "#/items/0/unitPrice", "out_of_range"),
        (item(json!({"colour": "blue"})), "#/items/0/colour", "unknown_field"),
        (json!({"items": [{"sku": "tea", "unitPrice": 5}]}), "#/items/0/quantity", "required"),
    ] {
        let answer = service.post_order(body.clone()).await;
        let problem = answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
        let error = &problem["errors"][0];
        assert_eq!((error["pointer"].as_str(), error["code"].as_str()), (Some(pointer), Some(code)), "{body}");
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
    }
    assert_eq!(service.get("/api/orders").await.expect(StatusCode::OK), json!([]), "nothing was placed");
}

#[sqlx::test(migrations = false)]
async fn all_mistakes_are_told_at_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let answer = service.post_order(json!({"bill": 0, "currency": "??", "reference": ""})).await;
    let problem = answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3), "{problem}");
}

#[sqlx::test(migrations = false)]
async fn a_body_that_is_no_json_or_too_large_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    let too_large = format!(r#"{{"bill": 1, "reference": "{}"}}"#, "x".repeat(64 * 1024));
    for (content_type, body, status, code) in [
        ("application/json", "{".to_owned(), StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", String::new(), StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", "[".repeat(5000), StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", too_large, StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
        ("text/plain", r#"{"bill": 1}"#.to_owned(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
    ] {
        let request = Request::post("/api/orders").header("authorization", TOKEN).header("content-type", content_type);
        let answer = service.client.send_raw(request.body(Body::from(body)).expect("a request")).await;
        answer.expect_problem(status, code);
    }
}

#[sqlx::test(migrations = false)]
async fn placing_the_same_order_again_places_it_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let body: CreateOrder = serde_json::from_value(json!({"bill": 5})).expect("a body");
    let new = [NewOrder::new(UserId("somerandomuserid".to_owned()), body).expect("is valid")];
    for _attempt in 0..2 {
        let placed = placing::place(&service.app.database, &service.app.outbox, Duration::from_mins(1), &new)
            .await
            .expect("is placed");
        assert!(matches!(&placed[..], [Some(Placed::Now(order))] if order.id == new[0].id), "{placed:?}");
    }
    assert_eq!(service.outbox(new[0].id).await.len(), 1);
}

#[sqlx::test(migrations = false)]
async fn many_orders_at_once_are_each_placed_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let (first, second, third) = tokio::join!(
        service.post_order(json!({"bill": 1})),
        service.post_order(json!({"bill": 2})),
        service.post_order(json!({"bill": 3})),
    );
    for (answer, bill) in [(first, 1), (second, 2), (third, 3)] {
        assert_eq!(answer.expect(StatusCode::CREATED)["bill"], bill);
    }
    let list = service.get("/api/orders").await.expect(StatusCode::OK);
    assert_eq!(list.as_array().map(Vec::len), Some(3));
}
