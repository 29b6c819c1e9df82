//! What happens to the nodes of the broker. Of several, one at a time is hit: while two of three are away, the queues stand
//! still, and there is nothing left to see.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::broker;
use super::faults::{World, until_done};
use crate::leftovers;
use crate::services::BROKER;
use crate::state::{Phase, Process, State};

const PATIENCE: Duration = Duration::from_secs(15);
const PATIENCE_TO_MEND: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The nodes by their names.
pub(crate) struct Nodes {
    pub(crate) names: Vec<String>,
    turn: Mutex<()>,
}

impl Nodes {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names, turn: Mutex::default() }
    }

    fn others(&self, node: &str) -> Vec<String> {
        self.names.iter().filter(|other| *other != node).cloned().collect()
    }
}

impl World {
    fn ensure_grown(&self) -> Result<()> {
        let queues = broker::members(&self.dir)?;
        let incomplete = queues.iter().find(|(_, members)| *members < self.nodes.names.len() as u64);
        ensure!(incomplete.is_none(), "not all queues are on all nodes: {incomplete:?}");
        Ok(())
    }

    /// Waits until no node is hit and all are well, with every queue: else two of three might have lost it. Unless that takes
    /// so long that the next faults would have to wait as well; none if the target is no node of several.
    pub(super) fn turn(&self, target: &str, stop: &AtomicBool) -> Result<Option<MutexGuard<'_, ()>>> {
        let Nodes { names, turn } = &self.nodes;
        if names.len() < 2 || !names.iter().any(|node| node == target) {
            return Ok(None);
        }
        let deadline = Instant::now() + PATIENCE;
        while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
            if let Ok(turn) = turn.try_lock()
                && self.state().is_ok_and(|state| names.iter().all(|node| is_well(&state, node)))
                && self.ensure_grown().is_ok()
            {
                return Ok(Some(turn));
            }
            thread::sleep(LOOK_AGAIN);
        }
        bail!("another node is not well")
    }

    /// The supervisor stands still meanwhile: it would start the node again before its folder is empty.
    pub(super) fn wipe(&self, node: &str) -> Result<()> {
        let state = self.state()?;
        let supervisor = Pid::from_raw(state.supervisor.context("the stack has no supervisor")?);
        kill(supervisor, Signal::SIGSTOP)?;
        let outcome = self.kill_and_wipe(node);
        kill(supervisor, Signal::SIGCONT)?;
        outcome
    }

    fn kill_and_wipe(&self, node: &str) -> Result<()> {
        self.signal(node, Signal::SIGKILL)?;
        let folder = self.dir.join(node);
        leftovers::end(&folder);
        let data = folder.join("data");
        fs::remove_dir_all(&data)?;
        Ok(fs::create_dir(data)?)
    }

    pub(super) fn cut_off(&self, node: &str, wait: impl FnOnce()) -> Result<()> {
        let others = self.nodes.others(node);
        broker::cut_off(&self.dir, node, &others)?;
        wait();
        until_done(PATIENCE_TO_MEND, || broker::mend(&self.dir, node, &others))
    }

    pub(super) fn delete_queue(&self, queue: &str) -> Result<()> {
        self.wait_for_node(BROKER)?;
        self.while_deaf(broker::consumer_of(queue), || broker::delete_queue(&self.dir, queue))
    }

    pub(super) fn memory_alarm(&self, node: &str, wait: impl FnOnce()) -> Result<()> {
        self.wait_for_node(node)?;
        broker::raise_memory_alarm(&self.dir, node)?;
        wait();
        // Should the node be down now, it comes back without the alarm.
        drop(broker::clear_memory_alarm(&self.dir, node));
        Ok(())
    }

    pub(super) fn clear_memory_alarms(&self) -> Result<()> {
        self.nodes.names.iter().try_for_each(|node| broker::clear_memory_alarm(&self.dir, node))
    }

    /// What only a running node can suffer waits for it.
    fn wait_for_node(&self, node: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let runs = |process: &Process| process.name == node && process.state == Phase::Running;
        while !self.state()?.processes.iter().any(runs) {
            ensure!(Instant::now() < deadline, "{node} does not run");
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// One that stands still since it is alone takes no connections, and neither does one that has just died.
fn is_well(state: &State, node: &str) -> bool {
    let process = state.processes.iter().find(|process| process.name == node);
    let process = process.filter(|process| process.state == Phase::Running);
    let port = process.and_then(|process| process.ports.first());
    port.is_some_and(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok())
}
