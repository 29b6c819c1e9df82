//! How the document of the API is written: what routes and types do not say by themselves.
//!
//! The routes give paths, methods and summaries, the types give the schemas, and each service adds an [`Operation`] for
//! each route: what it takes, what it answers, which problems it refuses with.

mod operation;
mod refusal;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{OpenApi, RefOr, Schema};

use crate::problem::ProblemBody;
use crate::problem_types::ProblemType;

pub use operation::{Content, Operation};
use refusal::Refusal;

/// The routes of a service, described.
pub struct Description {
    /// What the routes themselves tell.
    pub routes: OpenApi,
    /// The rest, by the `operation_id` of the route.
    pub operations: Vec<(&'static str, Operation)>,
    /// What the service sends to those who want to be told.
    pub webhooks: Webhooks,
}

/// What is posted to addresses that users have given.
#[derive(Default)]
pub struct Webhooks {
    items: Map<String, Value>,
    schemas: Schemas,
}

impl Webhooks {
    /// Those that post a `T`, of which `describe` gets the schema.
    pub fn of<T: ToSchema>(describe: impl FnOnce(&Value) -> Map<String, Value>) -> Self {
        let mut schemas = Schemas::default();
        let schema = schemas.reference::<T>();
        Self { items: describe(&schema), schemas }
    }
}

/// Schemas by their names.
#[derive(Default)]
struct Schemas(BTreeMap<String, Value>);

/// A header: its name, what it says and what its values look like.
type Header = (&'static str, &'static str, &'static str);

/// Every header that an answer of ours may have.
const HEADERS: [Header; 7] = [
    ("X-Request-Id", "Names the request in the logs; your own, if you sent a harmless one.", "^[A-Za-z0-9._-]{1,128}$"),
    (
        "ETag",
        "The version of what is there; send it as `If-None-Match` to get 304 while nothing has changed, or as `If-Match` \
            to change nothing that you have not seen.",
        "^\"[0-9]+\"$",
    ),
    ("Location", "Where what was made can be read.", "^/api/"),
    ("Link", "The address of the next page, if there is one.", "^</api/[^>]+>; rel=\"next\"$"),
    (
        "Idempotent-Replayed",
        "`true`: this was answered before to the same `Idempotency-Key`, and nothing was done now.",
        "^true$",
    ),
    ("Retry-After", "After so many seconds the same request may succeed.", "^[0-9]+$"),
    (
        "WWW-Authenticate",
        "How to authenticate, and what is wrong with the token if there was one.",
        "^Bearer realm=\"order-processing\"(, error=\"invalid_token\", error_description=\"[^\"]+\")?$",
    ),
];
/// Those that some answers lack which may have them.
const OPTIONAL_HEADERS: [&str; 3] = ["Idempotent-Replayed", "Link", "Retry-After"];

impl Description {
    /// The document of the API, as far as this service has a part in it. `everywhere` is what any request may be refused
    /// with before it gets here.
    pub fn write(self, everywhere: &[&'static ProblemType]) -> Value {
        let mut operations: BTreeMap<_, _> = self.operations.into_iter().collect();
        let mut schemas = Schemas::default();
        schemas.reference::<ProblemBody>();
        schemas.0.extend(self.webhooks.schemas.0);
        let mut responses = BTreeMap::new();
        let mut paths = json!(self.routes.paths);
        for item in paths.as_object_mut().into_iter().flat_map(Map::values_mut) {
            for route in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                let described = route["operationId"].as_str().and_then(|id| operations.remove(id));
                if let Some(Operation { parameters, body, successes, refusals, schemas: its_schemas }) = described {
                    let mut answers: BTreeMap<_, _> =
                        successes.into_iter().map(|(status, answer)| (status.as_str().to_owned(), answer)).collect();
                    answers.extend(refusal::refused(
                        everywhere.iter().copied().map(Refusal::from).chain(refusals),
                        &mut responses,
                    ));
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
        let components = json!({"schemas": schemas.0, "responses": responses, "headers": headers});
        json!({"paths": paths, "webhooks": self.webhooks.items, "components": components})
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
