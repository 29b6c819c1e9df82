//! How the document of the API is written: what routes and types do not say by themselves.
//!
//! The routes give paths, methods and summaries, the types give the schemas, and each service adds an [`Operation`] for
//! each route: what it takes, what it answers, which problems it refuses with.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{OpenApi, RefOr, Schema};

use crate::page::PageInfo;
use crate::problem::{FieldError, ProblemBody};
use crate::problem_types::{self as problems, ProblemType};

/// The routes of a service, described.
pub struct Description {
    /// What the routes themselves tell.
    pub routes: OpenApi,
    /// The rest, by the `operation_id` of the route.
    pub operations: Vec<(&'static str, Operation)>,
}

/// What one route takes and answers.
pub struct Operation {
    parameters: Vec<Value>,
    body: Option<Value>,
    successes: Vec<(StatusCode, Value)>,
    refusals: Vec<Refusal>,
    schemas: Schemas,
}

/// A problem that a route may refuse with.
#[derive(Clone)]
struct Refusal {
    problem: &'static ProblemType,
    /// What only this problem has: its name, its schema and an example.
    member: Option<(&'static str, Value, Value)>,
    /// Whether it is repeated to who sends the same `Idempotency-Key` again.
    is_repeated: bool,
}

/// Schemas by their names.
#[derive(Default)]
struct Schemas(BTreeMap<String, Value>);

/// The body of an answer: a schema, and an example of it.
pub struct Content {
    schema: Value,
    example: Value,
    schemas: Schemas,
}

/// A header: its name, what it says and what its values look like.
type Header = (&'static str, &'static str, &'static str);

/// Every header that an answer of ours may have.
const HEADERS: [Header; 6] = [
    ("X-Request-Id", "Names the request in the logs; your own, if you sent a harmless one.", "^[A-Za-z0-9._-]{1,128}$"),
    (
        "ETag",
        "The version of what is answered; send it as `If-None-Match` to get 304 while nothing has changed.",
        "^\"[0-9]+\"$",
    ),
    ("Location", "Where what was made can be read.", "^/api/"),
    (
        "Idempotent-Replayed",
        "`true`: this was answered before to the same `Idempotency-Key`, and nothing was done now.",
        "^true$",
    ),
    ("Retry-After", "After so many seconds the same request may succeed.", "^[0-9]+$"),
    ("WWW-Authenticate", "How to authenticate.", "^Bearer"),
];
/// Those that some answers lack which may have them.
const OPTIONAL_HEADERS: [&str; 2] = ["Idempotent-Replayed", "Retry-After"];
/// For examples.
const REQUEST_ID: &str = "852ebdbfaf46d8782b4670241301dc82";

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
        let cursor =
            json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{21}[AQgw]$", "examples": ["AaIGFu5vdZycqXCcun2bzw"]});
        let mut operation = self.query::<Status>("status", "Only those with this status.");
        operation.parameters.push(parameter("query", "limit", "At most so many.", &limit));
        operation.parameters.push(parameter("query", "cursor", "`page.nextCursor` of the page before.", &cursor));
        operation.refuses(&[&problems::INVALID_CURSOR])
    }

