//! Changes that are committed in another order than they were begun in, while those who follow them come and go.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;
use service_kit::testing::TOKEN;
use service_kit::testing::events::SentEvent;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgPool};

use crate::helpers::{TestApp, id_of};

const ALL: &str = "/api/orders/stream";
/// Clients that change orders at a time, and how many orders each places and cancels.
const CLIENTS: usize = 4;
const ORDERS: usize = 12;

/// Places an order as another replica would, in a transaction that stays open.
async fn begin_order(database: &PgPool, id: &str) -> PgConnection {
    let mut connection = PgConnection::connect_with(&database.connect_options()).await.expect("a connection");
    sqlx::raw_sql("begin").execute(&mut connection).await.expect("a transaction begins");
    let place = "with placed as (
            insert into orders.orders (id, created_by, bill, currency, expires_at)
            values ($1::uuid, 'somerandomuserid', 1, 'USD', now() + interval '1 day') returning *
        )
        insert into orders.changes (order_ids, versions, owners)
        select array_agg(id), array_agg(version), array_agg(created_by) from placed";
    sqlx::query(place).bind(id).execute(&mut connection).await.expect("an order is placed");
    connection
}

async fn commit(mut connection: PgConnection) {
    sqlx::raw_sql("commit").execute(&mut connection).await.expect("the transaction ends");
}

#[sqlx::test(migrations = false)]
async fn what_was_begun_first_and_committed_last_is_missed_by_nobody(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let mut stream = service.follow(ALL, None).await;
    let start = stream.next().await.expect("the list").id;
    let held_id = "01a20616-ee6f-759c-9ca9-709cba7d9bcf";
    let held = begin_order(&database, held_id).await;

    // What is under way keeps nobody waiting.
    let quick = service.placed_order().await.to_string();
    let event = stream.next().await.expect("an event");
    assert_eq!(event.data["id"], quick);
    let cut_off = service.follow(ALL, Some(&start)).await.next().await.expect("an event");
    assert_eq!(cut_off.data["id"], quick);

    commit(held).await;
    assert_eq!(stream.next().await.expect("an event").data["id"], held_id);
    for seen in [event, cut_off] {
        let mut resumed = service.follow(ALL, Some(&seen.id)).await;
        assert_eq!(resumed.next().await.expect("an event").data["id"], held_id, "{}", seen.id);
    }
}

#[sqlx::test(migrations = false)]
async fn every_version_is_told_once_to_who_comes_and_goes_while_many_change_orders(database: PgPool) {
    let services = [Arc::new(TestApp::start(database.clone()).await), Arc::new(TestApp::replica(&database))];
    // An operator's transaction that has nothing to do with it, and is open all the time.
    let operator = begin_order(&database, "01a20616-ee6f-759c-9ca9-709cba7d9bcf").await;
    let start = services[0].follow(ALL, None).await.next().await.expect("the list").id;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let service = Arc::clone(&services[client % 2]);
            tokio::spawn(async move {
                for order in 0..ORDERS {
                    place_and_cancel(&service, &format!("{client}/{order}")).await;
                }
            })
        })
        .collect();

    // One is cut off after each few events and goes on at the other replica; one stays.
    let mut staying = services[0].follow(ALL, Some(&start)).await;
    let total = CLIENTS * ORDERS * 2;
    let (mut seen, mut last) = (Vec::new(), start);
    for count in (1..=7).cycle() {
        let mut stream = services[seen.len() % 2].follow(ALL, Some(&last)).await;
        seen.extend(stream.take(count.min(total - seen.len())).await);
        last.clone_from(&seen[seen.len() - 1].id);
        if seen.len() == total {
            break;
        }
    }
    for client in clients {
        client.await.expect("no panic");
    }
    assert_is_each_version_once(&seen);
    assert_is_each_version_once(&staying.take(total).await);
    drop(operator);
}

/// Whoever is told that the service is busy asks again.
async fn place_and_cancel(service: &TestApp, key: &str) {
    let body = json!({"bill": 1});
    let placed = loop {
        let answer = service.client.post_with_key("/api/orders", TOKEN, key, &body).await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            break answer.expect(StatusCode::CREATED);
        }
    };
    while service.delete_order(id_of(&placed)).await.status == StatusCode::SERVICE_UNAVAILABLE {}
}

/// And the versions of each order in their order.
#[track_caller]
fn assert_is_each_version_once(events: &[SentEvent]) {
    let mut versions: HashMap<&str, Vec<i64>> = HashMap::new();
    for event in events {
        let id = event.data["id"].as_str().expect("an id");
        versions.entry(id).or_default().push(event.data["version"].as_i64().expect("a version"));
    }
    assert_eq!(versions.len(), CLIENTS * ORDERS);
    assert!(versions.values().all(|versions| *versions == [1, 2]), "{versions:?}");
}
