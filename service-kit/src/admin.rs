//! The listener for operators: health, metrics and parked messages.
//!
//! Health and metrics are for machines and open. Parked messages take a token, since they can be read and thrown away. What
//! takes a token can be reached through the gateway too, the rest cannot.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use shared_events::topology::Topology;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::auth::{AdminToken, Authenticator};
use crate::http::{Limits, Readiness, health_routes, refuse_until_ready, with_conventions};
use crate::listening;
use crate::metrics::{self, Metrics, Stored};
use crate::outbox::Outbox;
use crate::parked_routes;
use crate::pool::Database;

/// How long a scrape waits for the database; Prometheus itself waits ten seconds.
const STORED_DEADLINE: Duration = Duration::from_secs(2);

/// What operators can look at and do.
#[derive(Clone)]
pub struct Admin {
    /// The service's own login to PostgreSQL.
    pub database: Database,
    /// The schema that belongs to the service.
    pub schema: &'static str,
    /// Whether the tables are there.
    pub readiness: Readiness,
    /// Whether tokens can be checked.
    pub authenticator: Authenticator,
    /// What the service counts.
    pub metrics: Metrics,
    /// Takes replays to the relay.
    pub outbox: Outbox,
    /// The names of the queues.
    pub topology: Topology,
    /// Who may deal with parked messages.
    pub token: AdminToken,
    /// What may be asked for at most.
    pub limits: Limits,
}

/// Serves operators until `stop`.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> anyhow::Result<()> {
    listening::serve(listener, routes(admin), stop).await;
    Ok(())
}

/// Everything that operators can ask for.
pub fn routes(admin: Admin) -> Router {
    // The gateway leads to what is guarded; metrics are among it for the console.
    let guarded = parked_routes::routes(admin.clone())
        .route("/guarded/metrics", get(show_metrics).with_state(admin.clone()))
        .route_layer(middleware::from_fn_with_state(admin.readiness.clone(), refuse_until_ready))
        .route_layer(middleware::from_fn_with_state(admin.token.clone(), refuse_strangers));
    Router::new()
        .route("/metrics", get(show_metrics).with_state(admin.clone()))
        .merge(health_routes(admin.database, admin.readiness, admin.authenticator))
        .merge(with_conventions(guarded, admin.limits, &TaskTracker::new()))
}

async fn refuse_strangers(State(token): State<AdminToken>, request: Request, next: Next) -> Response {
    match token.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Answers also while the database is away.
async fn show_metrics(State(admin): State<Admin>) -> Response {
    // In a task of its own, so that a scraper which hangs up does not drop the query half-way.
    let reading = tokio::spawn(async move { Stored::read(&admin.database, admin.schema).await.ok() });
    let stored = tokio::time::timeout(STORED_DEADLINE, reading).await.ok().and_then(Result::ok).flatten();
    match admin.metrics.text(stored.as_ref()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(problem) => {
            error!(%problem, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
