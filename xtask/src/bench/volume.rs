//! (e) The same reads and creates with hardly any orders in the tables, and with millions.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::bars::{LOOKUP_P99_EMPTY, LOOKUP_P99_FEW, LOOKUP_P99_LARGE, LOOKUP_P99_MILLION, LOOKUPS_EMPTY};
use super::figures::{Section, Unit};
use super::latencies::Latencies;
use super::latency;
use super::meter::{Meter, Target};
use super::wrk::{Pace, Script};
use crate::{postgres, print, probe};

const LOOKUP: &str = "order lookup";
const PAGE: &str = "page of 20 orders";
const FILL: &str = include_str!("fill.sql");
/// So many in one transaction: `fill.sql` keeps them in a temporary table meanwhile.
const PIECE: u64 = 500_000;
const CONNECTIONS: u32 = 64;
/// The users whose orders are read, as `fill.sql` names them.
const READERS: u8 = 10;
/// How many different ones.
const SAMPLE: u32 = 20_000;

/// How many orders are in the tables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) orders: u64,
    pub(crate) name: &'static str,
    lookup_p99: &'static str,
}

pub(crate) const EMPTY: Level = Level { orders: 1_000, name: "hardly any orders", lookup_p99: LOOKUP_P99_EMPTY };
pub(crate) const MILLION: Level = Level { orders: 1_000_000, name: "1 million orders", lookup_p99: LOOKUP_P99_MILLION };
/// Instead of a million, to see in a second that it works.
pub(crate) const FEW: Level = Level { orders: 10_000, name: "10 thousand orders", lookup_p99: LOOKUP_P99_FEW };
pub(crate) const LARGE: Level = Level { orders: 10_000_000, name: "10 million orders", lookup_p99: LOOKUP_P99_LARGE };

/// A token for each reader, as the services take them.
pub(crate) fn tokens() -> String {
    let readers = (0..READERS).map(|reader| format!(",reader-{reader}-token=reader-{reader}"));
    format!("thisisajwttoken=somerandomuserid{}", readers.collect::<String>())
}

/// Fills the tables from one number of orders up to another. What the services have placed before stays.
pub(crate) fn fill(meter: &Meter, target: &Target, from: u64, to: u64) -> Result<()> {
    let began = Instant::now();
    let script = meter.wrk.dir.join("fill.sql");
    fs::write(&script, FILL)?;
    let script = script.to_str().context("the path of the repository is not UTF-8")?;
    let mut first = from + 1;
    while first <= to {
        let last = to.min(first + PIECE - 1);
        let (from, to) = (format!("first={first}"), format!("last={last}"));
        probe::psql_output(&postgres::psql()?, &target.books.url, &["-1", "-v", &from, "-v", &to, "-f", script])?;
        first = last + 1;
    }
    target.books.execute("vacuum (analyze)")?;
    target.books.settle()?;
    print::out(format_args!("  {to} orders are in the tables after {} s", began.elapsed().as_secs()));
    Ok(())
}

pub(crate) fn measure(meter: &mut Meter, target: &Target, level: Level) -> Result<()> {
    let lookups = requests(meter, target, "lookups", "/api/orders/' || id || '")?;
    let pages = requests(meter, target, "pages", "/api/orders?limit=20")?;
    for (what, file) in [(PAGE, &pages), (LOOKUP, &lookups)] {
        let outcome = meter.wrk.run(
            &target.state.gateway,
            Script::Read(file),
            Pace::Unlimited,
            CONNECTIONS,
            meter.scale.length,
        )?;
        ensure!(outcome.refusals == 0, "{what}: {} were refused", outcome.refusals);
        let name = format!("{what} at {CONNECTIONS} connections, {}", level.name);
        meter.record(Section::Volume, &name, Unit::PerSecond, outcome.granted_per_second());
    }
    lookups_at_half_load(meter, target, level, &lookups)?;
    creates(meter, target, level)
}

fn creates(meter: &mut Meter, target: &Target, level: Level) -> Result<()> {
    let name = format!("create at {CONNECTIONS} connections, {}", level.name);
    let loaded = meter.load(target, &name, Script::Create, CONNECTIONS)?;
    meter.record(Section::Volume, &name, Unit::PerSecond, loaded.outcome.granted_per_second());
    for (percentile, time) in loaded.outcome.latencies().into_iter().filter(|(name, _)| *name == "p99") {
        meter.record(Section::Volume, format!("{name}, {percentile}"), Unit::Milliseconds, time);
    }
    Ok(())
}

/// At half of what was possible with hardly any orders, however many there are now.
fn lookups_at_half_load(meter: &mut Meter, target: &Target, level: Level, lookups: &Path) -> Result<()> {
    let most = meter.figures.last(LOOKUPS_EMPTY);
    let rate = most.context("lookups were not measured on empty tables")? / 2.0;
    let text = fs::read_to_string(lookups)?;
    let requests: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let load = Script::Read(lookups);
    let (outcome, times) = latency::under_load(meter, target, load, rate, &async |client, number, due| {
        let (path, token) = requests[number % requests.len()];
        client.read(path, token).await?;
        Ok(due.elapsed())
    })?;
    ensure!(outcome.refusals == 0, "{LOOKUP} at half load: {} were refused", outcome.refusals);
    meter.record_waits(Section::Volume, level.lookup_p99.trim_end_matches(", p99"), &Latencies::of(times))
}

/// A file with a path and a token on each line, for orders of the readers in no order. The path is the inside of a
/// literal of SQL.
fn requests(meter: &Meter, target: &Target, name: &str, path: &str) -> Result<PathBuf> {
    let users: Vec<_> = (0..READERS).map(|reader| format!("'reader-{reader}'")).collect();
    let statement = format!(
        "select '{path} ' || created_by || '-token' from orders.orders where created_by in ({}) order by random() limit {SAMPLE}",
        users.join(", ")
    );
    let lines = probe::psql_output(&postgres::psql()?, &target.books.url, &["-tA", "-c", &statement])?;
    let file = meter.wrk.dir.join(name);
    fs::write(&file, lines)?;
    Ok(file)
}
