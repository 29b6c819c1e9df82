//! `cargo xtask chaos`: real processes and busy clients, while everything that can fail does; then the proof that no
//! promise was broken. What goes wrong, and what the clients do, is drawn from a seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::background::{self, Life};
use crate::services::{BROKER, DATABASE, ORDERS, PAYMENTS, name_of};
use crate::stack::{Durability, Extent, Plan};
use crate::standby::{SERVERS, Standby};
use crate::state::State;
use crate::up::{self, Profile};
use crate::{install, nginx, partition, paths, print, signals};

mod schedule;

mod client;
pub(crate) mod clients;
mod hearing;
mod judge;
pub(crate) mod memory;
mod requests;
pub(crate) mod timers;

pub(crate) mod aftermath;
pub(crate) mod faults;
mod nodes;

mod broker;
mod clocks;
mod links;
mod proxy;

pub(crate) mod books;
mod cards;
pub(crate) mod evidence;
mod resources;
mod verdict;

pub(crate) mod report;

mod random;

use books::Books;
use clocks::Clocks;
use evidence::Evidence;
use faults::{Counts, World};
use links::Proxies;
use memory::Memory;
use nodes::Nodes;
use report::Report;
use resources::Holding;
use schedule::{Fault, Kind, Targets};
use timers::Timers;

/// So short that every order comes to its end within a run.
const TIMERS: Timers = Timers { delivery_delay: "2s", unpaid_expiry: "20s" };

/// Exits with 0 only if every invariant holds.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to draw everything from; another one each time unless given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long faults happen
    #[arg(long, value_name = "M", default_value_t = 1.0)]
    minutes: f32,
    /// Only these kinds of faults, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    faults: Vec<Kind>,
    /// Processes per service
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    replicas: u8,
    /// Nodes of RabbitMQ, of which one is hit at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    brokers: u8,
    /// Run a second PostgreSQL, which is promoted when the primary is killed
    #[arg(long)]
    standby: bool,
    /// Partition the tables by month before anything is in them
    #[arg(long)]
    partitioned: bool,
    /// Clients at the same time
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=32))]
    clients: u8,
    /// Build with optimisation
    #[arg(long)]
    release: bool,
    /// Run the services from this folder instead of building them
    #[arg(long, value_name = "FOLDER", conflicts_with = "release")]
    binaries: Option<PathBuf>,
    /// Folder of the run: its stack, its clocks [default: target/chaos]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Also write the report to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure_installed()?;
    let signals = signals::receive()?;
    let binaries = options.build()?;
    let folders = background::open_for("chaos", options.dir.as_ref())?;
    let (nodes, servers) = (options.nodes(), options.servers());
    let (proxies, detours) = links::start(&folders.stack, options.replicas.into(), nodes.len(), servers.len())?;
    let clocks = options.clocks(&folders.run)?;
    let seed = options.seed.unwrap_or_else(seed_of_the_moment);
    let duration = Duration::try_from_secs_f32(options.minutes * 60.0).context("--minutes is out of range")?;
    let faults = schedule::draw(seed, duration, &options.kinds(), &options.targets(&proxies));
    // Drawn all the same, so that a seed means the same on every machine.
    let is_possible = |fault: &Fault| clocks.is_some() || fault.kind != Kind::ShiftClock;
    let (faults, skipped): (Vec<_>, Vec<_>) = faults.into_iter().partition(is_possible);
    let plan = Plan {
        binaries,
        durability: Durability::Full,
        replicas: options.replicas.into(),
        brokers: nodes.len(),
        standby: if options.standby { Standby::Synchronous } else { Standby::None },
        detours,
        variables: clocks.as_ref().map(Clocks::variables).unwrap_or_default(),
        ..Plan::for_tests(Extent::Whole)
    };
    let world = World { dir: folders.stack, proxies, nodes: Nodes::new(nodes), clocks };
    Run { options, seed, duration, signals, faults, skipped: skipped.len(), world }.with_stack(&plan)
}

fn seed_of_the_moment() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_millis().try_into().unwrap_or(u64::MAX) % 1_000_000
}

impl Options {
    fn services(&self) -> Vec<String> {
        let replicas = 1..=usize::from(self.replicas);
        [ORDERS, PAYMENTS]
            .iter()
            .flat_map(|service| replicas.clone().map(|replica| name_of(service, replica)))
            .collect()
    }

    fn nodes(&self) -> Vec<String> {
        (1..=self.brokers.into()).map(|node| name_of(BROKER, node)).collect()
    }

    fn servers(&self) -> Vec<String> {
        let servers = if self.standby { &SERVERS[..] } else { &[DATABASE] };
        servers.iter().copied().map(str::to_owned).collect()
    }

    fn kinds(&self) -> Vec<Kind> {
        if self.faults.is_empty() { Kind::value_variants().to_vec() } else { self.faults.clone() }
    }

    fn targets(&self, proxies: &Proxies) -> Targets {
        let (services, nodes, servers) = (self.services(), self.nodes(), self.servers());
        let processes = [&[nginx::NAME.to_owned()][..], &servers, &nodes, &services].concat();
        let links = proxies.keys().cloned().collect();
        Targets { processes, services, links, queues: broker::queues(), nodes, servers }
    }

