//! The document of the API and the service agree. Every answer of every other test is held against it too.

use axum::http::{Method, StatusCode};
use sqlx::PgPool;

use crate::helpers::TestApp;

#[sqlx::test(migrations = false)]
async fn every_documented_card_does_what_its_name_says(database: PgPool) {
    let service = TestApp::start(database).await;
    let bodies = service.client.contract().bodies(&Method::POST, "/api/payments/pay/{orderId}");
    assert!(!bodies.is_empty());
    for (name, body) in bodies {
        let id = service.held_payment().await;
        let expected = match name {
            "declined" => StatusCode::PAYMENT_REQUIRED,
            "answerLost" => StatusCode::ACCEPTED,
            _ => StatusCode::OK,
        };
        assert_eq!(service.pay_with(id, body).await.status, expected, "{name}");
    }
}
