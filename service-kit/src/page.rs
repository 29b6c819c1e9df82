//! Lists: keyset pages, newest first. A cursor names the last item that the client has seen.

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, SecondsFormat, Utc};
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
    /// Only items that were created after this time.
    pub created_after: Option<DateTime<Utc>>,
    /// Only items before this place, which is the cursor or the time that the items must be older than.
    pub before: Option<Place>,
    /// At most this many items: 1 to 1000.
    pub limit: u16,
    /// The path and the filters, to which only a cursor has to be added.
    address: String,
}

/// A place in a list. Of items that were created at the same moment, the one with the greater id counts as newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the item there was created.
    pub created_at: DateTime<Utc>,
    /// The item there.
    pub id: Uuid,
}

/// One page of a list, as it is answered.
#[derive(Debug, Serialize)]
pub struct Page<Item> {
    /// The items, newest first.
    pub data: Vec<Item>,
    /// How to get the next page.
    pub page: PageInfo,
    /// The address of the next page.
    #[serde(skip)]
    next: Option<String>,
}

/// How large the page may be and where the next one begins.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// The limit that was applied.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: u16,
    /// Send this as `cursor` for the next page; `null` on the last page.
    #[schema(required, pattern = "^[A-Za-z0-9_-]{32}$")]
    pub next_cursor: Option<String>,
}

impl<Status> PageRequest<Status> {
    /// The first page of the list at this path, as it is answered to who asks for nothing in particular.
    pub fn first(path: &str) -> Self {
        let address = format!("{path}?limit={DEFAULT_LIMIT}");
        Self { status: None, created_after: None, before: None, limit: DEFAULT_LIMIT, address }
    }

    /// How many rows to read: one more than the page holds tells whether another page follows.
    pub fn rows_to_read(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page made of the rows that were read.
    pub fn page<Item>(&self, mut rows: Vec<Item>, place: impl Fn(&Item) -> Place) -> Page<Item> {
        let has_more = rows.len() > usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let next_cursor = rows.last().filter(|_| has_more).map(|last| to_cursor(place(last)));
        let next = next_cursor.as_ref().map(|cursor| format!("{}&cursor={cursor}", self.address));
        Page { data: rows, page: PageInfo { limit: self.limit, next_cursor }, next }
    }
}

impl<Item> Page<Item> {
    /// The same page with each item as `show` shows it.
    pub fn map<'a, Shown>(&'a self, show: impl Fn(&'a Item) -> Shown) -> Page<Shown> {
        let Self { data, page, next } = self;
        Page { data: data.iter().map(show).collect(), page: page.clone(), next: next.clone() }
    }
}

/// With the address of the next page in the header Link (RFC 8288).
impl<Item: Serialize> IntoResponse for Page<Item> {
    fn into_response(self) -> Response {
        let next = self.next.as_ref().and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok());
        (next.map(|next| [(LINK, next)]), Json(self)).into_response()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    status: Option<String>,
    created_after: Option<String>,
    created_before: Option<String>,
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
                "give status, createdAfter, createdBefore, limit and cursor at most once each, percent-encoded",
            )])
        })?;
        Self::new(parts.uri.path(), parameters)
    }
}

impl<Status> PageRequest<Status>
where
    Status: for<'a> TryFrom<&'a str, Error = String>,
{
    fn new(path: &str, parameters: Parameters) -> Result<Self, Problem> {
        let Parameters { status: status_name, created_after, created_before, limit, cursor } = parameters;
        let mut errors = Vec::new();
        let status = status_name.as_deref().map(Status::try_from).transpose();
        let status = status.map_err(|detail| FieldError::new("/status", "invalid_value", detail));
        let status = status.map_err(|error| errors.push(error)).ok().flatten();
        let mut time = |name, text: Option<String>| {
            let time = text.map(|text| time_of(name, &text)).transpose();
            time.map_err(|error| errors.push(error)).ok().flatten()
        };
        let (created_after, created_before) =
            (time("createdAfter", created_after), time("createdBefore", created_before));
        let limit = limit_of(limit.as_deref()).map_err(|error| errors.push(error)).unwrap_or(DEFAULT_LIMIT);
        if !errors.is_empty() {
            return Err(Problem::validation_failed(&errors));
        }
        let cursor = cursor.map(|cursor| from_cursor(&cursor).ok_or_else(invalid_cursor)).transpose()?;
        let mut address = format!("{path}?limit={limit}");
        let times = [("createdAfter", created_after), ("createdBefore", created_before)];
        let times = times.into_iter().filter_map(|(name, time)| Some((name, in_rfc3339(time?))));
        // The name of a status is a plain word, and these times have no plus sign.
        for (name, value) in status_name.map(|name| ("status", name)).into_iter().chain(times) {
            address = format!("{address}&{name}={value}");
        }
        // Older than a time is before whatever was created then.
        let created_before = created_before.map(|created_at| Place { created_at, id: Uuid::nil() });
        let before = [cursor, created_before].into_iter().flatten().min();
        Ok(Self { status, created_after, before, limit, address })
    }
}

