//! The settings that both services share. Every one is an environment variable; `--help` lists them.

#![expect(clippy::doc_markdown, reason = "the descriptions are shown by --help, where backticks would be noise")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use shared_events::ids::UserId;

use crate::auth::{AdminToken, DemoToken};
use crate::http::Limits;
use crate::idempotency::IdempotencySecret;

/// What every service needs to know of its surroundings.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Where PostgreSQL is and as whom to log in, for example <postgres://user:password@host:5432/database>. Of several
    /// servers, host:5432,other:5432, the one that takes writes is found. With ?sslmode=verify-full&sslrootcert=FILE
    /// nothing is sent unencrypted or to anybody else. Behind a pooler that keeps no account of prepared statements it
    /// ends in ?statement-cache-capacity=0.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: String,

    /// The most connections to keep open to PostgreSQL.
    #[arg(long, env, default_value_t = 16, value_name = "COUNT")]
    pub database_max_connections: u32,

    /// Start although PostgreSQL may lose acknowledged writes in a crash (fsync, synchronous_commit or
    /// full_page_writes is off). For throw-away data only.
    #[arg(long, env, default_value_t = DurabilityCheck::Required, value_enum)]
    pub database_durability: DurabilityCheck,

    /// Where RabbitMQ is and as whom to log in, for example <amqp://user:password@host:5672/%2f>. Of a cluster it names
    /// several nodes, <amqp://user:password@one:5672,two:5672,three:5672/%2f>, of which any will do.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub amqp_url: String,

    /// A file with the certificate authorities, as PEM, of which one has to vouch for RabbitMQ when the URL begins with
    /// amqps.
    #[arg(long, env, value_name = "FILE")]
    pub amqp_ca_file: Option<PathBuf>,

    /// A prefix for the names of all exchanges and queues, so that several installations can share one broker.
    #[arg(long, env, default_value = "", value_name = "TEXT")]
    pub amqp_prefix: String,

    /// Where the API listens.
    #[arg(long, env, default_value = "127.0.0.1:3000", value_name = "ADDRESS:PORT")]
    pub listen_addr: SocketAddr,

    /// Where /health/live, /health/ready, /metrics and /parked listen; not for the public.
    #[arg(long, env, default_value = "127.0.0.1:3100", value_name = "ADDRESS:PORT")]
    pub admin_addr: SocketAddr,

    /// What operators send to see, replay or discard parked messages, at least 16 characters. Without it nobody may.
    #[arg(long, env, default_value = "", hide_env_values = true, hide_default_value = true, value_name = "TEXT")]
    pub admin_token: AdminToken,

    /// The longest that a request may take before it is answered 503. Its work is finished all the same.
    #[arg(long, env, default_value = "15s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub request_timeout: Duration,

    /// How many requests may be worked on at a time; more are answered 503 at once.
    #[arg(long, env, default_value_t = 1024, value_name = "COUNT")]
    pub max_concurrent_requests: usize,

    /// Who may use the API.
    #[command(flatten)]
    pub auth: AuthSettings,

    /// What the digests of idempotency keys and request bodies are made with; the same for all replicas. With another
    /// one, earlier keys are forgotten.
    #[arg(long, env, default_value = IdempotencySecret::DEMO, hide_env_values = true, value_name = "TEXT")]
    pub idempotency_secret: IdempotencySecret,

    /// How long an Idempotency-Key is remembered.
    #[arg(long, env, default_value = "24h", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub idempotency_key_retention: Duration,

    /// How log lines are written.
    #[arg(long, env, default_value_t = LogFormat::Pretty, value_enum)]
    pub log_format: LogFormat,

    /// What is logged, as tracing's filter directives.
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub rust_log: String,

    /// Where spans are sent by OTLP over HTTP, for example <http://localhost:4318>; nowhere unless set.
    #[arg(long, env, value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// Which share of the traces that begin here is sent, from 0 to 1. Of those that a client began, the client decides.
    #[arg(long, env, default_value_t = 1.0, value_name = "RATIO")]
    pub otel_traces_sampler_arg: f64,

    /// The folder in which tests arm crash points.
    #[cfg(feature = "crash-points")]
    #[arg(long, env, hide = true)]
    pub crash_points: Option<std::path::PathBuf>,
}