    /// Takes `If-None-Match`, and answers 304 when it names the version that is there.
    #[must_use]
    pub fn conditional(self) -> Self {
        let tag = json!({"type": "string", "examples": ["\"3\""]});
        let mut operation = self.header("If-None-Match", "The `ETag` of what you have.", &tag);
        let answer = json!({"description": "You have the newest version.", "headers": headers(&["ETag"])});
        operation.successes.push((StatusCode::NOT_MODIFIED, answer));
        operation
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
        let Content { schema, example, schemas } = content;
        self.schemas.0.extend(schemas.0);
        let answer = json!({
            "description": description,
            "headers": self::headers(headers),
            "content": {"application/json": {"schema": schema, "example": example}},
        });
        self.successes.push((status, answer));
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

impl From<&'static ProblemType> for Refusal {
    fn from(problem: &'static ProblemType) -> Self {
        Self { problem, member: None, is_repeated: false }
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
        Self { schema, example: json!({"data": example}), schemas }
    }

    /// `{"data": […]}` with all of them.
    pub fn all<T: ToSchema>(examples: &Value) -> Self {
        let mut schemas = Schemas::default();
        let data = json!({"type": "array", "items": schemas.reference::<T>()});
        let schema = json!({"type": "object", "required": ["data"], "properties": {"data": data}});
        Self { schema, example: json!({"data": examples}), schemas }
    }

    /// `{"data": […], "page": …}` with a page of them.
    pub fn page<T: ToSchema>(examples: &Value) -> Self {
        let mut content = Self::all::<T>(examples);
        content.schema["required"] = json!(["data", "page"]);
        content.schema["properties"]["page"] = content.schemas.reference::<PageInfo>();
        content.example["page"] = json!({"limit": 100, "nextCursor": null});
        content
    }
}

impl Schemas {
    /// Takes the schema of `T` in, with all that it refers to.
    fn reference<T: ToSchema>(&mut self) -> Value {
        let mut referred: Vec<(String, RefOr<Schema>)> = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut referred);
        self.0.extend(referred.into_iter().map(|(name, schema)| (name, json!(schema))));
        json!({"$ref": format!("#/components/schemas/{}", T::name())})
    }
}

impl Description {
    /// The document of the API, as far as this service has a part in it. `everywhere` is what any request may be refused
    /// with before it gets here.
    pub fn write(self, everywhere: &[&'static ProblemType]) -> Value {
        let mut operations: BTreeMap<_, _> = self.operations.into_iter().collect();
        let mut schemas = Schemas::default();
        schemas.reference::<ProblemBody>();
        let mut responses = BTreeMap::new();
        let mut paths = json!(self.routes.paths);
        for item in paths.as_object_mut().into_iter().flat_map(Map::values_mut) {
            for route in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                let described = route["operationId"].as_str().and_then(|id| operations.remove(id));
                if let Some(Operation { parameters, body, successes, refusals, schemas: its_schemas }) = described {
                    let mut answers: BTreeMap<_, _> =
                        successes.into_iter().map(|(status, answer)| (status.as_str().to_owned(), answer)).collect();
                    answers
                        .extend(refused(everywhere.iter().copied().map(Refusal::from).chain(refusals), &mut responses));
                    route["parameters"] = parameters.into();
                    route["responses"] = json!(answers);
                    if let Some(body) = body {
                        route["requestBody"] = body;
                    }
                    schemas.0.extend(its_schemas.0);
                }
            }
        }
        let headers: Map<_, _> =
            HEADERS.iter().map(|(name, ..)| ((*name).to_owned(), described_header(name))).collect();
        json!({"paths": paths, "components": {"schemas": schemas.0, "responses": responses, "headers": headers}})
    }
}

/// References to one response for each status, which is put among the `responses`.
fn refused(
    refusals: impl Iterator<Item = Refusal>,
    responses: &mut BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let mut by_status = BTreeMap::<_, BTreeMap<_, _>>::new();
    for refusal in refusals {
        by_status.entry(refusal.problem.status.as_str()).or_default().insert(refusal.problem.code, refusal);
    }
    let answers = by_status.into_iter().map(|(status, refusals)| {
        let mut name = refusals.keys().map(|code| pascal_case(code)).collect::<Vec<_>>().join("Or");
        if refusals.values().any(|refusal| refusal.is_repeated) {
            name.push_str("MaybeRepeated");
        }
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        responses.entry(name).or_insert_with(|| response(&refusals.into_values().collect::<Vec<_>>()));
        (status.to_owned(), reference)
    });
    answers.collect()
}

/// The answer with one status, for all problems that have it.
fn response(refusals: &[Refusal]) -> Value {
    let problems = || refusals.iter().map(|refusal| refusal.problem);
    let lines = problems()
        .map(|problem| format!("[`{}`]({}): {}. {}", problem.code, problem.uri(), problem.title, problem.advice));
    let mut properties = json!({"code": {"enum": problems().map(|problem| problem.code).collect::<Vec<_>>()}});
    let mut examples = Map::new();
    for Refusal { problem, member, .. } in refusals {
        let mut value = example_of(problem);
        if let Some((name, schema, example)) = member {
            properties[name] = schema.clone();
            value[name] = example.clone();
        }
        examples.insert(problem.code.to_owned(), json!({"summary": problem.title, "value": value}));
    }
    let mut names = Vec::new();
    if problems().any(|problem| problem.retry_after.is_some()) {
        names.push("Retry-After");
    }
    if refusals.iter().any(|refusal| refusal.is_repeated) {
        names.push("Idempotent-Replayed");
    }
    if problems().any(|problem| problem.status == StatusCode::UNAUTHORIZED) {
        names.push("WWW-Authenticate");
    }
    json!({
        "description": lines.collect::<Vec<_>>().join("\n\n"),
        "headers": headers(&names),
        "content": {"application/problem+json": {
            "schema": {
                "allOf": [{"$ref": format!("#/components/schemas/{}", ProblemBody::name())}],
                "properties": properties,
            },
            "examples": examples,
        }},
    })
}

/// What a client gets to see of a problem.
pub fn example_of(problem: &ProblemType) -> Value {
    json!({
        "type": problem.uri(),
        "title": problem.title,
        "status": problem.status.as_u16(),
        "detail": problem.advice,
        "code": problem.code,
        "instance": "/api/orders",
        "requestId": REQUEST_ID,
    })
}

fn parameter(place: &str, name: &str, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": place, "required": place == "path", "description": description, "schema": schema})
}

/// References to these headers and the one that all answers have.
fn headers(names: &[&str]) -> Value {
    let names = names.iter().chain(&["X-Request-Id"]);
    let references = names.map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})));
    references.collect::<Map<_, _>>().into()
}

fn described_header(name: &str) -> Value {
    let (_, description, pattern) = HEADERS.into_iter().find(|header| header.0 == name).unwrap_or_default();
    let required = !OPTIONAL_HEADERS.contains(&name);
    json!({"description": description, "required": required, "schema": {"type": "string", "pattern": pattern}})
}

fn pascal_case(code: &str) -> String {
    let words = code.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}
