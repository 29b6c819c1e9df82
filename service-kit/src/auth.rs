//! Who is asking: access tokens to users. Either a fixed list of demo tokens, or signed ones of an issuer.

mod jwt;
mod key_set;
mod keyring;
mod ring_provider;

#[cfg(test)]
mod keyring_tests;
#[cfg(test)]
mod settings_tests;
#[cfg(test)]
mod signed_tokens;
#[cfg(test)]
mod token_tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use shared_events::ids::UserId;
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::jwt::{JwtVerifier, Refusal};
use self::keyring::{Keyring, Pace, Source};
use crate::problem::Problem;
use crate::problem_types;
use crate::settings::{AuthMode, AuthSettings};

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

/// Knows which tokens are good.
#[derive(Clone)]
pub struct Authenticator(Arc<Mode>);

enum Mode {
    Demo(Vec<DemoToken>),
    Jwt(Box<JwtVerifier>),
}

impl Authenticator {
    /// As the settings say. They have to be complete, and must not contradict each other.
    pub fn new(settings: &AuthSettings) -> anyhow::Result<Self> {
        let mode = match settings.auth_mode {
            AuthMode::Demo => {
                let forgotten = settings.jwt_settings_in_use();
                // Somebody who has set them does not expect that anybody gets in with a demo token.
                ensure!(forgotten.is_empty(), "{} is set, but AUTH_MODE is not jwt", forgotten.join(", "));
                Mode::Demo(settings.auth_demo_tokens.clone())
            }
            AuthMode::Jwt => Mode::Jwt(Box::new(jwt_verifier(settings)?)),
        };
        Ok(Self(Arc::new(mode)))
    }

    /// Whether tokens can be checked: not before the keys of the issuer have been fetched.
    pub fn is_ready(&self) -> bool {
        match &*self.0 {
            Mode::Demo(_) => true,
            Mode::Jwt(verifier) => verifier.keyring.has_keys(),
        }
    }

    /// Keeps the keys of the issuer up to date until `stop`.
    pub async fn keep_keys(self, stop: CancellationToken) -> anyhow::Result<()> {
        match &*self.0 {
            Mode::Demo(_) => stop.cancelled().await,
            Mode::Jwt(verifier) => verifier.keyring.keep_fresh(stop).await,
        }
        Ok(())
    }

    /// The user that a request comes from.
    async fn user(&self, headers: &HeaderMap) -> Result<UserId, Problem> {
        let token = bearer_token(headers).ok_or_else(Problem::unauthorized)?;
        match &*self.0 {
            Mode::Demo(tokens) => demo_user(tokens, token).cloned().ok_or_else(|| invalid_token(UNKNOWN)),
            Mode::Jwt(verifier) => verifier.user(token).await.map_err(|refusal| match refusal {
                Refusal::Invalid(reason) => invalid_token(reason),
                Refusal::KeysUnavailable => keys_unavailable(),
            }),
        }
    }
}

const UNKNOWN: &str = "The access token is not known here.";
const NOT_OF_OPERATORS: &str = "The access token is not that of the operators.";

fn jwt_verifier(settings: &AuthSettings) -> anyhow::Result<JwtVerifier> {
    let issuer = settings.auth_jwt_issuer.as_deref().context("AUTH_MODE=jwt takes AUTH_JWT_ISSUER")?;
    let audience = settings.auth_jwt_audience.as_deref().context("AUTH_MODE=jwt takes AUTH_JWT_AUDIENCE")?;
    let (source, pace) = match (&settings.auth_jwt_jwks_url, &settings.auth_jwt_key_file) {
        (Some(url), None) => (Source::endpoint(url), Pace::ENDPOINT),
        (None, Some(path)) => (Source::File(path.clone()), Pace::FILE),
        (None, None) => bail!("AUTH_MODE=jwt takes AUTH_JWT_JWKS_URL or AUTH_JWT_KEY_FILE"),
        (Some(_), Some(_)) => bail!("AUTH_MODE=jwt takes AUTH_JWT_JWKS_URL or AUTH_JWT_KEY_FILE, not both"),
    };
    let keyring = Keyring::open(source, pace).context("the signing keys cannot be loaded")?;
    Ok(JwtVerifier::new(keyring, issuer, audience, settings.auth_jwt_leeway))
}

fn demo_user<'a>(tokens: &'a [DemoToken], token: &str) -> Option<&'a UserId> {
    // Every token is compared, in constant time, so that the time taken tells nothing.
    tokens.iter().fold(None, |found, known| {
        let matches: bool = known.token.as_bytes().ct_eq(token.as_bytes()).into();
        if matches { Some(&known.user) } else { found }
    })
}

/// The token of the one Authorization header: bare, or behind `Bearer`. Two headers could mean two users.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok().map(token_of).filter(|token| !token.is_empty())
}

fn token_of(header: &str) -> &str {
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => header,
    }
}

/// It may be good: nobody can say.
fn keys_unavailable() -> Problem {
    Problem::new(&problem_types::AUTHENTICATION_UNAVAILABLE)
}

/// There is a token, and it is not accepted (RFC 6750, section 3.1).
fn invalid_token(reason: &'static str) -> Problem {
    debug!(reason, "a token was refused");
    Problem::invalid_token(reason)
}

/// The token of operators. Without one, nobody is an operator.
#[derive(Clone)]
pub struct AdminToken(Option<Arc<str>>);

impl AdminToken {
    const MIN_CHARS: usize = 16;

    /// Refuses whoever does not send the token.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let expected = self.0.as_deref().ok_or_else(admin_disabled)?;
        let token = bearer_token(headers).ok_or_else(Problem::unauthorized)?;
        let matches: bool = token.as_bytes().ct_eq(expected.as_bytes()).into();
        if matches { Ok(()) } else { Err(invalid_token(NOT_OF_OPERATORS)) }
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
        authenticator.user(&parts.headers).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_user(header: &str, expected: Option<&str>) {
        let tokens = [
            "thisisajwttoken=somerandomuserid".parse().expect("a token"),
            "alice-token=alice".parse().expect("a token"),
        ];
        let user = demo_user(&tokens, token_of(header));
        assert_eq!(user.map(|user| user.0.as_str()), expected, "{header:?}");
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
