//! Who is asking: access tokens to users.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use shared_events::ids::UserId;
use subtle::ConstantTimeEq;

use crate::problem::Problem;
use crate::problem_types;

/// An access token of a demo user.
#[derive(Clone)]
pub struct DemoToken {
    /// The token as the client sends it.
    pub token: String,
    /// The user it stands for.
    pub user: UserId,
}

impl fmt::Debug for DemoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DemoToken(… = {})", self.user)
    }
}

/// Knows the tokens.
#[derive(Clone)]
pub struct Authenticator {
    tokens: Arc<[DemoToken]>,
}

impl Authenticator {
    /// Accepts these tokens and no others.
    pub fn new(tokens: Vec<DemoToken>) -> Self {
        Self { tokens: tokens.into() }
    }

    /// The user that the value of an Authorization header stands for: the bare token or `Bearer` and the token.
    fn user(&self, header: &str) -> Option<&UserId> {
        let token = token_of(header);
        // Every token is compared, in constant time, so that the time taken tells nothing.
        self.tokens.iter().fold(None, |found, known| {
            let matches: bool = known.token.as_bytes().ct_eq(token.as_bytes()).into();
            if matches { Some(&known.user) } else { found }
        })
    }
}

fn token_of(header: &str) -> &str {
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => header,
    }
}

/// The token of operators. Without one, nobody is an operator.
#[derive(Clone)]
pub struct AdminToken(Option<Arc<str>>);

impl AdminToken {
    const MIN_CHARS: usize = 16;

    /// Refuses whoever does not send the token.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let expected = self.0.as_deref().ok_or_else(admin_disabled)?;
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let matches: bool = token_of(header).as_bytes().ct_eq(expected.as_bytes()).into();
        if matches { Ok(()) } else { Err(Problem::unauthorized()) }
    }
}

/// The empty text is no token.
impl FromStr for AdminToken {
    type Err = String;

    fn from_str(token: &str) -> Result<Self, String> {
        let is_printable = token.bytes().all(|byte| byte.is_ascii_graphic());
        match token.len() {
            0 => Ok(Self(None)),
            Self::MIN_CHARS.. if is_printable => Ok(Self(Some(token.into()))),
            _ => Err(format!("must have at least {} printable characters and no space", Self::MIN_CHARS)),
        }
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

fn admin_disabled() -> Problem {
    Problem::new(&problem_types::admin::ADMIN_DISABLED)
}

/// The authenticated user of a request; a request without one is answered 401.
#[derive(Clone, Debug)]
pub struct User(pub UserId);

impl<S> FromRequestParts<S> for User
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let authenticator = Authenticator::from_ref(state);
        parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|header| authenticator.user(header))
            .map(|user| Self(user.clone()))
            .ok_or_else(Problem::unauthorized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_user(header: &str, expected: Option<&str>) {
        let authenticator = Authenticator::new(vec![
            "thisisajwttoken=somerandomuserid".parse().expect("a token"),
            "alice-token=alice".parse().expect("a token"),
        ]);
        assert_eq!(authenticator.user(header).map(|user| user.0.as_str()), expected, "{header:?}");
    }

    #[test]
    fn a_token_is_accepted_bare_and_as_bearer() {
        assert_user("thisisajwttoken", Some("somerandomuserid"));
        assert_user("Bearer thisisajwttoken", Some("somerandomuserid"));
        assert_user("bearer alice-token", Some("alice"));
    }

    #[test]
    fn a_token_of_operators_is_long_or_none() {
        assert!("".parse::<AdminToken>().is_ok_and(|token| token.0.is_none()));
        assert!("admin-demo-token".parse::<AdminToken>().is_ok_and(|token| token.0.is_some()));
        for refused in ["too-short-token", "with a space in it", "not-in-ASCII-\u{e4}\u{f6}\u{fc}"] {
            assert!(refused.parse::<AdminToken>().is_err(), "{refused:?}");
        }
    }

    #[test]
    fn anything_else_is_nobody() {
        for header in ["", "Bearer", "Bearer ", "Basic thisisajwttoken", "thisisajwttoke", "thisisajwttokenn", "="] {
            assert_user(header, None);
        }
    }
}
