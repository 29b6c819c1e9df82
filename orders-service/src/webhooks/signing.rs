//! Signatures of webhooks: HMAC-SHA256, as the specification has them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use service_kit::problem::Problem;
use tracing::error;

/// From 24 to 64 bytes are allowed.
pub const SECRET_BYTES: usize = 32;

/// What the receiver checks signatures with. It cannot be printed by mistake.
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new one that nobody can guess.
    pub fn generate() -> Result<Self, Problem> {
        let mut bytes = vec![0; SECRET_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|problem| {
            error!(%problem, "there are no random numbers");
            Problem::internal()
        })?;
        Ok(Self(bytes))
    }

    /// One that was stored.
    pub fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// To be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the receiver gets to know it.
    pub fn shown(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(&self.0))
    }

    /// Of a message that is sent at this time, in seconds since 1970.
    pub fn sign(&self, message_id: &str, timestamp: i64, payload: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let signature = hmac::sign(&key, format!("{message_id}.{timestamp}.{payload}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(signature))
    }
}
