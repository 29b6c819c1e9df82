//! `cargo xtask down`: stops a stack in order, or ends what a killed one left behind.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::background;
use crate::paths::StackDir;
use crate::print;
use crate::state;

/// Longer than all parts together are given to stop.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn run(options: &StackDir) -> Result<ExitCode> {
    let dir = options.open()?;
    match state::running(&dir)?.and_then(|state| state.supervisor) {
        Some(supervisor) => {
            print::out(format_args!("stopping the stack in {}", dir.display()));
            stop(&dir, Pid::from_raw(supervisor))?;
            background::end_leftovers(&dir);
            print::out("stopped; its data is kept");
        }
        None => match background::end_leftovers(&dir) {
            0 => print::out(format_args!("nothing runs in {}", dir.display())),
            ended => print::out(format_args!("the stack had lost its supervisor; ended {ended} processes")),
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn stop(dir: &Path, supervisor: Pid) -> Result<()> {
    // It holds the lock, so the pid is still its own.
    kill(supervisor, Signal::SIGTERM)?;
    // A frozen supervisor would not notice.
    kill(supervisor, Signal::SIGCONT)?;
    let deadline = Instant::now() + PATIENCE;
    while state::lock(dir)?.is_none() {
        if Instant::now() > deadline {
            kill(supervisor, Signal::SIGKILL)?;
            thread::sleep(Duration::from_secs(1));
            ensure!(state::lock(dir)?.is_some(), "the supervisor (pid {supervisor}) cannot be stopped");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
