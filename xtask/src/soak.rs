//! `cargo xtask soak`: a steady load far below what the system can do, for as long as one likes, while it clears away what
//! it has done with: keys are forgotten, orders expire and are retired. Nothing may go on growing but what is kept on
//! purpose. The end is a picture, and for each curve whether it has come to rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::background::{self, Folders, Life};
use crate::bench::books::Books;
use crate::stack::{Durability, Extent, Plan};
use crate::state::State;
use crate::up::{self, Profile};
use crate::{install, partition, print, retire, signals};

mod clients;
mod curves;
mod findings;
mod picture;
mod readings;
mod trend;

use clients::Clients;
use curves::Curves;
use findings::Findings;

/// What takes hours and months in earnest. An idempotency key is forgotten by a task that looks once a minute.
const SETTINGS: [(&str, &str); 4] =
    [("AUTH_MODE", "demo"), ("DELIVERY_DELAY", "2s"), ("UNPAID_EXPIRY", "10s"), ("IDEMPOTENCY_KEY_RETENTION", "20s")];
const CLOSED_FOR: Duration = Duration::from_secs(20);
const BATCH: u32 = 1000;
const BETWEEN_BATCHES: Duration = Duration::from_millis(100);
const RETIRE_PERIOD: Duration = Duration::from_secs(5);
/// Points of each curve, unless a run is so short that it has fewer seconds.
const POINTS: u32 = 600;
const PROGRESS_PERIOD: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Exits with 0 only if every curve is flat that should be, every order is there, and no request was refused.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long the load lasts; ten are needed for any judgement, thirty for a good one
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    minutes: f32,
    /// Orders a second
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Partition the tables by month before anything is in them
    #[arg(long)]
    partitioned: bool,
    /// Run the services from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
    /// Folder of the run: its stack, its picture [default: target/soak]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Where the picture is written, as SVG [default: soak.svg in the folder of the run]
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure_installed()?;
    let signals = signals::receive()?;
    let binaries = match &options.binaries {
        Some(folder) => folder.canonicalize()?,
        None => up::build(Profile::Release)?,
    };
    let length = Duration::try_from_secs_f32(options.minutes * 60.0).context("--minutes is out of range")?;
    let Folders { run, stack } = background::open_for("soak", options.dir.as_ref())?;
    let plan = Plan { binaries, durability: Durability::Full, ..Plan::for_tests(Extent::Whole) };
    let picture = options.picture.clone().unwrap_or_else(|| run.join("soak.svg"));
    Run { rate: options.rate, partitioned: options.partitioned, length, signals, picture }.with_stack(&stack, &plan)
}

struct Run {
    rate: u32,
    partitioned: bool,
    length: Duration,
    signals: Receiver<Signal>,
    picture: PathBuf,
}

impl Run {
    /// The stack is stopped whatever happens, by us or, if we are killed, by the kernel.
    fn with_stack(&self, dir: &Path, plan: &Plan) -> Result<ExitCode> {
        plan.save(dir)?;
        print::out(format_args!("starting in {}", dir.display()));
        let settings = SETTINGS.map(|(name, value)| (name, value.to_owned()));
        let mut stack = background::start(dir, Life::Ours, &settings)?;
        let outcome = stack.wait_until_ready(&self.signals).and_then(|state| self.go(&state));
        stack.stop()?;
        outcome
    }

    fn go(&self, state: &State) -> Result<ExitCode> {
        let (rate, length) = (self.rate, self.length);
        if self.partitioned {
            partition::into_months(&state.postgres)?;
        }
        clients::wait_for_first_payment(&state.gateway)?;
        print::out(format_args!("\n{rate} orders a second for {} min", length.as_secs_f32() / 60.0));
        let books = Books { url: state.postgres.clone() };
        let clients = Clients::default();
        let curves = thread::scope(|scope| {
            scope.spawn(|| clients.keep_coming(&state.gateway, rate.into(), length));
            scope.spawn(|| keep_retiring(&books, &clients));
            let curves = self.watch(state, &books, &clients);
            clients.send_home();
            curves
        });
        let findings = Findings::of(&curves, &clients, &books)?;
        print::out(&findings);
        let picture = picture::draw(&curves, &findings)?;
        fs::write(&self.picture, picture).with_context(|| format!("cannot write {}", self.picture.display()))?;
        print::out(format_args!("picture  {}", self.picture.display()));
        Ok(if findings.are_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Reads everything again and again until the load is over, or a signal ends it.
    fn watch(&self, state: &State, books: &Books, clients: &Clients) -> Curves {
        let period = (self.length / POINTS).max(Duration::from_secs(1));
        let (began, mut progress) = (Instant::now(), PROGRESS_PERIOD);
        let mut curves = Curves::default();
        for number in 1.. {
            if !self.wait_until(began + period * number, clients) {
                break;
            }
            match readings::all(state, books, clients) {
                Ok(readings) => curves.add(began.elapsed(), readings),
                Err(problem) => clients.note(format!("nothing could be read: {problem:#}")),
            }
            if began.elapsed() >= progress {
                print::out(clients.progress(began.elapsed()));
                progress += PROGRESS_PERIOD;
            }
        }
        curves
    }

    /// Whether the load still goes on then.
    fn wait_until(&self, moment: Instant, clients: &Clients) -> bool {
        while Instant::now() < moment {
            if let Some(reason) = background::interruption(&self.signals) {
                print::err(format_args!("{reason}; what was seen until now is judged"));
                return false;
            }
            if clients.are_gone() {
                return false;
            }
            thread::sleep(LOOK_AGAIN);
        }
        true
    }
}

/// As an operator's timer does it, which comes again when it has failed.
fn keep_retiring(books: &Books, clients: &Clients) {
    while !clients.are_gone() {
        match retire::retire(&books.url, CLOSED_FOR, BATCH, BETWEEN_BATCHES) {
            Ok(report) => drop(clients.retired.fetch_add(report.retired, Ordering::Relaxed)),
            Err(problem) => clients.note(format!("{problem:#}")),
        }
        thread::sleep(RETIRE_PERIOD);
    }
}
