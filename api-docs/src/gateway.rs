//! What nginx refuses by itself: the counterpart of the tables in `gateway/gateway.conf.template`.

use service_kit::problem_types::{self, ProblemType};

service_kit::problem_types! {
    /// Not HTTP.
    BAD_REQUEST: BAD_REQUEST "bad_request", "Bad request",
        "This is not a valid HTTP request. Check the request line and the headers.";
    /// Too slow.
    REQUEST_TIMEOUT: REQUEST_TIMEOUT "request_timeout", "Request timeout",
        "The request took too long to arrive. Send it again.";
    /// A path or query without an end.
    URI_TOO_LONG: URI_TOO_LONG "uri_too_long", "URI too long",
        "The request line is longer than 8 KiB. Shorten the path or the query.";
    /// Too many at a time.
    TOO_MANY_REQUESTS: TOO_MANY_REQUESTS "too_many_requests", "Too many requests",
        "Too many requests at once. Wait a second, then try again.", retry after 1;
    /// Another way to send a body.
    NOT_IMPLEMENTED: NOT_IMPLEMENTED "not_implemented", "Not implemented",
        "This transfer coding is not supported. Send the body with Content-Length or as chunked.";
    /// Nobody listens, or who did has died.
    BAD_GATEWAY: BAD_GATEWAY "bad_gateway", "Bad gateway",
        "The service behind this route is not reachable. Wait a second and send the request again: with an Idempotency-Key it is carried out once; without one, look first whether it was.",
        retry after 1;
    /// Nobody answers.
    GATEWAY_TIMEOUT: GATEWAY_TIMEOUT "gateway_timeout", "Gateway timeout",
        "The service behind this route took too long. Wait a second and send the request again: with an Idempotency-Key it is carried out once; without one, look first whether it was.",
        retry after 1;
    /// Another HTTP.
    HTTP_VERSION_NOT_SUPPORTED: HTTP_VERSION_NOT_SUPPORTED "http_version_not_supported", "HTTP version not supported",
        "This version of HTTP is not supported. Use HTTP/1.1.";
}

/// What the gateway and the services answer in the same words.
pub static SHARED: [&ProblemType; 6] = [
    &problem_types::ROUTE_NOT_FOUND,
    &problem_types::METHOD_NOT_ALLOWED,
    &problem_types::PAYLOAD_TOO_LARGE,
    &problem_types::HEADERS_TOO_LARGE,
    &problem_types::SERVICE_UNAVAILABLE,
    &problem_types::INTERNAL_ERROR,
];

/// What any request to a documented route may be refused with. nginx closes a connection that is too slow without an
/// answer, so its 408 is never seen.
pub fn everywhere() -> Vec<&'static ProblemType> {
    let documented =
        [&problem_types::PAYLOAD_TOO_LARGE, &problem_types::HEADERS_TOO_LARGE, &problem_types::SERVICE_UNAVAILABLE];
    let own = ALL.iter().copied().filter(|problem| problem.code != REQUEST_TIMEOUT.code);
    own.chain(documented).collect()
}
