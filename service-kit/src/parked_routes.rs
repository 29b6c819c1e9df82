//! The routes of parked messages: look at them, replay them, discard them.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tracing::info;

use crate::admin::Admin;
use crate::page_after::PageAfter;
use crate::parked::{self, Row};
use crate::problem::Problem;
use crate::problem_types::admin;
use crate::replay::Replay;

/// Everything below `/parked`.
pub fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/parked", get(list_parked))
        .route("/parked/{id}", get(find_parked).delete(discard_parked))
        .route("/parked/{id}/replay", post(replay_parked))
        .with_state(admin)
}

async fn list_parked(State(admin): State<Admin>, page: PageAfter<i64>) -> Result<Json<Value>, Problem> {
    let rows = parked::list(&admin.database, admin.schema, page.after, page.rows_to_read()).await?;
    Ok(page.page(rows, |row| row.id))
}

async fn find_parked(State(admin): State<Admin>, id: RowId) -> Result<Json<Value>, Problem> {
    let row = parked::find(&admin.database, admin.schema, id.known()?).await?.ok_or_else(parked_not_found)?;
    Ok(Json(json!({"data": whole(&row)})))
}

/// Answers 202: the row goes when the message has been applied.
async fn replay_parked(State(admin): State<Admin>, id: RowId) -> Result<(StatusCode, Json<Value>), Problem> {
    let row = parked::find(&admin.database, admin.schema, id.known()?).await?.ok_or_else(parked_not_found)?;
    let Row { summary, body } = row;
    let queue = admin.topology.queue_to_replay(&summary.queue).ok_or_else(queue_unknown)?;
    let answer = json!({"data": {"id": summary.id, "queue": queue}});
    let replay = Replay { id: summary.id, queue, message_id: summary.message_id, body };
    admin.outbox.replay(replay).await.map_err(|_| broker_unavailable())?;
    info!(id = summary.id, queue = summary.queue, "a parked message is replayed");
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

async fn discard_parked(State(admin): State<Admin>, id: RowId) -> Result<Json<Value>, Problem> {
    let row = parked::discard(&admin.database, admin.schema, id.known()?).await?.ok_or_else(parked_not_found)?;
    info!(id = row.summary.id, queue = row.summary.queue, "a parked message is discarded");
    Ok(Json(json!({"data": whole(&row)})))
}

/// With its body as JSON if nothing is lost by that, else as text if it is one, else in base64.
fn whole(row: &Row) -> Value {
    let json = serde_json::from_slice::<Value>(&row.body).ok().filter(|json| json.to_string().as_bytes() == row.body);
    let (format, body) = match (json, std::str::from_utf8(&row.body)) {
        (Some(json), _) => ("json", json),
        (None, Ok(text)) => ("text", text.into()),
        (None, Err(_)) => ("base64", BASE64_STANDARD.encode(&row.body).into()),
    };
    let mut whole = json!(row.summary);
    whole["bodyFormat"] = format.into();
    whole["body"] = body;
    whole
}

fn parked_not_found() -> Problem {
    Problem::new(&admin::PARKED_NOT_FOUND)
}

fn queue_unknown() -> Problem {
    Problem::new(&admin::QUEUE_UNKNOWN)
}

fn broker_unavailable() -> Problem {
    Problem::new(&admin::BROKER_UNAVAILABLE)
}

/// The `{id}` of a route; `None` when it is no number, and so names nothing.
struct RowId(Option<i64>);

impl RowId {
    fn known(&self) -> Result<i64, Problem> {
        self.0.ok_or_else(parked_not_found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RowId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, state).await.ok();
        Ok(Self(id.and_then(|Path(id)| id.parse().ok())))
    }
}
