//! (c) Whole sagas: an order is created, paid and confirmed.

use anyhow::Result;

use super::bars::SAGAS;
use super::creates::PROMPT;
use super::figures::{Section, Unit};
use super::meter::{Meter, Target};
use super::wrk::Script;

const CONNECTIONS: [u32; 2] = [64, 256];

pub(crate) fn measure(meter: &mut Meter, target: &Target) -> Result<()> {
    let mut best = 0.0_f64;
    for connections in CONNECTIONS {
        let name = format!("sagas at {connections} connections");
        let loaded = meter.load(target, &name, Script::Saga, connections)?;
        let paid = loaded.outcome.paid_per_second();
        meter.record(Section::Saga, &name, Unit::PerSecond, paid);
        let lag = loaded.left.confirmed_lag;
        meter.record(Section::Saga, format!("{name}, last confirmation after the last pay"), Unit::Seconds, lag);
        if lag <= PROMPT && loaded.left.confirmed >= loaded.outcome.paid {
            best = best.max(paid);
        }
    }
    meter.record(Section::Saga, SAGAS, Unit::PerSecond, best);
    Ok(())
}
