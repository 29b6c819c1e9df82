//! Keeps the parts of a stack running until it is told to stop: starts each when what it needs is ready, restarts what
//! dies, and stops all in order. One thread decides everything; signals and answered probes reach it as events.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp};

use crate::leftovers;
use crate::print;
use crate::probe::Probe;
use crate::process::{Part, Stage};
use crate::stack::Stack;
use crate::state::{self, Phase, Process, State};

/// A process that lived longer than this died for a new reason.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(500);

/// What the supervisor reacts to.
pub(crate) enum Event {
    Signal(Signal),
    /// A probe was answered for one life of a part.
    Ready {
        part: usize,
        life: u32,
    },
}

/// The parts of one stack.
pub(crate) struct Supervisor<'a> {
    dir: &'a Path,
    state: State,
    parts: Vec<Supervised>,
    events: Receiver<Event>,
    ready: Sender<Event>,
}

struct Supervised {
    part: Part,
    child: Option<Child>,
    alive: Arc<AtomicBool>,
    phase: Phase,
    /// Counts starts.
    life: u32,
    /// Deaths in a row without a healthy time between them.
    failures: u32,
    began: Instant,
    due: Instant,
    was_ready: bool,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(dir: &'a Path, stack: Stack, ready: Sender<Event>, events: Receiver<Event>) -> Self {
        let now = Instant::now();
        let supervised = |part| Supervised {
            part,
            child: None,
            alive: Arc::default(),
            phase: Phase::Waiting,
            life: 0,
            failures: 0,
            began: now,
            due: now,
            was_ready: false,
        };
        let state = State {
            supervisor: Some(Pid::this().as_raw()),
            gateway: stack.gateway,
            postgres: stack.postgres,
            amqp: stack.amqp,
            processes: Vec::new(),
            unfinished: Vec::new(),
        };
        Self { dir, state, parts: stack.parts.into_iter().map(supervised).collect(), events, ready }
    }

    /// Runs until a signal asks for the end; everything is stopped when it returns.
    pub(crate) fn run(mut self) -> Result<()> {
        // What a killed master leaves becomes our child, so that no zombie stays where nobody else reaps.
        prctl::set_child_subreaper(true)?;
        let outcome = self.supervise();
        self.stop();
        outcome
    }

    fn supervise(&mut self) -> Result<()> {
        self.start_due()?;
        loop {
            match self.events.recv_timeout(self.until_next_start()) {
                Ok(Event::Signal(Signal::SIGCHLD)) | Err(_) => {}
                Ok(Event::Signal(_)) => return Ok(()),
                Ok(Event::Ready { part, life }) => self.note_ready(part, life),
            }
            // `cargo clean` takes the folder away under a running stack.
            ensure!(self.dir.join("lock").exists(), "{} is gone", self.dir.display());
            self.bury_dead();
            self.start_due()?;
        }
    }

    fn until_next_start(&self) -> Duration {
        let waiting = self.parts.iter().filter(|supervised| supervised.phase == Phase::Waiting && supervised.life > 0);
        let next = waiting.map(|supervised| supervised.due.saturating_duration_since(Instant::now())).min();
        next.map_or(TICK, |next| next.min(TICK))
    }

    fn note_ready(&mut self, part: usize, life: u32) {
        let supervised = &mut self.parts[part];
        if supervised.life == life && supervised.phase == Phase::Starting {
            supervised.phase = Phase::Running;
            supervised.was_ready = true;
            self.publish();
        }
    }

    fn start_due(&mut self) -> Result<()> {
        for index in 0..self.parts.len() {
            let waits = self.parts[index].phase == Phase::Waiting && self.parts[index].due <= Instant::now();
            if waits && self.needs_are_met(index) {
                self.start(index)?;
            }
        }
        Ok(())
    }

    fn needs_are_met(&self, index: usize) -> bool {
        let needs = &self.parts[index].part.needs;
        needs.iter().all(|need| self.parts.iter().any(|other| other.part.name == *need && other.was_ready))
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let supervised = &mut self.parts[index];
        supervised.child = Some(supervised.part.spawn()?);
        supervised.phase = Phase::Starting;
        supervised.life += 1;
        supervised.began = Instant::now();
        supervised.alive = Arc::new(AtomicBool::new(true));
        let (ready, life) = (self.ready.clone(), supervised.life);
        supervised.part.ready.watch(Arc::clone(&supervised.alive), move || {
            // Nobody listens any more when everything is being stopped.
            let _ = ready.send(Event::Ready { part: index, life });
        });
        self.publish();
        Ok(())
    }

