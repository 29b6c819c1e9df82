//! Structured logs on standard output, and spans if anybody wants them.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};
use crate::spans;

/// Starts logging, and sending spans of `service`, as the settings say. Called once, first of all.
pub fn start(settings: &Settings, service: &'static str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.rust_log).context("RUST_LOG")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match settings.log_format {
        LogFormat::Pretty => builder.with_target(false).with_ansi(std::io::stdout().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
    }
    match settings.otel_exporter_otlp_endpoint.as_deref() {
        Some(endpoint) => spans::start(service, endpoint, settings.otel_traces_sampler_arg),
        None => Ok(()),
    }
}
