//! Streams of orders.

use axum::body::Body;
use axum::http::header::{ACCEPT, AUTHORIZATION};
use axum::http::{Method, Request, StatusCode};
use orders_service::timers::deliver_due;
use serde_json::{Value, json};
use service_kit::testing::events::{EventStream, SentEvent};
use service_kit::testing::{ALICE, TOKEN};
use shared_events::events::ProcessedStatus;
use shared_events::ids::OrderId;
use sqlx::PgPool;

use crate::helpers::{TestApp, processed};

const ALL: &str = "/api/orders/stream";

fn path_of(id: OrderId) -> String {
    format!("/api/orders/{id}/stream")
}

/// Pays, with a first card that is declined, and cancels; answers the order as it was read in between, all versions of it.
async fn lives(service: &TestApp, id: OrderId) -> Vec<Value> {
    let mut versions = vec![service.get_order(id).await];
    for (version, status) in [(3, ProcessedStatus::Declined), (5, ProcessedStatus::Paid)] {
        service.hear(vec![processed(id, version, status)]).await;
        versions.push(service.get_order(id).await);
    }
    versions.push(service.delete_order(id).await.expect(StatusCode::OK));
    service.hear(vec![processed(id, 7, ProcessedStatus::Refunded)]).await;
    versions.push(service.get_order(id).await);
    assert_eq!(versions.iter().map(|order| order["version"].as_i64()).collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(Some));
    versions
}

fn data(events: Vec<SentEvent>) -> Vec<Value> {
    events.into_iter().map(|event| event.data).collect()
}

/// The ids and versions of the orders in these events.
fn told(events: &[SentEvent]) -> Vec<(&str, i64)> {
    let told = |event: &SentEvent| {
        assert_eq!(event.event, "order");
        event.data["version"].as_i64().expect("a version")
    };
    events.iter().map(|event| (event.data["id"].as_str().expect("an id"), told(event))).collect()
}

#[sqlx::test(migrations = false)]
async fn a_stream_tells_an_order_as_it_is_and_then_each_of_its_versions(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let mut stream = service.follow(&path_of(id), None).await;
    let versions = lives(&service, id).await;
    let events = stream.take(versions.len()).await;
    let ids: Vec<_> = events.iter().map(|event| (event.event.as_str(), event.id.as_str())).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"].map(|version| ("order", version)));
    assert_eq!(data(events), versions);

    // Who comes later is told only what is there.
    let mut late = service.follow(&path_of(id), None).await;
    assert_eq!(data(late.take(1).await)[0], versions[4]);
}

