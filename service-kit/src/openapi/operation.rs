//! What one route takes, and what it answers when all goes well.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Schemas;
use super::refusal::Refusal;
use crate::page::PageInfo;
use crate::problem::FieldError;
use crate::problem_types::{self as problems, ProblemType};

/// For examples: the place of the order that is shown in them.
const CURSOR: &str = "AAZg58mTa34BogYW7m91nJypcJy6fZvP";
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

/// What one route takes and answers.
pub struct Operation {
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) successes: Vec<(StatusCode, Value)>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) schemas: Schemas,
}

/// The body of an answer: a schema, and an example of it.
pub struct Content {
    media_type: &'static str,
    schema: Value,
    example: Value,
    schemas: Schemas,
}

impl Operation {
    /// A route that needs a user, and can fail like all of them.
    pub fn new() -> Self {
        Self {
            parameters: Vec::new(),
            body: None,
            successes: Vec::new(),
            refusals: Vec::new(),
            schemas: Schemas::default(),
        }
        .refuses(&[
            &problems::UNAUTHORIZED,
            &problems::AUTHENTICATION_UNAVAILABLE,
            &problems::NOT_ACCEPTABLE,
            &problems::INTERNAL_ERROR,
            &problems::SERVICE_UNAVAILABLE,
            &problems::OVERLOADED,
        ])
    }

    /// Takes an id in the path.
    #[must_use]
    pub fn id<T: ToSchema>(mut self, name: &str, description: &str) -> Self {
        let schema = self.schemas.reference::<T>();
        self.parameters.push(parameter("path", name, description, &schema));
        self
    }

    /// Takes a parameter of the query.
    #[must_use]
    pub fn query<T: ToSchema>(mut self, name: &str, description: &str) -> Self {
        let schema = self.schemas.reference::<T>();
        self.parameters.push(parameter("query", name, description, &schema));
        self.validates()
    }

    /// Takes a header that may be left out.
    #[must_use]
    pub fn header(mut self, name: &str, description: &str, schema: &Value) -> Self {
        self.parameters.push(parameter("header", name, description, schema));
        self
    }

