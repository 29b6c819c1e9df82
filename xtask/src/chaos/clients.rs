//! Clients that are busy while things break, and one who comes when all is quiet again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, Pool};
use super::memory::{Memory, Rule};

/// The numbers of those who come before the first fault and when all is quiet, and how many orders each places.
pub(crate) const BEFORE: usize = 100;
pub(crate) const AFTERWARDS: usize = 101;
pub(crate) const PROOFS: usize = 10;
/// A connection that a link has forgotten is noticed after two heartbeats of ten seconds; until then an event may be on
/// its way, and the pay is told so once it has waited for it.
const PATIENCE_FOR_LIFE: Duration = Duration::from_secs(20);

/// Lets the clients go on until `stop` is set; returns when each has had its last answer.
pub(crate) fn run(seed: u64, gateway: &str, clients: usize, stop: &AtomicBool) -> Vec<Memory> {
    let pool = Pool::default();
    thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|number| {
                let mut client = Client::new(seed, number, gateway, &pool);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        client.act();
                        thread::sleep(client.random.millis(1, 40));
                    }
                    client.memory
                })
            })
            .collect();
        let panicked = || Memory {
            wrong: vec![(Rule::Answer, "a client has panicked: see above".to_owned())],
            ..Memory::default()
        };
        running.into_iter().map(|client| client.join().unwrap_or_else(|_| panicked())).collect()
    })
}

/// Orders that are placed and paid while nothing is wrong.
pub(crate) fn prove_life(seed: u64, gateway: &str, number: usize) -> Memory {
    let pool = Pool::default();
    let mut client = Client::new(seed, number, gateway, &pool);
    let deadline = Instant::now() + PATIENCE_FOR_LIFE;
    for _ in 0..PROOFS {
        client.order_and_pay(deadline);
    }
    client.memory
}
