//! The limit that PostgreSQL sets: `pgbench` with the rows of an order and its event, on the server that the services
//! use and with its settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::books::Books;
use super::latencies::Latencies;
use super::wrk::Pace;
use crate::postgres;

const SCRIPT: &str = include_str!("pgbench.sql");
/// As the services have them, in a schema of their own.
const TABLES: &str = "drop schema if exists limits cascade;
    create schema limits;
    create table limits.orders (like orders.orders including all);
    create table limits.outbox (like orders.outbox including all);
    create sequence limits.keys cache 1000;";

pub(crate) struct Limit {
    pub(crate) per_second: f64,
    pub(crate) latencies: Latencies,
}

/// Runs on empty tables. What is asked for at a pace is due at random moments, and its time counts from then.
pub(crate) fn run(books: &Books, dir: &Path, clients: u32, pace: Pace, length: Duration) -> Result<Limit> {
    books.execute(TABLES)?;
    // The time includes the logins, which can take a busy machine seconds.
    let length = length.max(Duration::from_secs(u64::from(clients / 16)));
    let program = postgres::programs().context("PostgreSQL is not installed")?.join("pgbench");
    ensure!(program.is_file(), "pgbench is missing: it comes with the server of PostgreSQL");
    let script = dir.join("pgbench.sql");
    fs::write(&script, SCRIPT)?;
    let log = dir.join(format!("pgbench-{clients}"));
    let mut command = Command::new(program);
    command.args(["--no-vacuum", "--protocol=prepared", "--log"]).arg("--log-prefix").arg(&log);
    command.arg("--file").arg(&script).args(["--client", &clients.to_string(), "--jobs", &clients.min(2).to_string()]);
    command.args(["--time", &length.as_secs().to_string()]).arg(&books.url).stdin(Stdio::null());
    if let Pace::PerSecond(rate) = pace {
        command.args(["--rate", &rate.to_string()]);
    }
    let output = command.output().context("cannot run pgbench")?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "pgbench has failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    let per_second = told.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let per_second = per_second.with_context(|| format!("pgbench does not tell the rate: {told}"))?;
    let latencies = Latencies::of_microseconds(read_logs(&log)?);
    let latencies = match pace {
        Pace::Unlimited => latencies.with_omitted(clients.into(), length),
        Pace::PerSecond(_) => latencies,
    };
    books.execute("drop schema limits cascade")?;
    Ok(Limit { per_second, latencies })
}

/// Every thread has a file of its own, with the microseconds of each transaction in the third column.
fn read_logs(prefix: &Path) -> Result<Vec<u64>> {
    let folder = prefix.parent().context("a log is in a folder")?;
    let ours = format!("{}.", prefix.file_name().unwrap_or_default().display());
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let files = entries.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours));
    let mut times = Vec::new();
    for file in files.map(fs::DirEntry::path).collect::<Vec<PathBuf>>() {
        let text = fs::read_to_string(&file)?;
        times.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()));
        fs::remove_file(file)?;
    }
    Ok(times)
}
