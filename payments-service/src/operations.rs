//! What operators can ask the payments service, besides what every service can be asked.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use service_kit::body::Body;
use service_kit::http::PathId;
use service_kit::overview::{NEWEST, by_status};
use service_kit::pool::Database;
use service_kit::problem::Problem;
use service_kit::stored::Stored;
use service_kit::story::{Entry, Story};
use sqlx::types::Json as Jsonb;
use tracing::info;
use uuid::Uuid;

use crate::SCHEMA;
use crate::backlog::{self, Backlog};
use crate::payment::PaymentStatus;
use crate::problems::{payment_not_found, payment_not_in_doubt};

/// The database, and after how long a charge without an answer is in doubt.
#[derive(Clone)]
struct Operations {
    database: Database,
    settle_after: Duration,
}

/// `/overview`, `/story/{orderId}`, `/in-doubt` and `/reconciliations`.
pub fn routes(database: Database, settle_after: Duration) -> Router {
    Router::new()
        .route("/overview", get(show_overview))
        .route("/story/{orderId}", get(tell_story))
        .route("/in-doubt", get(list_in_doubt))
        .route("/in-doubt/{orderId}/settle", post(settle_now))
        .route("/reconciliations", post(keep_reconciliation))
        .with_state(Operations { database, settle_after })
}

async fn show_overview(State(operations): State<Operations>) -> Result<Json<Value>, Problem> {
    let Operations { database, settle_after } = operations;
    let messages = Stored::read(&database, SCHEMA).await?;
    let backlog = Backlog::read(&database, settle_after).await?;
    let payments = by_status(PaymentStatus::ALL.map(PaymentStatus::name), newest_by_status(&database).await?);
    let last = last_reconciliation(&database).await?;
    Ok(Json(json!({"data": {
        "service": SCHEMA,
        "messages": messages,
        "backlog": backlog,
        "payments": payments,
        "lastReconciliation": last,
    }})))
}

/// Of the newest payments, since counting all would read all.
async fn newest_by_status(database: &Database) -> Result<Vec<(&'static str, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select status, count(*) as "payments!"
        from (select status from payments.payments order by order_id desc limit $1) as newest
        group by status
        "#,
        NEWEST,
    )
    .fetch_all(database)
    .await?;
    Ok(rows.into_iter().map(|row| (row.status.name(), row.payments)).collect())
}

async fn list_in_doubt(State(operations): State<Operations>) -> Result<Json<Value>, Problem> {
    let Operations { database, settle_after } = operations;
    Ok(Json(json!({"data": backlog::unsettled(&database, settle_after).await?})))
}

/// Answers 202: the settlement asks the processor within a second. A charge that may still be running is left alone.
async fn settle_now(
    State(operations): State<Operations>,
    PathId(id): PathId,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Operations { database, settle_after } = operations;
    let id = id.ok_or_else(payment_not_in_doubt)?;
    if !backlog::make_due(&database, settle_after, id).await? {
        return Err(payment_not_in_doubt());
    }
    info!(order.id = %id, "an operator has the card processor asked");
    Ok((StatusCode::ACCEPTED, Json(json!({"data": {"orderId": id}}))))
}

async fn tell_story(State(operations): State<Operations>, PathId(id): PathId) -> Result<Json<Value>, Problem> {
    let (database, id) = (operations.database, id.ok_or_else(payment_not_found)?);
    let story = story(&database, id).await?.with_messages(&database, SCHEMA, id).await?;
    if story.is_empty() { Err(payment_not_found()) } else { Ok(Json(json!({"data": story}))) }
}

async fn story(database: &Database, order: Uuid) -> Result<Story, sqlx::Error> {
    let row = sqlx::query_scalar!(
        r#"
        select to_jsonb(payments) as "row!: Jsonb<Value>" from payments.payments where order_id = $1
        union all
        select document from payments.archived_payments where order_id = $1
        "#,
        order
    )
    .fetch_optional(database)
    .await?;
    let entries = sqlx::query_as!(
        Entry,
        r#"
        with retired as (
            select document, attempts, archived_at from payments.archived_payments where order_id = $1
        ), known as (
            select * from payments.payments where order_id = $1
            union all
            select (jsonb_populate_record(null::payments.payments, document)).* from retired
        ), tried as (
            select * from payments.attempts where order_id = $1
            union all
            select attempt.* from retired, jsonb_populate_recordset(null::payments.attempts, attempts) as attempt
        )
        select created_at as "at!", 'a payment was held' as "what!",
            jsonb_build_object('id', id, 'bill', bill, 'currency', currency) as "details!: Jsonb<Value>"
        from known
        union all
        select started_at, 'attempt ' || number || ' began',
            jsonb_build_object('id', id, 'card', card_brand || ' ' || card_last4)
        from tried
        union all
        select settled_at, 'attempt ' || number || ': ' || outcome,
            jsonb_build_object('id', id, 'declineCode', decline_code)
        from tried where settled_at is not null
        union all
        select archived_at, 'the payment was retired', '{}' from retired
        union all
        select posted_at, 'the ledger: ' || account, jsonb_build_object('txId', tx_id, 'amount', amount, 'currency', currency)
        from payments.ledger where order_id = $1
        "#,
        order,
    )
    .fetch_all(database)
    .await?;
    Ok(Story { row, entries })
}

/// What a comparison of all books has found: `cargo xtask reconcile` tells it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reconciliation {
    differences: i32,
    /// How many there were of each kind of thing.
    compared: Map<String, Value>,
    /// The balances of the ledger's accounts, in minor units.
    balances: Map<String, Value>,
}

async fn keep_reconciliation(
    State(operations): State<Operations>,
    Body(found): Body<Reconciliation>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    sqlx::query!(
        "insert into payments.reconciliations (differences, compared, balances) values ($1, $2, $3)",
        found.differences,
        json!(found.compared),
        json!(found.balances),
    )
    .execute(&operations.database)
    .await?;
    Ok((StatusCode::CREATED, Json(json!({"data": found}))))
}

async fn last_reconciliation(database: &Database) -> Result<Option<Value>, sqlx::Error> {
    let last = sqlx::query!(
        "select differences, compared, balances, finished_at from payments.reconciliations order by id desc limit 1"
    )
    .fetch_optional(database)
    .await?;
    Ok(last.map(|last| {
        json!({
            "differences": last.differences,
            "compared": last.compared,
            "balances": last.balances,
            "finishedAt": last.finished_at,
        })
    }))
}
