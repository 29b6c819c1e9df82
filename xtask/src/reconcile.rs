//! `cargo xtask reconcile`: compares the orders, the payments, the ledger and the card processor's book with each other.
//! What is compared is said in `reconcile.sql`, which can also be run by hand.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::admin::{Admin, Service};
use crate::paths::StackDir;
use crate::{postgres, print, probe, state};

const STATEMENT: &str = include_str!("reconcile.sql");

/// Exits with 0 only if nothing differs.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
    /// Look at this database, as a user who may read every schema, instead of that of a running stack
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    database_url: Option<String>,
    /// How long an event may be on its way before what it carries counts as a difference
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    grace: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was compared, and what did not agree.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// Of the ledger's accounts, in minor units.
    pub(crate) balances: Map<String, serde_json::Value>,
    pub(crate) compared: Map<String, serde_json::Value>,
    pub(crate) differences: Vec<Difference>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Difference {
    pub(crate) kind: String,
    pub(crate) order_id: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// A row of the statement.
#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Row {
    Balance { kind: String, found: String },
    Compared { kind: String, found: String },
    Difference(Difference),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let report = compare(&options.database()?, options.grace)?;
    if options.database_url.is_none()
        && let Err(problem) = keep(&options.dir.open()?, &report)
    {
        print::err(format_args!("the result is shown here only, since it could not be kept: {problem:#}"));
    }
    let text = if options.json { serde_json::to_string_pretty(&report)? } else { report.text() };
    print::out(text);
    Ok(if report.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    fn database(&self) -> Result<String> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        let dir = self.dir.open()?;
        let running = state::running(&dir)?.with_context(|| {
            let dir = dir.display();
            format!("nothing runs in {dir}: `cargo xtask up` starts a stack, --database-url names another database")
        })?;
        Ok(running.postgres)
    }
}

/// The payments service keeps what was found, for its overview and its metrics.
fn keep(dir: &Path, report: &Report) -> Result<()> {
    let Report { balances, compared, differences } = report;
    let found = json!({"differences": differences.len(), "compared": compared, "balances": balances});
    Admin::of_stack(dir)?.tell(Service::Payments, "/reconciliations", &found)
}

pub(crate) fn compare(database: &str, grace: Duration) -> Result<Report> {
    let grace = format!("set reconcile.grace = '{} s'", grace.as_secs_f64());
    // A row for each line, whatever is in it.
    let statement = format!("select to_json(report) from ({}) as report", STATEMENT.trim_end().trim_end_matches(';'));
    let output = probe::psql_output(&postgres::psql()?, database, &["-tA", "-c", &grace, "-c", &statement])
        .context("the database cannot be compared")?;
    let mut report = Report::default();
    for line in output.lines() {
        match serde_json::from_str(line)? {
            Row::Balance { kind, found } => drop(report.balances.insert(kind, found.parse::<i64>()?.into())),
            Row::Compared { kind, found } => drop(report.compared.insert(kind, found.parse::<u64>()?.into())),
            Row::Difference(difference) => report.differences.push(difference),
        }
    }
    Ok(report)
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for (what, count) in &self.compared {
            let _ = writeln!(text, "{:<20} {:>10}", what.replace('_', " "), count.to_string());
        }
        for (account, amount) in &self.balances {
            let _ = writeln!(text, "{:<20} {:>10}", account.replace('_', " "), amount.to_string());
        }
        text.push('\n');
        for Difference { kind, order_id, expected, found } in &self.differences {
            let _ = writeln!(text, "{kind:<28} {order_id}  expected {expected}; found {found}");
        }
        let count = self.differences.len();
        let _ = write!(text, "{count} {}", if count == 1 { "difference" } else { "differences" });
        text
    }
}
