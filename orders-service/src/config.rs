//! The settings of this service. Every one is an environment variable.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use service_kit::process::Command;
use service_kit::settings::Settings;

use crate::webhooks::sealing::SealingKey;
use crate::webhooks::target::Targets;

/// Takes, confirms, cancels and delivers orders.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What the services have in common.
    #[command(flatten)]
    pub settings: Settings,

    /// How long after its payment an order is delivered: 2s, 15m, 24h.
    #[arg(long, env, default_value = "60s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub delivery_delay: Duration,

    /// How long an order may stay unpaid before it is cancelled: 2s, 15m, 24h.
    #[arg(long, env, default_value = "24h", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub unpaid_expiry: Duration,

    /// How many streams of orders may be open at a time; more are answered 503 at once.
    #[arg(long, env, default_value_t = 4096, value_name = "COUNT")]
    pub max_streams: usize,

    /// Where webhooks may go: to public addresses by HTTPS, or anywhere.
    #[arg(long, env, default_value_t = Targets::Public, value_enum)]
    pub webhook_targets: Targets,

    /// How long a receiver of webhooks may take to answer.
    #[arg(long, env, default_value = "20s", value_parser = receiver_timeout, value_name = "DURATION")]
    pub webhook_timeout: Duration,

    /// A file with certificate authorities, as PEM, that may vouch for receivers of webhooks besides those that the system
    /// trusts.
    #[arg(long, env, value_name = "FILE")]
    pub webhook_ca_file: Option<PathBuf>,

    /// What the secrets of webhooks are sealed with in the database: the first of these keys, each 32 bytes in base64;
    /// what was sealed with the others can still be opened, and is sealed anew. The same for all replicas.
    #[arg(
        long,
        env,
        default_value = SealingKey::DEMO,
        value_delimiter = ',',
        hide_env_values = true,
        value_name = "ID=KEY,..."
    )]
    pub webhook_secret_keys: Vec<SealingKey>,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A replica has a lease on a webhook for a minute and a half.
fn receiver_timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|problem| problem.to_string())?;
    if timeout <= Duration::from_secs(30) { Ok(timeout) } else { Err("must be 30s at most".to_owned()) }
}
