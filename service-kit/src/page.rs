//! Lists: keyset pages, newest first. A cursor names the last item that the client has seen.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{FieldError, Problem};
use crate::problem_types;

const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1000;

/// What part of a list is asked for. `Status` is what the list can be filtered by.
#[derive(Clone, Debug)]
pub struct PageRequest<Status> {
    /// Only items with this status.
    pub status: Option<Status>,
    /// At most this many items: 1 to 1000.
    pub limit: u16,
    /// Only items older than this one.
    pub before: Option<Uuid>,
}

/// One page of a list, as it is answered.
#[derive(Debug, Serialize)]
pub struct Page<Item> {
    /// The items, newest first.
    pub data: Vec<Item>,
    /// How to get the next page.
    pub page: PageInfo,
}

/// How large the page may be and where the next one begins.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// The limit that was applied.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: u16,
    /// Send this as `cursor` for the next page; `null` on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<Status> PageRequest<Status> {
    /// How many rows to read: one more than the page holds tells whether another page follows.
    pub fn rows_to_read(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page made of the rows that were read.
    pub fn page<Item>(&self, mut rows: Vec<Item>, id: impl Fn(&Item) -> Uuid) -> Page<Item> {
        let has_more = rows.len() > usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let next_cursor = rows.last().filter(|_| has_more).map(|last| to_cursor(id(last)));
        Page { data: rows, page: PageInfo { limit: self.limit, next_cursor } }
    }
}

#[derive(Deserialize)]
struct Parameters {
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

impl<S, Status> FromRequestParts<S> for PageRequest<Status>
where
    S: Send + Sync,
    Status: for<'a> TryFrom<&'a str, Error = String>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::<Parameters>::try_from_uri(&parts.uri).map_err(|_| {
            Problem::validation_failed(&[FieldError::new(
                "",
                "invalid_query",
                "give status, limit and cursor at most once each, percent-encoded",
            )])
        })?;
        let mut errors = Vec::new();
        let status = parameters.status.and_then(|status| match Status::try_from(&status) {
            Ok(status) => Some(status),
            Err(detail) => {
                errors.push(FieldError::new("/status", "invalid_value", detail));
                None
            }
        });
        let limit = limit_of(parameters.limit.as_deref()).unwrap_or_else(|error| {
            errors.push(error);
            DEFAULT_LIMIT
        });
        if !errors.is_empty() {
            return Err(Problem::validation_failed(&errors));
        }
        let before = parameters.cursor.map(|cursor| from_cursor(&cursor).ok_or_else(invalid_cursor)).transpose()?;
        Ok(Self { status, limit, before })
    }
}

/// How many items are asked for by the parameter `limit`.
pub(crate) fn limit_of(parameter: Option<&str>) -> Result<u16, FieldError> {
    let Some(limit) = parameter else { return Ok(DEFAULT_LIMIT) };
    let is_number = limit.bytes().all(|byte| byte.is_ascii_digit());
    let limit = limit.parse().ok().filter(|limit| is_number && (1..=MAX_LIMIT).contains(limit));
    let detail = format!("must be an integer from 1 to {MAX_LIMIT}");
    limit.ok_or_else(|| FieldError::new("/limit", "out_of_range", detail))
}

fn invalid_cursor() -> Problem {
    Problem::new(&problem_types::INVALID_CURSOR)
}

fn to_cursor(id: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn from_cursor(cursor: &str) -> Option<Uuid> {
    Uuid::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(limit: u16) -> PageRequest<()> {
        PageRequest { status: None, limit, before: None }
    }

    #[test]
    fn a_cursor_leads_back_to_its_item() {
        let id = Uuid::now_v7();
        assert_eq!(from_cursor(&to_cursor(id)), Some(id));
        for forged in ["", "x", "%00", "AAAA", "!!!!!!!!!!!!!!!!!!!!!!"] {
            assert_eq!(from_cursor(forged), None, "{forged:?}");
        }
    }

    #[test]
    fn only_a_page_with_a_successor_has_a_cursor() {
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        let full = request(2).page(ids.clone(), |id| *id);
        assert_eq!((full.data.len(), full.page.next_cursor), (2, Some(to_cursor(ids[1]))));
        let last = request(3).page(ids.clone(), |id| *id);
        assert_eq!((last.data.len(), last.page.next_cursor), (3, None));
    }
}
