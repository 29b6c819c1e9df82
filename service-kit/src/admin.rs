//! The listener for operators: health, metrics, and what they can look at and do.
//!
//! Health and metrics are for machines and open. All else takes a token, since it shows and changes what is stored. What
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
use crate::metrics::{self, Figure, Figures, Metrics, of_process};
use crate::outbox::Outbox;
use crate::outbox_routes;
use crate::parked_routes;
use crate::partitions;
use crate::pool::Database;
use crate::replication;
use crate::stored::Stored;

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
    /// What only its own tables know.
    pub figures: Figures,
    /// What only this service can be asked.
    pub own_routes: Router,
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
        .merge(outbox_routes::routes(admin.clone()))
        .merge(admin.own_routes.clone())
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
    let mut figures = of_process();
    figures.extend(admin.database.figures());
    let metrics = admin.metrics.clone();
    // In a task of its own, so that a scraper which hangs up does not drop a query half-way.
    let reading = tokio::spawn(async move { stored(&admin).await.ok() });
    let stored = tokio::time::timeout(STORED_DEADLINE, reading).await.ok().and_then(Result::ok).flatten();
    figures.push(Figure::count("database_up", "Whether PostgreSQL has answered just now", stored.is_some().into()));
    figures.extend(stored.into_iter().flatten());
    match metrics.text(&figures) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(problem) => {
            error!(%problem, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What only the tables know.
async fn stored(admin: &Admin) -> Result<Vec<Figure>, sqlx::Error> {
    let mut figures = (admin.figures)().await?;
    figures.extend(Stored::read(&admin.database, admin.schema).await?.figures());
    figures.push(partitions::figure(&admin.database, admin.schema).await?);
    figures.extend(replication::figures(&admin.database).await?);
    Ok(figures)
}
