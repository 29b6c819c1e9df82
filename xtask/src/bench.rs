//! `cargo xtask bench`: how fast the system is, beside what PostgreSQL and nginx could do at most on the same cores in the
//! same run. Nothing is judged by absolute figures.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::Receiver;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::background::{self, Folders, Life};
use crate::stack::{Durability, Extent, Plan};
use crate::up::{self, Profile};
use crate::{install, paths, print, signals};

pub(crate) mod figures;

mod cost;
mod creates;
mod evenness;
mod latency;
mod limits;
mod sagas;
mod scaling;
mod volume;

mod meter;

pub(crate) mod client;
mod gateway;
mod nothing;
mod pgbench;
pub(crate) mod steady;
mod wrk;

pub(crate) mod books;
mod counts;
mod cpu;
pub(crate) mod latencies;

mod bars;
mod machine;
mod report;

use books::Books;
use figures::Section;
use meter::{Meter, Scale, Target};
use report::Report;
use scaling::{Arrangement, Confined};
use volume::Level;
use wrk::Wrk;

/// So long that no delivery falls into a measurement.
const DELIVERY_DELAY: &str = "24h";

/// Exits with 0 if every accepted order was found in the tables; whether a bar is met is in the report only.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One repeat and a second for each measurement: shows that it works, not how fast anything is
    #[arg(long)]
    quick: bool,
    /// Also with 10 million orders in the tables, which takes long and much disk
    #[arg(long)]
    large: bool,
    /// How often everything is measured [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    repeats: Option<u8>,
    /// Only these sections, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SECTIONS")]
    only: Vec<Section>,
    /// Run the services from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
    /// Folder of the run: its stack, its scripts [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Where the results are written [default: bench/RESULTS.md]
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.binaries {
        Some(binaries) => run_with(options, &binaries.canonicalize()?),
        None => run_optimised(),
    }
}

/// Goes on in a build with optimisation: a slow generator would take from the cores what it measures.
fn run_optimised() -> Result<ExitCode> {
    let binaries = up::build(Profile::Release)?;
    let mut cargo = paths::cargo();
    let built = cargo.args(["build", "--release", "--package", env!("CARGO_PKG_NAME")]).status()?;
    ensure!(built.success(), "the generator cannot be built");
    let mut bench = Command::new(binaries.join(env!("CARGO_PKG_NAME")));
    let error = bench.args(env::args_os().skip(1)).arg("--binaries").arg(&binaries).exec();
    Err(error).context("cannot go on in a build with optimisation")
}

fn run_with(options: &Options, binaries: &Path) -> Result<ExitCode> {
    install::ensure_installed()?;
    let program = install::load_generator()?;
    let signals = signals::receive()?;
    let Folders { run, stack } = background::open_for("bench", options.dir.as_ref())?;
    let meter = Meter::new(options.scale(), Wrk { program, dir: run });
    let began = Instant::now();
    let mut run = Run { options, signals, binaries: binaries.to_owned(), stack, meter };
    run.everything()?;
    let Meter { figures, counts, .. } = run.meter;
    let command = options.as_typed();
    let report =
        Report { figures: &figures, counts: &counts, command, repeats: options.repeats(), took: began.elapsed() };
    let text = report.text();
    print::out(&text);
    let file = options.results.clone().unwrap_or_else(|| paths::root().join("bench/RESULTS.md"));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(if counts.are_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    fn scale(&self) -> Scale {
        if self.quick { Scale::QUICK } else { Scale::USUAL }
    }

    fn repeats(&self) -> u8 {
        self.repeats.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// How many orders are in the tables at the end, one after the other.
    fn levels(&self) -> &'static [Level] {
        match (self.large, self.quick) {
            (true, _) => &[volume::MILLION, volume::LARGE],
            (false, true) => &[volume::FEW],
            (false, false) => &[volume::MILLION],
        }
    }

    fn arrangements(&self) -> Result<Vec<Arrangement>> {
        let mut all = scaling::arrangements()?;
        if self.quick {
            all.truncate(1);
        }
        Ok(all)
    }

    fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    /// The command that repeats this run.
    fn as_typed(&self) -> String {
        let mut command = format!("cargo xtask bench --repeats {}", self.repeats());
        if self.quick {
            command += " --quick";
        }
        if self.large {
            command += " --large";
        }
        if !self.only.is_empty() {
            let names = self.only.iter().filter_map(ValueEnum::to_possible_value);
            command += " --only ";
            command += &names.map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(",");
        }
        command
    }
}

/// Measures one section.
type Measure = fn(&mut Meter, &Target) -> Result<()>;

struct Run<'a> {
    options: &'a Options,
    signals: Receiver<Signal>,
    binaries: PathBuf,
    stack: PathBuf,
    meter: Meter,
}

