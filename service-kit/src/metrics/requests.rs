//! What clients ask for and how it is answered: rate, errors and duration of every route.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Histograms, Metrics, Present, durations, register, seconds};
use crate::problem_types::ProblemType;

/// How metrics call the route of a request that has none.
const UNMATCHED: &str = "unmatched";

#[derive(Debug)]
pub(super) struct Requests {
    durations: Histograms<Labels>,
    problems: Family<ProblemLabels, Counter>,
    running: Gauge,
}

/// Labels have the templates of paths and never the ids in them, and known methods only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: Arc<str>,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProblemLabels {
    route: Arc<str>,
    code: &'static str,
}

impl Requests {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let (duration, problems) = ("http_server_request_duration_seconds", "http_server_problems");
        let (running, help) = ("http_server_requests_running", "Requests that are being worked on");
        Self {
            durations: register(registry, duration, "From a request's arrival until its answer", durations()),
            problems: register(registry, problems, "Answers that were problems, by their code", Family::default()),
            running: register(registry, running, help, Gauge::default()),
        }
    }
}

/// Middleware: measures every request.
pub(crate) async fn measure(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let requests = metrics.requests();
    let began = Instant::now();
    let present = Present::in_gauge(requests.running.clone());
    let method = known(request.method());
    let route: Arc<str> = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().into(),
        None => UNMATCHED.into(),
    };
    let response = next.run(request).await;
    drop(present);
    if let Some(problem) = response.extensions().get::<&'static ProblemType>() {
        requests.problems.get_or_create(&ProblemLabels { route: Arc::clone(&route), code: problem.code }).inc();
    }
    let labels = Labels { method, route, status: response.status().as_u16() };
    requests.durations.get_or_create(&labels).observe(seconds(began.elapsed()));
    response
}

/// Anybody can make up methods, and each would be kept for ever.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        _ => "_OTHER",
    }
}
