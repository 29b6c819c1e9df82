//! The HTTP server: what happens to every request before and after its handler.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Request, State};
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::request_id::{MakeRequestId, MakeRequestUuid, RequestId};
use tracing::{Instrument, Span, error, info_span, warn};
use uuid::Uuid;

use crate::auth::Authenticator;
use crate::crash_point::crash_point;
use crate::listening;
use crate::metrics::{Metrics, measure};
use crate::pool::Database;
use crate::problem::{self, Problem};
use crate::problem_types;
use crate::spans;
use crate::trace_context;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_BODY_BYTES: usize = 64 * 1024;
/// A hundred of the client, and those that the gateway adds.
const MAX_HEADERS: usize = 110;
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

/// Serves `routes` until `stop`, then finishes what was accepted. Every request is counted in `metrics`.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let requests = TaskTracker::new();
    let routes = with_conventions(routes, limits, &requests).layer(middleware::from_fn_with_state(metrics, measure));
    listening::serve(listener, routes, stop).await;
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
    // One layer for all: each has the whole stack below it cloned for every request.
    routes
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(running, keep_conventions))
}

async fn keep_conventions(State(running): State<Running>, mut request: Request, next: Next) -> Response {
    let (uri, id) = (request.uri().clone(), request_id(&request));
    let (traceparent, mut span) = spans::of_request(&request);
    let log = info_span!("request", method = %request.method(), path = uri.path(), request.id = as_text(&id),
        trace.id = trace_context::trace_id(&traceparent));
    request.extensions_mut().insert(id.clone());
    DefaultBodyLimit::max(MAX_BODY_BYTES).apply(&mut request);
    let answering = async {
        match refusal(&request) {
            None => finish_whatever_the_client_does(running, traceparent, request, next).await,
            Some(refusal) => refusal.into_response(),
        }
    };
    let mut response = problem::render(answering.instrument(log).await, uri.path(), &id);
    response.headers_mut().insert(X_REQUEST_ID, id.into_header_value());
    span.answered(response.status());
    response
}

/// What is followed, at paths that end in `/stream`, is answered as events; all else as JSON.
const JSON: [&str; 3] = ["*/*", "application/*", "application/json"];
const EVENTS: [&str; 3] = ["*/*", "text/*", "text/event-stream"];

/// Nothing is done for a client that says too much, or that could not read the answer.
fn refusal(request: &Request) -> Option<Problem> {
    if request.headers().len() > MAX_HEADERS {
        return Some(Problem::new(&problem_types::HEADERS_TOO_LARGE));
    }
    let answered = if request.uri().path().ends_with("/stream") { EVENTS } else { JSON };
    (!accepts(request.headers(), answered)).then(|| Problem::new(&problem_types::NOT_ACCEPTABLE))
}

/// The name of a request in the logs: the client's own, or else one of ours.
fn request_id(request: &Request) -> RequestId {
    let given = request.headers().get(X_REQUEST_ID).cloned().map(RequestId::new);
    given
        .or_else(|| MakeRequestUuid.make_request_id(request))
        .unwrap_or_else(|| RequestId::new(HeaderValue::from_static("-")))
}

/// `None` of a name that is no text.
pub(crate) fn as_text(id: &RequestId) -> Option<&str> {
    id.header_value().to_str().ok()
}

/// Runs the handler in a task of its own.
///
/// A client that hangs up, or the time-out, then drops only the waiting: a handler is never cut off in the middle of
/// a database call, which sqlx 0.9 can turn into lost writes (<https://github.com/transact-rs/sqlx/issues/4385>).
async fn finish_whatever_the_client_does(
    running: Running,
    traceparent: String,
    request: Request,
    next: Next,
) -> Response {
    let Running { requests, limits } = running;
    if requests.len() >= limits.max_concurrent_requests {
        return Problem::overloaded().into_response();
    }
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

/// Whether Accept (RFC 9110, 12.5.1) leaves room for what is answered, which is in these ranges, the widest first. What is
/// most specific counts; what is no media range does not.
fn accepts(headers: &HeaderMap, answered: [&str; 3]) -> bool {
    let given = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = given.flat_map(|value| value.split(',')).filter_map(media_range).peekable();
    if ranges.peek().is_none() {
        return true;
    }
    let specificity = |range: &str| answered.iter().position(|known| *known == range);
    let fitting = ranges.filter_map(|(range, is_wanted)| Some((specificity(&range)?, is_wanted)));
    fitting.max().is_some_and(|(_, is_wanted)| is_wanted)
}

/// A media range without its parameters, and whether its weight is above zero.
fn media_range(text: &str) -> Option<(String, bool)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?.to_ascii_lowercase();
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")));
    let is_wanted = weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
    Some((range, is_wanted))
}

async fn route_not_found() -> Problem {
    Problem::new(&problem_types::ROUTE_NOT_FOUND)
}

async fn method_not_allowed() -> Problem {
    Problem::new(&problem_types::METHOD_NOT_ALLOWED)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(accept: &[&str]) -> HeaderMap {
        accept.iter().map(|value| (ACCEPT, value.parse().expect("a header"))).collect()
    }

    #[test]
    fn who_excludes_json_gets_none() {
        for (accept, expected) in [
            (&[][..], true),
            (&[""], true),
            (&["*/*"], true),
            (&["application/json"], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["text/html, application/*;q=0.1"], true),
            (&["text/html", "*/*;q=0.8"], true),
            (&["not a media range"], true),
            (&["text/html"], false),
            (&["application/xml", "text/*"], false),
            (&["application/json;q=0"], false),
            (&["application/json;q=0, */*"], false),
            (&["*/*;q=0.0"], false),
            (&["application/problem+json"], false),
        ] {
            assert_eq!(accepts(&headers(accept), JSON), expected, "{accept:?}");
        }
        assert!(accepts(&headers(&["text/event-stream"]), EVENTS));
        assert!(!accepts(&headers(&["application/json"]), EVENTS));
    }

    proptest! {
        #[test]
        fn no_header_breaks_anything(value in "[\\x20-\\x7e]{0,60}", json in "application/json[,; a-z=/*0-9.]{0,30}") {
            for text in [value, json] {
                accepts(&headers(&[&text]), JSON);
            }
        }
    }
}
