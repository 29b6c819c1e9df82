//! One of several `cargo test`s that run at the same time: what it prints is passed on when its turn comes.

use std::io::{BufRead, BufReader, Read};
use std::ops::AddAssign;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::background;
use crate::paths;
use crate::print;
use crate::signals;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs until it is dropped.
pub(super) struct Side {
    child: Child,
    lines: Receiver<String>,
}

/// Sums of all `test result:` lines, and what was told about the tests that failed.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) failures: Vec<String>,
    /// It is being told.
    tells: bool,
}

impl Side {
    pub(super) fn start<'a>(
        arguments: impl IntoIterator<Item = &'a str>,
        variables: &[(&str, String)],
    ) -> Result<Self> {
        let mut command = paths::cargo();
        // One failure should not hide the next.
        command.args(["test", "--no-fail-fast"]).args(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value))).env("SQLX_OFFLINE", "true");
        let mut command = unblocked(&command);
        // A group of its own, so that all of it can be stopped: cargo, rustc and the tests.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run cargo")?;
        let (sender, lines) = mpsc::channel();
        read(child.stdout.take(), sender.clone());
        read(child.stderr.take(), sender);
        Ok(Self { child, lines })
    }

    /// Passes on what it has printed and prints; the totals, and whether cargo says that all is well.
    pub(super) fn finish(mut self, signals: &Receiver<Signal>) -> Result<(Totals, bool)> {
        let mut totals = Totals::default();
        loop {
            if let Some(reason) = background::interruption(signals) {
                bail!("{reason}");
            }
            match self.lines.recv_timeout(LOOK_AGAIN) {
                Ok(line) => {
                    print::out(format_args!("{line}"));
                    totals.add(&line);
                }
                // Somebody else may hold its output open.
                Err(RecvTimeoutError::Timeout) if self.child.try_wait()?.is_none() => {}
                Err(_) => return Ok((totals, self.child.wait()?.success())),
            }
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing more can be done about it.
            let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

fn read(output: Option<impl Read + Send + 'static>, lines: Sender<String>) {
    thread::spawn(move || {
        for line in output.into_iter().flat_map(|output| BufReader::new(output).split(b'\n')).map_while(Result::ok) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
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

impl Totals {
    /// `test result: ok. 12 passed; 0 failed; 0 ignored; …`, before which stands, from `failures:` on, what failed.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            self.tells |= line == "failures:";
            if self.tells {
                self.failures.push(line.to_owned());
            }
            return;
        };
        self.tells = false;
        let count =
            |what: &str| counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok());
        self.passed += count("passed").unwrap_or(0_u64);
        self.failed += count("failed").unwrap_or(0_u64);
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_summed_over_all_result_lines_and_failures_are_kept() {
        let mut totals = Totals::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test some::test ... ok",
            "failures:",
            "---- another::test stdout ----",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            totals.add(line);
        }
        assert_eq!((totals.passed, totals.failed), (15, 2));
        assert_eq!(totals.failures, ["failures:", "---- another::test stdout ----"]);
    }
}
