//! Who may do what in the API; for the database see `privileges.rs`.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::testing::{ALICE, TOKEN};
use sqlx::PgPool;

use crate::helpers::{APPROVED, TestApp, card_body};

#[sqlx::test(migrations = false)]
async fn a_request_without_a_known_token_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    for token in ["", "wrong", "Bearer wrong", "Basic thisisajwttoken"] {
        for (method, path) in [
            (Method::GET, "/api/payments".to_owned()),
            (Method::GET, format!("/api/payments/{id}")),
            (Method::POST, format!("/api/payments/pay/{id}")),
        ] {
            let answer = service.client.send(method, &path, token, &card_body(APPROVED)).await;
            let challenge = answer.headers["www-authenticate"].to_str().expect("text");
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            answer.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
        }
    }
    assert_eq!(service.status(id).await, "pending");
}

#[sqlx::test(migrations = false)]
async fn somebody_elses_payment_is_not_there(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    for (method, path) in
        [(Method::GET, format!("/api/payments/{id}")), (Method::POST, format!("/api/payments/pay/{id}"))]
    {
        let answer = service.client.send(method, &path, ALICE, &card_body(APPROVED)).await;
        answer.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
    }
    let list = service.client.send(Method::GET, "/api/payments", ALICE, &Value::Null).await.expect(StatusCode::OK);
    assert_eq!(list, json!([]));
    assert_eq!(service.status(id).await, "pending");
    assert_eq!(service.book(id).await, [""; 0]);
}

#[sqlx::test(migrations = false)]
async fn what_is_not_served_is_a_problem_too(database: PgPool) {
    let service = TestApp::start(database).await;
    service.get("/api/payments/pay/7/8").await.expect_problem(StatusCode::NOT_FOUND, "route_not_found");
    for (method, path, allowed) in [
        (Method::POST, "/api/payments", "GET"),
        (Method::DELETE, "/api/payments/7", "GET"),
        (Method::GET, "/api/payments/pay/7", "POST"),
    ] {
        let answer = service.client.send(method, path, TOKEN, &Value::Null).await;
        let allow = answer.headers.get("allow").expect("the allowed methods").to_str().expect("text").to_owned();
        assert!(allow.contains(allowed), "{path}: {allow}");
        answer.expect_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    }
}
