//! `GET /api/payments` and `GET /api/payments/{orderId}`.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::helpers::{APPROVED, BILL, DECLINED, TestApp, create, old_order, order_of};

#[sqlx::test(migrations = false)]
async fn a_payment_shows_what_the_contract_says_and_nothing_else(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let made_up_here = |payment: &Value| {
        let text = |field: &str| payment[field].as_str().unwrap_or_else(|| panic!("{field}")).to_owned();
        assert!(text("createdAt") <= text("updatedAt") && text("updatedAt").ends_with('Z'), "{payment}");
        (text("id"), text("createdAt"), text("updatedAt"))
    };

    let pending = service.get_payment(id).await;
    let (payment_id, created_at, updated_at) = made_up_here(&pending);
    let expected = json!({
        "id": payment_id, "orderId": id, "status": "pending", "processed": false, "bill": BILL, "currency": "USD",
        "card": null, "attempts": 0, "declineCode": null, "createdBy": "somerandomuserid", "version": 1,
        "createdAt": created_at, "updatedAt": updated_at,
    });
    assert_eq!(pending, expected);

    let declined = service.pay(id, DECLINED).await;
    declined.expect_problem(StatusCode::PAYMENT_REQUIRED, "card_declined");
    let declined = service.get_payment(id).await;
    let (_, _, updated_at) = made_up_here(&declined);
    let card = json!({"brand": "visa", "last4": "0002", "expMonth": 11, "expYear": 2099});
    let expected = json!({
        "id": payment_id, "orderId": id, "status": "declined", "processed": true, "bill": BILL, "currency": "USD",
        "card": card, "attempts": 1, "declineCode": "generic_decline", "createdBy": "somerandomuserid", "version": 3,
        "createdAt": created_at, "updatedAt": updated_at,
    });
    assert_eq!(declined, expected);
}

#[sqlx::test(migrations = false)]
async fn the_tag_of_a_payment_is_its_version(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = service.held_payment().await;
    let tag = async || {
        let answer = service.get(&format!("/api/payments/{id}")).await;
        answer.headers.get("etag").expect("a tag").to_str().expect("text").to_owned()
    };
    assert_eq!(tag().await, "\"1\"");
    service.pay(id, APPROVED).await.expect(StatusCode::OK);
    assert_eq!(tag().await, "\"3\"");
}

#[sqlx::test(migrations = false)]
async fn a_payment_that_is_not_there_is_not_found(database: PgPool) {
    let service = TestApp::start(database).await;
    let unknown = old_order().to_string();
    for id in [unknown.as_str(), "d9428888-122b-41e1-b85c-61c9a5e4a1f4", "7", "not-a-uuid", "%00", "%ff", "'--"] {
        let answer = service.get(&format!("/api/payments/{id}")).await;
        answer.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
    }
}

#[sqlx::test(migrations = false)]
async fn a_cancel_that_overtook_its_create_shows_no_payment(database: PgPool) {
    let service = TestApp::start(database).await;
    let id = old_order();
    service.hear_cancel(vec![id]).await;
    let answer = service.get(&format!("/api/payments/{id}")).await;
    answer.expect_problem(StatusCode::NOT_FOUND, "payment_not_found");
    assert_eq!(service.get("/api/payments").await.expect(StatusCode::OK), json!([]));
}

#[sqlx::test(migrations = false)]
async fn pages_lead_through_all_payments_newest_first(database: PgPool) {
    let service = TestApp::start(database).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.insert(0, service.held_payment().await);
    }
    let (mut seen, mut path) = (Vec::new(), "/api/payments?limit=2".to_owned());
    loop {
        let answer = service.get(&path).await;
        assert_eq!(answer.body["page"]["limit"], 2);
        let cursor = answer.body["page"]["nextCursor"].as_str().map(str::to_owned);
        seen.extend(answer.expect(StatusCode::OK).as_array().expect("a list").iter().map(order_of));
        let Some(cursor) = cursor else { break };
        path = format!("/api/payments?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, held);
    assert_eq!(service.get("/api/payments").await.body["page"], json!({"limit": 100, "nextCursor": null}));
    let first = service.get("/api/payments?limit=1").await.expect(StatusCode::OK);
    assert_eq!(first[0], service.get_payment(held[0]).await, "a list shows the whole payment");
}

#[sqlx::test(migrations = false)]
async fn payments_of_one_batch_are_listed_as_they_came(database: PgPool) {
    let service = TestApp::start(database).await;
    let orders: Vec<_> = (0..20).map(|_| old_order()).collect();
    service.hear_create(orders.iter().map(|id| create(*id)).collect()).await;
    let list = service.get("/api/payments").await.expect(StatusCode::OK);
    let listed: Vec<_> = list.as_array().expect("a list").iter().map(order_of).collect();
    assert_eq!(listed, orders.into_iter().rev().collect::<Vec<_>>());
}

#[sqlx::test(migrations = false)]
async fn a_list_can_be_filtered_by_status(database: PgPool) {
    let service = TestApp::start(database).await;
    let (pending, paid, cancelled) =
        (service.held_payment().await, service.held_payment().await, service.held_payment().await);
    service.pay(paid, APPROVED).await.expect(StatusCode::OK);
    service.hear_cancel(vec![cancelled]).await;
    for (status, expected) in [
        ("pending", vec![pending]),
        ("processing", vec![]),
        ("paid", vec![paid]),
        ("declined", vec![]),
        ("cancelled", vec![cancelled]),
        ("refunding", vec![]),
        ("refunded", vec![]),
    ] {
        let list = service.get(&format!("/api/payments?status={status}")).await.expect(StatusCode::OK);
        assert_eq!(list.as_array().expect("a list").iter().map(order_of).collect::<Vec<_>>(), expected, "{status}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_list_that_cannot_be_asked_for_is_refused(database: PgPool) {
    let service = TestApp::start(database).await;
    for query in
        ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "status=created", "status=", "limit=1&limit=2"]
    {
        let answer = service.get(&format!("/api/payments?{query}")).await;
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
    }
    for cursor in ["x", "", "AAAA", "%00", "%F0%9F%92%B6"] {
        let answer = service.get(&format!("/api/payments?cursor={cursor}")).await;
        answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_cursor");
    }
    service.get("/api/payments?limit=1000").await.expect(StatusCode::OK);
}

#[sqlx::test(migrations = false)]
async fn a_list_can_be_filtered_by_time_and_leads_on_by_a_link(database: PgPool) {
    let service = TestApp::start(database).await;
    let (first, second) = (service.held_payment().await, service.held_payment().await);
    let created_at = service.get_payment(first).await["createdAt"].as_str().expect("a time").to_owned();
    let listed = async |query: &str| {
        let answer = service.get(&format!("/api/payments?{query}")).await;
        let link = answer.headers.get("link").map(|link| link.to_str().expect("text").to_owned());
        let list = answer.expect(StatusCode::OK);
        (list.as_array().expect("a list").iter().map(order_of).collect::<Vec<_>>(), link)
    };
    assert_eq!(listed(&format!("createdAfter={created_at}")).await, (vec![second], None));
    assert_eq!(listed(&format!("createdBefore={created_at}")).await, (vec![], None));
    let (page, link) = listed("status=pending&limit=1").await;
    let link = link.expect("another page");
    let query = link.strip_prefix("</api/payments?").and_then(|link| link.strip_suffix(">; rel=\"next\""));
    assert_eq!((page, listed(query.expect("a link")).await), (vec![second], (vec![first], None)));
    let answer = service.get("/api/payments?createdAfter=now").await;
    answer.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed");
}
