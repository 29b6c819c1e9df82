//! A stack of a test's own, for what the common one is not: `cargo xtask up`, ended with the test.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::polling::eventually_within;
use crate::stack::{self, Stack};

/// How long a stack, or one of its processes, may take to start: where two slow cores start several stacks side by side, a node
/// of RabbitMQ alone has taken more than a minute.
const START_DEADLINE: Duration = Duration::from_mins(3);

/// Runs until it is dropped.
pub struct OwnStack {
    dir: PathBuf,
    child: Child,
}

/// How the common stack was planned.
#[derive(Deserialize)]
struct Plan {
    binaries: PathBuf,
}

impl OwnStack {
    /// Starts a stack with the same services as the common one, so many of each.
    #[track_caller]
    pub fn start(name: &str, replicas: usize) -> Self {
        Self::start_with(name, replicas, &[])
    }

    /// The same with further settings.
    #[track_caller]
    pub fn start_with(name: &str, replicas: usize, settings: &[(&str, &str)]) -> Self {
        Self::start_from(name, &["--fresh", "--replicas", &replicas.to_string()], settings)
    }

    /// One with two database servers.
    #[track_caller]
    pub fn start_with_standby(name: &str) -> Self {
        Self::start_from(name, &["--fresh", "--standby"], &[])
    }

    /// Starts the stack that is in the folder already.
    #[track_caller]
    pub fn resume(name: &str) -> Self {
        Self::start_from(name, &[], &[])
    }

    /// Starts a stack with these arguments of `cargo xtask up`.
    #[track_caller]
    pub fn start_from(name: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let plan = fs::read(stack::dir().join("plan.json")).expect("the common stack has a plan");
        let Plan { binaries } = serde_json::from_slice(&plan).expect("the plan can be read");
        let dir = Self::folder(name);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        // Should this thread be killed, the stack goes too.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(stack::xtask()).args(["up", "--dir"]).arg(&dir).args(arguments);
        command.arg("--binaries").arg(binaries).args(["--port", &port.to_string()]);
        command.env("DELIVERY_DELAY", "1s");
        command.envs(settings.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("xtask can be run");
        let started = Self { dir, child };
        eventually_within(START_DEADLINE, "a stack of our own runs", || {
            let stack = fs::read(started.dir.join("state.json")).map_err(|problem| problem.to_string());
            stack.and_then(|json| match serde_json::from_slice::<Stack>(&json) {
                Ok(stack) if stack.all_run() && stack.unfinished.is_empty() => Ok(()),
                other => Err(format!("{other:?}")),
            })
        });
        started
    }

    /// Where a stack of this name is.
    pub fn folder(name: &str) -> PathBuf {
        stack::dir().with_file_name(name)
    }

    /// Removes all that a stack of this name has left on the disk.
    pub fn erase(name: &str) {
        let dir = Self::folder(name);
        let elsewhere = fs::read_to_string(dir.join("postgres-data-is-in")).ok();
        let elsewhere = elsewhere.into_iter().flat_map(|first| [format!("{first}-2").into(), PathBuf::from(first)]);
        for folder in elsewhere.chain([dir]).filter(|folder| folder.is_dir()) {
            fs::remove_dir_all(folder).expect("the folder can be removed");
        }
    }

    pub fn now(&self) -> Stack {
        Stack::of(&self.dir)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What a process has written so far.
    #[track_caller]
    pub fn log(&self, name: &str) -> String {
        let log = self.dir.join("log").join(name).with_extension("log");
        fs::read_to_string(&log).unwrap_or_else(|problem| panic!("{}: {problem}", log.display()))
    }

    /// Waits until a process that was there before was started again, and runs.
    #[track_caller]
    pub fn once_restarted(&self, name: &str, before: &Stack) {
        let restarts = before.process(name).restarts;
        eventually_within(START_DEADLINE, format_args!("{name} is started again"), || {
            let stack = self.now();
            let process = stack.process(name);
            if process.restarts > restarts && process.state == "running" { Ok(()) } else { Err(format!("{stack:?}")) }
        });
    }

    /// Waits until every process is up; the stack as it is then.
    #[track_caller]
    pub fn once_all_run(&self) -> Stack {
        eventually_within(START_DEADLINE, "every process runs", || {
            let stack = self.now();
            if stack.all_run() { Ok(stack) } else { Err(format!("{stack:?}")) }
        })
    }
}

impl Drop for OwnStack {
    fn drop(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        // Nothing more can be done about it.
        drop(asked.and_then(|_| self.child.wait()));
    }
}
