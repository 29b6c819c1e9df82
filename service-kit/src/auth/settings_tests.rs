//! Which settings and which keys a service starts with.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Authenticator;
use super::key_set::{KeySet, Origin};
use super::signed_tokens::{AUDIENCE, ISSUER, Issuer, RSA_PUBLIC_KEY};
use crate::settings::AuthSettings;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    auth: AuthSettings,
}

pub(super) fn settings(arguments: &[&str]) -> AuthSettings {
    Settings::parse_from(["service"].iter().chain(arguments)).auth
}

/// A file that is gone with its test.
pub(super) struct KeyFile(PathBuf);

impl KeyFile {
    pub(super) fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("signing-keys-{}", Uuid::now_v7()));
        fs::write(&path, text).expect("the file is written");
        Self(path)
    }

    pub(super) fn open(&self) -> anyhow::Result<Authenticator> {
        let path = self.0.to_str().expect("a path");
        let file = ["--auth-mode=jwt", "--auth-jwt-key-file", path];
        Authenticator::new(&settings(
            &[&file[..], &["--auth-jwt-issuer", ISSUER, "--auth-jwt-audience", AUDIENCE]].concat(),
        ))
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn settings_that_are_not_complete_are_refused() {
    let file = KeyFile::new(RSA_PUBLIC_KEY);
    let path = file.0.to_str().expect("a path");
    let both = ["--auth-jwt-issuer=i", "--auth-jwt-audience=a"];
    for (arguments, needle) in [
        (vec!["--auth-mode=jwt"], "AUTH_JWT_ISSUER"),
        (vec!["--auth-mode=jwt", both[0]], "AUTH_JWT_AUDIENCE"),
        (vec!["--auth-mode=jwt", both[0], both[1]], "AUTH_JWT_JWKS_URL or AUTH_JWT_KEY_FILE"),
        (
            vec!["--auth-mode=jwt", both[0], both[1], "--auth-jwt-key-file", path, "--auth-jwt-jwks-url=https://i"],
            "not both",
        ),
        (vec!["--auth-mode=jwt", both[0], both[1], "--auth-jwt-key-file=/nowhere"], "cannot be loaded"),
        (vec!["--auth-jwt-key-file", path], "AUTH_MODE is not jwt"),
        (vec!["--auth-jwt-jwks-url=https://i"], "AUTH_MODE is not jwt"),
    ] {
        let problem = Authenticator::new(&settings(&arguments)).err().map(|problem| format!("{problem:#}"));
        assert!(problem.as_ref().is_some_and(|text| text.contains(needle)), "{arguments:?}: {problem:?}");
    }
    for refused in [["--auth-jwt-leeway=11m"], ["--auth-jwt-issuer="], ["--auth-mode=none"]] {
        assert!(Settings::try_parse_from(["service"].iter().chain(&refused)).is_err(), "{refused:?}");
    }
}

#[test]
fn a_file_without_a_usable_key_is_refused() {
    let (rsa, mut short) = (Issuer::rs256("r").jwk(), Issuer::hs256("h", b"a short secret").jwk());
    short["alg"] = json!("HS256");
    let with = |name: &str, value: Value| {
        let mut jwk = rsa.clone();
        jwk[name] = value;
        jwk
    };
    for text in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{\"keys\": []}".to_owned(),
        "{\"keys\": {}}".to_owned(),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned(),
        include_str!("test_rsa_key.pem").to_owned(),
        short.to_string(),
        with("use", json!("enc")).to_string(),
        with("key_ops", json!(["sign"])).to_string(),
        with("alg", json!("PS256")).to_string(),
        with("n", json!("AQAB")).to_string(),
        with("n", json!("not base64!")).to_string(),
        with("kty", json!("EC")).to_string(),
        with("kty", json!("AKP")).to_string(),
    ] {
        assert!(KeyFile::new(&text).open().is_err(), "{text}");
    }
    let mixed = json!({"keys": [{"kty": "AKP"}, 7, with("use", json!("enc")), rsa]});
    assert!(KeyFile::new(&mixed.to_string()).open().is_ok(), "one key is enough");
}

proptest! {
    #[test]
    fn no_keys_break_anything(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let json = json!({"keys": [{"kty": "RSA", "n": text, "e": text}, {"kty": "OKP", "crv": "Ed25519", "x": text}]});
        for keys in [bytes, json.to_string().into_bytes(), format!("-----BEGIN PUBLIC KEY-----\n{text}").into_bytes()] {
            prop_assert!(KeySet::parse(&keys, Origin::File).is_err());
        }
    }
}
