//! (a) What PostgreSQL and nginx can do at most.

use anyhow::Result;

use super::bars::{NGINX, PGBENCH, PGBENCH_AT_HALF_P99};
use super::figures::{Section, Unit};
use super::gateway::Gateway;
use super::meter::{Meter, Target};
use super::pgbench::{self, Limit};
use super::wrk::{Pace, Script};

const CLIENTS: [u32; 4] = [1, 4, 16, 64];
/// With 64, it waits far longer at half of its rate.
const CLIENTS_AT_HALF: u32 = 16;
const CONNECTIONS: u32 = 64;

pub(crate) fn measure(meter: &mut Meter, target: &Target) -> Result<()> {
    of_postgres(meter, target)?;
    of_nginx(meter, target)
}

/// The rows of an order and of its event, one transaction each.
fn of_postgres(meter: &mut Meter, target: &Target) -> Result<()> {
    let mut best = 0.0_f64;
    for clients in CLIENTS {
        let name = format!("pgbench at {clients} client{}", if clients == 1 { "" } else { "s" });
        let limit = run_pgbench(meter, target, &name, clients, Pace::Unlimited)?;
        best = best.max(limit.per_second);
    }
    meter.record(Section::Limits, PGBENCH, Unit::PerSecond, best);
    let name = PGBENCH_AT_HALF_P99.trim_end_matches(", p99");
    run_pgbench(meter, target, name, CLIENTS_AT_HALF, Pace::PerSecond(best / 2.0))?;
    Ok(())
}

fn run_pgbench(meter: &mut Meter, target: &Target, name: &str, clients: u32, pace: Pace) -> Result<Limit> {
    let limit = pgbench::run(&target.books, &meter.wrk.dir, clients, pace, meter.scale.length)?;
    meter.record(Section::Limits, name, Unit::PerSecond, limit.per_second);
    meter.record_waits(Section::Limits, name, &limit.latencies)?;
    target.books.settle()?;
    Ok(limit)
}

/// The gateway, in front of a handler that does nothing.
fn of_nginx(meter: &mut Meter, target: &Target) -> Result<()> {
    let gateway = Gateway::start(&target.dir, &target.state)?;
    let outcome = meter.wrk.run(&gateway.url, Script::Create, Pace::Unlimited, CONNECTIONS, meter.scale.length)?;
    meter.record(Section::Limits, NGINX, Unit::PerSecond, outcome.granted_per_second());
    Ok(())
}
