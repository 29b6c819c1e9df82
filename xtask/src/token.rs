//! `cargo xtask token`: access tokens for trying `AUTH_MODE=jwt` out, signed with a key that belongs to this working copy.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;

use crate::{paths, print};

const ISSUER: &str = "cargo xtask token";
const AUDIENCE: &str = "order-processing";
/// As many as the digest of HS256 has.
const SECRET_BYTES: usize = 32;

/// Prints an access token for a stack that was started with `AUTH_MODE=jwt` and the key of this working copy.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Who the token is for
    #[arg(long, value_name = "NAME")]
    user: String,
    /// How long it is good
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// The claim iss
    #[arg(long, env = "AUTH_JWT_ISSUER", value_name = "TEXT", default_value = ISSUER)]
    issuer: String,
    /// The claim aud
    #[arg(long, env = "AUTH_JWT_AUDIENCE", value_name = "TEXT", default_value = AUDIENCE)]
    audience: String,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    print::out(format_args!("{}", mint(options)?));
    Ok(ExitCode::SUCCESS)
}

/// The secret, as the services read it from `AUTH_JWT_KEY_FILE`.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    alg: String,
    kid: String,
    k: String,
}

fn mint(options: &Options) -> Result<String> {
    let jwk: Jwk =
        serde_json::from_slice(&fs::read(key_file()?)?).context("the key cannot be read; delete its file")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({"typ": "JWT", "alg": jwk.alg, "kid": jwk.kid});
    let claims = json!({
        "iss": options.issuer,
        "aud": options.audience,
        "sub": options.user,
        "iat": now,
        "exp": now + options.ttl.as_secs(),
    });
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_URL_SAFE_NO_PAD.decode(jwk.k)?)?;
    mac.update(message.as_bytes());
    Ok(format!("{message}.{}", encode(&mac.finalize().into_bytes())))
}

/// The key of this working copy, made when it is first needed. Only its owner can read it.
fn key_file() -> Result<PathBuf> {
    let path = paths::open_dir(&paths::target())?.join("local-signing-key.json");
    if !path.exists() {
        let mut secret = [0; SECRET_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let k = BASE64_URL_SAFE_NO_PAD.encode(secret);
        let jwk = Jwk { kty: "oct".to_owned(), alg: "HS256".to_owned(), kid: "local".to_owned(), k };
        write_new(&path, &serde_json::to_vec(&jwk)?)?;
    }
    Ok(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot create {}", path.display()))?.write_all(bytes)?;
    Ok(())
}

/// What the services need besides what they inherit: with `AUTH_MODE=jwt` and no keys named, the key of this working
/// copy. Each service has a working folder of its own, so a file that is named gets its whole path.
pub(crate) fn settings() -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
    if let Some(named) = env::var_os("AUTH_JWT_KEY_FILE") {
        let path = std::path::absolute(named)?;
        ensure!(path.is_file(), "AUTH_JWT_KEY_FILE: there is no file {}", path.display());
        set("AUTH_JWT_KEY_FILE", path.to_str().context("the path of the key is not UTF-8")?);
    }
    if uses_local_key() {
        set("AUTH_JWT_KEY_FILE", key_file()?.to_str().context("the path of the repository is not UTF-8")?);
        for (name, value) in [("AUTH_JWT_ISSUER", ISSUER), ("AUTH_JWT_AUDIENCE", AUDIENCE)] {
            if env::var_os(name).is_none() {
                set(name, value);
            }
        }
    }
    Ok(settings)
}

/// Whether the services check tokens that only `cargo xtask token` makes.
pub(crate) fn uses_local_key() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some();
    is_signed() && !is_set("AUTH_JWT_JWKS_URL") && !is_set("AUTH_JWT_KEY_FILE")
}

/// Whether the services take signed tokens.
pub(crate) fn is_signed() -> bool {
    env::var_os("AUTH_MODE").as_deref() == Some(OsStr::new("jwt"))
}
