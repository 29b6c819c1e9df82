//! POST /api/orders with an Idempotency-Key: sent again, it is answered again.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use futures_util::future::join_all;
use orders_service::new_order::NewOrder;
use orders_service::placing::{self, Placed};
use orders_service::{SCHEMA, timers};
use serde_json::{Value, json};
use service_kit::idempotency::{Claims, IdempotencyKey, forget_older_than};
use service_kit::testing::{ALICE, Answer, TOKEN};
use shared_events::events::ProcessedStatus;
use shared_events::ids::UserId;
use sqlx::PgPool;
use sqlx::types::Json;

use crate::helpers::{TestApp, id_of, processed};

impl TestApp {
    async fn post_with_key(&self, key: &str, body: Value) -> Answer {
        self.client.post_with_key("/api/orders", TOKEN, key, &body).await
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.app.database).await.expect("the count can be read")
    }
}

#[sqlx::test(migrations = false)]
async fn a_repeated_request_is_answered_with_the_same_order(database: PgPool) {
    let service = TestApp::start(database).await;
    let body = json!({"bill": 62243, "reference": "ours"});
    let first = service.post_with_key("k", body.clone()).await;
    let again = service.post_with_key("k", body).await;
    assert!(!first.is_replayed() && again.is_replayed());
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.status, StatusCode::CREATED);
    for header in [ETAG, LOCATION] {
        assert_eq!(first.headers.get(&header), again.headers.get(&header), "{header}");
    }
    assert_eq!(service.count("select count(*) from orders.orders").await, 1);
    assert_eq!(service.count("select count(*) from orders.outbox").await, 1);
}

#[sqlx::test(migrations = false)]
async fn the_answer_stays_the_same_after_the_order_moved_on(database: PgPool) {
    let service = TestApp::start(database).await;
    let first = service.post_with_key("k", json!({"bill": 62243})).await;
    let id = id_of(&first.body["data"]);
    assert_eq!(service.hear(vec![processed(id, 3, ProcessedStatus::Paid)]).await, [""; 0]);
    assert_eq!(service.get_order(id).await["status"], "confirmed");
    assert_eq!(service.post_with_key("k", json!({"bill": 62243})).await.body, first.body);

    service.execute("update orders.orders set deliver_at = now() where id = $1", id).await;
    timers::deliver_due(&service.app).await.expect("the database answers");
    assert_eq!(service.get_order(id).await["status"], "delivered");
    assert_eq!(service.post_with_key("k", json!({"bill": 62243})).await.body, first.body);

    let cancelled = service.post_with_key("l", json!({"bill": 1})).await;
    service.delete_order(id_of(&cancelled.body["data"])).await.expect(StatusCode::OK);
    assert_eq!(service.post_with_key("l", json!({"bill": 1})).await.body, cancelled.body);
}

#[sqlx::test(migrations = false)]
async fn fifty_equal_requests_at_once_place_one_order(database: PgPool) {
    let service = TestApp::start(database).await;
    let answers = join_all((0..50).map(|_| service.post_with_key("k", json!({"bill": 62243})))).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        assert_eq!(answer.body, answers[0].body);
    }
    assert_eq!(answers.iter().filter(|answer| !answer.is_replayed()).count(), 1);
    assert_eq!(service.count("select count(*) from orders.orders").await, 1);
    assert_eq!(service.count("select count(*) from orders.outbox").await, 1);
}

#[sqlx::test(migrations = false)]
async fn a_key_is_good_for_one_body(database: PgPool) {
    let service = TestApp::start(database).await;
    service.post_with_key("k", json!({"bill": 2, "currency": "USD"})).await.expect(StatusCode::CREATED);
    for other in [json!({"bill": 3}), json!({"bill": 2, "currency": "EUR"}), json!({"bill": 2, "reference": "x"})] {
        let answer = service.post_with_key("k", other).await;
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    }
    // What means the same is the same.
    assert!(service.post_with_key("k", json!({"bill": 2})).await.is_replayed());
    assert_eq!(service.count("select count(*) from orders.orders").await, 1);
}

