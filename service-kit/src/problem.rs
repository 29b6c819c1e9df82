//! Errors as a client sees them: RFC 9457 problem details, the same shape for every refusal.
//!
//! A [`Problem`] says what went wrong and what to do; [`render`] adds what only the request knows. Nothing of the
//! inside (SQL, a stack, a card) ever gets in: a cause is logged where it is met and answered as `internal_error`.

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use tower_http::request_id::RequestId;
use tracing::{error, warn};

use crate::database;

/// How to authenticate (RFC 6750, section 3).
const CHALLENGE: &str = r#"Bearer realm="order-processing""#;

/// A refusal or failure, on its way to the client.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    members: Vec<(&'static str, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One thing that is wrong with a body or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: a JSON pointer as a URI fragment (RFC 6901), `#/items/0/sku`; for a query, `#/` and the parameter.
    pub pointer: String,
    /// What kind of error, for machines.
    pub code: &'static str,
    /// What to do about it, for people. Never contains what was sent: it might be a card.
    pub detail: String,
}

impl FieldError {
    /// An error at `pointer`, given without the leading `#`.
    pub fn new(pointer: impl AsRef<str>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#{}", pointer.as_ref()), code, detail: detail.into() }
    }
}

impl Problem {
    /// A problem with a stable `code` for machines, a `title` that is the same for every occurrence, and a `detail`
    /// that tells the person at the other end what to do.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), members: Vec::new(), headers: Vec::new() }
    }

    /// The body or query was understood and is not acceptable.
    pub fn validation_failed(errors: &[FieldError]) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            "The request is not valid",
            "Correct what `errors` lists and send the request again.",
        )
        .with("errors", json!(errors))
    }

    /// There is no token.
    pub fn unauthorized() -> Self {
        let mut problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Not authenticated",
            "Send a valid access token in the header Authorization.",
        );
        problem.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)));
        problem
    }

    /// There is a token, and it is not accepted. `reason` is a sentence without quotes.
    pub fn invalid_token(reason: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated", reason);
        let challenge = format!(r#"{CHALLENGE}, error="invalid_token", error_description="{reason}""#);
        problem.headers.extend(HeaderValue::try_from(challenge).ok().map(|value| (WWW_AUTHENTICATE, value)));
        problem
    }

    /// Something that this service needs is away; the same request may succeed soon.
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "The service is not available right now",
            "Nothing is wrong with the request: send it again in a moment. With an Idempotency-Key it is carried out once; without one, look first whether it was.",
        )
        .retry_after_seconds(1)
    }

    /// More is asked of this service than it can do.
    pub fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "Too many requests are being worked on",
            "Nothing was done: send the request again in a moment.",
        )
        .retry_after_seconds(1)
    }

    /// A defect of ours.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something went wrong here",
            "This is a defect of the service: report the requestId to its operator.",
        )
    }

    /// The same problem with a further member.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: Value) -> Self {
        self.members.push((member, value));
        self
    }

    /// The same problem with the advice to come back after so many seconds.
    #[must_use]
    pub fn retry_after_seconds(mut self, seconds: u32) -> Self {
        self.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    /// The same problem with the entity tag that the thing has now.
    #[must_use]
    pub fn with_etag(mut self, etag: &str) -> Self {
        self.headers.extend(HeaderValue::try_from(etag).ok().map(|etag| (ETAG, etag)));
        self
    }

    /// The same problem as an earlier request was told of it: with the id of that one.
    #[must_use]
    pub fn of_request(self, request_id: Option<String>) -> Self {
        match request_id {
            Some(id) => self.with("requestId", json!(id)),
            None => self,
        }
    }

    fn into_body(self, instance: &str, request_id: Option<&str>) -> Value {
        let mut body = json!({
            "type": format!("/problems/{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "instance": instance,
            "requestId": request_id,
        });
        for (member, value) in self.members {
            body[member] = value;
        }
        body
    }
}

/// The problem travels as an extension of the response until [`render`] writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

/// Trouble of the database is logged here, once, and answered without saying more than whether to try again.
impl From<sqlx::Error> for Problem {
    fn from(cause: sqlx::Error) -> Self {
        if database::is_transient(&cause) {
            warn!(%cause, "the database did not answer");
            Self::unavailable()
        } else {
            error!(%cause, "the database refused a statement");
            Self::internal()
        }
    }
}

/// Middleware: writes every [`Problem`] as `application/problem+json` with the path and the id of its request.
pub async fn render(request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let request_id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let request_id = request_id.as_ref().and_then(|id| id.header_value().to_str().ok());
    let body = problem.into_body(&instance, request_id).to_string();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    *response.body_mut() = body.into();
    response
}
