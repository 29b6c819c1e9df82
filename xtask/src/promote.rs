//! `cargo xtask promote`: has the standby of a running stack take over.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::paths::StackDir;
use crate::stack::Plan;
use crate::standby::{self, Note, Standby};
use crate::state::{self, Phase, State};
use crate::{leftovers, postgres, print, probe};

/// How long the processes of the old primary may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// For a stack of `up --standby`, whatever its primary does. What that one has and has not answered is not waited for;
/// it is ended, and comes back as the standby.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    dir: StackDir,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let [old, new] = promote(&options.dir.open()?)?;
    print::out(format_args!("{new} takes the writes; it answers them once {old} has come back as its standby"));
    Ok(ExitCode::SUCCESS)
}

/// The old primary and the new one of the stack in a folder.
pub(crate) fn promote(dir: &Path) -> Result<[&'static str; 2]> {
    let running = state::running(dir)?.with_context(|| format!("nothing runs in {}", dir.display()))?;
    let has_standby = Plan::load(dir)?.standby == Standby::Synchronous;
    ensure!(has_standby, "the stack has no standby: start it with --standby");
    let note = Note::of(dir)?;
    let [mut old, mut new] = note.roles();
    // A promotion that was broken off is brought to its end.
    if ask(&running, old, "select pg_is_in_recovery()").is_ok_and(|answer| answer == "t") {
        [old, new] = [new, old];
    } else {
        let has_all = running.processes.iter().any(|process| process.name == new && process.state == Phase::Running);
        ensure!(has_all, "{new} does not have all that was answered: see `cargo xtask ps` and its log");
    }
    note.name(new)?;
    let began = Instant::now();
    let _no_primary = loop {
        leftovers::end(&standby::folder(dir, old)?);
        if let Some(lock) = note.take_lock()? {
            break lock;
        }
        ensure!(began.elapsed() < PATIENCE, "{old} cannot be ended: nothing is promoted");
        thread::sleep(Duration::from_millis(20));
    };
    let promoted = ask(&running, new, "select pg_promote(true, 60)")?;
    ensure!(promoted == "t", "{new} was not promoted within a minute: see its log");
    Ok([old, new])
}

/// What a query answers at one of the servers.
fn ask(running: &State, server: &str, query: &str) -> Result<String> {
    let process = running.processes.iter().find(|process| process.name == server);
    let port = *process.and_then(|process| process.ports.first()).with_context(|| format!("{server} is not there"))?;
    Ok(probe::psql_output(&postgres::psql()?, &postgres::maintenance_url(port), &["-tAc", query])?.trim().to_owned())
}
