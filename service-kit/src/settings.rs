//! The settings that both services share. Every one is an environment variable; `--help` lists them.

#![expect(clippy::doc_markdown, reason = "the descriptions are shown by --help, where backticks would be noise")]

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use shared_events::ids::UserId;

use crate::auth::{AdminToken, DemoToken};
use crate::http::Limits;
use crate::idempotency::IdempotencySecret;

/// What every service needs to know of its surroundings.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Where PostgreSQL is and as whom to log in, for example <postgres://user:password@host:5432/database>.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: String,

    /// The most connections to keep open to PostgreSQL.
    #[arg(long, env, default_value_t = 16, value_name = "COUNT")]
    pub database_max_connections: u32,

    /// Start although PostgreSQL may lose acknowledged writes in a crash (fsync, synchronous_commit or
    /// full_page_writes is off). For throw-away data only.
    #[arg(long, env, default_value_t = DurabilityCheck::Required, value_enum)]
    pub database_durability: DurabilityCheck,

    /// Where RabbitMQ is and as whom to log in, for example <amqp://user:password@host:5672/%2f>.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub amqp_url: String,

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