    /// Answers a list in pages; `Status` is what it can be filtered by.
    #[must_use]
    pub fn pages<Status: ToSchema>(self) -> Self {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100});
        let cursor = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{32}$", "examples": [CURSOR]});
        let time = json!({"type": "string", "format": "date-time", "examples": ["2026-11-23T01:48:15Z"]});
        let mut operation = self.query::<Status>("status", "Only those with this status.");
        for (name, description) in [
            ("createdAfter", "Only those created after this time."),
            ("createdBefore", "Only those created before it."),
        ] {
            operation.parameters.push(parameter("query", name, description, &time));
        }
        operation.parameters.push(parameter("query", "limit", "At most so many.", &limit));
        operation.parameters.push(parameter("query", "cursor", "`page.nextCursor` of the page before.", &cursor));
        operation.refuses(&[&problems::INVALID_CURSOR])
    }

    /// Takes `If-None-Match`, and answers 304 when it names the version that is there.
    #[must_use]
    pub fn conditional(self) -> Self {
        let tag = json!({"type": "string", "examples": ["\"3\""]});
        let mut operation = self.header("If-None-Match", "The `ETag` of what you have.", &tag);
        let answer = json!({"description": "You have the newest version.", "headers": super::headers(&["ETag"])});
        operation.successes.push((StatusCode::NOT_MODIFIED, answer));
        operation
    }

    /// Takes `If-Match`, and changes nothing when it does not name the version that is there.
    #[must_use]
    pub fn guarded(self) -> Self {
        let tag = json!({"type": "string", "examples": ["\"1\""]});
        self.header("If-Match", "The `ETag` of what you have decided on; refused if there is another by now.", &tag)
            .refuses(&[&problems::PRECONDITION_FAILED])
    }

    /// Takes a `Last-Event-ID`.
    #[must_use]
    pub fn resumable(self, description: &str, example: &str) -> Self {
        self.header("Last-Event-ID", description, &json!({"type": "string", "examples": [example]}))
    }

    /// Takes an `Idempotency-Key`.
    #[must_use]
    pub fn idempotent(self) -> Self {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$",
            "examples": ["8e03978e-40d5-43dd-bc93-6894a57f9324"]});
        let description = "A new one for each thing to be done. The same request with the same key, sent again, gets the \
            answer of the first time with `Idempotent-Replayed: true`, and nothing is done twice.";
        self.header("Idempotency-Key", description, &schema)
            .refuses(&[&problems::INVALID_IDEMPOTENCY_KEY, &problems::IDEMPOTENCY_KEY_REUSED])
    }

    /// Takes a JSON body. The tests send each of the `examples`, which have a name each.
    #[must_use]
    pub fn body<T: ToSchema>(mut self, examples: &[(&str, Value)]) -> Self {
        let schema = self.schemas.reference::<T>();
        let examples: Map<_, _> =
            examples.iter().map(|(name, value)| ((*name).to_owned(), json!({"value": value}))).collect();
        self.body = Some(json!({
            "required": true,
            "content": {"application/json": {"schema": schema, "examples": examples}},
        }));
        self.refuses(&[&problems::MALFORMED_JSON, &problems::PAYLOAD_TOO_LARGE, &problems::UNSUPPORTED_MEDIA_TYPE])
            .validates()
    }

    /// Answers this when all goes well.
    #[must_use]
    pub fn answers(mut self, status: StatusCode, description: &str, content: Content, headers: &[&str]) -> Self {
        let Content { media_type, schema, example, schemas } = content;
        self.schemas.0.extend(schemas.0);
        let answer = json!({
            "description": description,
            "headers": super::headers(headers),
            "content": {media_type: {"schema": schema, "example": example}},
        });
        self.successes.push((status, answer));
        self
    }

    /// Names the operations that the `data.id` of the answer with this status can be handed to, each with the name of the
    /// parameter that takes it.
    #[must_use]
    pub fn leads_to(mut self, status: StatusCode, operations: &[(&str, &str)]) -> Self {
        for (_, answer) in self.successes.iter_mut().filter(|(answered, _)| *answered == status) {
            for (operation, parameter) in operations {
                answer["links"][operation] =
                    json!({"operationId": operation, "parameters": {*parameter: "$response.body#/data/id"}});
            }
        }
        self
    }

    /// May refuse with these problems.
    #[must_use]
    pub fn refuses(mut self, problems: &[&'static ProblemType]) -> Self {
        self.refusals.extend(problems.iter().copied().map(Refusal::from));
        self
    }

    /// May refuse with this problem, which has a member of its own.
    #[must_use]
    pub fn refuses_with(
        mut self,
        problem: &'static ProblemType,
        member: &'static str,
        schema: Value,
        example: Value,
    ) -> Self {
        self.refusals.push(Refusal { problem, member: Some((member, schema, example)), is_repeated: false });
        self
    }

    /// Repeats these of its refusals to who sends the same `Idempotency-Key` again.
    #[must_use]
    pub fn repeats(mut self, problems: &[&'static ProblemType]) -> Self {
        for refusal in &mut self.refusals {
            refusal.is_repeated |= problems.iter().any(|problem| problem.code == refusal.problem.code);
        }
        self
    }

    fn validates(mut self) -> Self {
        let schema = json!({
            "type": "array",
            "minItems": 1,
            "description": "All that is wrong.",
            "items": self.schemas.reference::<FieldError>(),
        });
        let example = FieldError::new("/bill", "out_of_range", "must be from 1 to 999999999999 minor units");
        self.refuses_with(&problems::VALIDATION_FAILED, "errors", schema, json!([example]))
    }
}

impl Default for Operation {
    fn default() -> Self {
        Self::new()
    }
}

impl Content {
    /// `{"data": …}` with one `T`.
    pub fn one<T: ToSchema>(example: &Value) -> Self {
        let mut schemas = Schemas::default();
        let data = schemas.reference::<T>();
        let schema = json!({"type": "object", "required": ["data"], "properties": {"data": data}});
        Self { media_type: JSON, schema, example: json!({"data": example}), schemas }
    }

    /// `{"data": […]}` with all of them.
    pub fn all<T: ToSchema>(examples: &Value) -> Self {
        let mut schemas = Schemas::default();
        let data = json!({"type": "array", "items": schemas.reference::<T>()});
        let schema = json!({"type": "object", "required": ["data"], "properties": {"data": data}});
        Self { media_type: JSON, schema, example: json!({"data": examples}), schemas }
    }

    /// A stream of events whose data is a `T`, among others.
    pub fn events<T: ToSchema>(example: &str) -> Self {
        let mut schemas = Schemas::default();
        let data = schemas.reference::<T>();
        let schema = json!({"type": "string", "contentMediaType": EVENT_STREAM, "contentSchema": data});
        Self { media_type: EVENT_STREAM, schema, example: json!(example), schemas }
    }

    /// `{"data": […], "page": …}` with a page of them.
    pub fn page<T: ToSchema>(examples: &Value) -> Self {
        let mut content = Self::all::<T>(examples);
        content.schema["required"] = json!(["data", "page"]);
        content.schema["properties"]["page"] = content.schemas.reference::<PageInfo>();
        content.example["page"] = json!({"limit": 1, "nextCursor": CURSOR});
        content
    }
}

fn parameter(place: &str, name: &str, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": place, "required": place == "path", "description": description, "schema": schema})
}
