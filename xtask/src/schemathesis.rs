//! `cargo xtask schemathesis`: asks a running system whatever its own document allows, and much that it does not, and
//! holds the answers against the document.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::paths::{self, StackDir};
use crate::{python, state};

/// Pinned, so that it finds tomorrow what it finds today.
const PACKAGE: &str = "schemathesis==4.32.5";

/// Installed into the target folder with pip, at the first time.
#[derive(clap::Args)]
#[command(after_help = "A longer run with another seed: cargo xtask schemathesis -- --max-examples 500 --seed 7")]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
    /// Who asks; the demo user unless given
    #[arg(long, value_name = "TOKEN", default_value = "thisisajwttoken")]
    token: String,
    /// Handed to `schemathesis run`
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = options.dir.open()?;
    let running = state::running(&dir)?;
    let running = running.with_context(|| format!("nothing runs in {}: `cargo xtask up` starts it", dir.display()))?;
    let mut command = Command::new(python::environment(&[PACKAGE])?.join("bin/schemathesis"));
    command.arg("--config-file").arg(paths::root().join("api-docs/schemathesis.toml"));
    command.args(["run", &format!("{}/api/openapi.json", running.gateway), "--header"]);
    command.arg(format!("Authorization: Bearer {}", options.token));
    let status = command.args(&options.arguments).current_dir(paths::target()).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
