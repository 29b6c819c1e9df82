//! `Idempotency-Key`: a POST that is sent again is answered again and not carried out again
//! (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
//!
//! Neither the key nor the body is stored. A [`Claim`] holds two digests under a secret: one of who asks for what under
//! which key, and one of the body. The second covers the client's key too, so that even somebody with the table and the
//! secret cannot find a card by trying them all (PCI DSS 4.0.1, 3.5.1.1 asks for keyed hashes at least).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::OptionalFromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Serialize, Serializer};
use sha2::Sha256;
use shared_events::ids::UserId;
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;
use tower_http::request_id::RequestId;
use tracing::warn;

use crate::http;
use crate::pool::Database;
use crate::problem::Problem;
use crate::problem_types;
use crate::process::repeat;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const MAX_KEY_BYTES: usize = 255;

/// How often old keys are looked for.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// How many are forgotten with one statement.
const FORGET_AT_ONCE: i64 = 1000;

/// The key that a client has sent with a request, if it has.
#[derive(Clone)]
pub struct IdempotencyKey {
    /// The key, without the quotes that it may have.
    pub key: String,
    /// The id of the request.
    pub request_id: Option<String>,
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        let request_id = parts.extensions.get::<RequestId>().and_then(http::as_text);
        Ok(key_of(&parts.headers)?.map(|key| Self { key, request_id: request_id.map(str::to_owned) }))
    }
}

/// A string of the draft has quotes around it; most clients leave them out, and mean the same.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(HEADER) { Err(invalid_key()) } else { Ok(None) };
    };
    let value = value.to_str().map_err(|_| invalid_key())?;
    let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let is_printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let is_valid = (1..=MAX_KEY_BYTES).contains(&key.len()) && is_printable;
    if is_valid { Ok(Some(key.to_owned())) } else { Err(invalid_key()) }
}

/// What is stored with the effect of a request that had a key, and found again when it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Who asks for what under which key.
    pub scope: Digest,
    /// With which body.
    pub fingerprint: Digest,
    /// The id of the request that came first; its answer may name it.
    pub request_id: Option<String>,
}

/// 32 bytes that tell nothing; in JSON as PostgreSQL writes `bytea`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// As a parameter for a `bytea`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\\x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Makes claims.
#[derive(Clone)]
pub struct Claims {
    secret: IdempotencySecret,
}

impl Claims {
    /// Under the secret of the settings. Every replica needs the same.
    pub fn new(secret: IdempotencySecret) -> Self {
        if &*secret.0 == IdempotencySecret::DEMO {
            warn!("IDEMPOTENCY_SECRET is the demo value: set a secret of your own before real use");
        }
        Self { secret }
    }

    /// The claim of a request of this user to this route. `body` is what must be the same in a repetition, in parts.
    pub fn claim(&self, key: IdempotencyKey, user: &UserId, route: &str, body: &[&[u8]]) -> Claim {
        let scope = [user.0.as_bytes(), route.as_bytes(), key.key.as_bytes()];
        Claim {
            scope: self.digest("scope", &scope),
            fingerprint: self.digest("body", &[&scope, body].concat()),
            request_id: key.request_id,
        }
    }

    fn digest(&self, purpose: &str, parts: &[&[u8]]) -> Digest {
        let mut mac = self.secret.mac();
        for part in [&[purpose.as_bytes()], parts].concat() {
            // With their lengths, so that no two lists of parts are the same bytes.
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        Digest(mac.finalize().into_bytes().into())
    }
}

/// What the digests are keyed with.
#[derive(Clone)]
pub struct IdempotencySecret(Arc<str>);

impl IdempotencySecret {
    /// For trying the system out.
    pub const DEMO: &str = "idempotency-demo-secret";
    const MIN_CHARS: usize = 16;

    fn mac(&self) -> Hmac<Sha256> {
        let Ok(mac) = Hmac::new_from_slice(self.0.as_bytes()) else { unreachable!("HMAC takes keys of any length") };
        mac
    }
}

impl std::str::FromStr for IdempotencySecret {
    type Err = String;

    fn from_str(secret: &str) -> Result<Self, String> {
        if secret.chars().count() < Self::MIN_CHARS {
            return Err(format!("must have at least {} characters", Self::MIN_CHARS));
        }
        Ok(Self(secret.into()))
    }
}

impl fmt::Debug for IdempotencySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencySecret(…)")
    }
}

