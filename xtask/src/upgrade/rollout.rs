//! The steps from one release to the next, and half way back.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::release::Release;
use crate::chaos::faults::World;
use crate::chaos::report::Check;
use crate::services::{ORDERS, PAYMENTS, name_of};
use crate::state::Phase;
use crate::{background, postgres, print, probe, services};

/// Processes per service: while one is replaced, the other one is there.
pub(crate) const REPLICAS: usize = 2;
/// How long a service that has been replaced may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const TABLES: &str = "select concat_ws(', ', 'orders ' || (select max(version) from orders._sqlx_migrations), \
     'payments ' || (select max(version) from payments._sqlx_migrations), \
     'sandbox ' || (select max(version) from sandbox._sqlx_migrations))";

#[derive(Clone, Copy)]
enum Age {
    Old,
    New,
}

/// Each mixture comes up: of the replicas of a service, new orders with old payments, and old orders with new payments.
const REPLACEMENTS: [(&str, usize, Age); 6] = [
    (ORDERS, 2, Age::New),
    (ORDERS, 1, Age::New),
    (PAYMENTS, 2, Age::New),
    (PAYMENTS, 1, Age::New),
    (ORDERS, 2, Age::Old),
    (ORDERS, 1, Age::Old),
];

/// What was done at some moment, after which the system is used for a while.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) began: Instant,
    /// When the next one begins.
    pub(crate) ended: Instant,
}

/// A running stack of two releases.
pub(crate) struct Rollout {
    pub(crate) world: World,
    /// The folder that the stack starts its services from.
    pub(crate) services: PathBuf,
    pub(crate) old: Release,
    pub(crate) new: Release,
    pub(crate) pause: Duration,
    pub(crate) signals: Receiver<Signal>,
}

impl Rollout {
    pub(crate) fn install_old(&self) -> Result<()> {
        [ORDERS, PAYMENTS].into_iter().try_for_each(|service| self.install(service, Age::Old))
    }

    pub(crate) fn take_steps(&self, database: &str) -> Result<Vec<Step>> {
        let mut steps = vec![self.step("N-1 alone".to_owned(), || Ok(()))?];
        steps.push(self.step("tables of N".to_owned(), || self.migrate(database))?);
        for (service, replica, age) in REPLACEMENTS {
            let name = name_of(service, replica);
            steps.push(self.step(format!("{name} of {}", age.name()), || self.replace(service, &name, age))?);
        }
        Ok(steps)
    }

    fn step(&self, name: String, act: impl FnOnce() -> Result<()>) -> Result<Step> {
        print::out(&name);
        let began = Instant::now();
        act().with_context(|| format!("{name} failed"))?;
        self.wait_until(Instant::now() + self.pause, || Ok(false))?;
        Ok(Step { name, began, ended: Instant::now() })
    }

    /// In the order in which an operator does it.
    fn migrate(&self, database: &str) -> Result<()> {
        let psql = postgres::psql()?;
        let tables = || probe::psql_output(&psql, database, &["-tAc", TABLES]);
        let before = tables()?;
        let bootstrap = self.new.bootstrap.to_str().context("the path of the repository is not UTF-8")?;
        probe::psql_output(&psql, database, &["-1", "-f", bootstrap])?;
        services::migrate(&self.new.binaries, database)?;
        print::out(format_args!("  before: {}\n  after:  {}", before.trim(), tables()?.trim()));
        Ok(())
    }

    /// As a deployment does it: an orderly stop, and the next one only when this one is ready.
    fn replace(&self, service: &str, replica: &str, age: Age) -> Result<()> {
        self.install(service, age)?;
        let before = self.restarts()?;
        self.world.signal(replica, Signal::SIGTERM)?;
        let is_back = self.wait_until(Instant::now() + PATIENCE, || {
            let state = self.world.state()?;
            Ok(state.processes.iter().any(|process| {
                process.name == replica && process.restarts > before[replica] && process.state == Phase::Running
            }))
        })?;
        let logs = self.world.dir.join("log");
        ensure!(is_back, "it is not ready after {} s; logs: {}", PATIENCE.as_secs(), logs.display());
        Ok(())
    }

    /// In the place of the file that runs, which is not written to.
    fn install(&self, service: &str, age: Age) -> Result<()> {
        let release = match age {
            Age::Old => &self.old,
            Age::New => &self.new,
        };
        let (from, to) = (release.binaries.join(service), self.services.join(service));
        let next = to.with_extension("next");
        fs::copy(&from, &next).with_context(|| format!("{} cannot be copied", from.display()))?;
        Ok(fs::rename(next, to)?)
    }

    /// Whether something has come true by then. The user may have seen enough.
    fn wait_until(&self, deadline: Instant, is_true: impl Fn() -> Result<bool>) -> Result<bool> {
        while Instant::now() < deadline {
            if is_true()? {
                return Ok(true);
            }
            if let Some(reason) = background::interruption(&self.signals) {
                bail!("{reason}");
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(false)
    }

    fn restarts(&self) -> Result<BTreeMap<String, u32>> {
        Ok(self.world.state()?.processes.into_iter().map(|process| (process.name, process.restarts)).collect())
    }

    /// Whether every process but those that were replaced is still the first one.
    pub(crate) fn nothing_else_ended(&self) -> Result<Check> {
        let mut expected = BTreeMap::new();
        for (service, replica, _) in REPLACEMENTS {
            *expected.entry(name_of(service, replica)).or_default() += 1;
        }
        let restarts = self.restarts()?;
        let unexpected = restarts.iter().filter(|(name, times)| **times != expected.get(*name).copied().unwrap_or(0));
        let unexpected = unexpected.map(|(name, times)| format!("{name} was started again {times} times"));
        Ok(Check::of("no process has ended that was not replaced", restarts.len() as u64, unexpected.collect()))
    }
}

impl Age {
    fn name(self) -> &'static str {
        match self {
            Self::Old => "N-1",
            Self::New => "N",
        }
    }
}
