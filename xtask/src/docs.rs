//! `cargo xtask docs`: renews the documents of the API. The program that writes them knows both services, which this one
//! does not want to be built with.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::paths;

/// Run it after a route, a type, a problem or an event has changed, and commit what it has written.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only compare; fail if something differs, or breaks what was released
    #[arg(long)]
    check: bool,
    /// Make them what later ones are compared with, whatever they break
    #[arg(long, conflicts_with = "check")]
    release: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let flags = [(options.check, "--check"), (options.release, "--release")];
    let flags: Vec<_> = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect();
    let status = command(&flags).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program, with further arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = paths::cargo();
    command.args(["run", "--quiet", "--package", "api-docs", "--", "gateway/public"]).args(arguments);
    command
}