    fn bury_dead(&mut self) {
        let mut changed = false;
        for supervised in &mut self.parts {
            let Some(child) = &mut supervised.child else { continue };
            if let Ok(Some(status)) = child.try_wait() {
                changed = true;
                if status.success() && matches!(supervised.part.ready, Probe::Ended) {
                    supervised.finish();
                    continue;
                }
                print::err(format_args!("{} ended ({status}) and will be started again", supervised.part.name));
                supervised.bury();
            }
        }
        self.reap_adopted();
        if changed {
            self.publish();
        }
    }

    /// Reaps dead processes that became our children when their parent died. A psql of a probe is in our own group and
    /// is waited for by its thread.
    fn reap_adopted(&self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) = waitid(Id::All, flags) {
            let is_part =
                self.parts.iter().filter_map(|supervised| supervised.child.as_ref()).any(|child| pid_of(child) == pid);
            if is_part || getpgid(Some(pid)) == Ok(getpgrp()) || waitpid(pid, None).is_err() {
                return;
            }
        }
    }

    fn stop(&mut self) {
        for stage in [Stage::Gateway, Stage::Services, Stage::Broker, Stage::BrokerNames, Stage::Database] {
            let mut members: Vec<_> =
                self.parts.iter_mut().filter(|supervised| supervised.part.stage == stage).collect();
            for supervised in &mut members {
                supervised.ask_to_stop();
            }
            self.publish();
            self.wait_for_end(stage);
        }
        state::remove(self.dir);
    }

    fn wait_for_end(&mut self, stage: Stage) {
        let began = Instant::now();
        let mut impatient = false;
        for supervised in self.parts.iter_mut().filter(|supervised| supervised.part.stage == stage) {
            while supervised.is_alive() {
                // A second Ctrl-C: whoever sends it does not want to wait.
                let asked_again = self.events.recv_timeout(Duration::from_millis(20));
                impatient |= matches!(asked_again, Ok(Event::Signal(signal)) if signal != Signal::SIGCHLD);
                if impatient || began.elapsed() > supervised.part.patience {
                    supervised.send(Signal::SIGKILL);
                }
            }
            leftovers::end(&supervised.part.folder);
            supervised.child = None;
            supervised.phase = Phase::Stopped;
        }
        self.reap_adopted();
    }

    /// Failing to write is reported and survived: the stack itself does not need the file.
    fn publish(&mut self) {
        let listed = self.parts.iter().filter(|supervised| supervised.part.listed);
        self.state.processes = listed.map(Supervised::describe).collect();
        let unfinished = self.parts.iter().filter(|supervised| supervised.is_unfinished());
        self.state.unfinished = unfinished.map(|supervised| supervised.part.name.clone()).collect();
        if let Err(error) = state::write(self.dir, &self.state) {
            print::err(format_args!("cannot write the state of the stack: {error:#}"));
        }
    }
}

impl Supervised {
    fn is_unfinished(&self) -> bool {
        matches!(self.part.ready, Probe::Ended) && !self.was_ready
    }

    /// It has done what it is there for, and is not started again.
    fn finish(&mut self) {
        self.alive.store(false, Ordering::Relaxed);
        self.child = None;
        self.phase = Phase::Stopped;
        self.was_ready = true;
    }

    /// Plans the next start, later and later if it dies again and again.
    fn bury(&mut self) {
        self.alive.store(false, Ordering::Relaxed);
        self.child = None;
        self.phase = Phase::Waiting;
        // Workers of a dead nginx hold its port, backends of a dead postmaster its shared memory.
        leftovers::end(&self.part.folder);
        self.failures = if self.began.elapsed() > HEALTHY_AFTER { 0 } else { self.failures + 1 };
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(10));
        self.due = Instant::now() + pause.min(LONGEST_PAUSE);
    }

    fn ask_to_stop(&mut self) {
        self.alive.store(false, Ordering::Relaxed);
        self.phase = Phase::Stopping;
        if self.is_alive() {
            print::err(format_args!("stopping {}", self.part.name));
            self.send(self.part.stop);
            // A frozen process would not notice.
            self.send(Signal::SIGCONT);
        }
    }

    fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Only to be called while the child has not been waited for, so that the pid is still its own.
    fn send(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // Already dead is as good.
            let _ = kill(pid_of(child), signal);
        }
    }

    fn describe(&self) -> Process {
        Process {
            name: self.part.name.clone(),
            pid: self.child.as_ref().map(Child::id),
            ports: self.part.ports.clone(),
            state: self.phase,
            restarts: self.life.saturating_sub(1),
            log: self.part.log.clone(),
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
