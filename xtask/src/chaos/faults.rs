//! Faults on a running stack: how each begins and how it is taken back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clocks::Clocks;
use super::links::Proxies;
use super::nodes::Nodes;
use super::proxy::{Mode, Proxy};
use super::schedule::{Ending, Fault, Kind, Strike};
use crate::services::BROKER;
use crate::standby::{self, Note, SERVERS};
use crate::state::State;
use crate::{leftovers, postgres, print, promote, state};

const LATE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const PILE_UP: Duration = Duration::from_millis(1500);
const PATIENCE_FOR_BROKER: Duration = Duration::from_secs(30);
/// A standby is promoted only once it has all that was answered, and that may have to come back first.
const PATIENCE_FOR_STANDBY: Duration = Duration::from_mins(1);

/// What faults act on.
pub(crate) struct World {
    pub(crate) dir: PathBuf,
    pub(crate) proxies: Proxies,
    pub(crate) nodes: Nodes,
    pub(crate) clocks: Option<Clocks>,
}

/// How many faults of a kind were there.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) struck: u64,
    /// There was nothing to hit: what should have been hit was down already.
    pub(crate) missed: u64,
}

pub(crate) type Counts = BTreeMap<Kind, Count>;

/// Lets every fault happen in its time; returns when the last is over, or as soon as `stop` is set.
pub(crate) fn unleash(world: &World, faults: &[Fault], began: Instant, stop: &AtomicBool) -> Counts {
    let counts = Mutex::new(Counts::new());
    thread::scope(|scope| {
        for fault in faults {
            sleep_until(began + fault.at, stop);
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let counts = &counts;
            scope.spawn(move || {
                let outcome = world.suffer(fault, stop);
                tell(fault, &outcome, began.elapsed());
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                let count = counts.entry(fault.kind).or_default();
                if outcome.is_ok() { count.struck += 1 } else { count.missed += 1 }
            });
        }
    });
    counts.into_inner().unwrap_or_default()
}

/// Tells of a fault that went another way than planned: this machine is slow, or what should be hit was down already.
fn tell(fault: &Fault, outcome: &Result<()>, now: Duration) {
    let late = now.saturating_sub(fault.at + fault.lasts);
    match outcome {
        Err(problem) => print::out(format_args!("{fault}: missed, since {problem:#}")),
        Ok(()) if late > LATE => print::out(format_args!("{fault}: {:.1} s late", late.as_secs_f32())),
        Ok(()) => {}
    }
}

