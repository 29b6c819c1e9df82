//! (g) The rates on fewer cores and with more replicas, beside those that the cost of an order on all cores foretells.

use std::iter;
use std::thread;

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::figures::{Section, Unit};
use super::meter::{Meter, Target};
use super::wrk::Script;

/// So many that no core waits for a client.
const CONNECTIONS: u32 = 256;
const MOST_REPLICAS: usize = 3;

/// What the system is given. The generator runs on the same cores, as everywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrangement {
    pub(crate) cores: usize,
    /// Of each service.
    pub(crate) replicas: usize,
}

/// All cores first: what the others are foretold by. Then half of them, and so on: each takes half a minute.
pub(crate) fn arrangements() -> Result<Vec<Arrangement>> {
    let all = thread::available_parallelism()?.get();
    let halves = iter::successors(Some(all), |cores| Some(cores / 2).filter(|half| *half > 0));
    let with_replicas = |cores| (1..=MOST_REPLICAS).map(move |replicas| Arrangement { cores, replicas });
    Ok(halves.flat_map(with_replicas).collect())
}

/// On fewer cores, what as many replicas have cost on all of them was measured before.
pub(crate) fn measure(meter: &mut Meter, target: &Target, all_cores: usize, on: Arrangement) -> Result<()> {
    let on_all = Arrangement { cores: all_cores, ..on };
    for (what, script) in [("orders", Script::Create), ("sagas", Script::Saga)] {
        let name = format!("{what} {on}");
        let loaded = meter.load(target, &name, script, CONNECTIONS)?;
        let rate = match script {
            Script::Saga => loaded.outcome.paid_per_second(),
            _ => loaded.outcome.granted_per_second(),
        };
        meter.record(Section::Scaling, &name, Unit::PerSecond, rate);
        meter.record(Section::Scaling, format!("{name}, CPU of each"), Unit::Microseconds, loaded.cpu_per_order());
        if on == (Arrangement { cores: all_cores, replicas: 1 }) {
            for (process, microseconds) in loaded.cpu_per_order_by_process() {
                meter.record(Section::Scaling, format!("{name}, {process}"), Unit::Microseconds, microseconds);
            }
        }
        if let Some(cost) = meter.figures.last(&format!("{what} {on_all}, CPU of each")) {
            #[expect(clippy::cast_precision_loss, reason = "no machine has so many")]
            let foretold = on.cores as f64 * 1_000_000.0 / cost;
            meter.record(Section::Scaling, format!("{name}, foretold"), Unit::PerSecond, foretold);
            meter.record(Section::Scaling, format!("{name}, beside it"), Unit::TimesForetold, rate / foretold);
        }
    }
    Ok(())
}

/// While it lives, what this thread starts runs on so many cores only.
pub(crate) struct Confined(CpuSet);

impl Confined {
    pub(crate) fn to(cores: usize) -> Result<Self> {
        let before = sched_getaffinity(Pid::from_raw(0))?;
        let mut some = CpuSet::new();
        for core in (0..CpuSet::count()).filter(|core| before.is_set(*core).unwrap_or_default()).take(cores) {
            some.set(core)?;
        }
        sched_setaffinity(Pid::from_raw(0), &some)?;
        Ok(Self(before))
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // It was ours before.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

impl std::fmt::Display for Arrangement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cores, replicas } = self;
        write!(f, "on {cores} core{}, {replicas} replica{}", plural(*cores), plural(*replicas))
    }
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}
