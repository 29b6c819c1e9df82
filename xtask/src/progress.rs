//! Tells the user how far a starting stack has come, and when it is ready.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Result, bail};

use crate::print;
use crate::probe;
use crate::state::{self, Phase, State};
use crate::token;

const PATIENCE: Duration = Duration::from_mins(2);
const TICK: Duration = Duration::from_millis(100);
/// A part that dies this often before it was ever ready will not become so.
const HOPELESS: u32 = 6;
const TAIL: usize = 20;
const DEMO_TOKEN: &str = "thisisajwttoken";

/// Waits until every part of a stack runs and, if it has a gateway, the first order could be placed.
/// `interrupted` answers with a reason to give up.
pub(crate) fn until_ready(
    dir: &Path,
    supervisor: i32,
    mut interrupted: impl FnMut() -> Option<String>,
) -> Result<State> {
    let deadline = Instant::now() + PATIENCE;
    let mut told = BTreeSet::new();
    let mut missing = "nothing was started".to_owned();
    loop {
        if let Some(reason) = interrupted() {
            bail!("{reason}");
        }
        if let Some(state) = state::peek(dir).filter(|state| state.supervisor == Some(supervisor)) {
            tell(&state, &mut told);
            give_up_if_hopeless(&state)?;
            match readiness(&state) {
                Ok(()) => return Ok(state),
                Err(reason) => missing = reason,
            }
            if Instant::now() > deadline {
                bail!("not ready after {} s: {missing}{}", PATIENCE.as_secs(), tails(&state));
            }
        } else if Instant::now() > deadline {
            bail!("not ready after {} s: {missing}", PATIENCE.as_secs());
        }
        thread::sleep(TICK);
    }
}

/// The last lines of a log, indented below a reason.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    last.iter().fold(format!("\n  {}:", log.display()), |tail, line| format!("{tail}\n    {line}"))
}

fn tell(state: &State, told: &mut BTreeSet<String>) {
    for process in &state.processes {
        if process.state == Phase::Running && told.insert(process.name.clone()) {
            let ports = process.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            let ports = if ports.is_empty() { ports } else { format!(" (port {ports})") };
            print::out(format_args!("  {} runs{ports}", process.name));
        }
    }
}

fn give_up_if_hopeless(state: &State) -> Result<()> {
    let hopeless =
        state.processes.iter().find(|process| process.restarts >= HOPELESS && process.state != Phase::Running);
    if let Some(process) = hopeless {
        bail!("{} dies again and again{}", process.name, tail(&process.log));
    }
    Ok(())
}

/// What is still missing, in words.
fn readiness(state: &State) -> Result<(), String> {
    if let Some(process) = state.processes.iter().find(|process| process.state != Phase::Running) {
        return Err(format!("{} is {}", process.name, process.state.as_str()));
    }
    if let Some(task) = state.unfinished.first() {
        return Err(format!("{task} is not finished"));
    }
    // Who vouches for an encrypted gateway is not known here.
    if state.gateway.is_empty() || state.gateway.starts_with("https") {
        return Ok(());
    }
    for route in ["/api/orders", "/api/payments"] {
        match probe::get(&format!("{}{route}", state.gateway), Some(&token())) {
            Ok(200) => {}
            // A signed token is needed then, which we may not have; the service itself has answered.
            Ok(401) if token::is_signed() => {}
            Ok(status) => return Err(format!("GET {route} answers {status}")),
            Err(error) => return Err(format!("GET {route} fails: {error}")),
        }
    }
    Ok(())
}

/// The first of the demo tokens that the services were given.
#[expect(clippy::disallowed_methods, reason = "it is a setting of the services, which get it from here unchanged")]
pub(crate) fn token() -> String {
    let tokens = env::var("AUTH_DEMO_TOKENS").unwrap_or_default();
    let first = tokens.split(',').next().and_then(|pair| pair.split('=').next()).map(str::trim);
    first.filter(|token| !token.is_empty()).unwrap_or(DEMO_TOKEN).to_owned()
}

fn tails(state: &State) -> String {
    let behind = state.processes.iter().filter(|process| process.state != Phase::Running).map(|process| &process.log);
    let mut logs: Vec<_> = behind.collect();
    if logs.is_empty() {
        logs = state
            .processes
            .iter()
            .filter(|process| process.name.ends_with("-service"))
            .map(|process| &process.log)
            .collect();
    }
    logs.into_iter().map(|log| tail(log)).collect()
}
