//! Errors as a client sees them: RFC 9457 problem details, the same shape for every refusal.
//!
//! A [`Problem`] says what went wrong and what to do; [`render`] adds what only the request knows. Nothing of the
//! inside (SQL, a stack, a card) ever gets in: a cause is logged where it is met and answered as `internal_error`.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tower_http::request_id::RequestId;
use tracing::{error, warn};
use utoipa::ToSchema;

use crate::database;
use crate::http;
use crate::problem_types::{self, ProblemType};

/// How to authenticate (RFC 6750, section 3).
const CHALLENGE: &str = r#"Bearer realm="order-processing""#;

/// A refusal or failure, on its way to the client.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: &'static ProblemType,
    detail: Cow<'static, str>,
    members: Vec<(&'static str, Value)>,
    request_id: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One thing that is wrong with a body or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer as a URI fragment (RFC 6901), `#/items/0/sku`; for a query, `#/` and the parameter.
    pub pointer: String,
    /// What kind of error, for machines: `required`, `unknown_field`, `duplicate_field`, `invalid_type`, `invalid_value`,
    /// `out_of_range`, `wrong_length`, `control_character`, `unknown_currency`, `sum_differs`, `invalid_query`. New ones may
    /// come.
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

/// What went wrong, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Leads to what is written about the problem.
    #[serde(rename = "type")]
    uri: String,
    /// What it is, in a few words; the same each time.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What to do about it, for people.
    detail: &'a str,
    /// Its name, for machines. New ones may come.
    #[schema(pattern = "^[a-z_]+$")]
    code: &'static str,
    /// The path that was asked for.
    instance: &'a str,
    /// Names the request in the logs.
    #[schema(value_type = String)]
    request_id: Option<&'a str>,
    /// What only some problems have.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

impl Problem {
    /// An occurrence of a problem of the catalogue.
    pub fn new(kind: &'static ProblemType) -> Self {
        let retry_after = kind.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds)));
        let headers = retry_after.into_iter().collect();
        Self { kind, detail: kind.advice.into(), members: Vec::new(), request_id: None, headers }
    }

    /// The body or query was understood and is not acceptable.
    pub fn validation_failed(errors: &[FieldError]) -> Self {
        Self::new(&problem_types::VALIDATION_FAILED).with("errors", json!(errors))
    }

    /// There is no token.
    pub fn unauthorized() -> Self {
        let mut problem = Self::new(&problem_types::UNAUTHORIZED);
        problem.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)));
        problem
    }

    /// There is a token, and it is not accepted. `reason` is a sentence without quotes.
    pub fn invalid_token(reason: &'static str) -> Self {
        let mut problem = Self::new(&problem_types::UNAUTHORIZED).because(reason);
        let challenge = format!(r#"{CHALLENGE}, error="invalid_token", error_description="{reason}""#);
        problem.headers.extend(HeaderValue::try_from(challenge).ok().map(|value| (WWW_AUTHENTICATE, value)));
        problem
    }

    /// Something that this service needs is away; the same request may succeed soon.
    pub fn unavailable() -> Self {
        Self::new(&problem_types::SERVICE_UNAVAILABLE)
    }

    /// More is asked of this service than it can do.
    pub fn overloaded() -> Self {
        Self::new(&problem_types::OVERLOADED)
    }

    /// A defect of ours.
    pub fn internal() -> Self {
        Self::new(&problem_types::INTERNAL_ERROR)
    }

    /// The same problem with more to say about this occurrence than its type has.
    #[must_use]
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same problem with a further member.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: Value) -> Self {
        self.members.push((member, value));
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
        Self { request_id: request_id.or(self.request_id), ..self }
    }

    fn into_body(self, instance: &str, request_id: Option<&str>) -> Value {
        json!(ProblemBody {
            uri: self.kind.uri(),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            code: self.kind.code,
            instance,
            request_id: self.request_id.as_deref().or(request_id),
            members: self.members.into_iter().map(|(member, value)| (member.to_owned(), value)).collect(),
        })
    }
}

/// The problem travels as an extension of the response until [`render`] writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status.into_response();
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

/// Writes a [`Problem`] as `application/problem+json` with the path and the id of its request. Any other answer stays.
pub(crate) fn render(mut response: Response, instance: &str, request_id: &RequestId) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        // For whoever counts it.
        response.extensions_mut().insert(problem.kind);
        let body = problem.into_body(instance, http::as_text(request_id)).to_string();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        *response.body_mut() = body.into();
    }
    response
}
