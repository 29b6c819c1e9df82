//! Access tokens that are signed (RFC 7519): whether one is good, and who it is for.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use shared_events::ids::UserId;

use super::keyring::{Keyring, NoKey};
use super::ring_provider;

/// What the gateway lets through in one header, and more than any issuer needs.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// `OpenID` Connect Core, section 2: at most 255 ASCII characters.
const MAX_SUBJECT_BYTES: usize = 255;

/// Knows the keys, and what a token must say.
pub(super) struct JwtVerifier {
    pub(super) keyring: Keyring,
    rules: Validation,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is wrong, and will be next time.
    Invalid(&'static str),
    /// The keys to check it with are not there.
    KeysUnavailable,
}

/// The claims that are of use here. Their types are strict: a list of issuers or a name that is a number is refused.
#[derive(Deserialize)]
#[expect(dead_code, reason = "times and issuer are checked by the library, which takes other types, too")]
struct Claims {
    sub: String,
    iss: String,
    exp: f64,
    nbf: Option<f64>,
}

impl JwtVerifier {
    /// Accepts tokens of this issuer for this audience. `leeway` is how far clocks may differ.
    pub(super) fn new(keyring: Keyring, issuer: &str, audience: &str, leeway: Duration) -> Self {
        ring_provider::install();
        let mut rules = Validation::default();
        rules.set_issuer(&[issuer]);
        rules.set_audience(&[audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_nbf = true;
        rules.leeway = leeway.as_secs();
        Self { keyring, rules }
    }

    /// The user that the token is for.
    pub(super) async fn user(&self, token: &str) -> Result<UserId, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Invalid("The access token is longer than any that is accepted here."));
        }
        let header = decode_header(token).map_err(|_| Refusal::Invalid(MALFORMED))?;
        // RFC 7515, 4.1.11: what it names has to be understood, and none of it is.
        if header.crit.is_some() {
            return Err(Refusal::Invalid("The access token has a critical extension that is not known here."));
        }
        // `jwk`, `jku`, `x5u` and `x5c` of the header are never looked at: a token cannot bring its own key.
        let key = self.keyring.find(&header).await.map_err(|reason| match reason {
            NoKey::Unknown => Refusal::Invalid(INVALID),
            NoKey::Unavailable => Refusal::KeysUnavailable,
        })?;
        let rules = Validation { algorithms: vec![key.algorithm], ..self.rules.clone() };
        let token = decode::<Claims>(token, &key.key, &rules);
        let claims = token.map_err(|problem| Refusal::Invalid(in_words(problem.kind())))?.claims;
        if is_subject(&claims.sub) { Ok(UserId(claims.sub)) } else { Err(Refusal::Invalid(NOBODY)) }
    }
}

const MALFORMED: &str = "The access token is not a signed JWT.";
const INVALID: &str = "The access token is not valid here. Get a new one.";
const NOBODY: &str = "The access token says not, or not properly, who it is for.";

fn in_words(problem: &ErrorKind) -> &'static str {
    match problem {
        ErrorKind::ExpiredSignature => "The access token has expired. Get a new one.",
        ErrorKind::ImmatureSignature => "The access token is not valid yet.",
        ErrorKind::InvalidIssuer => "The access token is of an issuer that is not trusted here.",
        ErrorKind::InvalidAudience => "The access token is for another audience.",
        ErrorKind::MissingRequiredClaim(claim) if claim == "sub" => NOBODY,
        _ => INVALID,
    }
}

/// Fit to be the owner of rows: 1 to 255 printable ASCII characters, with no space around them.
fn is_subject(subject: &str) -> bool {
    (1..=MAX_SUBJECT_BYTES).contains(&subject.len())
        && subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && subject.trim() == subject
}
