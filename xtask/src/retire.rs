//! `cargo xtask retire`: moves what was closed long ago out of the tables that the services work with, a few orders at a
//! time. What that means is said in `retire.sql`, which can also be run by hand.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::any_database::AnyDatabase;
use crate::{postgres, print, probe};

const STATEMENT: &str = include_str!("retire.sql");
const DROP_MONTHS: &str = include_str!("retire_months.sql");
/// Before the first order there can be.
const FIRST: &str = "00000000-0000-0000-0000-000000000000";

/// To be run from time to time, while the system works. It may be ended at any moment.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    database: AnyDatabase,
    /// How long ago the last thing must have happened to an order
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    closed_for: Duration,
    /// How many orders are looked at with one statement
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Between two statements
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = humantime::parse_duration)]
    pause: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What became of the orders.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    looked_at: u64,
    pub(crate) retired: u64,
    /// Partitions of which nothing was left.
    dropped: Vec<String>,
}

/// The row of the statement.
#[derive(Deserialize)]
struct Batch {
    looked_at: u64,
    retired: u64,
    last: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { closed_for, batch, pause, .. } = options;
    let report = retire(&options.database.url()?, *closed_for, *batch, *pause)?;
    if options.json {
        print::out(serde_json::to_string(&report)?);
    } else {
        print::out(format_args!("{} of {} orders are retired", report.retired, report.looked_at));
        for partition in &report.dropped {
            print::out(format_args!("{partition} was empty and is dropped"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks at every order there is, `batch` at a time, then at the months that are past.
pub(crate) fn retire(database: &str, closed_for: Duration, batch: u32, pause: Duration) -> Result<Report> {
    let psql = postgres::psql()?;
    let mut report = Report::default();
    let mut after = FIRST.to_owned();
    loop {
        // The last one looks for keys of every single order without an index; that there are none is known already.
        let settings = format!(
            "set retire.closed_for = '{} s'; set retire.batch = {batch}; set retire.after = '{after}';
             set session_replication_role = replica",
            closed_for.as_secs_f64(),
        );
        let output = probe::psql_output(&psql, database, &["-tA", "-c", &settings, "-c", STATEMENT])
            .context("no orders can be retired")?;
        let line = output.lines().find(|line| line.starts_with('{'));
        let line = line.with_context(|| format!("the database answers {output:?}"))?;
        let Batch { looked_at, retired, last } = serde_json::from_str(line)?;
        report.looked_at += looked_at;
        report.retired += retired;
        match last {
            Some(last) if looked_at == u64::from(batch) => after = last,
            _ => break,
        }
        thread::sleep(pause);
    }
    let dropped = "select current_setting('retire.dropped')";
    let dropped = probe::psql_output(&psql, database, &["-tA", "-c", DROP_MONTHS, "-c", dropped]);
    let dropped = dropped.context("empty months cannot be dropped")?;
    report.dropped = dropped.split_whitespace().map(str::to_owned).collect();
    Ok(report)
}
