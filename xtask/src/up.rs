//! `cargo xtask up`: builds the services, starts the whole system and keeps it running.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::background::{self, Life};
use crate::paths::{self, StackDir};
use crate::print;
use crate::stack::{Data, Detours, Durability, Extent, Plan, Tls};
use crate::standby::Standby;
use crate::supervisor::Event;
use crate::{console, install, nginx, ports, postgres, progress, services, signals, state, token};

/// What `up` runs, and where.
#[derive(clap::Args)]
#[group(id = "up")]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
    /// Start with empty databases and queues
    #[arg(long)]
    fresh: bool,
    /// Go on in the background once the first order can be placed
    #[arg(long)]
    detach: bool,
    /// Port of the gateway
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Address of the gateway; 0.0.0.0 makes it reachable from other machines
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Requests that the gateway lets in at a time
    #[arg(long, env, value_name = "N", default_value_t = nginx::MAX_CONCURRENT_REQUESTS)]
    gateway_max_concurrent_requests: u32,
    /// Streams that the gateway lets be open at a time
    #[arg(long, env, value_name = "N", default_value_t = nginx::MAX_STREAMS)]
    gateway_max_streams: u32,
    /// Serve HTTPS with this certificate, followed by those that lead to its authority, as PEM
    #[arg(long, env, value_name = "FILE", requires = "gateway_key")]
    gateway_certificate: Option<PathBuf>,
    /// The private key of that certificate, as PEM
    #[arg(long, env, value_name = "FILE", requires = "gateway_certificate")]
    gateway_key: Option<PathBuf>,
    /// Processes per service
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    replicas: u8,
    /// Nodes of RabbitMQ, in a cluster that goes on while more than half of them live
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    brokers: u8,
    #[command(flatten)]
    copies: Copies,
    /// Build without optimisation: quicker to build, slower to run
    #[arg(long)]
    debug: bool,
    /// Run the services from this folder instead of building them
    #[arg(long, value_name = "FOLDER", conflicts_with = "debug")]
    binaries: Option<PathBuf>,
}

/// Where else the data is.
#[derive(clap::Args)]
#[group(id = "copies")]
struct Copies {
    /// Stream all that the database writes to this folder, for `backup` and `restore`
    #[arg(long, env = "STACK_ARCHIVE", value_name = "FOLDER")]
    archive: Option<PathBuf>,
    /// Run a second PostgreSQL that has all that is answered, and takes over with `promote`
    #[arg(long)]
    standby: bool,
}

impl Options {
    fn gateway_tls(&self) -> Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&self.gateway_certificate, &self.gateway_key) else { return Ok(None) };
        let absolute = |file: &Path| file.canonicalize().with_context(|| format!("{} cannot be read", file.display()));
        Ok(Some(Tls { certificate: absolute(certificate)?, key: absolute(key)? }))
    }
}

/// How the services are compiled.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    Debug,
    Release,
    /// Without optimisation, and with the points at which tests have them die.
    Tests,
    /// The same, together with all tests: what is compiled once for all of them fits each.
    AllTests,
}

/// All that is ours, in the one way in which tests are built.
pub(crate) const WORKSPACE: [&str; 2] = ["--workspace", "--all-features"];

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = prepare(options, BTreeMap::new())?;
    if options.detach { run_detached(&dir) } else { run_here(&dir) }
}

/// Goes on in the background, whatever is said, with further variables of single parts.
pub(crate) fn start_detached(options: &Options, variables: BTreeMap<String, Vec<(String, String)>>) -> Result<()> {
    run_detached(&prepare(options, variables)?).map(drop)
}

/// Builds and plans everything; returns the folder of the stack.
fn prepare(options: &Options, variables: BTreeMap<String, Vec<(String, String)>>) -> Result<PathBuf> {
    install::ensure_installed()?;
    let dir = options.dir()?;
    if let Some(running) = state::running(&dir)? {
        let down = paths::command("down", &dir);
        bail!("a stack already runs in {}: {} ({down} stops it)", dir.display(), running.gateway);
    }
    // What an earlier run left behind may hold the port.
    background::end_leftovers(&dir);
    ensure!(
        ports::is_free(options.listen, options.port),
        "port {} is taken: choose another one with --port, or stop what listens there",
        options.port
    );
    console::build_if_possible();
    let binaries = match (&options.binaries, options.debug) {
        (Some(folder), _) => folder.canonicalize()?,
        (None, true) => build(Profile::Debug)?,
        (None, false) => build(Profile::Release)?,
    };
    let plan = Plan {
        extent: Extent::Whole,
        data: if options.fresh { Data::Wiped } else { Data::Kept },
        durability: Durability::Full,
        listen: options.listen,
        port: options.port,
        gateway_max_concurrent_requests: options.gateway_max_concurrent_requests,
        gateway_max_streams: options.gateway_max_streams,
        gateway_tls: options.gateway_tls()?,
        archive: options.copies.archive.as_deref().map(paths::open_dir).transpose()?,
        standby: if options.copies.standby { Standby::Synchronous } else { Standby::None },
        replicas: options.replicas.into(),
        brokers: options.brokers.into(),
        binaries,
        bootstrap: None,
        detours: Detours::default(),
        variables,
    };
    plan.save(&dir)?;
    Ok(dir)
}

