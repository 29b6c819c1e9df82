//! The routes of the outbox: look at what has no receipt yet, and have it published again at once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tracing::info;
use uuid::Uuid;

use crate::admin::Admin;
use crate::outbox::Table;
use crate::page_after::PageAfter;
use crate::problem::Problem;

/// Everything below `/outbox`.
pub fn routes(admin: Admin) -> Router {
    let table = Table { database: admin.database, schema: admin.schema };
    Router::new()
        .route("/outbox", get(list_outbox))
        .route("/outbox/republish", post(republish_outbox))
        .with_state(table)
}

async fn list_outbox(State(table): State<Table>, page: PageAfter<Uuid>) -> Result<Json<Value>, Problem> {
    let rows = table.list(page.after, page.rows_to_read()).await?;
    Ok(page.page(rows, |row| row.id))
}

/// Answers 202: the relay publishes them within a second, unless RabbitMQ is away or their queue is crowded.
async fn republish_outbox(State(table): State<Table>) -> Result<(StatusCode, Json<Value>), Problem> {
    let events = table.make_due().await?;
    info!(events, "events are to be published again");
    Ok((StatusCode::ACCEPTED, Json(json!({"data": {"events": events}}))))
}
