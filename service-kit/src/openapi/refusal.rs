//! What a route answers when it refuses or fails.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::headers;
use crate::problem::ProblemBody;
use crate::problem_types::ProblemType;

/// For examples.
const REQUEST_ID: &str = "852ebdbfaf46d8782b4670241301dc82";

/// A problem that a route may refuse with.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) problem: &'static ProblemType,
    /// What only this problem has: its name, its schema and an example.
    pub(super) member: Option<(&'static str, Value, Value)>,
    /// Whether it is repeated to who sends the same `Idempotency-Key` again.
    pub(super) is_repeated: bool,
}

impl From<&'static ProblemType> for Refusal {
    fn from(problem: &'static ProblemType) -> Self {
        Self { problem, member: None, is_repeated: false }
    }
}

/// References to one response for each status, which is put among the `responses`.
pub(super) fn refused(
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
    if problems().any(|problem| problem.status == StatusCode::PRECONDITION_FAILED) {
        names.push("ETag");
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
fn example_of(problem: &ProblemType) -> Value {
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

fn pascal_case(code: &str) -> String {
    let words = code.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}
