//! Starts the orders service.

use std::process::ExitCode;

use orders_service::config::Config;

fn main() -> ExitCode {
    let config: Config = service_kit::secrets::parse();
    let (settings, command) = (config.settings.clone(), config.command);
    service_kit::process::main(orders_service::NAME, &settings, command, |stop| orders_service::run(config, stop))
}
