//! `GET /api/orders` and `GET /api/orders/{id}`.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};
use service_kit::testing::{ALICE, TOKEN};
use sqlx::PgPool;

use crate::helpers::{TestApp, id_of};

#[sqlx::test(migrations = false)]
async fn an_order_that_is_not_there_is_not_found(database: PgPool) {
    let service = TestApp::start(database).await;
    for id in ["0197f1c2-7b1e-7c3a-9d41-2f0f6f1f7a10", "7", "not-a-uuid", "%00", "%ff", "'--"] {
        let answer = service.get(&format!("/api/orders/{id}")).await;
        answer.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
        let answer = service.get(&format!("/api/orders/{id}/events")).await;
        answer.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
    }
}

#[sqlx::test(migrations = false)]
async fn of_many_that_look_at_the_same_moment_each_sees_the_own_order_and_nobody_elses(database: PgPool) {
    let service = TestApp::start(database).await;
    let order = json!({"bill": 62243});
    let ours = join_all((0..20).map(|_| service.placed_order())).await;
    let theirs = join_all((0..20).map(|_| service.client.send(Method::POST, "/api/orders", ALICE, &order))).await;
    let theirs = theirs.into_iter().map(|placed| id_of(&placed.expect(StatusCode::CREATED)));
    let look = async |token, id| {
        let found = service.client.send(Method::GET, &format!("/api/orders/{id}"), token, &Value::Null).await;
        if found.status == StatusCode::OK {
            return Some(id_of(&found.body["data"]));
        }
        found.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
        None
    };
    let owned = ours.iter().map(|id| (*id, TOKEN)).chain(theirs.map(|id| (id, ALICE))).collect::<Vec<_>>();
    let looks = owned.iter().flat_map(|(id, owner)| [(*id, *owner, TOKEN), (*id, *owner, ALICE)]);
    let found = join_all(looks.map(async |(id, owner, token)| (id, owner == token, look(token, id).await))).await;
    assert_eq!(found.len(), 80);
    for (id, is_theirs, seen) in found {
        assert_eq!(seen, is_theirs.then_some(id), "{id}");
    }
}

#[sqlx::test(migrations = false)]
async fn an_unchanged_order_is_not_sent_again(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let if_none_match = async |etag: &str| {
        let request = Request::get(format!("/api/orders/{id}")).header("authorization", TOKEN);
        service.client.send_raw(request.header("if-none-match", etag).body(Body::empty()).expect("a request")).await
    };
    for etag in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let answer = if_none_match(etag).await;
        assert_eq!((answer.status, answer.body), (StatusCode::NOT_MODIFIED, Value::Null), "{etag}");
    }
    assert_eq!(if_none_match("\"2\"").await.status, StatusCode::OK);
    service.delete_order(id).await.expect(StatusCode::OK);
    let answer = if_none_match("\"1\"").await;
    assert_eq!(answer.headers.get("etag").expect("a tag"), "\"2\"");
    assert_eq!(answer.expect(StatusCode::OK)["status"], "cancelled");
}

#[sqlx::test(migrations = false)]
async fn pages_lead_through_all_orders_newest_first(database: PgPool) {
    let service = TestApp::start(database).await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.insert(0, service.placed_order().await);
    }
    let (mut seen, mut path) = (Vec::new(), "/api/orders?limit=2".to_owned());
    loop {
        let answer = service.get(&path).await;
        assert_eq!(answer.body["page"]["limit"], 2);
        let cursor = answer.body["page"]["nextCursor"].as_str().map(str::to_owned);
        seen.extend(answer.expect(StatusCode::OK).as_array().expect("a list").iter().map(id_of));
        let Some(cursor) = cursor else { break };
        path = format!("/api/orders?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, placed);
    assert_eq!(service.get("/api/orders").await.body["page"], json!({"limit": 100, "nextCursor": null}));
}

#[sqlx::test(migrations = false)]
async fn a_list_can_be_filtered_by_status(database: PgPool) {
    let service = TestApp::start(database).await;
    let (_created, cancelled) = (service.placed_order().await, service.placed_order().await);
    service.delete_order(cancelled).await.expect(StatusCode::OK);
    let list = service.get("/api/orders?status=cancelled").await.expect(StatusCode::OK);
    assert_eq!(list.as_array().expect("a list").iter().map(id_of).collect::<Vec<_>>(), [cancelled]);
    assert_eq!(service.get("/api/orders?status=delivered").await.expect(StatusCode::OK), json!([]));
}

#[sqlx::test(migrations = false)]
async fn a_list_that_cannot_be_asked_for_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=%2B5",
        "limit=",
        "status=paid",
        "status=",
        "limit=1&limit=2",
    ] {
        let answer = service.get(&format!("/api/orders?{query}")).await;
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
    }
    for cursor in ["x", "", "AAAA", "%00", "%F0%9F%92%B6"] {
        let answer = service.get(&format!("/api/orders?cursor={cursor}")).await;
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_cursor");
    }
    service.get("/api/orders?limit=1000").await.expect(StatusCode::OK);
}
