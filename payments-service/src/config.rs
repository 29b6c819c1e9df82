//! The settings of this service. Every one is an environment variable.

use std::time::Duration;

use clap::Parser;
use service_kit::process::Command;
use service_kit::settings::Settings;

/// Charges cards for orders and gives the money back.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What the services have in common.
    #[command(flatten)]
    pub settings: Settings,

    /// Where the sandbox card processor keeps its own book, and as whom it logs in.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub sandbox_database_url: String,

    /// How long the card processor may take to answer; after that the charge is in doubt and is looked up.
    #[arg(long, env, default_value = "5s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub processor_timeout: Duration,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}
