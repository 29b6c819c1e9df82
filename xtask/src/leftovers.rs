//! Finds and ends what a killed process left behind: nginx workers without their master, backends without their
//! postmaster, a whole stack without its supervisor. Nothing is matched by name alone: it must work in our folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(10);

/// Only these are ever ended: the working folder of a shell or an editor may be here too.
const PROGRAMS: [&str; 11] = [
    "beam.smp",
    "cpu_sup",
    "epmd",
    "erl_child_setup",
    "erlexec",
    "inet_gethost",
    "memsup",
    "nginx",
    "orders-service",
    "payments-service",
    "postgres",
];

/// Kills everything of ours that works below a folder, and waits until it is gone. Returns how many there were.
pub(crate) fn end(folder: &Path) -> usize {
    let found = below(folder);
    for pid in &found {
        // Gone in the meantime is as good.
        let _ = kill(*pid, Signal::SIGKILL);
    }
    let deadline = Instant::now() + PATIENCE;
    while !below(folder).is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    found.len()
}

/// Everything of ours that works below a folder.
pub(crate) fn below(folder: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.map(Pid::from_raw).filter(|pid| *pid != Pid::this() && works_below(*pid, folder)).collect()
}

/// A zombie has neither of the two links, so it does not count.
fn works_below(pid: Pid, folder: &Path) -> bool {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
    let works_here = link("cwd").is_some_and(|cwd: PathBuf| cwd.starts_with(folder));
    works_here
        && link("exe").is_some_and(|exe| {
            let name = exe.file_name().unwrap_or_default().to_string_lossy();
            // The kernel says so when the file was replaced by a newer build.
            PROGRAMS.contains(&name.trim_end_matches(" (deleted)"))
        })
}
