//! `POST /api/payments/pay/{orderId}`: bodies that are no card, and that nothing of them comes back.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use service_kit::testing::{Answer, TOKEN};
use sqlx::PgPool;

use crate::helpers::{TestApp, card_body};

/// The body of a good card with some of its fields replaced; `null` removes one.
fn with(changes: &Value) -> Value {
    let mut body = card_body("4242424242424242");
    let card = body["creditCardDetails"].as_object_mut().expect("an object");
    for (field, value) in changes.as_object().expect("an object") {
        if value.is_null() { drop(card.remove(field)) } else { drop(card.insert(field.clone(), value.clone())) }
    }
    body
}

/// All that a problem says, save for the id and the path of the request, in whose digits a code might occur by chance.
fn said(problem: &Value) -> String {
    let mut problem = problem.clone();
    let members = problem.as_object_mut().expect("an object");
    members.remove("requestId");
    members.remove("instance");
    problem.to_string()
}

#[sqlx::test(migrations = false)]
async fn everything_that_is_wrong_is_named_and_not_repeated(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let (number, cvt, expiry) = ("#/creditCardDetails/number", "#/creditCardDetails/cvt", "#/creditCardDetails/expiry");
    for (body, pointer, code, secret) in [
        (json!({}), "#/creditCardDetails", "required", "-"),
        (json!([]), "#", "invalid_type", "-"),
        (json!("4242424242424242"), "#", "invalid_type", "4242"),
        (json!({"creditCardDetails": null}), "#/creditCardDetails", "invalid_type", "-"),
        (json!({"creditCardDetails": "4242424242424242"}), "#/creditCardDetails", "invalid_type", "4242"),
        (
            json!({"creditCardDetails": ["4242424242424242", 8351, "11/99"]}),
            "#/creditCardDetails",
            "invalid_type",
            "4242",
        ),
        (json!({"creditCardDetails": {}}), number, "required", "-"),
        (with(&json!({"number": null})), number, "required", "8351"),
        (with(&json!({"cvt": null})), cvt, "required", "4242"),
        (with(&json!({"expiry": null})), expiry, "required", "4242"),
        (with(&json!({"number": 4_242_424_242_424_242_u64})), number, "invalid_type", "4242"),
        (with(&json!({"number": ["4242424242424242"]})), number, "invalid_type", "4242"),
        (with(&json!({"number": ""})), number, "invalid_value", "8351"),
        (with(&json!({"number": "42424242424"})), number, "invalid_value", "4242"),
        (with(&json!({"number": "42424242424242424242"})), number, "invalid_value", "4242"),
        (with(&json!({"number": "4242 4242 4242 424x"})), number, "invalid_value", "4242"),
        (with(&json!({"number": "4242.4242.4242.4242"})), number, "invalid_value", "4242"),
        (with(&json!({"number": ", expected 4242424242424242"})), number, "invalid_value", "4242"),
        (with(&json!({"cvt": 67})), cvt, "invalid_value", "67"),
        (with(&json!({"cvt": "67"})), cvt, "invalid_value", "67"),
        (with(&json!({"cvt": 67890})), cvt, "invalid_value", "67890"),
        (with(&json!({"cvt": "67890"})), cvt, "invalid_value", "67890"),
        (with(&json!({"cvt": "abc"})), cvt, "invalid_value", "abc"),
        (with(&json!({"cvt": " 835"})), cvt, "invalid_value", "835"),
        (with(&json!({"cvt": -835})), cvt, "invalid_type", "835"),
        (with(&json!({"cvt": 835.5})), cvt, "invalid_type", "835"),
        (with(&json!({"cvt": true})), cvt, "invalid_type", "true"),
        (with(&json!({"cvt": {"code": 835}})), cvt, "invalid_type", "835"),
        (with(&json!({"expiry": ""})), expiry, "invalid_value", "4242"),
        (with(&json!({"expiry": "13/30"})), expiry, "invalid_value", "13/30"),
        (with(&json!({"expiry": "11-2099"})), expiry, "invalid_value", "2099"),
        (with(&json!({"expiry": "31/2/2099"})), expiry, "invalid_value", "2099"),
        (with(&json!({"expiry": 1130})), expiry, "invalid_type", "1130"),
        (with(&json!({"holder": "A. Customer"})), "#/creditCardDetails/holder", "unknown_field", "Customer"),
    ] {
        let answer = service.pay_with(id, &body).await;
        let problem = answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
        let error = &problem["errors"][0];
        assert_eq!((error["pointer"].as_str(), error["code"].as_str()), (Some(pointer), Some(code)), "{body}");
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
        assert!(!said(&problem).contains(secret), "{body}: {problem}");
    }
    let mut unknown = card_body("4242424242424242");
    unknown["amount"] = json!(1);
    let problem = service.pay_with(id, &unknown).await;
    let problem = problem.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "#/amount");

    assert_eq!(service.get_payment(id).await["version"], 1, "nothing was tried");
    assert_eq!(service.book(id).await, [""; 0]);
}

#[sqlx::test(migrations = false)]
async fn all_mistakes_are_told_at_once(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let body = with(&json!({"number": "4242424242x", "cvt": "67", "expiry": "99/99"}));
    let answer = service.pay_with(id, &body).await;
    let problem = answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3), "{problem}");
    for secret in ["4242", "67", "99"] {
        assert!(!said(&problem).contains(secret), "{problem}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_body_that_is_no_json_or_too_large_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let good = card_body("4242424242424242").to_string();
    let cut_off = good[..good.len() - 2].to_owned();
    let too_large = card_body(&"4".repeat(64 * 1024)).to_string();
    let twice = r#"{"creditCardDetails": {"number": "4242424242424242", "number": "4242424242424242", "cvt": 8351}}"#;
    for (content_type, body, status, code) in [
        ("application/json", cut_off, StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", "4242424242424242 8351".to_owned(), StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", String::new(), StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", "[".repeat(5000), StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", too_large, StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
        ("application/json", twice.to_owned(), StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"),
        ("text/plain", good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        ("", good, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
    ] {
        let request = Request::post(format!("/api/payments/pay/{id}")).header("authorization", TOKEN);
        let request = request.header("content-type", content_type).body(Body::from(body)).expect("a request");
        let answer: Answer = service.client.send_raw(request).await;
        let problem = answer.expect_problem(status, code);
        assert!(!said(&problem).contains("4242") && !said(&problem).contains("8351"), "{problem}");
    }
    assert_eq!(service.status(id).await, "pending");
}

#[sqlx::test(migrations = false)]
async fn a_card_number_in_the_place_of_a_field_is_not_repeated(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    for body in [
        with(&json!({"4242424242424242": "8351"})),
        json!({"4242424242424242": "8351"}),
        json!({"creditCardDetails": {"4242424242424242": {"cvt": 8351}}}),
    ] {
        let answer = service.pay_with(id, &body).await;
        let problem = answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
        assert!(!said(&problem).contains("4242"), "{body}: {problem}");
    }
}
