//! What every measurement is made with: a load, and what the tables say has come of it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::books::{Books, Left};
use super::counts::{Counts, Told};
use super::cpu::{self, Spent};
use super::figures::{Figures, Section, Unit, short};
use super::latencies::Latencies;
use super::wrk::{Outcome, Pace, Script, Wrk};
use crate::print;
use crate::state::State;

/// How long everything takes.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) warm_up: Duration,
    /// Of each measurement.
    pub(crate) length: Duration,
}

/// A running stack that is measured.
pub(crate) struct Target {
    /// The folder of the stack.
    pub(crate) dir: PathBuf,
    pub(crate) state: State,
    pub(crate) books: Books,
}

/// Drives the load and keeps what was measured.
pub(crate) struct Meter {
    pub(crate) scale: Scale,
    pub(crate) wrk: Wrk,
    pub(crate) figures: Figures,
    pub(crate) counts: Counts,
}

/// What came of a load: as its generator was told, and as the tables say.
pub(crate) struct Loaded {
    pub(crate) outcome: Outcome,
    pub(crate) left: Left,
    /// CPU seconds by process until everything that followed was done, and of the generator.
    pub(crate) cpu: Vec<(String, f64)>,
}

impl Loaded {
    /// Microseconds, of all processes together.
    pub(crate) fn cpu_per_order(&self) -> f64 {
        self.cpu_per_order_by_process().map(|(_, microseconds)| microseconds).sum()
    }

    /// The processes with their microseconds.
    #[expect(clippy::cast_precision_loss, reason = "no run places so many")]
    pub(crate) fn cpu_per_order_by_process(&self) -> impl Iterator<Item = (&str, f64)> {
        let orders = self.left.orders.max(1) as f64;
        self.cpu.iter().map(move |(process, seconds)| (process.as_str(), seconds * 1_000_000.0 / orders))
    }
}

impl Scale {
    pub(crate) const USUAL: Self = Self { warm_up: Duration::from_secs(3), length: Duration::from_secs(6) };
    pub(crate) const QUICK: Self = Self { warm_up: Duration::from_secs(1), length: Duration::from_secs(1) };
}

impl Meter {
    pub(crate) fn new(scale: Scale, wrk: Wrk) -> Self {
        Self { scale, wrk, figures: Figures::default(), counts: Counts::default() }
    }

    pub(crate) fn record(&mut self, section: Section, name: impl Into<String>, unit: Unit, value: f64) {
        let name = name.into();
        print::out(format_args!("  {name:<60} {:>10} {unit}", short(value)));
        self.figures.record(section, name, unit, value);
    }

    /// The median and the p99 of what was waited for.
    pub(crate) fn record_waits(&mut self, section: Section, name: &str, waits: &Latencies) -> Result<()> {
        for percent in [50, 99] {
            let wait = waits.percentile(percent).with_context(|| format!("{name}: nothing was measured"))?;
            self.record(section, format!("{name}, p{percent}"), Unit::Milliseconds, wait);
        }
        Ok(())
    }

    /// Connections are opened, statements prepared, files grown.
    pub(crate) fn warm_up(&mut self, target: &Target) -> Result<()> {
        self.wrk.run(&target.state.gateway, Script::Saga, Pace::Unlimited, 16, self.scale.warm_up)?;
        target.books.settle()
    }

    /// As many requests as are answered. `name` is that of the kind of load.
    pub(crate) fn load(&mut self, target: &Target, name: &str, script: Script, connections: u32) -> Result<Loaded> {
        let began = target.books.now()?;
        let (before, children_before) = (Spent::so_far(&target.state), cpu::of_ended_children()?);
        let outcome = self.wrk.run(&target.state.gateway, script, Pace::Unlimited, connections, self.scale.length)?;
        let generator = ("load generator".to_owned(), cpu::of_ended_children()? - children_before);
        target.books.wait_for_quiet()?;
        let cpu = Spent::so_far(&target.state).since(&before).chain([generator]).collect();
        let left = target.books.left_since(&began)?;
        self.counts.add(name, &Told::by(&outcome, script, connections), &left);
        target.books.settle()?;
        Ok(Loaded { outcome, left, cpu })
    }
}
