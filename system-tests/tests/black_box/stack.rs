//! The running stack, as its folder tells about it: the same that `cargo xtask ps --json` prints.

use std::env;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Deserialize;

use crate::polling::eventually;

/// Tests that kill processes have the stack for themselves; a test that failed leaves it to the next one.
static STACK: RwLock<()> = RwLock::new(());

/// Held while a test needs every process to live.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    STACK.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held while a test kills processes.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    STACK.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that starts three nodes of RabbitMQ: of two at a time, both are short of what they wait for. A lock on a
/// file, since some of these tests run in a process of their own beside the others.
pub fn turn_of_clusters() -> File {
    let turn = File::create(dir().with_file_name("turn-of-clusters")).expect("a file to lock");
    turn.lock().expect("the turn comes");
    turn
}

/// The state of the stack at one moment.
#[derive(Debug, Deserialize)]
pub struct Stack {
    pub gateway: String,
    /// The superuser's address of the database.
    pub postgres: String,
    /// The address of the broker.
    pub amqp: String,
    pub processes: Vec<Process>,
    pub unfinished: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Process {
    pub name: String,
    pub pid: Option<u32>,
    pub ports: Vec<u16>,
    pub state: String,
    pub restarts: u32,
}

impl Stack {
    pub fn now() -> Self {
        Self::of(&dir())
    }

    /// The stack of another folder.
    pub fn of(dir: &Path) -> Self {
        let path = dir.join("state.json");
        let json = fs::read(&path).unwrap_or_else(|error| panic!("no stack runs here: {}: {error}", path.display()));
        serde_json::from_slice(&json).expect("the state of the stack can be read")
    }

    /// Waits until every process is up.
    #[track_caller]
    pub fn once_all_run() -> Self {
        eventually("every process runs", || {
            let stack = Self::now();
            if stack.all_run() { Ok(stack) } else { Err(format!("{stack:?}")) }
        })
    }

    pub fn all_run(&self) -> bool {
        self.processes.iter().all(|process| process.state == "running")
    }

    /// Waits until a process has died, was started again and is up.
    #[track_caller]
    pub fn once_restarted(name: &str, restarts_before: u32) -> Self {
        eventually(format_args!("{name} is started again"), || {
            let stack = Self::now();
            let process = stack.process(name);
            let is_back = process.restarts > restarts_before && process.state == "running";
            if is_back { Ok(stack) } else { Err(format!("{stack:?}")) }
        })
    }

    #[track_caller]
    pub fn process(&self, name: &str) -> &Process {
        let mut processes = self.processes.iter();
        processes.find(|process| process.name == name).unwrap_or_else(|| panic!("the stack has no {name}"))
    }

    /// How often each process was started again.
    pub fn restarts(&self) -> Vec<(String, u32)> {
        self.processes.iter().map(|process| (process.name.clone(), process.restarts)).collect()
    }
}

impl Process {
    /// Ends it without a chance to finish anything.
    #[track_caller]
    pub fn kill(&self) {
        self.signal("-KILL");
    }

    /// Asks it to finish what it has begun and to end.
    #[track_caller]
    pub fn stop(&self) {
        self.signal("-TERM");
    }

    /// Stops it and its children where they are, without their knowing.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal("-STOP");
        self.signal_children("-STOP");
    }

    #[track_caller]
    pub fn thaw(&self) {
        self.signal_children("-CONT");
        self.signal("-CONT");
    }

    #[track_caller]
    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill can be run");
        assert!(status.success(), "{} could not be sent {signal}: {status}", self.name);
    }

    #[track_caller]
    fn signal_children(&self, signal: &str) {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
        // One that has ended in the meantime is no matter.
        Command::new("kill").arg(signal).args(children.split_whitespace()).status().expect("kill can be run");
    }

    #[track_caller]
    fn pid(&self) -> u32 {
        self.pid.expect("a running process has a pid")
    }

    /// Whether somebody listens on its first port.
    pub fn listens(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.ports[0])).is_ok()
    }
}

/// Where the processes write to.
pub fn dir() -> PathBuf {
    variable("STACK_DIR").into()
}

/// The program of `cargo xtask`.
pub fn xtask() -> PathBuf {
    variable("XTASK").into()
}

/// The folder with the services' binaries, which is also that of xtask.
pub fn binaries() -> PathBuf {
    xtask().parent().expect("a program is in a folder").to_owned()
}

pub fn gateway_url() -> String {
    variable("GATEWAY_URL")
}

fn variable(name: &str) -> String {
    let value = env::var_os(name).and_then(|value| value.into_string().ok());
    value.unwrap_or_else(|| panic!("{name} is not set: this test needs a running system, run `cargo xtask test`"))
}
