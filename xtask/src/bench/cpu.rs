//! CPU time and memory of processes, from `/proc`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::state::{Process, State};

/// What the kernel counts CPU time in, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of each part of a stack, its child processes included: PostgreSQL has one for each connection.
pub(crate) struct Spent(BTreeMap<String, f64>);

/// One line of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    /// Of its own.
    ticks: u64,
    /// Of its children that have ended.
    ticks_of_ended: u64,
}

impl Spent {
    pub(crate) fn so_far(state: &State) -> Self {
        let all = all_stats();
        let of = |process: &Process| Some((process.name.clone(), seconds_of_tree(process.pid?, &all)));
        Self(state.processes.iter().filter_map(of).collect())
    }

    /// By part, since an earlier moment.
    pub(crate) fn since(self, earlier: &Self) -> impl Iterator<Item = (String, f64)> {
        let before: Vec<_> = self.0.keys().map(|name| earlier.0.get(name).copied().unwrap_or_default()).collect();
        self.0.into_iter().zip(before).map(|((name, now), before)| (name, now - before))
    }
}

/// CPU seconds of our own children that have ended, such as a load generator.
pub(crate) fn of_ended_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let stat = parse(&stat).context("/proc/self/stat cannot be read")?;
    Ok(seconds(stat.ticks_of_ended))
}

/// The most memory that a process has ever had resident, in MiB.
pub(crate) fn peak_memory(process: &Process) -> Result<f64> {
    let pid = process.pid.with_context(|| format!("{} does not run", process.name))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
    kibibytes.map(|kibibytes: f64| kibibytes / 1024.0).context("the kernel does not tell the memory of a process")
}

fn all_stats() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stat = |pid: u32| Some((pid, parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?));
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// `pid (name) state ppid …`: a name may hold anything, so the fields are counted from its end.
fn parse(stat: &str) -> Option<Stat> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks(11)? + ticks(12)?,
        ticks_of_ended: ticks(13)? + ticks(14)?,
    })
}

fn seconds_of_tree(root: u32, all: &BTreeMap<u32, Stat>) -> f64 {
    let own = all.get(&root).map_or(0.0, |stat| seconds(stat.ticks + stat.ticks_of_ended));
    let children = all.iter().filter(|(_, stat)| stat.parent == root);
    own + children.map(|(pid, _)| seconds_of_tree(*pid, all)).sum::<f64>()
}

#[expect(clippy::cast_precision_loss, reason = "no process has spent so much")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_name() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 100 20 30 4 20 0 1 0";
        let stat = parse(line).expect("a line of the kernel");
        assert_eq!((stat.parent, stat.ticks, stat.ticks_of_ended), (3, 120, 34));
    }
}
