//! What operators can ask the orders service, besides what every service can be asked.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use service_kit::http::PathId;
use service_kit::overview::{NEWEST, by_status};
use service_kit::pool::Database;
use service_kit::problem::Problem;
use service_kit::stored::Stored;
use service_kit::story::{Entry, Story};
use sqlx::types::Json as Jsonb;
use uuid::Uuid;

use crate::SCHEMA;
use crate::backlog::Backlog;
use crate::order::OrderStatus;
use crate::problems::order_not_found;

/// `/overview` and `/story/{orderId}`.
pub fn routes(database: Database) -> Router {
    Router::new().route("/overview", get(show_overview)).route("/story/{orderId}", get(tell_story)).with_state(database)
}

async fn show_overview(State(database): State<Database>) -> Result<Json<Value>, Problem> {
    let messages = Stored::read(&database, SCHEMA).await?;
    let backlog = Backlog::read(&database).await?;
    let orders = by_status(OrderStatus::ALL.map(OrderStatus::name), newest_by_status(&database).await?);
    Ok(Json(json!({"data": {"service": SCHEMA, "messages": messages, "backlog": backlog, "orders": orders}})))
}

/// Of the newest orders, since counting all would read all.
async fn newest_by_status(database: &Database) -> Result<Vec<(&'static str, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select status, count(*) as "orders!"
        from (select status from orders.orders order by id desc limit $1) as newest
        group by status
        "#,
        NEWEST,
    )
    .fetch_all(database)
    .await?;
    Ok(rows.into_iter().map(|row| (row.status.name(), row.orders)).collect())
}

async fn tell_story(State(database): State<Database>, PathId(id): PathId) -> Result<Json<Value>, Problem> {
    let id = id.ok_or_else(order_not_found)?;
    let story = story(&database, id).await?.with_messages(&database, SCHEMA, id).await?;
    if story.is_empty() { Err(order_not_found()) } else { Ok(Json(json!({"data": story}))) }
}

async fn story(database: &Database, id: Uuid) -> Result<Story, sqlx::Error> {
    let row = sqlx::query_scalar!(
        r#"
        select to_jsonb(orders) as "row!: Jsonb<Value>" from orders.orders where id = $1
        union all
        select document from orders.archived_orders where id = $1
        "#,
        id
    )
    .fetch_optional(database)
    .await?;
    let entries = sqlx::query_as!(
        Entry,
        r#"
        with retired as (
            select document, events, archived_at from orders.archived_orders where id = $1
        ), known as (
            select * from orders.orders where id = $1
            union all
            select (jsonb_populate_record(null::orders.orders, document)).* from retired
        ), history as (
            select * from orders.order_events where order_id = $1
            union all
            select event.* from retired, jsonb_populate_recordset(null::orders.order_events, events) as event
        )
        select created_at as "at!", 'the order was placed' as "what!",
            jsonb_build_object('bill', bill, 'currency', currency, 'createdBy', created_by, 'traceparent', traceparent)
                as "details!: Jsonb<Value>"
        from known
        union all
        select at, 'the order: ' || status, jsonb_build_object('cause', cause, 'version', version) from history
        union all
        select archived_at, 'the order was retired', '{}' from retired
        "#,
        id,
    )
    .fetch_all(database)
    .await?;
    Ok(Story { row, entries })
}
