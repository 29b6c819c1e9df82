//! The services' settings: as little as possible happens because real time passes.

use clap::Parser;
use service_kit::testing::DEMO_TOKENS;

pub fn orders(url: &str) -> orders_service::config::Config {
    let own = ["--delivery-delay", "1h"];
    orders_service::config::Config::parse_from(arguments(url).into_iter().chain(own))
}

pub fn payments(url: &str, book_url: &str) -> payments_service::config::Config {
    let own = ["--sandbox-database-url", book_url, "--processor-timeout", "1h"];
    payments_service::config::Config::parse_from(arguments(url).into_iter().chain(own))
}

fn arguments(url: &str) -> [&str; 7] {
    ["service", "--database-url", url, "--amqp-url", "amqp://localhost", "--auth-demo-tokens", DEMO_TOKENS]
}
