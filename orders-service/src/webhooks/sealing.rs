//! Secrets of webhooks as they are stored: sealed with a key that the database does not have, so that its dumps and backups
//! give nobody's signatures away. Pure: no I/O.
//!
//! What is stored says which key it takes: a 1 for this format, the length of the key's id, the id, a nonce, and what
//! ChaCha20-Poly1305 makes of the secret and the webhook's id. So keys can be changed while all goes on, and what was
//! sealed for one webhook is worth nothing in the row of another. Secrets that are as old as the table stand there as
//! they are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use service_kit::problem::Problem;
use tracing::{error, warn};
use uuid::Uuid;

use crate::webhooks::signing::{SECRET_BYTES, Secret};

const FORMAT: u8 = 1;
const MAX_ID_CHARS: usize = 32;

/// A key, as the setting has it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey {
    id: String,
    bytes: [u8; 32],
}

impl SealingKey {
    /// For trying the system out.
    pub const DEMO: &str = "demo=ZGVtb25zdHJhdGlvbi1vbmx5LW5vdC1hLXNlY3JldC4=";
}

impl FromStr for SealingKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be ID=KEY, the key 32 bytes in base64, as of `openssl rand -base64 32`";
        let (id, key) = text.split_once('=').ok_or(EXPECTED)?;
        let is_printable = id.bytes().all(|byte| byte.is_ascii_graphic());
        let bytes = BASE64_STANDARD.decode(key).ok().and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(bytes) if is_printable && (1..=MAX_ID_CHARS).contains(&id.len()) => {
                Ok(Self { id: id.to_owned(), bytes })
            }
            _ => Err(EXPECTED),
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({}=…)", self.id)
    }
}

/// Why a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The key with this id is not among the settings.
    KeyMissing(String),
    /// It is not what was sealed for this webhook with this key.
    Broken,
}

/// Seals with the first of the keys, and opens with all of them. Copies share them.
#[derive(Clone)]
pub struct Keys(Arc<[(String, LessSafeKey)]>);

impl Keys {
    /// The keys of the settings. What was sealed while there were none of one's own can be opened with any.
    pub fn new(keys: &[SealingKey]) -> Self {
        let demo = SealingKey::DEMO.parse().ok();
        if keys.first() == demo.as_ref() {
            warn!("WEBHOOK_SECRET_KEYS is the demo value: set a key of your own before real use");
        }
        let usable = |key: &SealingKey| Some((key.id.clone(), LessSafeKey::new(unbound(key)?)));
        Self(keys.iter().chain(&demo).filter_map(usable).collect())
    }

    /// The secret of this webhook, to be stored.
    pub fn seal(&self, webhook_id: Uuid, secret: &Secret) -> Result<Vec<u8>, Problem> {
        self.sealed(webhook_id, secret).ok_or_else(|| {
            error!("a secret cannot be sealed");
            Problem::internal()
        })
    }

    fn sealed(&self, webhook_id: Uuid, secret: &Secret) -> Option<Vec<u8>> {
        let (id, key) = self.0.first()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut text = secret.as_bytes().to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(webhook_id.as_bytes()), &mut text)
            .ok()?;
        let length = u8::try_from(id.len()).ok()?;
        Some([&[FORMAT, length], id.as_bytes(), &nonce, &text].concat())
    }

    /// The secret of this webhook, from what is stored.
    pub fn open(&self, webhook_id: Uuid, stored: &[u8]) -> Result<Secret, Unreadable> {
        if stored.len() == SECRET_BYTES {
            return Ok(Secret::stored(stored.to_vec()));
        }
        let (id, nonce, text) = parts(stored).ok_or(Unreadable::Broken)?;
        let key = self.0.iter().find(|(known, _)| known.as_bytes() == id);
        let (_, key) = key.ok_or_else(|| Unreadable::KeyMissing(String::from_utf8_lossy(id).into_owned()))?;
        let mut text = text.to_vec();
        let opened =
            key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(webhook_id.as_bytes()), &mut text);
        opened.map(|secret| Secret::stored(secret.to_vec())).map_err(|_| Unreadable::Broken)
    }

    /// The same secret, sealed with the key that is used now.
    pub fn reseal(&self, webhook_id: Uuid, stored: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let secret = self.open(webhook_id, stored)?;
        self.sealed(webhook_id, &secret).ok_or(Unreadable::Broken)
    }

    /// Whether this was sealed with the key that is used now.
    pub fn is_current(&self, stored: &[u8]) -> bool {
        let current = self.0.first().map(|(id, _)| id.as_bytes());
        stored.len() != SECRET_BYTES && parts(stored).map(|(id, ..)| id) == current
    }
}

