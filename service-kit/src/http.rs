//! The HTTP server: what happens to every request before and after its handler.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Request, State};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::{Instrument, Span, error, info_span, warn};
use uuid::Uuid;

use crate::auth::Authenticator;
use crate::crash_point::crash_point;
use crate::listening;
use crate::pool::Database;
use crate::problem::{self, Problem};
use crate::trace_context;

const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long requests may go on whose connections are closed, after the stop.
const FINISH_DEADLINE: Duration = Duration::from_secs(2);

/// Whether the service has prepared its database and listens.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on the service is ready.
    pub fn declare(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_declared(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What clients may ask for at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After which a request is answered 503.
    pub request_timeout: Duration,
    /// How many requests may be worked on at a time, those included whose clients are gone.
    pub max_concurrent_requests: usize,
}

/// Serves `routes` until `stop`, then finishes what was accepted.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let requests = TaskTracker::new();
    listening::serve(listener, with_conventions(routes, limits, &requests), stop).await?;
    crash_point("connections closed, not stopped");
    requests.close();
    if tokio::time::timeout(FINISH_DEADLINE, requests.wait()).await.is_err() {
        warn!(requests = requests.len(), "requests were still running at the stop");
    }
    Ok(())
}

pub(crate) async fn refuse_until_ready(State(readiness): State<Readiness>, request: Request, next: Next) -> Response {
    if readiness.is_declared() { next.run(request).await } else { Problem::unavailable().into_response() }
}

/// `/health/live` and `/health/ready`. Ready means that the database is prepared and answers, and that tokens can be
/// checked; the broker may be away, since orders are accepted without it.
pub(crate) fn health_routes(database: Database, readiness: Readiness, authenticator: Authenticator) -> Router {
    Router::new()
        .route("/health/live", get(async || "live"))
        .route("/health/ready", get(ready).with_state((database, readiness, authenticator)))
}

async fn ready(
    State((database, readiness, authenticator)): State<(Database, Readiness, Authenticator)>,
) -> (StatusCode, &'static str) {
    if !readiness.is_declared() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the database is not prepared yet");
    }
    if !authenticator.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the signing keys are not known yet");
    }
    // In a task of its own, so that a client which hangs up does not drop the query half-way.
    let ping = tokio::spawn(async move { sqlx::query("select 1").execute(&database).await.is_ok() });
    match tokio::time::timeout(Duration::from_secs(1), ping).await {
        Ok(Ok(true)) => (StatusCode::OK, "ready"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"),
    }
}

/// What is shared by all requests of one server.
#[derive(Clone)]
struct Running {
    requests: TaskTracker,
    limits: Limits,
}

/// `routes` with what every request gets: an id, a span, a time limit, and problems as answers to all that goes wrong.
/// Handlers run as tasks of `requests`.
pub fn with_conventions(routes: Router, limits: Limits, requests: &TaskTracker) -> Router {
    let running = Running { requests: requests.clone(), limits };
    // Layers run from the last to the first.
    routes
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(running, finish_whatever_the_client_does))
        .layer(middleware::from_fn(problem::render))
        // Failures are logged where they are met, with their cause.
        .layer(TraceLayer::new_for_http().make_span_with(request_span).on_failure(()))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

/// Middleware: runs the handler in a task of its own.
///
/// A client that hangs up, or the time-out, then drops only the waiting: a handler is never cut off in the middle of
/// a database call, which sqlx 0.9 can turn into lost writes (<https://github.com/transact-rs/sqlx/issues/4385>).
async fn finish_whatever_the_client_does(State(running): State<Running>, request: Request, next: Next) -> Response {
    let Running { requests, limits } = running;
    if requests.len() >= limits.max_concurrent_requests {
        return Problem::overloaded().into_response();
    }
    let traceparent = trace_context::of_request(request.headers());
    let handler = trace_context::scope(Some(traceparent), next.run(request)).instrument(Span::current());
    match tokio::time::timeout(limits.request_timeout, requests.spawn(handler)).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            error!(%panic, "a handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            warn!("a request took too long");
            Problem::unavailable().into_response()
        }
    }
}

fn request_span(request: &Request) -> Span {
    let request_id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    info_span!("request", method = %request.method(), path = request.uri().path(), request.id = request_id)
}

async fn route_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", "There is nothing here", "Check the path.")
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This method is not allowed here",
        "Use one of the methods that the header Allow lists.",
    )
}

/// The `{id}` of a route; `None` when it is no UUID, and so names nothing.
pub struct PathId(pub Option<Uuid>);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let id = Path::<String>::from_request_parts(parts, state).await.ok();
        Ok(Self(id.and_then(|Path(id)| Uuid::parse_str(&id).ok())))
    }
}

/// The entity tag of a row with this version: it changes exactly when the row does.
pub fn etag(version: i32) -> String {
    format!("\"{version}\"")
}

/// `answer` with the entity tag of `version`; or 304, when If-None-Match (RFC 9110, 13.1.2) names that version.
pub fn unless_known(headers: &HeaderMap, version: i32, answer: impl IntoResponse) -> Response {
    let etag = etag(version);
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
    if tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag) {
        (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response()
    } else {
        ([(ETAG, etag)], answer).into_response()
    }
}
