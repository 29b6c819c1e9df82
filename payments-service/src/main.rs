//! Starts the payments service.

use std::process::ExitCode;

use payments_service::config::Config;

fn main() -> ExitCode {
    let config: Config = service_kit::secrets::parse();
    let (settings, command) = (config.settings.clone(), config.command);
    service_kit::process::main(payments_service::NAME, &settings, command, |stop| payments_service::run(config, stop))
}
