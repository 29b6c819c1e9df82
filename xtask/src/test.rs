//! `cargo xtask test`: everything that can be tested on this machine, on databases and brokers of our own.

use std::env;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::background::{self, Life};
use crate::paths;
use crate::print;
use crate::stack::{Durability, Extent, Plan};
use crate::state::State;
use crate::up::{self, Profile};
use crate::{install, signals};

/// Drives the running system from outside, so it needs a whole one.
const SYSTEM_TESTS: &str = "system-tests";

/// The last line is always `N passed, N failed`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Handed to `cargo test`: a filter, `-p orders-service`, `-- --nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// Sums of all `test result:` lines.
#[derive(Clone, Copy, Default)]
struct Totals {
    passed: u64,
    failed: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure_installed()?;
    let (sender, signals) = mpsc::channel();
    signals::forward(sender, |signal| signal)?;
    let arguments = options.as_typed();
    let mut run = Run { arguments: &arguments, signals, totals: Totals::default(), sound: true };
    let outcome = run.everything();
    if let Err(error) = outcome {
        print::err(format_args!("error: {error:#}"));
        run.sound = false;
    }
    let Totals { passed, failed } = run.totals;
    print::out(format_args!("{passed} passed, {failed} failed"));
    Ok(if run.sound && failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    /// With the first `--`, which clap keeps for itself.
    fn as_typed(&self) -> Vec<String> {
        let typed = env::args().collect::<Vec<_>>();
        let separator = typed.iter().rev().nth(self.arguments.len()).filter(|argument| *argument == "--");
        separator.into_iter().chain(&self.arguments).cloned().collect()
    }
}

struct Run<'a> {
    arguments: &'a [String],
    signals: Receiver<Signal>,
    totals: Totals,
    sound: bool,
}

impl Run<'_> {
    fn everything(&mut self) -> Result<()> {
        let packages = packages(self.arguments);
        if packages.is_empty() || packages.iter().any(|package| package != SYSTEM_TESTS) {
            let plan = Plan::for_tests(Extent::Backing);
            self.with_stack("test-stack", &plan, &[], |run, state, _| {
                // The services refuse such a throw-away database otherwise.
                let variables = [("DATABASE_DURABILITY", "ignored")];
                run.cargo_test(&["--workspace", "--exclude", SYSTEM_TESTS], &variables, state)
            })?;
        }
        if packages.is_empty() || packages.iter().any(|package| package == SYSTEM_TESTS) {
            let binaries = up::build(Profile::Tests)?;
            let plan = Plan { binaries, durability: Durability::Full, ..Plan::for_tests(Extent::Whole) };
            let settings = [
                ("AUTH_MODE", "demo".to_owned()),
                ("DELIVERY_DELAY", "2s".to_owned()),
                // In the working folder of each process, so that one of them can be chosen.
                ("CRASH_POINTS", "crash-points".to_owned()),
                ("AUTH_DEMO_TOKENS", "thisisajwttoken=somerandomuserid,alice-token=alice".to_owned()),
            ];
            self.with_stack("system-test-stack", &plan, &settings, |run, state, dir| {
                let dir = dir.to_str().context("the path of the repository is not UTF-8")?;
                let xtask = paths::ourselves();
                let xtask = xtask.to_str().context("the path of the repository is not UTF-8")?;
                let variables = [("GATEWAY_URL", state.gateway.as_str()), ("STACK_DIR", dir), ("XTASK", xtask)];
                run.cargo_test(&["--package", SYSTEM_TESTS], &variables, state)
            })?;
        }
        Ok(())
    }

    /// The stack is stopped whatever happens, by us or, if we are killed, by the kernel.
    fn with_stack(
        &mut self,
        name: &str,
        plan: &Plan,
        variables: &[(&str, String)],
        work: impl FnOnce(&mut Self, &State, &Path) -> Result<()>,
    ) -> Result<()> {
        let dir = paths::open_dir(&paths::target().join(name))?;
        if crate::state::lock(&dir)?.is_none() {
            bail!("another `cargo xtask test` is running in {}", dir.display());
        }
        plan.save(&dir)?;
        print::out(format_args!("starting {name}"));
        let mut stack = background::start(&dir, Life::Ours, variables)?;
        let outcome = stack.wait_until_ready(&self.signals).and_then(|state| work(self, &state, &dir));
        stack.stop()?;
        outcome
    }

    /// `selection` counts only where the user has not named packages.
    fn cargo_test(&mut self, selection: &[&str], variables: &[(&str, &str)], state: &State) -> Result<()> {
        let mut command = paths::cargo();
        // One failure should not hide the next.
        command.args(["test", "--no-fail-fast"]);
        if packages(self.arguments).is_empty() {
            command.args(selection);
        }
        command.args(self.arguments).envs(variables.iter().copied());
        command.env("DATABASE_URL", &state.postgres).env("AMQP_URL", &state.amqp).env("SQLX_OFFLINE", "true");
        let mut command = unblocked(&command);
        // A group of its own, so that all of it can be stopped: cargo, rustc and the tests.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot run cargo")?;
        let reader = read_totals(&mut child);
        let interrupted = self.wait(&mut child);
        let totals = reader.join().unwrap_or_default();
        self.totals.passed += totals.passed;
        self.totals.failed += totals.failed;
        self.sound &= child.wait()?.success();
        interrupted
    }

    fn wait(&self, child: &mut Child) -> Result<()> {
        let group = Pid::from_raw(child.id().cast_signed());
        while child.try_wait()?.is_none() {
            if let Some(reason) = background::interruption(&self.signals) {
                killpg(group, Signal::SIGKILL)?;
                bail!("{reason}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// The packages that the arguments name.
fn packages(arguments: &[String]) -> Vec<String> {
    let mut packages = Vec::new();
    let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "-p" || argument == "--package" {
            packages.extend(arguments.next().cloned());
        } else if let Some(name) = argument.strip_prefix("--package=").or_else(|| argument.strip_prefix("-p")) {
            packages.push(name.to_owned());
        }
    }
    packages
}

/// The same command with signals as a program expects them.
fn unblocked(command: &Command) -> Command {
    let mut wrapped = Command::new("env");
    wrapped.arg(signals::UNBLOCK).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    wrapped
}

/// Passes the output on as it comes.
fn read_totals(child: &mut Child) -> JoinHandle<Totals> {
    let output = child.stdout.take();
    thread::spawn(move || {
        let mut totals = Totals::default();
        for line in output.into_iter().flat_map(|output| BufReader::new(output).split(b'\n')).map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            print::out(format_args!("{line}"));
            totals.add(&line);
        }
        totals
    })
}

impl Totals {
    /// `test result: ok. 12 passed; 0 failed; 0 ignored; …`
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        let count =
            |what: &str| counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok());
        self.passed += count("passed").unwrap_or(0_u64);
        self.failed += count("failed").unwrap_or(0_u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_summed_over_all_result_lines() {
        let mut totals = Totals::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test some::test ... ok",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            totals.add(line);
        }
        assert_eq!((totals.passed, totals.failed), (15, 2));
    }

    #[test]
    fn packages_are_found_in_every_spelling() {
        let arguments = ["-p", "a", "--package=b", "filter", "--package", "c", "--", "-p", "d"].map(str::to_owned);
        assert_eq!(packages(&arguments), ["a", "b", "c"]);
    }
}
