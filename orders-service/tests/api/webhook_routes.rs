//! The routes of webhooks: whose they are, and how many.

use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};
use service_kit::testing::{ALICE, TOKEN, wait_for_waiting};
use sqlx::PgPool;

use crate::webhook_service::{WEBHOOKS, start, text};

#[sqlx::test(migrations = false)]
async fn webhooks_are_the_business_of_their_owner(database: PgPool) {
    let service = start(&database).await;
    let webhook = service.webhook(json!({"url": "https://shop.example/hooks"})).await;
    let path = format!("{WEBHOOKS}/{}", text(&webhook["id"]));
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/enable")),
        (Method::POST, format!("{path}/disable")),
        (Method::POST, format!("{path}/rotate-secret")),
        (Method::GET, format!("{path}/deliveries")),
        (Method::POST, format!("{path}/deliveries/{}/replay", text(&webhook["id"]))),
    ] {
        let refused = service.client.send(method.clone(), &path, ALICE, &Value::Null).await;
        refused.expect_problem(StatusCode::NOT_FOUND, "webhook_not_found");
        let nobody = service.client.send(method, &path, "no-token", &Value::Null).await;
        nobody.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let hers = service.client.send(Method::GET, WEBHOOKS, ALICE, &Value::Null).await;
    assert_eq!(hers.expect(StatusCode::OK), json!([]));
    let unknown = format!("{path}/deliveries/{}/replay", text(&webhook["id"]));
    let refused = service.client.send(Method::POST, &unknown, TOKEN, &Value::Null).await;
    refused.expect_problem(StatusCode::NOT_FOUND, "delivery_not_found");

    assert_eq!(service.post(&format!("{path}/disable")).await["enabled"], false);
    service.client.send(Method::DELETE, &path, TOKEN, &Value::Null).await.expect(StatusCode::OK);
    service.get(&path).await.expect_problem(StatusCode::NOT_FOUND, "webhook_not_found");
}

#[sqlx::test(migrations = false)]
async fn every_documented_body_makes_a_webhook(database: PgPool) {
    let service = start(&database).await;
    for (name, body) in service.client.contract().bodies(&Method::POST, WEBHOOKS) {
        let webhook = service.webhook(body.clone()).await;
        assert_eq!(webhook["url"], body["url"], "{name}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_user_has_ten_webhooks_at_most_however_many_are_asked_for_at_once(database: PgPool) {
    let service = start(&database).await;
    let url = json!({"url": "https://shop.example/hooks"});
    let ask = || service.client.send(Method::POST, WEBHOOKS, TOKEN, &url);
    let answers = join_all((0..30).map(|_| ask())).await;
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!((made.len(), refused.len()), (10, 20));
    for refused in refused {
        refused.expect_problem(StatusCode::CONFLICT, "too_many_webhooks");
    }
    // Somebody else's do not count, and what is deleted makes room.
    service.client.send(Method::POST, WEBHOOKS, ALICE, &url).await.expect(StatusCode::CREATED);
    let path = format!("{WEBHOOKS}/{}", text(&made[0].body["data"]["id"]));
    service.client.send(Method::DELETE, &path, TOKEN, &Value::Null).await.expect(StatusCode::OK);
    ask().await.expect(StatusCode::CREATED);
    ask().await.expect_problem(StatusCode::CONFLICT, "too_many_webhooks");
}

#[sqlx::test(migrations = false)]
async fn a_webhook_that_is_not_committed_yet_counts_once_it_is(database: PgPool) {
    let service = start(&database).await;
    let url = json!({"url": "https://shop.example/hooks"});
    for _ in 0..9 {
        service.webhook(url.clone()).await;
    }
    let mut other = database.acquire().await.expect("a connection");
    sqlx::raw_sql("begin").execute(&mut *other).await.expect("a transaction begins");
    let tenth = "insert into orders.webhooks (id, created_by, url, event_types, secret)
        select gen_random_uuid(), created_by, url, event_types, secret from orders.webhooks limit 1";
    sqlx::query(tenth).execute(&mut *other).await.expect("another replica makes the tenth");
    let ask = service.client.send(Method::POST, WEBHOOKS, TOKEN, &url);
    let commit = async {
        wait_for_waiting(&database, 1).await;
        sqlx::raw_sql("commit").execute(&mut *other).await.expect("the transaction ends");
    };
    let (answer, ()) = tokio::join!(ask, commit);
    answer.expect_problem(StatusCode::CONFLICT, "too_many_webhooks");
}
