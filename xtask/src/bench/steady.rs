//! Load at a fixed rate. The n-th request is due at a fixed moment, whether or not earlier ones were answered, and its
//! time counts from that moment, so that a slow answer cannot hide the wait of those behind it. None of Debian's
//! generators does that and also follows an order from request to request; blocking clients on threads do, and cost
//! little at the rates of one machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::client::Client;

/// More than are ever needed at half load; only a stalled system keeps them all waiting.
const WORKERS: usize = 64;
/// Every worker has connected by then.
const LEAD: Duration = Duration::from_millis(200);

/// Has `act` done at this rate, by whichever client is free. It is told its number and when it was due.
pub(crate) fn run<T: Send>(
    gateway: &str,
    per_second: f64,
    length: Duration,
    act: impl Fn(&Client, usize, Instant) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let start = Instant::now() + LEAD;
    let next = AtomicUsize::new(0);
    let work = || {
        let client = Client::new(gateway);
        client.connect()?;
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = start + due_after(number, per_second);
            if due >= start + length {
                return Ok(done);
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            done.push(act(&client, number, due)?);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a client has panicked"))?);
        Ok(results.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

#[expect(clippy::cast_precision_loss, reason = "no run has so many requests")]
fn due_after(number: usize, per_second: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / per_second)
}
