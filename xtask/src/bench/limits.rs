//! (a) What PostgreSQL and nginx can do at most.

use anyhow::Result;

use super::bars::{NGINX, PGBENCH};
use super::figures::{Section, Unit};
use super::gateway::Gateway;
use super::meter::{Meter, Target};
use super::pgbench;
use super::wrk::{Pace, Script};

const CLIENTS: [u32; 4] = [1, 4, 16, 64];
const CONNECTIONS: u32 = 64;

pub(crate) fn measure(meter: &mut Meter, target: &Target) -> Result<()> {
    of_postgres(meter, target)?;
    of_nginx(meter, target)
}

/// The rows of an order and of its event, one transaction each.
fn of_postgres(meter: &mut Meter, target: &Target) -> Result<()> {
    let mut best = 0.0_f64;
    for clients in CLIENTS {
        let limit = pgbench::run(&target.books, &meter.wrk.dir, clients, meter.scale.length)?;
        let name = format!("pgbench at {clients} client{}", if clients == 1 { "" } else { "s" });
        meter.record(Section::Limits, &name, Unit::PerSecond, limit.per_second);
        for percent in [50, 99] {
            if let Some(time) = limit.latencies.percentile(percent) {
                meter.record(Section::Limits, format!("{name}, p{percent}"), Unit::Milliseconds, time);
            }
        }
        best = best.max(limit.per_second);
        target.books.settle()?;
    }
    meter.record(Section::Limits, PGBENCH, Unit::PerSecond, best);
    Ok(())
}

/// The gateway, in front of a handler that does nothing.
fn of_nginx(meter: &mut Meter, target: &Target) -> Result<()> {
    let gateway = Gateway::start(&target.dir, &target.state)?;
    let outcome = meter.wrk.run(&gateway.url, Script::Create, Pace::Unlimited, CONNECTIONS, meter.scale.length)?;
    meter.record(Section::Limits, NGINX, Unit::PerSecond, outcome.granted_per_second());
    Ok(())
}
