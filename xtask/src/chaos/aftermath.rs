//! After the last fault: how long it takes until everything runs, is settled and comes to rest.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::books::Books;
use super::broker;
use super::clients;
use super::faults::World;
use super::memory::Memory;
use super::proxy::Proxy;
use super::requests::{Line, Request, USERS};
use crate::background;
use crate::state::Phase;

/// How long everything may take to settle once the last fault is over.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// After that, what nobody has paid has yet to expire.
const PATIENCE_FOR_EXPIRY: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How often each route has to be answered, so that every replica is asked.
const ROUNDS: usize = 8;

/// Times count from the last fault; none if it has not come true in time.
pub(crate) struct Aftermath {
    /// Every process runs and every route is answered.
    pub(crate) well_after: Option<Duration>,
    /// When that was, by the database's clock, which the rows have their times from.
    pub(crate) well_at: String,
    /// Nothing is late or in doubt, and every event has arrived.
    pub(crate) settled_after: Option<Duration>,
    /// What a client that came then was told.
    pub(crate) afterwards: Memory,
    /// What was the last to be settled.
    pub(crate) last_to_settle: Option<String>,
    /// Every order has come to its end.
    pub(crate) at_rest_after: Option<Duration>,
    /// What has not come true in time.
    pub(crate) remaining: Vec<String>,
}

/// Takes every fault back, and waits until nothing happens any more.
pub(crate) fn wait_for_quiet(seed: u64, world: &World, books: &Books, signals: &Receiver<Signal>) -> Result<Aftermath> {
    let over = Instant::now();
    world.heal()?;
    let deadlines = [PATIENCE, PATIENCE, PATIENCE + PATIENCE_FOR_EXPIRY].map(|patience| over + patience);
    let well = until(deadlines[0], signals, || is_well(world))?;
    let well_at = books.now()?;
    let settled = until(deadlines[1], signals, || nothing_left(books.unfinished()?, world))?;
    let afterwards = clients::prove_life(seed, &world.state()?.gateway, clients::AFTERWARDS);
    let at_rest = until(deadlines[2], signals, || nothing_left(books.living()?, world))?;
    // Then nothing goes through them, and nobody else would tell.
    let leaderless = settled.moment.is_none().then(|| broker::leaderless(&world.dir).unwrap_or_default());
    let leaderless = leaderless.into_iter().flatten().map(|queue| format!("{queue} has no leader"));
    // Connections that a service has long given up are still open at their other end.
    world.proxies.values().for_each(Proxy::reset_forgotten);
    Ok(Aftermath {
        well_after: well.moment.map(|moment| moment - over),
        well_at,
        afterwards,
        settled_after: settled.moment.map(|moment| moment - over),
        last_to_settle: settled.obstacle.clone(),
        at_rest_after: at_rest.moment.map(|moment| moment - over),
        remaining: [well, settled, at_rest].into_iter().filter_map(Wait::failure).chain(leaderless).collect(),
    })
}

/// How a wait has ended.
struct Wait {
    moment: Option<Instant>,
    /// What was last in the way.
    obstacle: Option<String>,
}

impl Wait {
    fn failure(self) -> Option<String> {
        self.obstacle.filter(|_| self.moment.is_none())
    }
}

/// Looks until there is nothing in the way any more, or the user has seen enough.
fn until(deadline: Instant, signals: &Receiver<Signal>, look: impl Fn() -> Result<Option<String>>) -> Result<Wait> {
    let mut last = None;
    loop {
        let obstacle = match look() {
            Ok(None) => return Ok(Wait { moment: Some(Instant::now()), obstacle: last }),
            Ok(Some(obstacle)) => obstacle,
            Err(problem) => format!("{problem:#}"),
        };
        last = Some(obstacle);
        if Instant::now() > deadline {
            return Ok(Wait { moment: None, obstacle: last });
        }
        if let Some(reason) = background::interruption(signals) {
            bail!("{reason}");
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// What is not well yet, in words.
fn is_well(world: &World) -> Result<Option<String>> {
    let state = world.state()?;
    if let Some(process) = state.processes.iter().find(|process| process.state != Phase::Running) {
        return Ok(Some(format!("{} is {}", process.name, process.state.as_str())));
    }
    let line = Line::new(&USERS[0], &state.gateway, 0);
    for route in ["/api/orders", "/api/payments"].iter().cycle().take(2 * ROUNDS) {
        let answer = line.send(&Request::get((*route).to_owned()))?;
        if answer.status != 200 {
            return Ok(Some(format!("GET {route} is answered {}", answer.name())));
        }
    }
    Ok(None)
}

/// The queues are asked last, since that takes longest.
fn nothing_left(in_database: Option<String>, world: &World) -> Result<Option<String>> {
    if in_database.is_some() {
        return Ok(in_database);
    }
    let waiting =
        broker::messages(&world.dir)?.into_iter().filter(|(queue, messages)| !broker::is_dead(queue) && *messages > 0);
    let waiting: Vec<_> = waiting.map(|(queue, messages)| format!("{messages} messages in {queue}")).collect();
    Ok(if waiting.is_empty() { None } else { Some(waiting.join(", ")) })
}
