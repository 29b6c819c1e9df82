//! (d) How long a client waits for what follows, at half of the highest rates that were accepted.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::bars::{ACCEPTED, SAGAS, VISIBLE_P99};
use super::client::Client;
use super::counts::Told;
use super::figures::{Section, Unit};
use super::latencies::Latencies;
use super::meter::{Meter, Target};
use super::wrk::{Outcome, Pace, Script};
use super::{creates, evenness, sagas, steady};

/// For the load: more than are under way at half of it.
const CONNECTIONS: u32 = 256;
/// So many a second are watched, and are a part of the load. Who watches costs several times what the load does.
const WATCHED_PER_SECOND: f64 = 100.0;
/// More than are under way at a time.
const WATCHERS: usize = 64;
/// So that a hundredth of what is watched is more than a few.
const LENGTHS: u32 = 2;

/// Of the time right before, in which nothing else was done.
const SLOW_CORES: &str = "a core at less than half of its usual speed";

/// An order that was watched: how long its answer took since it was due, and how long what followed.
struct Watched {
    answered: Duration,
    followed: Duration,
}

pub(crate) fn measure(meter: &mut Meter, target: &Target) -> Result<()> {
    if meter.figures.last(ACCEPTED).is_none() {
        creates::measure(meter, target)?;
    }
    if meter.figures.last(SAGAS).is_none() {
        sagas::measure(meter, target)?;
    }
    meter.record(Section::Latency, SLOW_CORES, Unit::Percent, evenness::slow_percent()?);
    creates_at_half_load(meter, target)?;
    sagas_at_half_load(meter, target)
}

fn creates_at_half_load(meter: &mut Meter, target: &Target) -> Result<()> {
    let rate = half(meter, ACCEPTED);
    let watched = at_rate(meter, target, "create at half load", Script::Create, rate)?;
    record(meter, &watched, "create at half load", VISIBLE_P99.trim_end_matches(", p99"))
}

fn sagas_at_half_load(meter: &mut Meter, target: &Target) -> Result<()> {
    let rate = half(meter, SAGAS);
    let watched = at_rate(meter, target, "sagas at half load", Script::Saga, rate)?;
    record(meter, &watched, "create and pay at half load", "from paid to the confirmed order")
}

fn half(meter: &Meter, rate: &str) -> f64 {
    meter.figures.last(rate).unwrap_or_default() / 2.0
}

/// So many orders a second, those included that are watched.
#[expect(clippy::cast_precision_loss, reason = "no run has so many orders")]
fn at_rate(meter: &mut Meter, target: &Target, name: &str, script: Script, rate: f64) -> Result<Vec<Watched>> {
    let began = target.books.now()?;
    let is_saga = matches!(script, Script::Saga);
    let (outcome, watched) = under_load(meter, target, script, rate, &async |client, _, due| {
        let order = client.create(None).await?;
        if is_saga {
            client.pay(&order, None).await?;
        }
        let answered = Instant::now();
        if is_saga {
            client.wait_until_confirmed(&order).await?;
        } else {
            client.see_payment(&order).await?;
        }
        Ok(Watched { answered: answered - due, followed: answered.elapsed() })
    })?;
    target.books.wait_for_quiet()?;
    let left = target.books.left_since(&began)?;
    let mut told = Told::by(&outcome, script, CONNECTIONS);
    told.accepted += watched.len() as u64;
    told.paid += if is_saga { watched.len() as u64 } else { 0 };
    meter.counts.add(name, &told, &left);
    meter.record(Section::Latency, name, Unit::PerSecond, told.accepted as f64 / length(meter).as_secs_f64());
    target.books.settle()?;
    Ok(watched)
}

/// Has `act` done a hundred times a second while `wrk` makes the rest of the load: what `wrk` was told, and what `act` came
/// to each time. A system that accepts hardly anything is still asked.
pub(super) fn under_load<T>(
    meter: &Meter,
    target: &Target,
    script: Script,
    rate: f64,
    act: &impl AsyncFn(&mut Client, usize, Instant) -> Result<T>,
) -> Result<(Outcome, Vec<T>)> {
    let (wrk, gateway, length) = (&meter.wrk, &target.state.gateway, length(meter));
    let requests_each = if matches!(script, Script::Saga) { 2.0 } else { 1.0 };
    let pace = Pace::PerSecond((rate - WATCHED_PER_SECOND).max(WATCHED_PER_SECOND) * requests_each);
    let (load, watched) = thread::scope(|scope| {
        let load = scope.spawn(|| wrk.run(gateway, script, pace, CONNECTIONS, length));
        let watched = steady::run(gateway, WATCHERS, WATCHED_PER_SECOND, length, act);
        (load.join().unwrap_or_else(|panic| resume_unwind(panic)), watched)
    });
    Ok((load?, watched?))
}

fn length(meter: &Meter) -> Duration {
    meter.scale.length * LENGTHS
}

fn record(meter: &mut Meter, watched: &[Watched], answered: &str, followed: &str) -> Result<()> {
    let of = |wait: fn(&Watched) -> Duration| Latencies::of(watched.iter().map(wait));
    meter.record_waits(Section::Latency, answered, &of(|order| order.answered))?;
    meter.record_waits(Section::Latency, followed, &of(|order| order.followed))
}
