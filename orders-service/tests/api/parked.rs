//! What operators can ask for: parked messages with a token, metrics and health without.

use axum::http::{Method, StatusCode};
use orders_service::SCHEMA;
use serde_json::{Value, json};
use service_kit::admin::Admin;
use service_kit::parked::{self, Parked};
use service_kit::pool::Database;
use sqlx::PgPool;

use crate::helpers::TestApp;
use crate::operator::{Operator, client, message};

const QUEUE: &str = "payment-processed-event";
const NOT_THEIRS: &str =
    r#", error="invalid_token", error_description="The access token is not that of the operators.""#;

#[sqlx::test(migrations = false)]
async fn parked_messages_are_listed_page_by_page_the_oldest_first(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    for number in 1..=3 {
        operator.park(QUEUE, format!("message {number}").as_bytes()).await;
    }
    let first = operator.get("/parked?limit=2").await;
    assert_eq!(first.body["page"], json!({"limit": 2, "nextAfter": 2}));
    let rows = first.expect(StatusCode::OK);
    assert_eq!([&rows[0]["id"], &rows[1]["id"]], [1, 2]);
    assert!(rows[0]["parkedAt"].is_string() && rows[0].get("body").is_none(), "{rows}");
    let [queue, message_id, bytes, reason] = ["queue", "messageId", "bytes", "reason"].map(|name| &rows[0][name]);
    assert_eq!(json!([queue, message_id, bytes, reason]), json!([QUEUE, "its-id", 9, "malformed: it is a test"]));

    let rest = operator.get("/parked?limit=2&after=2").await;
    assert_eq!(rest.body["page"]["nextAfter"], Value::Null);
    assert_eq!(rest.expect(StatusCode::OK)[0]["id"], 3);
    assert_eq!(operator.get("/parked?after=3").await.expect(StatusCode::OK), json!([]));
    let refused = operator.get("/parked?limit=1001&after=x").await;
    let refused = refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
    assert_eq!([&refused["errors"][0]["pointer"], &refused["errors"][1]["pointer"]], ["#/limit", "#/after"]);
}