/// Sleeps in small pieces, so that the user need not wait.
pub(crate) fn sleep_until(moment: Instant, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

impl World {
    /// The stack of a folder, with nothing between its parts.
    pub(crate) fn untouched(dir: PathBuf) -> Self {
        Self { dir, proxies: Proxies::new(), nodes: Nodes::new(vec![BROKER.to_owned()]), clocks: None }
    }

    /// From the beginning of a fault to its end.
    fn suffer(&self, fault: &Fault, stop: &AtomicBool) -> Result<()> {
        let _turn = self.turn(&fault.target, stop)?;
        let over = Instant::now() + fault.lasts;
        let wait = || sleep_until(over, stop);
        match fault.strike {
            Strike::Kill => self.signal(&fault.target, Signal::SIGKILL),
            Strike::Terminate => self.signal(&fault.target, orderly_stop(&fault.target)),
            Strike::Freeze => {
                let frozen = self.freeze(&fault.target)?;
                wait();
                send(&frozen, Signal::SIGCONT);
                Ok(())
            }
            Strike::Reset => {
                self.proxy(&fault.target)?.reset();
                Ok(())
            }
            Strike::Forget => {
                self.proxy(&fault.target)?.forget();
                Ok(())
            }
            Strike::Latency(delay) => self.change(&fault.target, Mode::Delay(delay), wait).map(drop),
            Strike::BlackHole(ending) => {
                let proxy = self.change(&fault.target, Mode::Hold, wait)?;
                if matches!(ending, Ending::Reset) {
                    proxy.reset();
                }
                Ok(())
            }
            Strike::Refuse => {
                self.proxy(&fault.target)?.reset();
                self.change(&fault.target, Mode::Refuse, wait).map(drop)
            }
            Strike::WipeBroker(deaf) => self.while_deaf(deaf, || self.wipe(&fault.target)),
            Strike::DeleteQueue => self.delete_queue(&fault.target),
            Strike::MemoryAlarm => self.memory_alarm(&fault.target, wait),
            Strike::CutOff => self.cut_off(&fault.target, wait),
            Strike::FailOver => self.fail_over(),
            Strike::ShiftClock(seconds) => {
                let clocks = self.clocks.as_ref().context("clocks cannot be shifted here")?;
                clocks.shift(&fault.target, seconds)?;
                wait();
                clocks.shift(&fault.target, 0)
            }
        }
    }

    /// Takes back whatever may still be wrong. Processes that died are started again by the supervisor.
    pub(crate) fn heal(&self) -> Result<()> {
        self.thaw()?;
        until_done(PATIENCE_FOR_BROKER, || self.clear_memory_alarms()).context("the broker does not come back")
    }

    /// Lets every process and every link go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        for folder in std::iter::once(self.dir.clone()).chain(postgres::elsewhere(&self.dir)) {
            send(&leftovers::below(&folder), Signal::SIGCONT);
        }
        for proxy in self.proxies.values() {
            proxy.set(Mode::Pass);
        }
        if let Some(clocks) = &self.clocks {
            clocks.set_right()?;
        }
        Ok(())
    }

    pub(crate) fn signal(&self, process: &str, signal: Signal) -> Result<()> {
        Ok(kill(self.pid_of(process)?, signal)?)
    }

    /// As an operator would do it, who tries until it is done.
    fn fail_over(&self) -> Result<()> {
        let [primary, _] = Note::of(&self.dir)?.roles();
        self.signal(primary, Signal::SIGKILL)?;
        until_done(PATIENCE_FOR_STANDBY, || promote::promote(&self.dir).map(drop))
    }

    /// The children stop after their parent, which can make no more of them.
    fn freeze(&self, process: &str) -> Result<Vec<Pid>> {
        kill(self.pid_of(process)?, Signal::SIGSTOP)?;
        let all = leftovers::below(&self.folder_of(process)?);
        send(&all, Signal::SIGSTOP);
        Ok(all)
    }

    /// All replicas of a service are frozen, so that what is meant for them piles up and can be lost.
    pub(super) fn while_deaf(&self, service: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let state = self.state()?;
        let replicas = state.processes.iter().filter(|process| process.name.starts_with(service));
        // One that is down does not listen either.
        let frozen: Vec<_> = replicas.flat_map(|replica| self.freeze(&replica.name).unwrap_or_default()).collect();
        thread::sleep(PILE_UP);
        let outcome = act();
        send(&frozen, Signal::SIGCONT);
        outcome
    }

    fn change(&self, link: &str, mode: Mode, wait: impl FnOnce()) -> Result<&Proxy> {
        let proxy = self.proxy(link)?;
        let ticket = proxy.set(mode);
        wait();
        proxy.take_back(ticket);
        Ok(proxy)
    }

    fn proxy(&self, link: &str) -> Result<&Proxy> {
        self.proxies.get(link).with_context(|| format!("there is no link {link}"))
    }

    pub(crate) fn state(&self) -> Result<State> {
        state::peek(&self.dir).context("nothing runs here")
    }

    /// Only what works in the process's own folder is ever hit: the state may be a moment old.
    fn pid_of(&self, process: &str) -> Result<Pid> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.state()?;
            let pid = state.processes.iter().find(|candidate| candidate.name == process).and_then(|found| found.pid);
            let pid = pid.map(|pid| Pid::from_raw(pid.cast_signed()));
            let in_place = leftovers::below(&self.folder_of(process)?);
            if let Some(pid) = pid.filter(|pid| in_place.contains(pid)) {
                return Ok(pid);
            }
            ensure!(Instant::now() < deadline, "{process} does not run");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn folder_of(&self, process: &str) -> Result<PathBuf> {
        if SERVERS.contains(&process) { standby::folder(&self.dir, process) } else { Ok(self.dir.join(process)) }
    }
}

/// Tries again until it succeeds.
pub(super) fn until_done(patience: Duration, act: impl Fn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + patience;
    while let Err(problem) = act() {
        ensure!(Instant::now() < deadline, "{problem:#}");
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn send(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // Dead in the meantime is as good.
        let _ = kill(*pid, signal);
    }
}

/// What each understands as the wish to end in order.
fn orderly_stop(process: &str) -> Signal {
    match process {
        "postgres" | "postgres-2" => Signal::SIGINT,
        "gateway" => Signal::SIGQUIT,
        _ => Signal::SIGTERM,
    }
}
