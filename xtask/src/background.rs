//! A stack in a process of its own: what `up --detach` leaves behind, and what tests run against.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};

use crate::leftovers;
use crate::paths::{self, StackDir};
use crate::print;
use crate::stack::{self, Data, Plan};
use crate::state::{self, State};
use crate::supervisor::{Event, Supervisor};
use crate::{postgres, progress, signals};

/// Longer than all parts together are given to stop.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whether the stack ends with us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Own,
    Ours,
}

/// The supervisor of a stack, running beside us.
pub(crate) struct Background {
    dir: PathBuf,
    child: Child,
}

/// The folders of a run that has a stack of its own.
pub(crate) struct Folders {
    pub(crate) run: PathBuf,
    pub(crate) stack: PathBuf,
}

/// Opens them for a run of this task, of which there is no other one in there. What one that was killed has left behind ends:
/// it may hold ports that are wanted.
pub(crate) fn open_for(task: &str, run: Option<&PathBuf>) -> Result<Folders> {
    let run = paths::open_dir(run.unwrap_or(&paths::target().join(task)))?;
    let stack = paths::open_dir(&run.join("stack"))?;
    if state::lock(&stack)?.is_none() {
        bail!("another `cargo xtask {task}` is running in {}", run.display());
    }
    end_leftovers(&stack);
    Ok(Folders { run, stack })
}

/// Starts the supervisor of a planned stack.
pub(crate) fn start(dir: &Path, life: Life, variables: &[(&str, String)]) -> Result<Background> {
    // An old state would be taken for the new one's.
    state::remove(dir);
    let log = File::create(log(dir))?;
    let mut command = Command::new("setpriv");
    if life == Life::Ours {
        command.args(["--pdeathsig", "TERM"]);
    }
    command.args(["--", "env", signals::UNBLOCK]).arg(paths::ourselves()).args(["supervise", "--dir"]).arg(dir);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().context("cannot start the supervisor")?;
    Ok(Background { dir: dir.to_owned(), child })
}

pub(crate) fn log(dir: &Path) -> PathBuf {
    dir.join("supervisor.log")
}

impl Background {
    /// Tells the user how far it is; a signal or the end of the supervisor is a reason to give up.
    pub(crate) fn wait_until_ready(&mut self, signals: &mpsc::Receiver<Signal>) -> Result<State> {
        let (dir, pid) = (self.dir.clone(), self.pid());
        progress::until_ready(&dir, pid, || {
            if self.has_ended() {
                return Some(format!("the stack has stopped{}", progress::tail(&log(&dir))));
            }
            interruption(signals)
        })
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether the supervisor has given up.
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        if !self.has_ended() {
            kill(Pid::from_raw(self.pid()), Signal::SIGTERM)?;
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
            }
            thread::sleep(Duration::from_millis(20));
        }
        end_leftovers(&self.dir);
        Ok(())
    }
}

/// A reason to give up if a signal has arrived.
pub(crate) fn interruption(signals: &mpsc::Receiver<Signal>) -> Option<String> {
    signals.try_iter().find(|signal| *signal != Signal::SIGCHLD).map(|signal| format!("stopped by {signal}"))
}

/// The supervisor itself, in a process of its own.
pub(crate) fn serve(options: &StackDir) -> Result<ExitCode> {
    let dir = options.open()?;
    // Out of reach of Ctrl-C, and of the end of the terminal.
    setsid()?;
    let (sender, events) = mpsc::channel();
    signals::forward(sender.clone(), Event::Signal)?;
    supervise(&dir, sender, events)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the planned stack of a folder until a signal asks for its end.
pub(crate) fn supervise(dir: &Path, ready: mpsc::Sender<Event>, events: mpsc::Receiver<Event>) -> Result<()> {
    let Some(_lock) = state::lock(dir)? else { bail!("a stack already runs in {}", dir.display()) };
    let plan = Plan::load(dir)?;
    let ended = end_leftovers(dir);
    if ended > 0 {
        print::out(format_args!("ended {ended} processes of an earlier run"));
    }
    if plan.data == Data::Wiped {
        stack::wipe(dir)?;
    }
    let stack = stack::prepare(dir, &plan)?;
    Supervisor::new(dir, stack, ready, events).run()
}

/// Ends whatever a killed supervisor left running. Only for a folder without a supervisor.
pub(crate) fn end_leftovers(dir: &Path) -> usize {
    let outside = postgres::elsewhere(dir);
    std::iter::once(dir).chain(outside.iter().map(PathBuf::as_path)).map(leftovers::end).sum()
}
