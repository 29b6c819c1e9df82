//! JSON bodies: read once, refused with a problem that names the field and never repeats what was sent.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::problem::{FieldError, Problem};
use crate::problem_types;

/// A JSON body of type `T`.
pub struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(Problem::new(&problem_types::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
        parse(&bytes).map(Self)
    }
}

/// Declared as JSON, in UTF-8 (RFC 8259, 8.1) and not compressed.
fn is_json(request: &Request) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = header(CONTENT_TYPE).to_ascii_lowercase();
    let (essence, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
    let mut charsets = parameters.split(';').filter_map(|parameter| parameter.trim().strip_prefix("charset="));
    let is_utf8 = charsets.all(|charset| charset.trim_matches('"') == "utf-8");
    let is_plain = ["", "identity"].contains(&header(CONTENT_ENCODING));
    essence.trim() == "application/json" && is_utf8 && is_plain
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(&problem_types::PAYLOAD_TOO_LARGE)
    } else {
        malformed("The body did not arrive completely: send the request again.")
    }
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(&problem_types::MALFORMED_JSON).because(detail)
}

fn malformed_at(cause: &serde_json::Error) -> Problem {
    malformed(format!("Correct the JSON near line {}, column {}.", cause.line(), cause.column()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // The syntax of the whole first: a wrong type would hide what comes after it.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|cause| malformed_at(&cause))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json).map(|Object(value)| value);
    parsed.map_err(|refusal| match refusal.inner().classify() {
        Category::Data => Problem::validation_failed(&[field_error(refusal.path(), &refusal.inner().to_string())]),
        // Broken text or a number beyond all bounds, which the first look does not see.
        Category::Syntax | Category::Eof | Category::Io => malformed_at(refusal.inner()),
    })
}

/// A `T` that is written as an object. Serde would take an array of its fields' values too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyObjects<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyObjects<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, fields: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }

        deserializer.deserialize_map(OnlyObjects(PhantomData))
    }
}

/// Serde's message repeats the value that it refuses, which might be a card number; only the part that speaks of what
/// was expected is passed on.
fn field_error(path: &Path, message: &str) -> FieldError {
    let pointer = pointer(path);
    // `missing field `bill`` and its like; the path of an unknown field already ends in its name.
    let field = message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("missing field") {
        return FieldError::new(format!("{pointer}/{field}"), "required", "is required");
    }
    if message.starts_with("duplicate field") {
        return FieldError::new(format!("{pointer}/{field}"), "duplicate_field", "is given more than once");
    }
    if message.starts_with("unknown field") {
        return FieldError::new(pointer, "unknown_field", "is not known here; leave it out");
    }
    // Our own types say what they want, and only that.
    if let Some(rest) = message.strip_prefix("must ") {
        let detail = format!("must {}", rest.split(" at line ").next().unwrap_or_default());
        return FieldError::new(pointer, "invalid_value", detail);
    }
    let expected = message.rsplit(", expected ").next().filter(|rest| rest.len() < message.len());
    let expected = expected.and_then(|rest| rest.split(" at line ").next()).map_or("of another type", in_plain_words);
    FieldError::new(pointer, "invalid_type", format!("must be {expected}"))
}

fn in_plain_words(expected: &str) -> &str {
    match expected {
        "i64" | "i32" => "an integer",
        "u64" | "u32" | "u16" => "an integer, not negative",
        "a sequence" => "an array",
        _ => expected,
    }
}

