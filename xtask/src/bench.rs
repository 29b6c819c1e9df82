//! `cargo xtask bench`: how fast the system is, beside what PostgreSQL and nginx could do at most on the same cores in the
//! same run. Nothing is judged by absolute figures.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::background::{self, Life};
use crate::services::ORDERS;
use crate::stack::{Detours, Durability, Extent, Plan};
use crate::state;
use crate::up::{self, Profile};
use crate::{install, nginx, paths, print, signals};

mod figures;

mod cost;
mod creates;
mod latency;
mod limits;
mod sagas;
mod volume;

mod meter;

mod client;
mod nothing;
mod pgbench;
mod steady;
mod wrk;

mod books;
mod counts;
mod cpu;
mod latencies;

mod bars;
mod machine;
mod report;

use books::Books;
use figures::Section;
use meter::{Meter, Scale, Target};
use report::Report;
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
    /// Also with 10 million orders in the tables, which takes many minutes and 20 GB
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
    install::ensure_installed()?;
    let program = install::load_generator()?;
    let (sender, signals) = mpsc::channel();
    signals::forward(sender, |signal| signal)?;
    let binaries = match &options.binaries {
        Some(folder) => folder.canonicalize()?,
        None => up::build(Profile::Release)?,
    };
    let dir = paths::open_dir(&options.dir.clone().unwrap_or_else(|| paths::target().join("bench")))?;
    let stack = paths::open_dir(&dir.join("stack"))?;
    if state::lock(&stack)?.is_none() {
        bail!("another `cargo xtask bench` is running in {}", dir.display());
    }
    background::end_leftovers(&stack);
    let meter = Meter::new(options.scale(), Wrk { program, dir });
    let began = Instant::now();
    let mut run = Run { options, signals, binaries, stack, meter };
    run.everything()?;
    let Meter { figures, counts, .. } = run.meter;
    let command = options.as_typed();
    let report =
        Report { figures: &figures, counts: &counts, command, repeats: options.repeats(), took: began.elapsed() };
    let text = report.text();
    print::out(&text);
    let file = options.results.clone().unwrap_or_else(|| paths::root().join("bench/RESULTS.md"));
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

    /// Numbers of orders, the smallest first.
    fn levels(&self) -> Vec<Level> {
        let levels: &[Level] = match (self.quick, self.large) {
            (true, false) => &[volume::EMPTY, volume::FEW],
            (_, true) => &[volume::EMPTY, volume::MILLION, volume::LARGE],
            (false, false) => &[volume::EMPTY, volume::MILLION],
        };
        levels.to_vec()
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
        for repeat in 1..=self.options.repeats() {
            print::out(format_args!("\nrepeat {repeat} of {}", self.options.repeats()));
            self.once()?;
        }
        if self.options.wants(Section::Volume) {
            self.volume()?;
        }
        Ok(())
    }

    /// Limits and ourselves in turns, so that both see the machine in the same mood.
    fn once(&mut self) -> Result<()> {
        if self.options.wants(Section::Limits) {
            let detours = [(format!("{}->{ORDERS}", nginx::NAME), nothing::serve()?)];
            self.with_stack(Detours(detours.into()), |meter, target, _| limits::of_nginx(meter, target))?;
        }
        let options = self.options;
        self.with_stack(Detours::default(), |meter, target, check| {
            meter.warm_up(target)?;
            let sections: [(Section, Measure); 5] = [
                (Section::Limits, limits::of_postgres),
                (Section::Create, creates::measure),
                (Section::Saga, sagas::measure),
                (Section::Latency, latency::measure),
                (Section::Cost, cost::measure),
            ];
            for (section, measure) in sections.into_iter().filter(|(section, _)| options.wants(*section)) {
                check()?;
                print::out(section.title());
                measure(meter, target)?;
            }
            Ok(())
        })
    }

    /// All repeats on the same tables, since to fill them takes minutes.
    fn volume(&mut self) -> Result<()> {
        let (repeats, levels) = (self.options.repeats(), self.options.levels());
        self.with_stack(Detours::default(), |meter, target, check| {
            let mut filled = 0;
            for level in levels {
                print::out(format_args!("{}: {}", Section::Volume.title(), level.name));
                volume::fill(meter, target, filled, level.orders, check)?;
                filled = level.orders;
                meter.warm_up(target)?;
                for measure in [volume::measure, volume::measure_creates] {
                    for _ in 0..repeats {
                        check()?;
                        measure(meter, target, level)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// A stack with empty tables. It is stopped whatever happens, by us or, if we are killed, by the kernel.
    fn with_stack(
        &mut self,
        detours: Detours,
        work: impl FnOnce(&mut Meter, &Target, &dyn Fn() -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let plan = Plan {
            binaries: self.binaries.clone(),
            durability: Durability::Full,
            detours,
            ..Plan::for_tests(Extent::Whole)
        };
        plan.save(&self.stack)?;
        print::out(format_args!("starting in {}", self.stack.display()));
        let settings = [("DELIVERY_DELAY", DELIVERY_DELAY.to_owned()), ("AUTH_DEMO_TOKENS", volume::tokens())];
        let mut stack = background::start(&self.stack, Life::Ours, &settings)?;
        let outcome = stack.wait_until_ready(&self.signals).and_then(|state| {
            let books = Books { url: state.postgres.clone() };
            work(&mut self.meter, &Target { state, books }, &|| match background::interruption(&self.signals) {
                Some(reason) => bail!("{reason}"),
                None => Ok(()),
            })
        });
        stack.stop()?;
        outcome
    }
}
