//! Starts the payments service.

use std::process::ExitCode;

use clap::Parser;
use payments_service::config::Config;

/// A sixth of the time went into that of glibc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::parse();
    let (settings, command) = (config.settings.clone(), config.command);
    service_kit::process::main(&settings, command, |stop| payments_service::run(config, stop))
}
