//! `cargo xtask upgrade`: the release before and this one side by side, as they are while a new one is rolled out. Under
//! load, the tables are brought up to date beneath the old services, the replicas are replaced one by one, and those of one
//! service are taken back. Nobody may be refused meanwhile, and afterwards the books have to be as if nothing had been.
//!
//! Gateway, broker and database are those of this version from the start.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::background::{self, Folders, Life};
use crate::chaos::books::Books;
use crate::chaos::evidence::Evidence;
use crate::chaos::faults::World;
use crate::chaos::memory::Memory;
use crate::chaos::timers::Timers;
use crate::chaos::{aftermath, clients};
use crate::stack::{Durability, Extent, Plan};
use crate::state::State;
use crate::up::{self, Profile};
use crate::{install, paths, postgres, print, signals};

mod release;
mod report;
mod rollout;

use release::Release;
use report::Report;
use rollout::{Rollout, Step};

const TIMERS: Timers = Timers { delivery_delay: "2s", unpaid_expiry: "5s" };
/// Clients draw what they want from it: they do the same in each run.
const SEED: u64 = 1;

/// Exits with 0 only if no request was refused and every invariant holds.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The release before [default: the newest tag before this commit or, if there is none, the commit before this one in
    /// which `cargo xtask prepare --release` was run last]
    #[arg(long, value_name = "COMMIT")]
    from: Option<String>,
    /// Run the services of the release before from this folder instead of building them
    #[arg(long, value_name = "FOLDER", conflicts_with = "from")]
    previous: Option<PathBuf>,
    /// Run the services of this version from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
    /// How long they work side by side after each step
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pause: Duration,
    /// Clients at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=32))]
    clients: u8,
    /// Folder of the run: its stack, and the services that run there [default: target/upgrade]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure_installed()?;
    let signals = signals::receive()?;
    let Folders { run, stack } = background::open_for("upgrade", options.dir.as_ref())?;
    let old = match &options.previous {
        Some(folder) => Release::ready_made(folder)?,
        None => release::build(&paths::open_dir(&paths::target().join("upgrade"))?, options.from.as_deref())?,
    };
    let new = match &options.binaries {
        Some(folder) => Release::ready_made(folder)?,
        None => Release::ready_made(&up::build(Profile::Debug)?)?,
    };
    let services = paths::open_dir(&run.join("services"))?;
    let world = World::untouched(stack);
    let rollout = Rollout { world, services, old, new, pause: options.pause, signals };
    Run { clients: options.clients.into(), rollout }.with_stack()
}

struct Run {
    clients: usize,
    rollout: Rollout,
}

impl Run {
    /// The stack is stopped whatever happens, by us or, if we are killed, by the kernel.
    fn with_stack(&self) -> Result<ExitCode> {
        let Rollout { world, services, old, .. } = &self.rollout;
        self.rollout.install_old()?;
        let plan = Plan {
            binaries: services.clone(),
            bootstrap: Some(old.bootstrap.clone()),
            durability: Durability::Full,
            replicas: rollout::REPLICAS,
            ..Plan::for_tests(Extent::Whole)
        };
        plan.save(&world.dir)?;
        print::out(format_args!("starting in {}", world.dir.display()));
        let mut stack = background::start(&world.dir, Life::Ours, &TIMERS.settings())?;
        let outcome = stack.wait_until_ready(&self.rollout.signals).and_then(|state| self.go(&state));
        stack.stop()?;
        outcome
    }

    fn go(&self, state: &State) -> Result<ExitCode> {
        let Rollout { world, old, new, signals, .. } = &self.rollout;
        print::out(format_args!("\nN-1  {}\nN    {}\n", old.name, new.name));
        let beforehand = clients::prove_life(SEED, &state.gateway, clients::BEFORE);
        let (mut memories, steps) = self.under_load(state)?;
        print::out("all is done; waiting for quiet");
        let books = Books { url: state.postgres.clone() };
        let mut aftermath = aftermath::wait_for_quiet(SEED, world, &books, signals)?;
        memories.extend([beforehand, std::mem::take(&mut aftermath.afterwards)]);
        let evidence = Evidence { world, books: &books, timers: &TIMERS, aftermath: &aftermath, memories: &memories };
        let mut checks = vec![report::nobody_refused(&memories), self.rollout.nothing_else_ended()?];
        checks.extend(evidence.checks()?);
        let report = Report { steps: &steps, memories: &memories, checks, logs: world.dir.join("log") };
        print::out(report.text());
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What the clients remember, and when each step began.
    fn under_load(&self, state: &State) -> Result<(Vec<Memory>, Vec<Step>)> {
        let (stop, clients) = (AtomicBool::new(false), self.clients);
        thread::scope(|scope| {
            let clients = scope.spawn(|| clients::run(SEED, &state.gateway, clients, &stop));
            let steps = self.rollout.take_steps(&state.postgres);
            stop.store(true, Ordering::Relaxed);
            let memories = clients.join().unwrap_or_default();
            Ok((memories, steps?))
        })
    }
}

impl Release {
    /// Of somebody who has built it.
    fn ready_made(folder: &Path) -> Result<Self> {
        let binaries = folder.canonicalize()?;
        Ok(Self { name: binaries.display().to_string(), binaries, bootstrap: postgres::bootstrap() })
    }
}