fn time_of(name: &str, text: &str) -> Result<DateTime<Utc>, FieldError> {
    let time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()).filter(is_storable);
    let detail = "must be a time as RFC 3339 has it, such as 2026-11-23T01:48:15Z, percent-encoded";
    time.ok_or_else(|| FieldError::new(format!("/{name}"), "invalid_value", detail))
}

/// Four digits for the year are enough for everybody, and within what the database can compare.
fn is_storable(time: &DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}

fn in_rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
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

/// Eight bytes of time, in microseconds as the database keeps it, and sixteen of the id.
fn to_cursor(place: Place) -> String {
    let time = place.created_at.timestamp_micros().to_be_bytes();
    BASE64_URL_SAFE_NO_PAD.encode([&time[..], place.id.as_bytes()].concat())
}

fn from_cursor(cursor: &str) -> Option<Place> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (time, id) = bytes.split_first_chunk()?;
    let created_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*time)).filter(is_storable)?;
    Some(Place { created_at, id: Uuid::from_slice(id).ok()? })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use proptest::prelude::*;

    use super::*;

    /// A status that only filters.
    #[derive(Debug)]
    struct Colour;

    impl TryFrom<&str> for Colour {
        type Error = String;

        fn try_from(name: &str) -> Result<Self, String> {
            if name == "green" { Ok(Self) } else { Err("must be green".to_owned()) }
        }
    }

    fn ask(query: &str) -> Result<PageRequest<Colour>, Problem> {
        let request = Request::get(format!("/things?{query}")).body(()).expect("a request");
        let (mut parts, ()) = request.into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(PageRequest::from_request_parts(&mut parts, &()))
    }

    fn places(count: usize) -> Vec<Place> {
        (0..count).map(|_| Place { created_at: DateTime::UNIX_EPOCH, id: Uuid::now_v7() }).collect()
    }

    #[test]
    fn only_a_page_with_a_successor_has_a_cursor_and_a_link() {
        let places = places(3);
        let full = ask("limit=2").expect("a page").page(places.clone(), |place| *place);
        assert_eq!((full.data.len(), full.page.next_cursor.clone()), (2, Some(to_cursor(places[1]))));
        let link = full.map(|place| place.id).into_response().headers()[LINK].to_str().expect("text").to_owned();
        assert_eq!(link, format!("</things?limit=2&cursor={}>; rel=\"next\"", to_cursor(places[1])));
        let last = ask("limit=3").expect("a page").page(places, |place| *place);
        assert_eq!((last.data.len(), last.page.next_cursor.clone()), (3, None));
        assert!(!last.map(|place| place.id).into_response().headers().contains_key(LINK));
    }

    #[test]
    fn a_link_keeps_the_filters() {
        let filters = "status=green&createdAfter=2026-11-23T01:48:15%2B01:00&createdBefore=2026-11-24T00:00:00.5Z";
        let page = ask(&format!("{filters}&limit=1")).expect("a page").page(places(2), |place| *place);
        let next = page.next.expect("another page");
        let expected =
            "/things?limit=1&status=green&createdAfter=2026-11-23T00:48:15Z&createdBefore=2026-11-24T00:00:00.500Z";
        assert_eq!(next, format!("{expected}&cursor={}", page.page.next_cursor.expect("a cursor")));
    }

    #[test]
    fn a_list_begins_at_the_cursor_or_at_the_time_whichever_is_older() {
        let cursor = Place { created_at: "2026-11-23T00:00:00Z".parse().expect("a time"), id: Uuid::now_v7() };
        let before = |query: &str| ask(query).expect("a page").before;
        let text = to_cursor(cursor);
        assert_eq!(before(&format!("cursor={text}")), Some(cursor));
        assert_eq!(before(&format!("cursor={text}&createdBefore=2026-11-24T00:00:00Z")), Some(cursor));
        let older = before(&format!("cursor={text}&createdBefore=2026-11-22T00:00:00Z")).expect("a place");
        assert_eq!((in_rfc3339(older.created_at), older.id), ("2026-11-22T00:00:00Z".to_owned(), Uuid::nil()));
        assert_eq!(before("limit=1"), None);
    }

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_item(micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000, id: u128) {
            let created_at = DateTime::from_timestamp_micros(micros).expect("a time");
            let place = Place { created_at, id: Uuid::from_u128(id) };
            prop_assert_eq!(from_cursor(&to_cursor(place)), Some(place));
        }

        #[test]
        fn a_forged_cursor_is_refused_or_one_that_could_have_been_made(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "\\PC{0,40}") {
            for cursor in [BASE64_URL_SAFE_NO_PAD.encode(bytes), text] {
                prop_assert!(from_cursor(&cursor).is_none_or(|place| to_cursor(place) == cursor));
            }
        }

        #[test]
        fn any_query_is_a_page_or_a_refusal_that_names_its_reason(
            name in "(status|createdAfter|createdBefore|limit|cursor|other)",
            value in "([!$-;=?-~]{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z|-?[0-9]{1,30})",
        ) {
            if let Err(problem) = ask(&format!("{name}={value}")) {
                let text = format!("{problem:?}");
                prop_assert!(text.contains("validation_failed") || text.contains("invalid_cursor"), "{}", text);
            }
        }
    }
}
