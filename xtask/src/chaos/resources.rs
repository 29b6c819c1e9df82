//! What a service holds: threads and files, which sockets are too.

use std::fs;

use crate::state::State;

/// Threads that come and go with the work.
const THREADS_MORE: usize = 10;
/// Connections to the database that were not needed yet, and of the gateway, which keeps those that were.
const FILES_MORE: usize = 60;

/// One process at one moment.
pub(crate) struct Holding {
    name: String,
    threads: usize,
    files: usize,
}

/// Of every service that runs.
pub(crate) fn held_by_services(state: &State) -> Vec<Holding> {
    let services = state.processes.iter().filter(|process| process.name.contains("-service"));
    let holding = |process: &crate::state::Process| {
        let entries = |what: &str| Some(fs::read_dir(format!("/proc/{}/{what}", process.pid?)).ok()?.count());
        Some(Holding { name: process.name.clone(), threads: entries("task")?, files: entries("fd")? })
    };
    services.filter_map(holding).collect()
}

/// What has grown more than it may. A process that was started again is compared with the one before.
pub(crate) fn grown(before: &[Holding], after: &[Holding]) -> Vec<String> {
    let pairs = before.iter().filter_map(|old| Some((old, after.iter().find(|new| new.name == old.name)?)));
    let grown =
        pairs.filter(|(old, new)| new.threads > old.threads + THREADS_MORE || new.files > old.files + FILES_MORE);
    let told = |(old, new): (&Holding, &Holding)| {
        let Holding { name, threads, files } = new;
        format!("{name}: {} threads, then {threads}; {} files, then {files}", old.threads, old.files)
    };
    grown.map(told).collect()
}
