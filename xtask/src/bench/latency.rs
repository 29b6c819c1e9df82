//! (d) How long a client waits for what follows, at half of the highest rates that were accepted.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::bars::{ACCEPTED, SAGAS, VISIBLE_P99};
use super::counts::Told;
use super::figures::{Section, Unit};
use super::latencies::Latencies;
use super::meter::{Meter, Target};
use super::wrk::{Pace, Script};
use super::{creates, sagas, steady};

/// For the load: more than are under way at half of it.
const CONNECTIONS: u32 = 256;
/// So many orders a second are watched, and are a part of the load. Who watches costs several times what the load does.
pub(super) const WATCHED_PER_SECOND: f64 = 100.0;
/// More than are under way at a time.
pub(super) const WATCHERS: usize = 64;
/// So that a hundredth of what is watched is more than a few.
pub(super) const LENGTHS: u32 = 2;

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
    creates_at_half_load(meter, target)?;
    sagas_at_half_load(meter, target)
}

fn creates_at_half_load(meter: &mut Meter, target: &Target) -> Result<()> {
    let rate = half(meter, ACCEPTED);
    let watched = at_rate(meter, target, "create at half load", Script::Create, rate)?;
    record(meter, "create at half load", watched.iter().map(|order| order.answered));
    record(meter, VISIBLE_P99.trim_end_matches(", p99"), watched.iter().map(|order| order.followed));
    Ok(())
}

fn sagas_at_half_load(meter: &mut Meter, target: &Target) -> Result<()> {
    let rate = half(meter, SAGAS);
    let watched = at_rate(meter, target, "sagas at half load", Script::Saga, rate)?;
    record(meter, "create and pay at half load", watched.iter().map(|order| order.answered));
    record(meter, "from paid to the confirmed order", watched.iter().map(|order| order.followed));
    Ok(())
}

/// A system that accepts hardly anything is still asked.
fn half(meter: &Meter, rate: &str) -> f64 {
    (meter.figures.last(rate).unwrap_or_default() / 2.0).max(2.0 * WATCHED_PER_SECOND)
}

/// So many orders a second, those included that are watched.
#[expect(clippy::cast_precision_loss, reason = "no run has so many orders")]
fn at_rate(meter: &mut Meter, target: &Target, name: &str, script: Script, rate: f64) -> Result<Vec<Watched>> {
    let began = target.books.now()?;
    let length = meter.scale.length * LENGTHS;
    let is_saga = matches!(script, Script::Saga);
    let requests = (rate - WATCHED_PER_SECOND) * if is_saga { 2.0 } else { 1.0 };
    let (wrk, gateway) = (&meter.wrk, &target.state.gateway);
    let (outcome, watched) = thread::scope(|scope| {
        let load = scope.spawn(|| wrk.run(gateway, script, Pace::PerSecond(requests), CONNECTIONS, length));
        let watched = watch(gateway, length, script);
        (load.join().unwrap_or_else(|panic| resume_unwind(panic)), watched)
    });
    let (outcome, watched) = (outcome?, watched?);
    target.books.wait_for_quiet()?;
    let left = target.books.left_since(&began)?;
    let mut told = Told::by(&outcome, script, CONNECTIONS);
    told.accepted += watched.len() as u64;
    told.paid += if is_saga { watched.len() as u64 } else { 0 };
    meter.counts.add(name, &told, &left);
    meter.record(Section::Latency, name, Unit::PerSecond, told.accepted as f64 / length.as_secs_f64());
    target.books.settle()?;
    Ok(watched)
}

fn watch(gateway: &str, length: Duration, script: Script) -> Result<Vec<Watched>> {
    let is_saga = matches!(script, Script::Saga);
    steady::run(gateway, WATCHERS, WATCHED_PER_SECOND, length, &async |client, _, due| {
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
    })
}

fn record(meter: &mut Meter, name: &str, times: impl Iterator<Item = Duration>) {
    let latencies = Latencies::of(times);
    for percent in [50, 99] {
        if let Some(time) = latencies.percentile(percent) {
            meter.record(Section::Latency, format!("{name}, p{percent}"), Unit::Milliseconds, time);
        }
    }
}