impl Settings {
    /// What a client may ask for at most.
    pub fn limits(&self) -> Limits {
        Limits { request_timeout: self.request_timeout, max_concurrent_requests: self.max_concurrent_requests }
    }
}

/// How users are told apart.
#[derive(Args, Clone, Debug)]
pub struct AuthSettings {
    /// Whether users have the demo tokens or signed ones of an issuer.
    #[arg(long, env, default_value_t = AuthMode::Demo, value_enum)]
    pub auth_mode: AuthMode,

    /// Access tokens of demo users. Not a secret to rely on: for trying the system out.
    #[arg(
        long,
        env,
        default_value = "thisisajwttoken=somerandomuserid",
        value_delimiter = ',',
        hide_env_values = true,
        value_name = "TOKEN=USER,..."
    )]
    pub auth_demo_tokens: Vec<DemoToken>,

    /// Where the issuer publishes its signing keys as a JWK Set.
    #[arg(long, env, value_parser = filled, value_name = "URL")]
    pub auth_jwt_jwks_url: Option<String>,

    /// A file with the signing keys instead: a JWK Set, a JWK, or a public key as PEM. It is read
    /// again every few seconds.
    #[arg(long, env, value_name = "FILE")]
    pub auth_jwt_key_file: Option<PathBuf>,

    /// The issuer: what the claim iss must be.
    #[arg(long, env, value_parser = filled, value_name = "TEXT")]
    pub auth_jwt_issuer: Option<String>,

    /// What this API is called by the issuer: the claim aud must be it or name it.
    #[arg(long, env, value_parser = filled, value_name = "TEXT")]
    pub auth_jwt_audience: Option<String>,

    /// How far the clocks of the issuer and of this service may differ, at most 10m.
    #[arg(long, env, default_value = "30s", value_parser = leeway, value_name = "DURATION")]
    pub auth_jwt_leeway: Duration,
}

impl AuthSettings {
    /// The names of those that only signed tokens need and that are set.
    pub(crate) fn jwt_settings_in_use(&self) -> Vec<&'static str> {
        let settings = [
            ("AUTH_JWT_JWKS_URL", self.auth_jwt_jwks_url.is_some()),
            ("AUTH_JWT_KEY_FILE", self.auth_jwt_key_file.is_some()),
            ("AUTH_JWT_ISSUER", self.auth_jwt_issuer.is_some()),
            ("AUTH_JWT_AUDIENCE", self.auth_jwt_audience.is_some()),
        ];
        settings.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}

/// Where users come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// A fixed list of tokens. For trying the system out.
    Demo,
    /// Signed tokens of an issuer.
    Jwt,
}

fn filled(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("must not be empty: leave it unset instead") } else { Ok(text.to_owned()) }
}

fn leeway(text: &str) -> Result<Duration, String> {
    let leeway = humantime::parse_duration(text).map_err(|problem| problem.to_string())?;
    if leeway <= Duration::from_mins(10) { Ok(leeway) } else { Err("must be 10m at most".to_owned()) }
}

/// Whether the durability settings of PostgreSQL are insisted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DurabilityCheck {
    /// Refuse to start on a database that can lose acknowledged writes.
    Required,
    /// Start anyway and say so in the log.
    Ignored,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object on each line, for machines.
    Json,
}

impl std::str::FromStr for DemoToken {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((token, user)) if !token.is_empty() && !user.is_empty() => {
                Ok(Self { token: token.to_owned(), user: UserId(user.to_owned()) })
            }
            _ => Err("must be TOKEN=USER, with neither empty"),
        }
    }
}
