//! One process of a stack: what to run, how to start it so that it cannot outlive us, how to tell that it is ready.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::probe::Probe;
use crate::signals;

/// Stages are stopped from the last to the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Database,
    /// The name server of Erlang, which the broker needs to the end.
    BrokerNames,
    Broker,
    Services,
    Gateway,
}

/// What a part sees of the environment of whoever called us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Environment {
    /// Nothing but PATH: a variable meant for the machine's own PostgreSQL or RabbitMQ must not reach ours.
    Own,
    Inherited,
}

/// What to run, and how.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) stage: Stage,
    /// Only the parts that people know are listed.
    pub(crate) listed: bool,
    /// The working folder is used by this process alone: it is how what it leaves behind is recognised.
    pub(crate) folder: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) environment: Environment,
    pub(crate) variables: Vec<(String, String)>,
    /// Run as this user, if not as ours.
    pub(crate) user: Option<String>,
    pub(crate) ports: Vec<u16>,
    pub(crate) log: PathBuf,
    /// Started once these are ready for the first time.
    pub(crate) needs: Vec<String>,
    pub(crate) ready: Probe,
    pub(crate) stop: Signal,
    pub(crate) patience: Duration,
    /// Sent by the kernel when we die without a chance to stop anything.
    pub(crate) orphaned: Signal,
}

impl Part {
    /// Must be called on a thread that lives as long as we do: `--pdeathsig` means the death of the calling thread.
    pub(crate) fn spawn(&self) -> Result<Child> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", self.orphaned.as_str().trim_start_matches("SIG")]);
        if let Some(user) = &self.user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command.args(["--", "env", signals::UNBLOCK]).arg(&self.program).args(&self.args);
        if self.environment == Environment::Own {
            let path = std::env::var_os("PATH").unwrap_or_default();
            command.env_clear().env("PATH", path).env("LANG", "C.UTF-8");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // A group of its own, so that Ctrl-C on the terminal reaches us alone and everything stops in order.
        command.current_dir(&self.folder).process_group(0).stdin(Stdio::null());
        let log = self.open_log()?;
        command.stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", self.name))
    }

    fn open_log(&self) -> Result<File> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        log.with_context(|| format!("cannot write {}", self.log.display()))
    }
}
