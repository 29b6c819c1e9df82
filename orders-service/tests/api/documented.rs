//! The document of the API and the service agree. Every answer of every other test is held against it too.

use axum::http::{Method, StatusCode};
use sqlx::PgPool;

use crate::helpers::TestApp;

#[sqlx::test(migrations = false)]
async fn every_documented_body_places_an_order(database: PgPool) {
    let service = TestApp::start(database).await;
    let bodies = service.client.contract().bodies(&Method::POST, "/api/orders");
    assert!(!bodies.is_empty());
    for (name, body) in bodies {
        let order = service.post_order(body.clone()).await.expect(StatusCode::CREATED);
        for (field, given) in body.as_object().expect("an object") {
            assert_eq!(&order[field], given, "{name}");
        }
    }
}
