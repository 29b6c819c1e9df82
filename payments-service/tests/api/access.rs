//! Who may do what, in the API and in the database.

use axum::http::{Method, StatusCode};
use payments_service::{MIGRATOR, SCHEMA, sandbox};
use serde_json::{Value, json};
use service_kit::testing::{self, ALICE, TOKEN};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgPool};

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

#[sqlx::test(migrations = false)]
async fn each_role_sees_its_own_schema_and_no_other(database: PgPool) {
    static ORDERS: Migrator = sqlx::migrate!("../migrations/orders");
    let roles = [
        ("orders_service", "orders-demo-password", "orders", &ORDERS, "orders.orders"),
        ("payments_service", "payments-demo-password", SCHEMA, &MIGRATOR, "payments.payments"),
        ("sandbox_processor", "sandbox-demo-password", sandbox::SCHEMA, &sandbox::MIGRATOR, "sandbox.charges"),
    ];
    testing::bootstrap(&database).await;
    for (role, password, schema, migrator, _) in roles {
        testing::migrate(&testing::url_as(&database, role, password), schema, migrator).await;
    }
    for (role, password, own_schema, ..) in roles {
        let options: PgConnectOptions = testing::url_as(&database, role, password).parse().expect("a URL");
        let mut connection = options.connect().await.expect("the role may log in");
        for (_, _, schema, _, table) in roles {
            for statement in [
                format!("select count(*) from {table}"),
                format!("delete from {table}"),
                format!("create table {schema}.planted ()"),
            ] {
                let tried = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut connection).await;
                let refusal = tried.err().and_then(|problem| Some(problem.as_database_error()?.code()?.into_owned()));
                // insufficient_privilege
                let expected = (schema != own_schema).then(|| "42501".to_owned());
                assert_eq!(refusal, expected, "{role}: {statement}");
            }
        }
    }
}
