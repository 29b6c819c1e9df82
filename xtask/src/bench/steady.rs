//! Load at a fixed rate. The n-th request is due at a fixed moment, whether or not earlier ones were answered, and its
//! time counts from that moment, so that a slow answer cannot hide the wait of those behind it. None of Debian's
//! generators does that and also follows an order from request to request.

use std::cell::RefCell;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use tokio::runtime;
use tokio::sync::mpsc;

use super::client::Client;

/// Has `act` done at this rate, on whichever connection is free. It is told its number and when it was due. All connections
/// are open from the start: who opens one when the others have to wait makes the wait longer than it was. Where more
/// requests are due, they wait for one of these, and their time counts. One thread does it all, and another one keeps the
/// time: a timer of the runtime would be late by up to a millisecond.
pub(crate) fn run<T>(
    gateway: &str,
    connections: usize,
    per_second: f64,
    length: Duration,
    act: &impl AsyncFn(&mut Client, usize, Instant) -> Result<T>,
) -> Result<Vec<T>> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let idle = RefCell::new(try_join_all((0..connections).map(|_| Client::connect(gateway))).await?);
        let one = async |number, due| {
            let free = idle.borrow_mut().pop();
            let mut client = free.context("more requests are under way than there are connections")?;
            let done = act(&mut client, number, due).await?;
            idle.borrow_mut().push(client);
            anyhow::Ok(done)
        };
        let (sender, mut due_now) = mpsc::unbounded_channel();
        let clock = thread::spawn(move || keep_time(per_second, length, &sender));
        let (mut under_way, mut done) = (FuturesUnordered::new(), Vec::new());
        loop {
            tokio::select! {
                biased;
                Some((number, due)) = due_now.recv(), if under_way.len() < connections => under_way.push(one(number, due)),
                Some(outcome) = under_way.next() => done.push(outcome?),
                else => break,
            }
        }
        // It has ended: nothing is due any more.
        drop(clock.join());
        Ok(done)
    })
}

/// Says which request is due, and ends when nobody listens or nothing more will be.
fn keep_time(per_second: f64, length: Duration, sender: &mpsc::UnboundedSender<(usize, Instant)>) {
    let start = Instant::now();
    for number in 0.. {
        let due = start + due_after(number, per_second);
        if due >= start + length {
            return;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if sender.send((number, due)).is_err() {
            return;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run has so many requests")]
fn due_after(number: usize, per_second: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / per_second)
}