    /// None where they cannot be shifted, or need not be.
    fn clocks(&self, dir: &Path) -> Result<Option<Clocks>> {
        let is_wanted = self.kinds().contains(&Kind::ShiftClock);
        if is_wanted { Clocks::find(&paths::open_dir(&dir.join("clocks"))?, &self.services()) } else { Ok(None) }
    }

    fn build(&self) -> Result<PathBuf> {
        match &self.binaries {
            Some(folder) => Ok(folder.canonicalize()?),
            None if self.release => up::build(Profile::Release),
            None => up::build(Profile::Debug),
        }
    }

    /// The command that repeats this run.
    fn replay(&self, seed: u64) -> String {
        let Self { minutes, replicas, brokers, clients, .. } = self;
        let mut command =
            format!("cargo xtask chaos --seed {seed} --minutes {minutes} --replicas {replicas} --clients {clients}");
        if !self.faults.is_empty() {
            let kinds: Vec<_> = self.faults.iter().map(|kind| kind.name()).collect();
            command += " --faults ";
            command += &kinds.join(",");
        }
        let several = format!(" --brokers {brokers}");
        let further = [
            (*brokers > 1, several.as_str()),
            (self.standby, " --standby"),
            (self.partitioned, " --partitioned"),
            (self.release, " --release"),
        ];
        command.extend(further.into_iter().filter_map(|(is_given, argument)| is_given.then_some(argument)));
        command
    }
}

struct Run<'a> {
    options: &'a Options,
    seed: u64,
    duration: Duration,
    signals: Receiver<Signal>,
    faults: Vec<Fault>,
    /// How many shifts of clocks cannot be done here.
    skipped: usize,
    world: World,
}

impl Run<'_> {
    /// The stack is stopped whatever happens, by us or, if we are killed, by the kernel.
    fn with_stack(self, plan: &Plan) -> Result<ExitCode> {
        let dir = self.world.dir.clone();
        plan.save(&dir)?;
        print::out(format_args!("starting in {}", dir.display()));
        let mut stack = background::start(&dir, Life::Ours, &TIMERS.settings())?;
        let outcome = stack.wait_until_ready(&self.signals).and_then(|state| self.go(&state));
        // Nothing may be frozen when it is asked to stop.
        let healed = self.world.thaw();
        stack.stop()?;
        healed?;
        outcome
    }

    fn go(&self, state: &State) -> Result<ExitCode> {
        print::out(format_args!("\nseed {}, {} faults:", self.seed, self.faults.len()));
        self.faults.iter().for_each(print::out);
        if self.options.partitioned {
            partition::into_months(&state.postgres)?;
        }
        let beforehand = clients::prove_life(self.seed, &state.gateway, clients::BEFORE);
        print::out("\nit begins");
        let (mut memories, faults, before) = self.rage(state)?;
        print::out("all faults are over; waiting for quiet");
        let books = Books { url: state.postgres.clone() };
        let mut aftermath = aftermath::wait_for_quiet(self.seed, &self.world, &books, &self.signals)?;
        memories.extend([beforehand, std::mem::take(&mut aftermath.afterwards)]);
        let evidence =
            Evidence { world: &self.world, books: &books, timers: &TIMERS, aftermath: &aftermath, memories: &memories };
        let mut checks = evidence.checks()?;
        checks.extend(evidence.resources(&before)?);
        let report = Report {
            replay: self.options.replay(self.seed),
            logs: self.world.dir.join("log").display().to_string(),
            skipped: self.skipped,
            faults,
            memories: &memories,
            aftermath: &aftermath,
            checks,
        };
        let text = report.text();
        print::out(&text);
        if let Some(file) = &self.options.report {
            fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Clients and faults at the same time: what the clients remember, what has struck, and what the services held
    /// before that.
    fn rage(&self, state: &State) -> Result<(Vec<Memory>, Counts, Vec<Holding>)> {
        let (stop, began) = (AtomicBool::new(false), Instant::now());
        let (seed, clients, world, planned) = (self.seed, self.options.clients.into(), &self.world, &self.faults);
        thread::scope(|scope| {
            let clients = scope.spawn(|| clients::run(seed, &state.gateway, clients, &stop));
            let faults = scope.spawn(|| faults::unleash(world, planned, began, &stop));
            faults::sleep_until(began + schedule::CALM * 9 / 10, &stop);
            let before = resources::held_by_services(state);
            let interrupted = self.wait_until(began + self.duration);
            stop.store(true, Ordering::Relaxed);
            let counts = faults.join().unwrap_or_default();
            // A client that waits for an answer gets it sooner.
            self.world.thaw()?;
            let memories = clients.join().unwrap_or_default();
            interrupted?;
            Ok((memories, counts, before))
        })
    }

    fn wait_until(&self, end: Instant) -> Result<()> {
        while Instant::now() < end {
            if let Some(reason) = background::interruption(&self.signals) {
                bail!("{reason}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
