//! Spans of requests, as OpenTelemetry's conventions for HTTP have them, and the trace that a request is part of.

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;

use super::{Span, SpanKind, is_on, new_trace};
use crate::trace_context;

/// What the work for a request is part of, as a `traceparent`, and the request's own span.
pub(crate) fn of_request(request: &Request) -> (String, Span) {
    let parent = trace_context::of_request(request.headers());
    let traceparent = match &parent {
        Some(parent) if is_on() => trace_context::child(parent),
        // Without a span of our own, what follows continues the client's.
        Some(parent) => parent.clone(),
        None => new_trace(),
    };
    let span = span_of(request, &traceparent, parent.as_deref());
    (traceparent, span)
}

impl Span {
    /// The request is answered so.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.fail("");
        }
    }
}

fn span_of(request: &Request, traceparent: &str, parent: Option<&str>) -> Span {
    if !is_on() {
        return Span::default();
    }
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let name = route.as_ref().map_or_else(|| method.clone(), |route| format!("{method} {route}"));
    let span = Span::begin(traceparent, parent, SpanKind::Server, name.into());
    let span = span.with("http.request.method", method).with("url.path", path).with("url.scheme", "http");
    match route {
        Some(route) => span.with("http.route", route),
        None => span,
    }
}