#[sqlx::test(migrations = false)]
async fn a_body_is_shown_as_it_can_be_read_without_losing_any_of_it(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    for (body, format, shown) in [
        (br#"{"b":1,"a":[2.5,"\u00e4"]}"#.as_slice(), "text", json!(r#"{"b":1,"a":[2.5,"\u00e4"]}"#)),
        (br#"{"b":1,"a":[2.5,null]}"#, "json", json!({"b": 1, "a": [2.5, null]})),
        (br#"{"a":1,"a":2}"#, "text", json!(r#"{"a":1,"a":2}"#)),
        ("Grüße".as_bytes(), "text", json!("Grüße")),
        (b"", "text", json!("")),
        (b"\xff\x00", "base64", json!("/wA=")),
    ] {
        let id = operator.park(QUEUE, body).await;
        let row = operator.get(&format!("/parked/{id}")).await.expect(StatusCode::OK);
        assert_eq!((&row["bodyFormat"], &row["body"]), (&json!(format), &shown), "{row}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_discarded_message_is_shown_once_more_and_gone(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let path = format!("/parked/{}", operator.park(QUEUE, b"nonsense").await);
    let discarded = operator.send(Method::DELETE, &path).await.expect(StatusCode::OK);
    assert_eq!(discarded["body"], "nonsense");
    for method in [Method::GET, Method::DELETE] {
        operator.send(method, &path).await.expect_problem(StatusCode::NOT_FOUND, "parked_not_found");
    }
    for path in [format!("{path}/replay"), "/parked/x/replay".to_owned()] {
        operator.send(Method::POST, &path).await.expect_problem(StatusCode::NOT_FOUND, "parked_not_found");
    }
    operator.get("/elsewhere").await.expect_problem(StatusCode::NOT_FOUND, "route_not_found");
    let refused = operator.send(Method::DELETE, "/parked").await;
    refused.expect_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
}

#[sqlx::test(migrations = false)]
async fn a_message_that_cannot_be_sent_stays_parked(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let unsent = operator.park(QUEUE, b"{}").await;
    let of_another_prefix = operator.park("test-payment-processed-event", b"{}").await;
    let replay = async |id: i64| operator.send(Method::POST, &format!("/parked/{id}/replay")).await;
    replay(unsent).await.expect_problem(StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable");
    replay(of_another_prefix).await.expect_problem(StatusCode::CONFLICT, "queue_unknown");
    assert_eq!(operator.get("/parked").await.expect(StatusCode::OK).as_array().map(Vec::len), Some(2));
}

#[sqlx::test(migrations = false)]
async fn a_replay_takes_the_place_of_its_row_and_only_once(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let first = operator.park(QUEUE, b"{}").await;
    let again = Parked { replay_of: Some(first), ..message(QUEUE, b"{}") };
    for is_first in [true, false] {
        let inserted = parked::insert(&operator.database, SCHEMA, &again).await.expect("the database answers");
        assert_eq!(inserted, is_first);
    }
    let rows = operator.get("/parked").await.expect(StatusCode::OK);
    assert_eq!((rows.as_array().map(Vec::len), &rows[0]["replayOf"]), (Some(1), &json!(first)), "{rows}");
}

#[sqlx::test(migrations = false)]
async fn only_who_has_the_token_may_deal_with_parked_messages(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let path = format!("/parked/{}", operator.park(QUEUE, b"{}").await);
    let routes =
        [(Method::GET, "/parked"), (Method::GET, &path), (Method::DELETE, &path), (Method::POST, "/parked/1/replay")];
    for (method, path) in routes {
        for (token, error) in [
            ("", ""),
            ("thisisajwttoken", NOT_THEIRS),
            ("a-token-of-operator", NOT_THEIRS),
            ("Basic a-token-of-operators", NOT_THEIRS),
        ] {
            let answer = operator.client.send(method.clone(), path, token, &Value::Null).await;
            let challenge = format!(r#"Bearer realm="order-processing"{error}"#);
            assert_eq!(answer.headers["www-authenticate"], challenge);
            answer.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
        }
        let disabled = client(operator.admin("")).send(method, path, "", &Value::Null).await;
        disabled.expect_problem(StatusCode::FORBIDDEN, "admin_disabled");
    }
    operator.get(&path).await.expect(StatusCode::OK);
}

#[sqlx::test(migrations = false)]
async fn metrics_and_health_take_no_token(database: PgPool) {
    let test = TestApp::start(database).await;
    test.placed_order().await;
    let operator = Operator::of(test);
    operator.park(QUEUE, b"{}").await;
    let stranger = client(operator.admin(""));
    let ask = async |path| stranger.send(Method::GET, path, "", &Value::Null).await;
    assert_eq!(ask("/health/live").await.text, "live");
    assert_eq!(ask("/health/ready").await.text, "ready");
    let metrics = ask("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in ["database_up 1", "parked_rows 1", "outbox_events 1", "# EOF"] {
        assert!(metrics.text.lines().any(|found| found == line), "{line} is not in\n{}", metrics.text);
    }
    assert!(metrics.text.contains("\noutbox_oldest_age_seconds "), "{}", metrics.text);
}

#[sqlx::test(migrations = false)]
async fn metrics_are_answered_without_a_database(database: PgPool) {
    let operator = Operator::of(TestApp::start(database).await);
    let nowhere = Database::connect_lazy("postgres://nobody@127.0.0.1:9/nothing", 1).expect("a pool");
    let client = client(Admin { database: nowhere, ..operator.admin("") });
    let metrics = client.send(Method::GET, "/metrics", "", &Value::Null).await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.text.contains("\ndatabase_up 0\n") && metrics.text.ends_with("# EOF\n"), "{}", metrics.text);
}
