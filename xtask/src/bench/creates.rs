//! (b) Orders that are accepted through the gateway, while all that follows from them is done as well.

use anyhow::Result;

use super::bars::ACCEPTED;
use super::figures::{Section, Unit};
use super::meter::{Meter, Target};
use super::wrk::Script;

const CONNECTIONS: [u32; 4] = [1, 16, 64, 256];
/// Orders count if all of them have their payments so soon after the end of the load.
pub(crate) const PROMPT: f64 = 2.0;

pub(crate) fn measure(meter: &mut Meter, target: &Target) -> Result<()> {
    let mut best = 0.0_f64;
    for connections in CONNECTIONS {
        let name = format!("create at {connections} connection{}", if connections == 1 { "" } else { "s" });
        let loaded = meter.load(target, &name, Script::Create, connections)?;
        let accepted = loaded.outcome.granted_per_second();
        meter.record(Section::Create, &name, Unit::PerSecond, accepted);
        for (percentile, time) in loaded.outcome.latencies() {
            meter.record(Section::Create, format!("{name}, {percentile}"), Unit::Milliseconds, time);
        }
        let lag = loaded.left.payments_lag;
        meter.record(Section::Create, format!("{name}, last payment after the last order"), Unit::Seconds, lag);
        let behind = loaded.left.payments_behind;
        meter.record(Section::Create, format!("{name}, payments after the last order"), Unit::Orders, behind);
        if lag <= PROMPT && loaded.left.payments == loaded.left.orders {
            best = best.max(accepted);
        }
    }
    meter.record(Section::Create, ACCEPTED, Unit::PerSecond, best);
    Ok(())
}
