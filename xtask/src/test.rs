//! `cargo xtask test`: everything that can be tested on this machine, on databases and brokers of our own.
//!
//! Most tests wait most of the time, and those that kill processes one after the other. So there are three stacks, and
//! tests run on all of them at the same time; unless arguments say which tests are wanted.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::Receiver;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

mod side;

use crate::background::{self, Background, Life};
use crate::paths;
use crate::print;
use crate::stack::{Durability, Extent, Plan};
use crate::state::{self, State};
use crate::test::side::{Side, Totals};
use crate::up::{self, Profile};
use crate::{console, install, signals};

/// The package with the tests that need a whole system.
const SYSTEM_TESTS: &str = "system-tests";
/// Which of its tests those are; all others are content with a database and a broker.
const ON_A_SYSTEM: [&str; 2] = ["black_box", "insomnia"];
/// What takes as long as the rest of `black_box` and so has a system of its own, by the names of the modules.
const ON_THE_OTHER_SYSTEM: [&str; 2] = ["crash_points::", "chaos::"];

/// The last line is always `N passed, N failed`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Handed to `cargo test`: a filter, `-p orders-service`, `-- --nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure_installed()?;
    let signals = signals::receive()?;
    let mut run = Run { signals, stacks: Vec::new(), totals: Totals::default(), sound: true };
    let arguments = options.as_typed();
    let tested = if arguments.is_empty() { run.everything() } else { run.selected(&arguments) };
    for outcome in [tested, run.stop()] {
        if let Err(error) = outcome {
            print::err(format_args!("error: {error:#}"));
            run.sound = false;
        }
    }
    let Totals { passed, failed, failures, .. } = run.totals;
    // Minutes of other output stand between.
    for line in failures {
        print::out(format_args!("{line}"));
    }
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

/// Tells tests where a stack is.
type Variables = Vec<(&'static str, String)>;

struct Run {
    signals: Receiver<Signal>,
    stacks: Vec<Background>,
    totals: Totals,
    sound: bool,
}

impl Run {
    fn everything(&mut self) -> Result<()> {
        prepare_system_tests()?;
        let binaries = up::build(Profile::AllTests)?;
        let backing = self.start_backing()?;
        let system = self.start_system("system-test-stack", &binaries)?;
        let other_system = self.start_system("other-system-test-stack", &binaries)?;

        let elsewhere = test_targets()?.into_iter().filter(|target| !ON_A_SYSTEM.contains(&target.as_str()));
        let elsewhere = elsewhere.map(|target| format!(" --test {target}")).collect::<Vec<_>>().concat();
        let on_a_system = ON_A_SYSTEM.map(|target| format!("--test {target} ")).concat();
        let skipped = ON_THE_OTHER_SYSTEM.map(|module| format!(" --skip {module}")).concat();
        let sides = [
            (format!("--lib --bins{elsewhere}"), &backing),
            (format!("{on_a_system}--{skipped}"), &system),
            (format!("--test black_box -- {}", ON_THE_OTHER_SYSTEM.join(" ")), &other_system),
            ("--doc".to_owned(), &backing),
        ];
        let start = |(arguments, variables): (String, &Variables)| {
            Side::start(up::WORKSPACE.into_iter().chain(arguments.split(' ')), variables)
        };
        self.test(sides.map(start).into_iter().collect::<Result<_>>()?)
    }

    fn selected(&mut self, arguments: &[String]) -> Result<()> {
        let packages = packages(arguments);
        let (profile, selection) =
            if packages.is_empty() { (Profile::AllTests, up::WORKSPACE.as_slice()) } else { (Profile::Tests, &[][..]) };
        let variables = if packages.is_empty() || packages.iter().any(|package| package == SYSTEM_TESTS) {
            prepare_system_tests()?;
            let binaries = up::build(profile)?;
            self.start_system("system-test-stack", &binaries)?
        } else {
            self.start_backing()?
        };
        let arguments = selection.iter().copied().chain(arguments.iter().map(String::as_str));
        self.test(vec![Side::start(arguments, &variables)?])
    }

    fn start_backing(&mut self) -> Result<Variables> {
        let (_, state) = self.start("test-stack", &Plan::for_tests(Extent::Backing), &[])?;
        Ok(vec![
            ("DATABASE_URL", state.postgres),
            // The services refuse such a throw-away database otherwise.
            ("DATABASE_DURABILITY", "ignored".to_owned()),
            ("AMQP_URL", state.amqp),
        ])
    }

    fn start_system(&mut self, name: &str, binaries: &Path) -> Result<Variables> {
        let plan = Plan {
            binaries: binaries.to_owned(),
            durability: Durability::Full,
            // Few enough for a test to reach, and more than all other tests have at a time.
            gateway_max_concurrent_requests: 256,
            ..Plan::for_tests(Extent::Whole)
        };
        let settings = [
            ("AUTH_MODE", "demo".to_owned()),
            ("DELIVERY_DELAY", "2s".to_owned()),
            // In the working folder of each process, so that one of them can be chosen.
            ("CRASH_POINTS", "crash-points".to_owned()),
            ("AUTH_DEMO_TOKENS", "thisisajwttoken=somerandomuserid,alice-token=alice".to_owned()),
        ];
        let (dir, state) = self.start(name, &plan, &settings)?;
        let text = |path: PathBuf| path.into_os_string().into_string().ok().context("a path is not UTF-8");
        Ok(vec![
            ("DATABASE_URL", state.postgres),
            ("AMQP_URL", state.amqp),
            ("GATEWAY_URL", state.gateway),
            ("STACK_DIR", text(dir)?),
            ("XTASK", text(paths::ourselves())?),
        ])
    }

    /// Comes back once the stack runs; it is stopped whatever happens, by us or, if we are killed, by the kernel.
    fn start(&mut self, name: &str, plan: &Plan, variables: &[(&str, String)]) -> Result<(PathBuf, State)> {
        let dir = paths::open_dir(&paths::target().join(name))?;
        if state::lock(&dir)?.is_none() {
            bail!("another `cargo xtask test` is running in {}", dir.display());
        }
        plan.save(&dir)?;
        print::out(format_args!("starting {name}"));
        let mut stack = background::start(&dir, Life::Ours, variables)?;
        let state = stack.wait_until_ready(&self.signals);
        self.stacks.push(stack);
        Ok((dir, state?))
    }

    /// What the first prints is seen at once, what the others print when those before them have ended.
    fn test(&mut self, sides: Vec<Side>) -> Result<()> {
        for side in sides {
            let (totals, is_sound) = side.finish(&self.signals)?;
            self.totals += totals;
            self.sound &= is_sound;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let stopped: Vec<_> = self.stacks.iter_mut().map(Background::stop).collect();
        stopped.into_iter().collect()
    }
}

/// What the tests of the console need.
fn prepare_system_tests() -> Result<()> {
    install::browser()?;
    install::pooler()?;
    console::build()
}

/// The names of all files of tests.
fn test_targets() -> Result<Vec<String>> {
    let output = paths::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    ensure!(output.status.success(), "cargo metadata has failed");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let tests = targets.filter(|target| target["kind"][0] == "test");
    Ok(tests.filter_map(|target| Some(target["name"].as_str()?.to_owned())).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_in_every_spelling() {
        let arguments = ["-p", "a", "--package=b", "filter", "--package", "c", "--", "-p", "d"].map(str::to_owned);
        assert_eq!(packages(&arguments), ["a", "b", "c"]);
    }
}