fn unbound(key: &SealingKey) -> Option<UnboundKey> {
    UnboundKey::new(&CHACHA20_POLY1305, &key.bytes).ok()
}

/// The id of the key, the nonce, and the rest.
fn parts(stored: &[u8]) -> Option<(&[u8], [u8; NONCE_LEN], &[u8])> {
    let (&[FORMAT, length], rest) = stored.split_first_chunk()? else { return None };
    let (id, rest) = rest.split_at_checked(usize::from(length))?;
    let (nonce, text) = rest.split_first_chunk()?;
    Some((id, *nonce, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> SealingKey {
        format!("{id}={}", BASE64_STANDARD.encode([byte; 32])).parse().expect("a key")
    }

    fn secret() -> Secret {
        Secret::stored((0..32).collect())
    }

    #[test]
    fn what_is_sealed_is_opened_with_the_same_key_for_the_same_webhook_only() {
        let (id, keys) = (Uuid::now_v7(), Keys::new(&[key("one", 1)]));
        let sealed = keys.seal(id, &secret()).expect("it is sealed");
        assert_eq!(keys.open(id, &sealed).map(|secret| secret.shown()), Ok(secret().shown()));
        assert!(!sealed.windows(8).any(|part| secret().as_bytes().windows(8).any(|plain| plain == part)));
        assert_ne!(sealed, keys.seal(id, &secret()).expect("it is sealed"), "no two are the same");

        let refusal = |keys: &Keys, id, sealed: &[u8]| keys.open(id, sealed).err().expect("a refusal");
        assert_eq!(refusal(&keys, Uuid::now_v7(), &sealed), Unreadable::Broken);
        assert_eq!(refusal(&Keys::new(&[key("one", 2)]), id, &sealed), Unreadable::Broken);
        assert_eq!(refusal(&Keys::new(&[key("two", 1)]), id, &sealed), Unreadable::KeyMissing("one".to_owned()));
        for index in 0..sealed.len() {
            let mut other = sealed.clone();
            other[index] ^= 1;
            assert!(keys.open(id, &other).is_err(), "{index}");
            assert!(keys.open(id, &sealed[..index]).is_err() || index == SECRET_BYTES, "{index}");
        }
    }

    #[test]
    fn a_new_key_seals_and_the_one_before_still_opens() {
        let (id, before) = (Uuid::now_v7(), Keys::new(&[key("one", 1)]));
        let after = Keys::new(&[key("two", 2), key("one", 1)]);
        let old = before.seal(id, &secret()).expect("it is sealed");
        assert!(before.is_current(&old) && !after.is_current(&old) && !after.is_current(secret().as_bytes()));
        let new = after.reseal(id, &old).expect("it is sealed anew");
        assert!(after.is_current(&new) && Keys::new(&[key("two", 2)]).open(id, &new).is_ok());
    }

    #[test]
    fn what_the_demo_key_or_nobody_has_sealed_can_be_opened_with_any() {
        let (id, demo) = (Uuid::now_v7(), Keys::new(&[SealingKey::DEMO.parse().expect("a key")]));
        let keys = Keys::new(&[key("one", 1)]);
        let sealed = demo.seal(id, &secret()).expect("it is sealed");
        for stored in [sealed.as_slice(), secret().as_bytes()] {
            assert_eq!(keys.open(id, stored).map(|secret| secret.shown()), Ok(secret().shown()));
        }
    }

    #[test]
    fn a_key_has_an_id_and_32_bytes_and_is_not_printed() {
        for text in ["", "one", "one=", "=AAAA", "one=AAAA", "one=not base64 at all"] {
            assert!(text.parse::<SealingKey>().is_err(), "{text}");
        }
        let long = format!("{}={}", "a".repeat(33), BASE64_STANDARD.encode([1; 32]));
        assert!(long.parse::<SealingKey>().is_err());
        assert_eq!(format!("{:?}", key("one", 1)), "SealingKey(one=…)");
    }
}
