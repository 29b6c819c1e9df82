//! Who may do what, and what every refusal looks like.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use service_kit::testing::{ALICE, TOKEN};
use sqlx::PgPool;

use crate::helpers::TestApp;

#[sqlx::test(migrations = false)]
async fn a_request_without_a_known_token_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    for token in ["", "wrong", "Bearer wrong", "Basic thisisajwttoken"] {
        for (method, path) in [
            (Method::POST, "/api/orders"),
            (Method::GET, "/api/orders"),
            (Method::GET, "/api/orders/0197f1c2-7b1e-7c3a-9d41-2f0f6f1f7a10"),
            (Method::DELETE, "/api/orders/0197f1c2-7b1e-7c3a-9d41-2f0f6f1f7a10"),
            (Method::GET, "/api/orders/0197f1c2-7b1e-7c3a-9d41-2f0f6f1f7a10/events"),
        ] {
            let answer = service.client.send(method, path, token, &json!({"bill": 1})).await;
            let challenge = answer.headers["www-authenticate"].to_str().expect("text");
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            answer.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
        }
    }
}

#[sqlx::test(migrations = false)]
async fn somebody_elses_order_is_not_there(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    for (method, path) in [
        (Method::GET, format!("/api/orders/{id}")),
        (Method::GET, format!("/api/orders/{id}/events")),
        (Method::DELETE, format!("/api/orders/{id}")),
    ] {
        let answer = service.client.send(method, &path, ALICE, &Value::Null).await;
        answer.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
    }
    let list = service.client.send(Method::GET, "/api/orders", ALICE, &Value::Null).await.expect(StatusCode::OK);
    assert_eq!(list, json!([]));
    assert_eq!(service.get_order(id).await["status"], "created");
}

#[sqlx::test(migrations = false)]
async fn what_is_not_served_is_a_problem_too(database: PgPool) {
    let service = TestApp::start(database).await;
    service.get("/api/nothing").await.expect_problem(StatusCode::NOT_FOUND, "route_not_found");
    let answer = service.client.send(Method::PUT, "/api/orders", "thisisajwttoken", &Value::Null).await;
    let allow = answer.headers.get("allow").expect("the allowed methods").to_str().expect("text").to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    answer.expect_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
}

#[sqlx::test(migrations = false)]
async fn a_request_keeps_its_id(database: PgPool) {
    let service = TestApp::start(database).await;
    let request = Request::get("/api/orders").header("x-request-id", "my-request").body(Body::empty());
    let answer = service.client.send_raw(request.expect("a request")).await;
    assert_eq!(answer.headers.get("x-request-id").expect("an id"), "my-request");
    let problem = answer.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
    assert_eq!(problem["requestId"], "my-request");
}

#[sqlx::test(migrations = false)]
async fn nothing_is_done_for_who_cannot_read_the_answer(database: PgPool) {
    let service = TestApp::start(database).await;
    let post = |accept: &str| {
        let request = Request::post("/api/orders").header("authorization", TOKEN).header("accept", accept);
        request.header("content-type", "application/json").body(Body::from("{\"bill\": 1}")).expect("a request")
    };
    let answer = service.client.send_raw(post("text/html")).await;
    answer.expect_problem(StatusCode::NOT_ACCEPTABLE, "not_acceptable");
    assert_eq!(service.get("/api/orders").await.expect(StatusCode::OK), json!([]));
    service.client.send_raw(post("text/html, */*;q=0.1")).await.expect(StatusCode::CREATED);
}