impl Options {
    /// The folder of the stack.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        self.dir.open()
    }
}

/// Returns the folder of the binaries.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    const SERVICES: [&str; 5] = ["build", "--package", services::ORDERS, "--package", services::PAYMENTS];
    let (arguments, folder) = match profile {
        Profile::Debug => (SERVICES.to_vec(), "debug"),
        Profile::Release => ([&SERVICES[..], &["--release"]].concat(), "release"),
        Profile::Tests => ([&SERVICES[..], &["--all-features"]].concat(), "debug"),
        Profile::AllTests => ([&["test", "--no-run"], &WORKSPACE[..]].concat(), "debug"),
    };
    print::out(format_args!("building the services ({folder})"));
    let mut cargo = paths::cargo();
    cargo.args(arguments);
    ensure!(cargo.status()?.success(), "the services cannot be built");
    Ok(paths::target().join(folder))
}

fn run_here(dir: &Path) -> Result<ExitCode> {
    let (sender, events) = mpsc::channel();
    signals::forward(sender.clone(), Event::Signal)?;
    state::remove(dir);
    print::out(format_args!("starting in {}", dir.display()));
    let failed = Arc::new(OnceLock::new());
    let reader = thread::spawn({
        let (dir, failed) = (dir.to_owned(), Arc::clone(&failed));
        move || announce(&dir, &failed)
    });
    let outcome = background::supervise(dir, sender, events);
    let was_announced = reader.is_finished();
    outcome?;
    if failed.get().is_some() {
        return Ok(ExitCode::FAILURE);
    }
    print::out(format_args!(
        "{}",
        if was_announced { "stopped; the data is kept" } else { "stopped before it was ready" }
    ));
    Ok(ExitCode::SUCCESS)
}

/// Runs beside the supervisor; if the stack does not become ready, it asks for the end as the user would.
fn announce(dir: &Path, failed: &OnceLock<()>) {
    let began = Instant::now();
    match progress::until_ready(dir, Pid::this().as_raw(), || None) {
        Ok(state) => welcome(dir, &state.gateway, began, "Ctrl-C stops it."),
        Err(error) => {
            print::err(format_args!("error: {error:#}"));
            let _ = failed.set(());
            // Cannot fail: it is our own process.
            let _ = kill(Pid::this(), Signal::SIGTERM);
        }
    }
}

fn run_detached(dir: &Path) -> Result<ExitCode> {
    let signals = signals::receive()?;
    print::out(format_args!("starting in {}", dir.display()));
    let began = Instant::now();
    let mut stack = background::start(dir, Life::Own, &[])?;
    match stack.wait_until_ready(&signals) {
        Ok(state) => welcome(dir, &state.gateway, began, &format!("{} stops it.", paths::command("down", dir))),
        Err(error) => {
            stack.stop()?;
            return Err(error);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn welcome(dir: &Path, gateway: &str, began: Instant, how_to_stop: &str) {
    if let Some(elsewhere) = postgres::elsewhere(dir).last() {
        print::out(format_args!(
            "  the data of PostgreSQL is in {}: its user cannot enter {}",
            elsewhere.display(),
            dir.display()
        ));
    }

    print::out(format_args!(
        "\nReady after {:.1} s: {gateway}/api\n\nPlace a first order:\n  \
         curl -i {gateway}/api/orders -H {} -H 'Content-Type: application/json' -d '{{\"bill\": 62243}}'\n\n\
         {how_to_stop} {} lists the processes, {} prints a log.",
        began.elapsed().as_secs_f32(),
        authorization(),
        paths::command("ps", dir),
        paths::command("logs orders-service", dir),
    ));
}

/// The header, as it is typed into a shell.
fn authorization() -> String {
    if token::uses_local_key() {
        return "\"Authorization: Bearer $(cargo xtask token --user alice)\"".to_owned();
    }
    let token = if token::is_signed() { "Bearer <a token of your issuer>".to_owned() } else { progress::token() };
    format!("'Authorization: {token}'")
}