fn pointer(path: &Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            // A name that none of our fields could have is not repeated either.
            Segment::Map { key } if key.bytes().all(|byte| byte.is_ascii_alphabetic()) => format!("/{key}"),
            Segment::Map { .. } => String::new(),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only their parsing is of interest")]
    struct Order {
        bill: i64,
        items: Option<Vec<Object<Item>>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only their parsing is of interest")]
    struct Item {
        sku: String,
    }

    #[track_caller]
    fn assert_refused(body: &str, status: StatusCode, needle: &str) {
        let problem = parse::<Order>(body.as_bytes()).expect_err("is refused");
        let text = format!("{problem:?}");
        assert!(text.contains(needle), "{body}: {needle} is not in {text}");
        assert_eq!(problem.into_response().status(), status, "{body}");
    }

    #[test]
    fn only_what_is_declared_as_plain_json_in_utf_8_is_read() {
        for (content_type, expected) in [
            ("application/json", true),
            ("APPLICATION/JSON ; Charset=\"UTF-8\"", true),
            ("application/json;", true),
            ("application/json; version=1", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=utf-7; as=utf-8", false),
            ("application/json; charset=utf-8; charset=utf-16", false),
            ("application/json; charset=", false),
            ("application/jsonp", false),
            ("text/plain, application/json", false),
            ("", false),
        ] {
            let request = Request::post("/").header(CONTENT_TYPE, content_type);
            assert_eq!(is_json(&request.body(().into()).expect("a request")), expected, "{content_type}");
        }
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        assert!(
            parse::<Order>(b"{\"bill\": \"\xff\"}").is_err_and(|problem| format!("{problem:?}").contains("malformed"))
        );
        for body in [
            "",
            "{",
            "{\"bill\": 1e400}",
            "{\"bill\": 1, \"items\": [{\"sku\": \"\\ud800\"}]}",
            "{\"bill\": 1,}",
            "bill=1",
            "{\"bill\": 1} x",
            "\u{feff}{\"bill\": 1}",
        ] {
            assert_refused(body, StatusCode::BAD_REQUEST, "malformed_json");
        }
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        for (body, pointer, code, detail) in [
            ("{}", "#/bill", "required", "is required"),
            ("[]", "#", "invalid_type", "must be an object"),
            (r#"{"bill": "5"}"#, "#/bill", "invalid_type", "must be an integer"),
            (r#"{"bill": 1.5}"#, "#/bill", "invalid_type", "must be an integer"),
            (r#"{"bill": 1, "bill": 2}"#, "#/bill", "duplicate_field", "is given more than once"),
            (r#"{"bill": 1, "status": "paid"}"#, "#/status", "unknown_field", "is not known here; leave it out"),
            ("[1, null]", "#", "invalid_type", "must be an object"),
            (r#"{"bill": 1, "items": [["a"]]}"#, "#/items/0", "invalid_type", "must be an object"),
            (r#"{"bill": 1, "items": {}}"#, "#/items", "invalid_type", "must be an array"),
            (
                r#"{"bill": 1, "items": [{"sku": "a"}, {"sku": 7}]}"#,
                "#/items/1/sku",
                "invalid_type",
                "must be a string",
            ),
        ] {
            let error = format!("{:?}", serde_json::json!([FieldError::new(&pointer[1..], code, detail)]));
            assert_refused(body, StatusCode::UNPROCESSABLE_ENTITY, &error);
        }
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        for body in [r#"{"bill": ", expected 4242424242424242"}"#, r#"{"bill": 1, "4242424242424242": 1}"#] {
            let problem = parse::<Order>(body.as_bytes()).expect_err("is refused");
            assert!(!format!("{problem:?}").contains("4242"), "{problem:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_and_never_repeated(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "[\\[\\]{}\",:0-9a-z.eE+-]{0,60}",
            secret in "[0-9]{12,19}",
        ) {
            let fields = format!(r#"{{"bill": {text}, "items": "{secret}"}}"#);
            for body in [&bytes, text.as_bytes(), fields.as_bytes()] {
                if let Err(problem) = parse::<Order>(body) {
                    let problem = format!("{problem:?}");
                    prop_assert!(problem.contains("malformed_json") || problem.contains("validation_failed"), "{}", problem);
                    prop_assert!(!problem.contains(&secret), "{}", problem);
                }
            }
        }
    }

    #[test]
    fn nesting_and_numbers_beyond_all_bounds_are_refused() {
        let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
        for body in [deep.clone(), format!("{{\"bill\": {deep}}}"), format!("{{\"bill\": 1, \"items\": {deep}}}")] {
            assert!(
                parse::<Order>(body.as_bytes()).is_err_and(|problem| format!("{problem:?}").contains("invalid_type"))
            );
        }
        for number in ["-0", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "1e308", "NaN", "0x1", "01"] {
            let outcome = parse::<Order>(format!("{{\"bill\": {number}}}").as_bytes());
            assert!(outcome.is_err(), "{number}: {outcome:?}");
        }
    }
}
