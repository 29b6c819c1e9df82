//! `cargo xtask check`: what must hold before a change is merged, besides the tests.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::alerts;
use crate::console;
use crate::containers;
use crate::docs;
use crate::manifests;
use crate::paths;
use crate::print;

/// How one step has ended.
enum Outcome {
    Passed,
    Failed,
    Skipped(&'static str),
}

/// A step's name and what it does.
type Step = (&'static str, fn() -> Result<Outcome>);

const STEPS: [Step; 10] = [
    ("format", || run(paths::cargo().args(["fmt", "--all", "--check"]))),
    ("lints, generated files", || run(Command::new(paths::ourselves()).args(["prepare", "--check"]))),
    ("documents of the API", || run(&mut docs::command(&["--check"]))),
    ("console", || Ok(console())),
    ("alert rules", || Ok(if alerts::are_sound()? { Outcome::Passed } else { Outcome::Failed })),
    ("containers", containers),
    ("manifests", manifests),
    ("bills of materials", || run(Command::new(paths::ourselves()).args(["sbom", "--check"]))),
    ("bans, licences, sources", || deny(&["bans", "licenses", "sources"])),
    ("advisories", advisories),
];

/// Runs every step, so that one failure does not hide the next.
pub(crate) fn run_all() -> Result<ExitCode> {
    let mut summary = Vec::new();
    let mut failed = false;
    for (name, step) in STEPS {
        print::out(format_args!("== {name}"));
        let outcome = step()?;
        failed |= matches!(outcome, Outcome::Failed);
        summary.push(match outcome {
            Outcome::Passed => format!("passed   {name}"),
            Outcome::Failed => format!("FAILED   {name}"),
            Outcome::Skipped(why) => format!("skipped  {name}: {why}"),
        });
    }
    print::out(format_args!("\n{}", summary.join("\n")));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn run(command: &mut Command) -> Result<Outcome> {
    Ok(if command.status()?.success() { Outcome::Passed } else { Outcome::Failed })
}

fn console() -> Outcome {
    match console::check() {
        Ok(()) => Outcome::Passed,
        Err(problem) => {
            print::err(format_args!("{problem:#}"));
            Outcome::Failed
        }
    }
}

fn containers() -> Result<Outcome> {
    match containers::check() {
        Ok(mut check) => run(&mut check),
        Err(problem) => {
            print::err(format_args!("{problem:#}"));
            Ok(Outcome::Skipped("there is no Python with PyYAML, and none can be installed"))
        }
    }
}

fn manifests() -> Result<Outcome> {
    if !manifests::can_render() {
        return Ok(Outcome::Skipped("kubectl is not installed"));
    }
    run(Command::new(paths::ourselves()).args(["manifests", "--check"]))
}

fn deny(checks: &[&str]) -> Result<Outcome> {
    if !is_deny_installed() {
        return Ok(Outcome::Skipped("`cargo install cargo-deny --locked` installs what it needs"));
    }
    run(paths::cargo().args(["deny", "--all-features", "check", "--hide-inclusion-graph"]).args(checks))
}

/// The only step that needs the network.
fn advisories() -> Result<Outcome> {
    if !is_deny_installed() {
        return deny(&[]);
    }
    if !paths::cargo().args(["deny", "fetch", "db"]).status()?.success() {
        return Ok(Outcome::Skipped("the advisory database cannot be reached"));
    }
    deny(&["advisories"])
}

fn is_deny_installed() -> bool {
    paths::cargo().args(["deny", "--version"]).output().is_ok_and(|output| output.status.success())
}