impl Run<'_> {
    fn everything(&mut self) -> Result<()> {
        let repeats = self.options.repeats();
        for repeat in 1..=repeats {
            print::out(format_args!("\nrepeat {repeat} of {repeats}"));
            if self.options.only != [Section::Scaling] {
                self.with_stack(1, |run, target| {
                    run.once(target)?;
                    if repeat == repeats && run.options.wants(Section::Volume) { run.volumes(target) } else { Ok(()) }
                })?;
            }
            if self.options.wants(Section::Scaling) {
                print::out(Section::Scaling.title());
                let arrangements = self.options.arrangements()?;
                for arrangement in &arrangements {
                    self.arranged(arrangements[0].cores, *arrangement)?;
                }
            }
        }
        Ok(())
    }

    /// Limits and ourselves in turns, so that both see the machine in the same mood.
    fn once(&mut self, target: &Target) -> Result<()> {
        self.meter.warm_up(target)?;
        if self.options.wants(Section::Volume) {
            volume::fill(&self.meter, target, 0, volume::EMPTY.orders)?;
            self.volume(target, volume::EMPTY)?;
        }
        let sections: [(Section, Measure); 5] = [
            (Section::Limits, limits::measure),
            (Section::Create, creates::measure),
            (Section::Saga, sagas::measure),
            (Section::Latency, latency::measure),
            (Section::Cost, cost::measure),
        ];
        for (section, measure) in sections.into_iter().filter(|(section, _)| self.options.wants(*section)) {
            self.go_on()?;
            print::out(section.title());
            measure(&mut self.meter, target)?;
        }
        Ok(())
    }

    fn arranged(&mut self, all_cores: usize, arrangement: Arrangement) -> Result<()> {
        let _confined = Confined::to(arrangement.cores)?;
        self.with_stack(arrangement.replicas, |run, target| {
            run.meter.warm_up(target)?;
            scaling::measure(&mut run.meter, target, all_cores, arrangement)
        })
    }

    /// All repeats on the same tables, since to fill them takes minutes.
    fn volumes(&mut self, target: &Target) -> Result<()> {
        let mut filled = volume::EMPTY.orders;
        for level in self.options.levels() {
            volume::fill(&self.meter, target, filled, level.orders)?;
            filled = level.orders;
            self.meter.warm_up(target)?;
            for _ in 0..self.options.repeats() {
                self.volume(target, *level)?;
            }
        }
        Ok(())
    }

    fn volume(&mut self, target: &Target, level: Level) -> Result<()> {
        self.go_on()?;
        print::out(format_args!("{}: {}", Section::Volume.title(), level.name));
        volume::measure(&mut self.meter, target, level)
    }

    /// A stack with empty tables. It is stopped whatever happens, by us or, if we are killed, by the kernel.
    fn with_stack(&mut self, replicas: usize, work: impl FnOnce(&mut Self, &Target) -> Result<()>) -> Result<()> {
        let plan = Plan {
            binaries: self.binaries.clone(),
            durability: Durability::Full,
            replicas,
            ..Plan::for_tests(Extent::Whole)
        };
        let dir = self.stack.clone();
        plan.save(&dir)?;
        print::out(format_args!("starting in {}", dir.display()));
        let settings = [("DELIVERY_DELAY", DELIVERY_DELAY.to_owned()), ("AUTH_DEMO_TOKENS", volume::tokens())];
        let mut stack = background::start(&dir, Life::Ours, &settings)?;
        let outcome = stack.wait_until_ready(&self.signals).and_then(|state| {
            let books = Books { url: state.postgres.clone() };
            work(self, &Target { dir, state, books })
        });
        stack.stop()?;
        outcome
    }

    /// Not if a signal has arrived.
    fn go_on(&self) -> Result<()> {
        match background::interruption(&self.signals) {
            Some(reason) => bail!("{reason}"),
            None => Ok(()),
        }
    }
}