/// The answer, marked as one that was given before.
pub fn replayed(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The header has no key that can be used.
fn invalid_key() -> Problem {
    Problem::new(&problem_types::INVALID_IDEMPOTENCY_KEY)
}

/// The key came with something else before.
pub fn key_reused() -> Problem {
    Problem::new(&problem_types::IDEMPOTENCY_KEY_REUSED)
}

/// The first request with the key has no answer yet.
pub fn key_in_use() -> Problem {
    Problem::new(&problem_types::IDEMPOTENCY_KEY_IN_USE)
}

/// Forgets the keys of `schema` that are older than `retention`, until `stop`.
pub async fn forget_old_keys(
    database: Database,
    schema: &'static str,
    retention: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    repeat(FORGET_EVERY, stop, async || {
        if let Err(problem) = forget_older_than(&database, schema, retention).await {
            warn!(%problem, "old idempotency keys are still there");
        }
    })
    .await
}

/// Forgets the keys of `schema` that are older than `retention`.
pub async fn forget_older_than(database: &Database, schema: &str, retention: Duration) -> Result<(), sqlx::Error> {
    let statement = format!(
        "delete from {schema}.idempotency_keys where scope = any(array(
            select scope from {schema}.idempotency_keys where created_at < now() - make_interval(secs => $1)
            order by created_at limit $2 for update skip locked
        ))"
    );
    loop {
        let forgotten = sqlx::query(AssertSqlSafe(statement.clone()))
            .bind(retention.as_secs_f64())
            .bind(FORGET_AT_ONCE)
            .execute(database)
            .await?;
        if forgotten.rows_affected() < FORGET_AT_ONCE.cast_unsigned() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims(secret: &str) -> Claims {
        Claims::new(secret.parse().expect("a secret"))
    }

    fn claim(claims: &Claims, user: &str, route: &str, key: &str, body: &[&[u8]]) -> Claim {
        let key = IdempotencyKey { key: key.to_owned(), request_id: None };
        claims.claim(key, &UserId(user.to_owned()), route, body)
    }

    fn key(values: &[&[u8]]) -> Result<Option<String>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).expect("a header"));
        }
        key_of(&headers)
    }

    proptest! {
        #[test]
        fn any_header_is_a_key_of_1_to_255_printable_characters_or_is_refused(
            value in "(\"?[ -~]{0,300}\"?|[ -~\\x{80}-\\x{ff}]{0,9})",
        ) {
            if let Ok(found) = key(&[value.as_bytes()]) {
                let found = found.expect("a key");
                prop_assert!((1..=255).contains(&found.len()) && found.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                let quoted = format!("\"{found}\"");
                prop_assert!(value == found || value == quoted);
            }
        }
    }

    #[test]
    fn equal_requests_have_equal_claims() {
        let (one, other) = (claims("a secret of ours"), claims("a secret of ours"));
        assert_eq!(claim(&one, "u", "r", "k", &[b"b"]), claim(&other, "u", "r", "k", &[b"b"]));
    }

    #[test]
    fn user_route_key_and_secret_make_the_scope_and_the_body_does_not() {
        let ours = claims("a secret of ours");
        let claimed = claim(&ours, "u", "r", "k", &[b"b"]);
        for other in [
            claim(&ours, "v", "r", "k", &[b"b"]),
            claim(&ours, "u", "s", "k", &[b"b"]),
            claim(&ours, "u", "r", "l", &[b"b"]),
            claim(&ours, "ur", "", "k", &[b"b"]),
            claim(&claims("a secret of others"), "u", "r", "k", &[b"b"]),
        ] {
            assert_ne!(claimed.scope, other.scope);
            assert_ne!(claimed.fingerprint, other.fingerprint);
        }
        for other in [claim(&ours, "u", "r", "k", &[b"c"]), claim(&ours, "u", "r", "k", &[b"b", b""])] {
            assert_eq!(claimed.scope, other.scope);
            assert_ne!(claimed.fingerprint, other.fingerprint);
        }
    }

    #[test]
    fn a_key_has_1_to_255_printable_characters_with_or_without_quotes() {
        let longest = "k".repeat(255);
        for (value, expected) in [
            ("k", "k"),
            ("\"8e03978e\"", "8e03978e"),
            ("a key, of ours", "a key, of ours"),
            ("\"", "\""),
            (&longest, &longest),
        ] {
            assert_eq!(key(&[value.as_bytes()]).expect("a key").as_deref(), Some(expected), "{value:?}");
        }
        assert_eq!(key(&[]).expect("no key is fine"), None);
        let too_long = "k".repeat(256);
        for values in
            [&[&b""[..]][..], &[b"\"\""], &[b"a\tb"], &["ключ".as_bytes()], &[too_long.as_bytes()], &[b"a", b"a"]]
        {
            assert!(key(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn a_secret_is_long_and_is_not_printed() {
        assert!("short".parse::<IdempotencySecret>().is_err());
        let secret: IdempotencySecret = "0123456789abcdef".parse().expect("a secret");
        assert!(!format!("{secret:?}").contains('0'));
    }
}
