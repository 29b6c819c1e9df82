//! The console: the page that the gateway serves at `/`, built from `console/` with Node.js.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{install, paths, print};

/// Where the gateway of a stack finds it.
pub(crate) fn folder() -> PathBuf {
    paths::target().join("console")
}

/// Builds it where that can be done. A system does without it rather than not start.
pub(crate) fn build_if_possible() {
    if let Err(problem) = build() {
        let instead = if folder().is_dir() { "it is served as it was built before" } else { "there is no page at /" };
        print::err(format_args!("the console cannot be built, so {instead}; the API does without: {problem:#}"));
    }
}

/// Builds it into [`folder`]; what has not changed stays as it is.
pub(crate) fn build() -> Result<()> {
    print::out("building the console");
    install::node()?;
    install_libraries()?;
    succeed(node(&["build.mjs"]).arg(folder()))
}

/// Checks its types.
pub(crate) fn check() -> Result<()> {
    build()?;
    succeed(&mut node(&["node_modules/typescript/bin/tsc", "--noEmit"]))
}

/// Those of the lock file, unless they are there. None of them is let run anything at its installation.
fn install_libraries() -> Result<()> {
    let (wanted, installed) =
        (sources().join("package-lock.json"), sources().join("node_modules/.installed-lock.json"));
    let wanted = fs::read(wanted)?;
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = Command::new(paths::program("npm").context("npm is missing")?);
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(sources());
    succeed(&mut npm)?;
    Ok(fs::write(installed, wanted)?)
}

fn sources() -> PathBuf {
    paths::root().join("console")
}

fn node(arguments: &[&str]) -> Command {
    let mut node = Command::new("node");
    node.args(arguments).current_dir(sources());
    node
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| format!("{program} cannot be run"))?;
    ensure!(status.success(), "{program} has failed");
    Ok(())
}
