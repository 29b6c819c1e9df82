//! `insomnia_collection.json` is what people try the system with, so it is run here, request by request and assertion by
//! assertion, against the gateway of a running system.

mod api;
mod export;
mod export_format;
mod runner;
mod runner_tests;
mod script;
mod template;

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::export::Export;
use crate::runner::run;

/// The longest that anything which the collection waits for may take.
const PATIENCE: Duration = Duration::from_mins(2);

#[test]
fn every_request_of_the_collection_is_answered_as_its_assertions_say() -> Result<()> {
    let gateway = env::var_os("GATEWAY_URL")
        .and_then(|url| url.into_string().ok())
        .context("GATEWAY_URL is not set: this test needs a running system, run `cargo xtask test`")?;
    let report = run(&Export::of_this_repository()?, &format!("{gateway}/api"), PATIENCE)?;
    assert!(report.failures.is_empty(), "{report}");
    Ok(())
}