#[sqlx::test(migrations = false)]
async fn of_different_requests_with_one_key_at_once_one_wins(database: PgPool) {
    let service = TestApp::start(database).await;
    let answers = join_all((1..=20).map(|bill| service.post_with_key("k", json!({"bill": bill})))).await;
    let (created, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!((created.len(), refused.len()), (1, 19));
    for answer in refused {
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    }
    assert_eq!(service.count("select count(*) from orders.outbox").await, 1);
}

#[sqlx::test(migrations = false)]
async fn everybody_has_keys_of_their_own(database: PgPool) {
    let service = TestApp::start(database).await;
    let ours = service.post_with_key("k", json!({"bill": 2})).await;
    let hers = service.client.post_with_key("/api/orders", ALICE, "k", &json!({"bill": 2})).await;
    assert!(!hers.is_replayed());
    assert_eq!(hers.expect(StatusCode::CREATED)["createdBy"], "alice");
    assert_eq!(ours.expect(StatusCode::CREATED)["createdBy"], "somerandomuserid");
}

#[sqlx::test(migrations = false)]
async fn a_key_that_cannot_be_used_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    for key in ["", "\"\"", &"k".repeat(256), "a\tb", "schlüssel"] {
        let answer = service.post_with_key(key, json!({"bill": 2})).await;
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_idempotency_key");
    }
    assert!(service.post_with_key(&"k".repeat(255), json!({"bill": 2})).await.status.is_success());
    assert_eq!(service.count("select count(*) from orders.orders").await, 1);
}

#[sqlx::test(migrations = false)]
async fn a_refused_request_does_not_use_up_its_key(database: PgPool) {
    let service = TestApp::start(database).await;
    let refused = service.post_with_key("k", json!({"bill": 0})).await;
    refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
    assert_eq!(service.post_with_key("k", json!({"bill": 1})).await.expect(StatusCode::CREATED)["bill"], 1);
}

#[sqlx::test(migrations = false)]
async fn a_batch_whose_answer_was_lost_is_no_replay_of_itself(database: PgPool) {
    let service = TestApp::start(database).await;
    let claims = Claims::new("another demo secret".parse().expect("a secret"));
    let new: Vec<NewOrder> = (1..=3).map(|bill| claimed(&claims, bill)).collect();
    for _attempt in 0..2 {
        let placed = placing::place(&service.app.database, &service.app.outbox, Duration::from_mins(1), &new)
            .await
            .expect("is placed");
        let [Some(Placed::Now(order)), Some(Placed::KeyReused), Some(Placed::KeyReused)] = &placed[..] else {
            panic!("{placed:?}");
        };
        assert_eq!(order.id, new[0].id);
    }
}

#[sqlx::test(migrations = false)]
async fn keys_are_forgotten_when_they_are_old_and_neither_they_nor_bodies_are_kept(database: PgPool) {
    let service = TestApp::start(database).await;
    service.post_with_key("a-key-of-ours", json!({"bill": 2, "reference": "r"})).await.expect(StatusCode::CREATED);
    let readable = "select count(*) from orders.idempotency_keys as known where known::text like '%ours%'";
    assert_eq!(service.count(readable).await, 0);

    let forget = async |retention| forget_older_than(&service.app.database, SCHEMA, retention).await;
    forget(Duration::from_hours(1)).await.expect("the database answers");
    assert_eq!(service.count("select count(*) from orders.idempotency_keys").await, 1);
    forget(Duration::ZERO).await.expect("the database answers");
    assert_eq!(service.count("select count(*) from orders.idempotency_keys").await, 0);
    assert!(!service.post_with_key("a-key-of-ours", json!({"bill": 3})).await.is_replayed());
}

/// An order under the key `k`.
fn claimed(claims: &Claims, bill: i64) -> NewOrder {
    let user = UserId("somerandomuserid".to_owned());
    let key = IdempotencyKey { key: "k".to_owned(), request_id: None };
    let body = serde_json::from_value(json!({"bill": bill})).expect("a body");
    let mut new = NewOrder::new(user.clone(), body).expect("is valid");
    new.claim = Some(Json(claims.claim(key, &user, "POST /api/orders", &[&new.wish()])));
    new
}