#[sqlx::test(migrations = false)]
async fn who_comes_back_is_told_every_version_since_as_it_was(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let versions = lives(&service, id).await;
    for seen in 1..versions.len() {
        let mut stream = service.follow(&path_of(id), Some(&seen.to_string())).await;
        assert_eq!(data(stream.take(versions.len() - seen).await), versions[seen..], "after version {seen}");
    }
    // Who has seen the last one waits for the next; what is no version is no place to go on from.
    let mut waiting = service.follow(&path_of(id), Some("5")).await;
    service.hear(vec![processed(id, 9, ProcessedStatus::Paid)]).await;
    assert_eq!(waiting.next().await.expect("an event").id, "6");
    for nonsense in ["0", "99", "-1", "x", ""] {
        let mut stream = service.follow(&path_of(id), Some(nonsense)).await;
        assert_eq!(stream.next().await.expect("an event").id, "6", "{nonsense:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_stream_of_all_orders_tells_the_list_and_then_each_change(database: PgPool) {
    let service = TestApp::start(database).await;
    let old = service.placed_order().await;
    let list = service.get("/api/orders").await.body;
    let mut stream = service.follow(ALL, None).await;
    let first = stream.next().await.expect("an event");
    assert_eq!((first.event.as_str(), &first.data), ("orders", &list));

    let new = service.placed_order().await;
    service.delete_order(old).await.expect(StatusCode::OK);
    let events = stream.take(2).await;
    assert_eq!(told(&events), [(new.to_string().as_str(), 1), (old.to_string().as_str(), 2)]);
    assert_eq!(data(events), [service.get_order(new).await, service.get_order(old).await]);
}

#[sqlx::test(migrations = false)]
async fn who_comes_back_to_all_orders_goes_on_behind_any_event(database: PgPool) {
    let service = TestApp::start(database).await;
    let mut stream = service.follow(ALL, None).await;
    let mut seen = stream.take(1).await;
    // Some of them are changed by one statement.
    let ids = [service.placed_order().await, service.placed_order().await, service.placed_order().await];
    service.hear(ids.map(|id| processed(id, 3, ProcessedStatus::Paid)).to_vec()).await;
    for id in ids {
        service.execute("update orders.orders set deliver_at = now() where id = $1", id).await;
    }
    deliver_due(&service.app).await.expect("the database answers");
    seen.extend(stream.take(9).await);
    let everything = told(&seen[1..]);
    for (index, event) in seen.iter().enumerate() {
        let mut resumed = service.follow(ALL, Some(&event.id)).await;
        let events = resumed.take(9 - index).await;
        assert_eq!(told(&events), everything[index..], "after event {index}");
        // And nothing comes twice before what comes next.
        drop(resumed);
    }
    let mut last = service.follow(ALL, Some(&seen[9].id)).await;
    let next = service.placed_order().await;
    assert_eq!(told(&last.take(1).await), [(next.to_string().as_str(), 1)]);
}

#[sqlx::test(migrations = false)]
async fn who_comes_back_with_an_id_that_leads_nowhere_begins_anew(database: PgPool) {
    let service = TestApp::start(database).await;
    let first = service.follow(ALL, None).await.next().await.expect("an event");
    let (_, place) = first.id.split_once('@').expect("a time");
    let an_hour_ago = format!("0@{place}");
    // The last is what a database knew that this one is an older copy of.
    for id in ["", "5", an_hour_ago.as_str(), "9999999999@99999999999:99999999999:"] {
        let event = service.follow(ALL, Some(id)).await.next().await.expect("an event");
        assert_eq!(event.event, "orders", "{id:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_change_reaches_the_streams_of_every_replica(database: PgPool) {
    let one = TestApp::start(database.clone()).await;
    let other = TestApp::replica(&database);
    let id = one.placed_order().await;
    let streams = [other.follow(&path_of(id), None).await, other.follow(ALL, None).await, one.follow(ALL, None).await];
    let order = one.delete_order(id).await.expect(StatusCode::OK);
    for mut stream in streams {
        let events = stream.take(2).await;
        assert_eq!(events[1].data, order);
    }
}

#[sqlx::test(migrations = false)]
async fn nobody_hears_of_somebody_elses_orders(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.placed_order().await;
    let refused = service.client.send(Method::GET, &path_of(id), ALICE, &Value::Null).await;
    refused.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
    let mut hers = service.client.follow(ALL, ALICE, None).await;
    assert_eq!(hers.next().await.expect("an event").data["data"], json!([]));
    service.delete_order(id).await.expect(StatusCode::OK);
    let order = service.client.send(Method::POST, "/api/orders", ALICE, &json!({"bill": 1})).await;
    assert_eq!(hers.next().await.expect("an event").data, order.expect(StatusCode::CREATED));
}

#[sqlx::test(migrations = false)]
async fn a_stream_is_refused_like_anything_else(database: PgPool) {
    let service = TestApp::start(database).await;
    let nobody = service.client.send(Method::GET, ALL, "no-token", &Value::Null).await;
    nobody.expect_problem(StatusCode::UNAUTHORIZED, "unauthorized");
    for path in ["/api/orders/no-order/stream", "/api/orders/01a20616-ee6f-759c-9ca9-709cba7d9bcf/stream"] {
        service.get(path).await.expect_problem(StatusCode::NOT_FOUND, "order_not_found");
    }
    let json_only = Request::get(ALL).header(AUTHORIZATION, TOKEN).header(ACCEPT, "application/json");
    let refused = service.client.send_raw(json_only.body(Body::empty()).expect("a request")).await;
    refused.expect_problem(StatusCode::NOT_ACCEPTABLE, "not_acceptable");
}

#[sqlx::test(migrations = false)]
async fn more_streams_than_there_may_be_are_refused_until_one_is_closed(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let small = TestApp::with(&database, &["--max-streams", "2"]);
    let id = service.placed_order().await;
    let (one, _other) = (small.follow(&path_of(id), None).await, small.follow(ALL, None).await);
    for path in [ALL, &path_of(id)] {
        let refused = small.get(path).await;
        assert_eq!(refused.headers["Retry-After"], "5");
        refused.expect_problem(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams");
    }
    drop(one);
    small.follow(ALL, None).await.next().await.expect("an event");
}

#[sqlx::test(migrations = false)]
async fn streams_end_at_the_stop_and_go_on_at_another_replica(database: PgPool) {
    let service = TestApp::start(database.clone()).await;
    let other = TestApp::replica(&database);
    let id = service.placed_order().await;
    let mut streams: Vec<EventStream> = Vec::new();
    for path in [ALL, &path_of(id)] {
        streams.push(service.follow(path, None).await);
    }
    let mut ids = Vec::new();
    service.stop.cancel();
    for mut stream in streams {
        ids.push(stream.next().await.expect("what was there").id);
        assert_eq!(stream.next().await, None, "it ends");
    }
    service.get(ALL).await.expect_problem(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable");
    let order = other.delete_order(id).await.expect(StatusCode::OK);
    for (path, last) in [ALL, &path_of(id)].into_iter().zip(&ids) {
        assert_eq!(other.follow(path, Some(last)).await.next().await.expect("an event").data, order);
    }
}
