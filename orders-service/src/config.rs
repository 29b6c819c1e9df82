//! The settings of this service. Every one is an environment variable.

use std::time::Duration;

use clap::Parser;
use service_kit::process::Command;
use service_kit::settings::Settings;

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

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}
