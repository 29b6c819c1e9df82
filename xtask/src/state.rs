//! What a stack's folder tells about it: a lock that is held while it runs, and `state.json` with its processes.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

/// A running stack. `cargo xtask ps --json` prints it without the supervisor.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) supervisor: Option<i32>,
    pub(crate) gateway: String,
    pub(crate) postgres: String,
    pub(crate) amqp: String,
    pub(crate) processes: Vec<Process>,
    /// What has yet to be done once, before this is the stack that was asked for.
    #[serde(default)]
    pub(crate) unfinished: Vec<String>,
}

/// One process of a running stack.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    /// Its death is the death of the part. None while it waits to be started.
    pub(crate) pid: Option<u32>,
    pub(crate) ports: Vec<u16>,
    pub(crate) state: Phase,
    pub(crate) restarts: u32,
    pub(crate) log: PathBuf,
}

/// Where a process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// For another part, or for the end of a pause before the next try.
    Waiting,
    /// It runs and is not ready yet.
    Starting,
    Running,
    Stopping,
    Stopped,
}

impl Phase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// Held by the supervisor as long as it lives; the kernel lets go of it even after a kill -9.
pub(crate) type Lock = Flock<File>;

/// Takes the lock of a folder; None if a stack runs there.
pub(crate) fn lock(dir: &Path) -> Result<Option<Lock>> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file =
        file.with_context(|| format!("cannot write {}: was the stack started by another user?", path.display()))?;
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
}

/// The stack that runs in a folder.
pub(crate) fn running(dir: &Path) -> Result<Option<State>> {
    match lock(dir)? {
        Some(_) => Ok(None),
        None => read(dir).map(Some),
    }
}

/// The state as it was last written, by whatever supervisor.
pub(crate) fn peek(dir: &Path) -> Option<State> {
    read(dir).ok()
}

/// A stack that has just begun has no state for a moment.
fn read(dir: &Path) -> Result<State> {
    let json = fs::read(dir.join("state.json")).context("a stack is being started or stopped in this folder")?;
    Ok(serde_json::from_slice(&json)?)
}

/// Replaces the file as a whole, so that a reader never sees half of it.
pub(crate) fn write(dir: &Path, state: &State) -> Result<()> {
    let next = dir.join("state.json.next");
    fs::write(&next, serde_json::to_vec_pretty(state)?)?;
    Ok(fs::rename(next, dir.join("state.json"))?)
}

pub(crate) fn remove(dir: &Path) {
    // Nothing is lost if it stays: without the lock nobody reads it.
    let _ = fs::remove_file(dir.join("state.json"));
}
