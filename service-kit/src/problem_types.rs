//! The catalogue of problems: for each code its status, its title and what to do about it, written down once.
//!
//! A [`Problem`](crate::problem::Problem) can only be made of an entry, so no code is answered that is not listed; the
//! document of the API and the page that the `type` of a problem leads to are made of the lists.

pub use axum::http::StatusCode;

/// What all occurrences of a problem have in common.
#[derive(Debug)]
pub struct ProblemType {
    /// The status it is answered with.
    pub status: StatusCode,
    /// Its name for machines, and the end of its `type`.
    pub code: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What to do about it; the `detail` unless an occurrence has more to say.
    pub advice: &'static str,
    /// After how many seconds the same request may succeed.
    pub retry_after: Option<u32>,
}

impl ProblemType {
    /// The `type` of its occurrences.
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.code)
    }
}

/// Declares a static [`ProblemType`] for each entry, and `ALL` of them.
#[macro_export]
macro_rules! problem_types {
    ($(
        $(#[$documentation:meta])*
        $name:ident: $status:ident $code:literal, $title:literal, $advice:literal $(, retry after $seconds:literal)?;
    )+) => {
        $(
            $(#[$documentation])*
            pub static $name: $crate::problem_types::ProblemType = $crate::problem_types::ProblemType {
                status: $crate::problem_types::StatusCode::$status,
                code: $code,
                title: $title,
                advice: $advice,
                retry_after: $crate::problem_types!(@seconds $($seconds)?),
            };
        )+
        /// All of them.
        pub static ALL: &[&$crate::problem_types::ProblemType] = &[$(&$name),+];
    };
    (@seconds) => { None };
    (@seconds $seconds:literal) => { Some($seconds) };
}

problem_types! {
    /// The body is no JSON at all.
    MALFORMED_JSON: BAD_REQUEST "malformed_json", "The body is not JSON",
        "Correct the JSON where `detail` says and send the request again.";
    /// There is no token, or none that is known.
    UNAUTHORIZED: UNAUTHORIZED "unauthorized", "Not authenticated",
        "Send a valid access token in the header Authorization.";
    /// No key is known that the token could be checked with.
    AUTHENTICATION_UNAVAILABLE: SERVICE_UNAVAILABLE "authentication_unavailable",
        "The access token cannot be checked right now",
        "Nothing was done: the issuer of the token cannot be reached. Keep the token, and send the request again soon.",
        retry after 5;
    /// The client takes no JSON.
    NOT_ACCEPTABLE: NOT_ACCEPTABLE "not_acceptable", "Answers are JSON, and streams are events",
        "Send the header Accept with application/json in it, for a stream with text/event-stream, or leave it out.";
    /// If-Match names another version.
    PRECONDITION_FAILED: PRECONDITION_FAILED "precondition_failed", "It has changed, or never was as If-Match says",
        "Nothing was done: read it again, decide anew, and send the ETag that you have got then.";
    /// Nothing has this path.
    ROUTE_NOT_FOUND: NOT_FOUND "route_not_found", "Route not found", "There is nothing here: check the path.";
    /// Something has this path, but not with this method.
    METHOD_NOT_ALLOWED: METHOD_NOT_ALLOWED "method_not_allowed", "Method not allowed",
        "Use one of the methods that the header Allow lists.";
    /// The first request with the key has no answer yet.
    IDEMPOTENCY_KEY_IN_USE: CONFLICT "idempotency_key_in_use", "The first request with this Idempotency-Key is still running",
        "Send the same request again in a moment to get its answer.", retry after 1;
    /// More than a body may have.
    PAYLOAD_TOO_LARGE: PAYLOAD_TOO_LARGE "payload_too_large", "Payload too large", "Send a body of at most 64 KiB.";
    /// More than a client has to say.
    HEADERS_TOO_LARGE: REQUEST_HEADER_FIELDS_TOO_LARGE "headers_too_large", "Headers too large",
        "A header is longer than 8 KiB, or there are more than 100. Send fewer or shorter ones.";
    /// The body is declared as something else.
    UNSUPPORTED_MEDIA_TYPE: UNSUPPORTED_MEDIA_TYPE "unsupported_media_type", "The body is not declared as plain JSON",
        "Send JSON in UTF-8, not compressed, with the header Content-Type: application/json.";
    /// The body or query was understood and is not acceptable.
    VALIDATION_FAILED: UNPROCESSABLE_ENTITY "validation_failed", "The request is not valid",
        "Correct what `errors` lists and send the request again.";
    /// The cursor was not made here.
    INVALID_CURSOR: UNPROCESSABLE_ENTITY "invalid_cursor", "The cursor is not valid",
        "Use `page.nextCursor` of the previous page as it is, or leave the cursor out to begin with the newest.";
    /// The header has no key that can be used.
    INVALID_IDEMPOTENCY_KEY: UNPROCESSABLE_ENTITY "invalid_idempotency_key", "The Idempotency-Key cannot be used",
        "Send one key of 1 to 255 printable ASCII characters; a new UUID for each thing to be done is best.";
    /// The key came with something else before.
    IDEMPOTENCY_KEY_REUSED: UNPROCESSABLE_ENTITY "idempotency_key_reused", "The Idempotency-Key was used for another request",
        "Repeat a request with exactly the same body, or send a new key for a new one.";
    /// A defect of ours.
    INTERNAL_ERROR: INTERNAL_SERVER_ERROR "internal_error", "Internal error",
        "This is a defect of the service: report the requestId to its operator.";
    /// Something that this service needs is away; the same request may succeed soon.
    SERVICE_UNAVAILABLE: SERVICE_UNAVAILABLE "service_unavailable", "Service unavailable",
        "Nothing is wrong with the request: send it again in a moment. With an Idempotency-Key it is carried out once; without one, look first whether it was.",
        retry after 1;
    /// More is asked of this service than it can do.
    OVERLOADED: SERVICE_UNAVAILABLE "overloaded", "Too many requests are being worked on",
        "Nothing was done: send the request again in a moment.", retry after 1;
}

/// What only operators meet, on the admin address.
pub mod admin {
    problem_types! {
        /// No token of operators is set.
        ADMIN_DISABLED: FORBIDDEN "admin_disabled", "This service has no operators",
            "Start it with ADMIN_TOKEN, and send that token in the header Authorization.";
        /// No row has this id.
        PARKED_NOT_FOUND: NOT_FOUND "parked_not_found", "There is no such parked message",
            "It was applied, replayed or discarded, or never was there; GET /parked lists those that are.";
        /// It was parked under another prefix.
        QUEUE_UNKNOWN: CONFLICT "queue_unknown", "The message comes from a queue that nobody consumes",
            "Set AMQP_PREFIX to what it was when the message was parked, or discard the message.";
        /// The broker is away.
        BROKER_UNAVAILABLE: SERVICE_UNAVAILABLE "broker_unavailable", "RabbitMQ did not take the message",
            "It is still parked: try again when RabbitMQ is back. Replaying it twice does no harm.", retry after 5;
    }
}
