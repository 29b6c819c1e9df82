//! Pages of the lists that operators read: the oldest first, each from the id behind which the last one ended.

use std::str::FromStr;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::page::limit_of;
use crate::problem::{FieldError, Problem};

/// What part of a list is asked for: rows with greater ids than `after`.
pub struct PageAfter<Id> {
    limit: u16,
    /// The smallest id there can be for the first page.
    pub after: Id,
}

impl<Id: Serialize> PageAfter<Id> {
    /// One more than the page holds tells whether another page follows.
    pub fn rows_to_read(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page with these rows, of which there may be one too many.
    pub fn page<Row: Serialize>(&self, mut rows: Vec<Row>, id: impl Fn(&Row) -> Id) -> Json<Value> {
        let limit = usize::from(self.limit);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_after = rows.last().filter(|_| has_more).map(id);
        Json(json!({"data": rows, "page": {"limit": limit, "nextAfter": next_after}}))
    }
}

#[derive(Deserialize)]
struct Parameters {
    limit: Option<String>,
    after: Option<String>,
}

impl<Id: Default + FromStr, S: Send + Sync> FromRequestParts<S> for PageAfter<Id> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::<Parameters>::try_from_uri(&parts.uri).map_err(|_| {
            let detail = "give limit and after at most once each, percent-encoded";
            Problem::validation_failed(&[FieldError::new("", "invalid_query", detail)])
        })?;
        let limit = limit_of(parameters.limit.as_deref());
        let after = parameters.after.map_or(Ok(Id::default()), |after| after.parse());
        let after = after.map_err(|_| FieldError::new("/after", "invalid_value", "must be an id of the list"));
        match (limit, after) {
            (Ok(limit), Ok(after)) => Ok(Self { limit, after }),
            (limit, after) => {
                let errors: Vec<FieldError> = limit.err().into_iter().chain(after.err()).collect();
                Err(Problem::validation_failed(&errors))
            }
        }
    }
}
