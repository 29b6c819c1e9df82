//! Answers to requests that went well: their data, and the entity tags by which a client says which version it knows.

use axum::Json;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::Problem;
use crate::problem_types;

/// What is answered when all went well: `{"data": …}`. It is written as it is, without a `Value` in between, which would
/// allocate every name anew.
#[derive(Serialize)]
pub struct Data<T> {
    data: T,
}

/// An answer that consists of `data`.
pub fn data<T>(data: T) -> Json<Data<T>> {
    Json(Data { data })
}

/// The entity tag of a row with this version: it changes exactly when the row does.
pub fn etag(version: i32) -> String {
    format!("\"{version}\"")
}

/// `answer` with the entity tag of `version`; or 304, when If-None-Match (RFC 9110, 13.1.2) names that version.
pub fn unless_known(headers: &HeaderMap, version: i32, answer: impl IntoResponse) -> Response {
    let etag = etag(version);
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
    if tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag) {
        (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response()
    } else {
        ([(ETAG, etag)], answer).into_response()
    }
}

/// Refuses a change of a row with this version if If-Match (RFC 9110, 13.1.1) names only others. The tags are compared
/// strongly: a weak one matches nothing.
pub fn check_if_match(headers: &HeaderMap, version: i32) -> Result<(), Problem> {
    let etag = etag(version);
    let mut given = headers.get_all(IF_MATCH).iter().peekable();
    if given.peek().is_none() {
        return Ok(());
    }
    let mut tags = given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    if tags.any(|tag| tag == "*" || tag == etag) {
        return Ok(());
    }
    Err(Problem::new(&problem_types::PRECONDITION_FAILED).with_etag(&etag))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().expect("a header"))).collect()
    }

    #[test]
    fn a_change_is_made_only_to_what_the_client_has_seen() {
        for (if_match, is_allowed) in [
            (&[][..], true),
            (&["*"], true),
            (&["\"3\""], true),
            (&["\"1\", \"3\""], true),
            (&["\"1\"", "\"3\""], true),
            (&["\"2\""], false),
            (&["W/\"3\""], false),
            (&["3"], false),
            (&[""], false),
            (&["\"*\""], false),
        ] {
            assert_eq!(check_if_match(&headers(&IF_MATCH, if_match), 3).is_ok(), is_allowed, "{if_match:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_anything(value in "[\\x20-\\x7e]{0,60}") {
            for name in [&IF_MATCH, &IF_NONE_MATCH] {
                let headers = headers(name, &[&value]);
                let _ = check_if_match(&headers, 1);
                let _ = unless_known(&headers, 1, ());
            }
        }
    }
}
