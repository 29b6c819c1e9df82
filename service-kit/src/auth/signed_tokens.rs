//! Issuers for the tests: keys of each kind, their public halves, and tokens that they sign.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::get_current_timestamp;
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{hmac, signature};
use serde_json::{Value, json};

pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const AUDIENCE: &str = "order-processing";
/// Made for these tests: ring can use RSA keys and not make them.
const RSA_KEY: &str = include_str!("test_rsa_key.pem");
pub(super) const RSA_PUBLIC_KEY: &str = include_str!("test_rsa_public_key.pem");

/// Somebody who signs tokens with one key.
pub(super) struct Issuer {
    pub(super) kid: &'static str,
    key: Key,
}

enum Key {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Hs256(Vec<u8>),
}

impl Issuer {
    pub(super) fn rs256(kid: &'static str) -> Self {
        let base64: String = RSA_KEY.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(base64).expect("base64");
        Self { kid, key: Key::Rs256(RsaKeyPair::from_pkcs8(&der).expect("an RSA key")) }
    }

    pub(super) fn es256(kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        Self { kid, key: Key::Es256(EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).expect("a key")) }
    }

    pub(super) fn eddsa(kid: &'static str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self { kid, key: Key::EdDsa(Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("a key")) }
    }

    /// With a secret of somebody's choice.
    pub(super) fn hs256(kid: &'static str, secret: &[u8]) -> Self {
        Self { kid, key: Key::Hs256(secret.to_vec()) }
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rs256(_) => "RS256",
            Key::Es256(_) => "ES256",
            Key::EdDsa(_) => "EdDSA",
            Key::Hs256(_) => "HS256",
        }
    }

    /// What it publishes.
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Rs256(pair) => {
                let public: rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)})
            }
            Key::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])})
            }
            Key::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())}),
            Key::Hs256(secret) => json!({"kty": "oct", "k": encode(secret)}),
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        jwk
    }

    pub(super) fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": self.algorithm(), "kid": self.kid})
    }

    /// A good token for this user.
    pub(super) fn token(&self, user: &str) -> String {
        self.sign(&self.header(), &claims(user))
    }

    /// Whatever it is, it is signed.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    pub(super) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("it signs");
                signature
            }
            Key::Es256(pair) => bytes(pair.sign(&random, message.as_bytes()).expect("it signs")),
            Key::EdDsa(pair) => bytes(pair.sign(message.as_bytes())),
            Key::Hs256(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{message}.{}", encode(&signature))
    }
}

/// What a good token says.
pub(super) fn claims(user: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": now() + 300, "iat": now()})
}

/// The same with one claim changed.
pub(super) fn claims_with(claim: &str, value: Value) -> Value {
    let mut claims = claims("alice");
    claims[claim] = value;
    claims
}

pub(super) fn claims_without(claim: &str) -> Value {
    let mut claims = claims("alice");
    claims.as_object_mut().expect("an object").remove(claim);
    claims
}

pub(super) fn now() -> i64 {
    get_current_timestamp().cast_signed()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(signature: signature::Signature) -> Vec<u8> {
    signature.as_ref().to_vec()
}
