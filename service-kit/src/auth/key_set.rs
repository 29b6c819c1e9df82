//! The public keys that access tokens are signed for, read from a JWK Set (RFC 7517), a single JWK, or PEM.
//!
//! The key says which algorithm it is for, and nothing else does: the header of a token only names a key, and a token
//! whose header asks for another algorithm is refused.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;
use tracing::warn;

/// More keys than anybody rotates through.
const MAX_KEYS: usize = 100;
/// RFC 7518 (3.2 and 3.3): what is shorter can be guessed.
const MIN_SECRET_BYTES: usize = 32;
const MIN_RSA_BYTES: usize = 256;
/// Of an uncompressed point of P-256, and of an Ed25519 key.
const EC_POINT_BYTES: usize = 65;
const ED_BYTES: usize = 32;

/// Who vouches for the keys, which decides whether a shared secret may be among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file of this installation.
    File,
    /// An address that others can read, too.
    Endpoint,
}

/// One key and the one algorithm that it is for.
#[derive(Clone, Debug)]
pub(super) struct SigningKey {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// Keys, at least one.
#[derive(Clone, Debug)]
pub(super) struct KeySet(Vec<SigningKey>);

/// What a set knows about the key that a token names.
pub(super) enum Lookup<'a> {
    Found(&'a SigningKey),
    /// The key is for another algorithm than the token asks for.
    OtherAlgorithm,
    Unknown,
}

impl KeySet {
    /// Reads JSON or PEM, whichever it is. Keys for something else are left out.
    pub(super) fn parse(bytes: &[u8], origin: Origin) -> Result<Self> {
        let text = std::str::from_utf8(bytes).context("the keys are not text")?.trim();
        if text.starts_with("-----BEGIN") {
            return Ok(Self(vec![from_pem(text)?]));
        }
        let json: Value = serde_json::from_str(text).context("the keys are neither JSON nor PEM")?;
        let keys = match json.get("keys") {
            Some(Value::Array(keys)) => keys.clone(),
            Some(_) => bail!("`keys` is not an array"),
            None => vec![json],
        };
        ensure!(keys.len() <= MAX_KEYS, "there are more than {MAX_KEYS} keys");
        let read = keys.into_iter().filter_map(|key| match from_jwk(key, origin) {
            Ok(key) => Some(key),
            Err(problem) => {
                warn!("a signing key is left out: {problem:#}");
                None
            }
        });
        let usable: Vec<_> = read.collect();
        ensure!(!usable.is_empty(), "none of the keys is a signing key for RS256, ES256, EdDSA or HS256");
        Ok(Self(usable))
    }

    /// The key that the header of a token names. Without a name it can only be meant if it is the only one.
    pub(super) fn find(&self, header: &Header) -> Lookup<'_> {
        let mut named = self.0.iter().filter(|key| key.is_named_by(header.kid.as_deref(), self.0.len())).peekable();
        if named.peek().is_none() {
            return Lookup::Unknown;
        }
        named.find(|key| key.algorithm == header.alg).map_or(Lookup::OtherAlgorithm, Lookup::Found)
    }
}

impl SigningKey {
    /// A key without a name, as PEM has it, goes by any.
    fn is_named_by(&self, id: Option<&str>, keys: usize) -> bool {
        match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            (None, _) | (_, None) => keys == 1,
        }
    }
}

fn from_pem(text: &str) -> Result<SigningKey> {
    // It could be used, too; but it has no business here.
    ensure!(!text.contains("PRIVATE KEY"), "this is a private key: give the public half of it");
    let pem = text.as_bytes();
    let readings = [
        (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
        (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
        (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
    ];
    let readable = readings.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
    let (algorithm, key) = readable.context("the PEM is not a public key for RS256, ES256 or EdDSA")?;
    let is_long_enough = match (algorithm, key.try_get_as_bytes()) {
        // What surrounds the modulus makes it only longer.
        (Algorithm::RS256, Ok(der)) => der.len() >= MIN_RSA_BYTES,
        (Algorithm::ES256, Ok(point)) => point.len() == EC_POINT_BYTES,
        (_, Ok(key)) => key.len() == ED_BYTES,
        (_, Err(_)) => false,
    };
    ensure!(is_long_enough, "the PEM is a key of the wrong size: RSA takes 2048 bits or more, EC the curve P-256");
    Ok(SigningKey { id: None, algorithm, key })
}

fn from_jwk(json: Value, origin: Origin) -> Result<SigningKey> {
    let jwk: Jwk = serde_json::from_value(json).context("it is no JWK")?;
    let common = &jwk.common;
    ensure!(matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)), "it is not for signatures");
    let verifies = |operations: &Vec<KeyOperations>| operations.contains(&KeyOperations::Verify);
    ensure!(common.key_operations.as_ref().is_none_or(verifies), "it is not for verifying");
    let (algorithm, key) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let (n, e) = (decode(&rsa.n)?, decode(&rsa.e)?);
            // ring refuses leading zeros, which some issuers write.
            let n: Vec<u8> = n.into_iter().skip_while(|byte| *byte == 0).collect();
            ensure!(n.len() >= MIN_RSA_BYTES, "it has less than 2048 bits");
            (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e))
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            let key = DecodingKey::from_ec_components(&point.x, &point.y)?;
            ensure!(key.try_get_as_bytes()?.len() == EC_POINT_BYTES, "it is no point of P-256");
            (Algorithm::ES256, key)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            ensure!(decode(&pair.x)?.len() == ED_BYTES, "it is no Ed25519 key");
            (Algorithm::EdDSA, DecodingKey::from_ed_components(&pair.x)?)
        }
        AlgorithmParameters::OctetKey(secret) => {
            ensure!(origin == Origin::File, "it is a secret, and everybody can read it there");
            let secret = decode(&secret.value)?;
            ensure!(secret.len() >= MIN_SECRET_BYTES, "it has less than {MIN_SECRET_BYTES} bytes");
            (Algorithm::HS256, DecodingKey::from_secret(&secret))
        }
        _ => bail!("it is of a kind that is not used here"),
    };
    let stated = common.key_algorithm;
    ensure!(stated.is_none_or(|stated| stated == KeyAlgorithm::from(algorithm)), "it is for another algorithm");
    Ok(SigningKey { id: jwk.common.key_id.clone(), algorithm, key })
}

fn decode(text: &str) -> Result<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).context("it is not base64url")
}
