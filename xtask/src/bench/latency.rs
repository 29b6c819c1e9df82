//! (d) How long a client waits for what follows, at half of the highest rates that were accepted.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::bars::{ACCEPTED, SAGAS, VISIBLE_P99};
use super::counts::Told;
use super::figures::{Section, Unit};
use super::latencies::Latencies;
use super::meter::{Meter, Target};
use super::wrk::Script;
use super::{creates, sagas, steady};

/// Half of what a service works on at a time.
pub(super) const CONNECTIONS: usize = 512;
/// So many orders a second are watched to their end; to watch all would be another load.
const WATCHED_PER_SECOND: f64 = 200.0;

/// One order at a fixed rate: how long its answer took since it was due, and how long what was watched.
struct Timed {
    answered: Duration,
    watched: Option<Duration>,
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
    let timed = at_rate(meter, target, "create at half load", Script::Create, rate)?;
    record(meter, "create at half load", timed.iter().map(|timed| timed.answered));
    record(meter, VISIBLE_P99.trim_end_matches(", p99"), timed.iter().filter_map(|timed| timed.watched));
    Ok(())
}

fn sagas_at_half_load(meter: &mut Meter, target: &Target) -> Result<()> {
    let rate = half(meter, SAGAS);
    let timed = at_rate(meter, target, "sagas at half load", Script::Saga, rate)?;
    record(meter, "create and pay at half load", timed.iter().map(|timed| timed.answered));
    record(meter, "from paid to the confirmed order", timed.iter().filter_map(|timed| timed.watched));
    Ok(())
}

/// At least one a second: a system that accepts nothing is still asked.
fn half(meter: &Meter, rate: &str) -> f64 {
    (meter.figures.last(rate).unwrap_or_default() / 2.0).max(1.0)
}

fn at_rate(meter: &mut Meter, target: &Target, name: &str, script: Script, rate: f64) -> Result<Vec<Timed>> {
    let began = target.books.now()?;
    let watched = Watched::of(rate);
    let is_saga = matches!(script, Script::Saga);
    let timed =
        steady::run(&target.state.gateway, CONNECTIONS, rate, meter.scale.length, &async |client, number, due| {
            let order = client.create(None).await?;
            if is_saga {
                client.pay(&order, None).await?;
            }
            let answered = Instant::now();
            if watched.includes(number) {
                if is_saga {
                    client.wait_until_confirmed(&order).await?;
                } else {
                    client.see_payment(&order).await?;
                }
            }
            let watched = watched.includes(number).then(|| answered.elapsed());
            Ok(Timed { answered: answered - due, watched })
        })?;
    target.books.wait_for_quiet()?;
    let left = target.books.left_since(&began)?;
    let accepted = timed.len() as u64;
    let paid = if is_saga { accepted } else { 0 };
    meter.counts.add(name, &Told { accepted, paid, ..Told::default() }, &left);
    target.books.settle()?;
    Ok(timed)
}

fn record(meter: &mut Meter, name: &str, times: impl Iterator<Item = Duration>) {
    let latencies = Latencies::of(times);
    for percent in [50, 99] {
        if let Some(time) = latencies.percentile(percent) {
            meter.record(Section::Latency, format!("{name}, p{percent}"), Unit::Milliseconds, time);
        }
    }
}

/// Every so manieth order.
struct Watched(usize);

impl Watched {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    fn of(rate: f64) -> Self {
        Self((rate / WATCHED_PER_SECOND).ceil().max(1.0) as usize)
    }

    fn includes(&self, number: usize) -> bool {
        number.is_multiple_of(self.0)
    }
}
