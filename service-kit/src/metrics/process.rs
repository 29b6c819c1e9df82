//! What the kernel knows of this process, under the names that all Prometheus clients use.

use std::time::Duration;

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo};

use super::{Figure, seconds};

/// Nothing where there is no `/proc`.
pub(crate) fn of_process() -> Vec<Figure> {
    read().unwrap_or_default()
}

fn read() -> ProcResult<Vec<Figure>> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = |ticks: u64| Duration::from_millis(ticks * 1000 / procfs::ticks_per_second());
    let started = Duration::from_secs(procfs::boot_time_secs()?) + ticks(stat.starttime);
    let resident = stat.rss_bytes().get();
    let (open, allowed) = (process.fd_count()?, process.limits()?.max_open_files.soft_limit);
    let count = |name, help, value: u64| Figure::count(name, help, value.try_into().unwrap_or(i64::MAX));
    let allowed = if let LimitValue::Value(allowed) = allowed { allowed } else { u64::MAX };
    Ok(vec![
        Figure::seconds_total("process_cpu_seconds", "CPU time used", seconds(ticks(stat.utime + stat.stime))),
        Figure::seconds("process_start_time_seconds", "When it was started, in Unix time", seconds(started)),
        count("process_resident_memory_bytes", "Memory in use", resident),
        count("process_open_fds", "Open files and sockets", open as u64),
        count("process_max_fds", "How many files and sockets may be open", allowed),
        Figure::count("process_threads", "Threads", stat.num_threads),
    ])
}
