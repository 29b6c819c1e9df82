//! Who uses the system: orders at a steady rate, each with what its customer does next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::runtime;

use super::curves::{Chart, Reading};
use crate::bench::client::Client;
use crate::bench::latencies::Latencies;
use crate::bench::steady;

/// Far more than a steady rate needs at a time.
const CONNECTIONS: usize = 64;
/// So many failures are told in words.
const EXAMPLES: usize = 5;

/// What they share with those who watch them.
#[derive(Default)]
pub(crate) struct Clients {
    /// They were told to leave.
    over: AtomicBool,
    gone: AtomicBool,
    pub(crate) accepted: AtomicU64,
    pub(crate) retired: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// What was waited for since the last look, by the kind of request.
    waits: Mutex<BTreeMap<&'static str, Vec<Duration>>>,
}

/// Comes back once a new order has its payment. While RabbitMQ starts, the services look for it only now and then.
pub(crate) fn wait_for_first_payment(gateway: &str) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut client = Client::connect(gateway).await?;
        let order = client.create(None).await?;
        let deadline = Instant::now() + PATIENCE;
        while let Err(problem) = client.see_payment(&order).await {
            ensure!(Instant::now() < deadline, "the first order has no payment: {problem:#}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    })
}

impl Clients {
    /// Comes back when the time is over or they were told to leave. One who has failed comes again: a bad moment of the machine
    /// must not end a run of hours. Its connection opens by itself if it is of no use any more.
    pub(crate) fn keep_coming(&self, gateway: &str, per_second: f64, length: Duration) {
        let outcome = steady::run(gateway, CONNECTIONS, per_second, length, &async |client, number, _| {
            if self.over.load(Ordering::Relaxed) {
                bail!("nobody is let in any more");
            }
            if let Err(problem) = self.visit(client, number).await {
                self.note(format!("order {number}: {problem:#}"));
            }
            Ok(())
        });
        if let Err(problem) = outcome
            && !self.over.load(Ordering::Relaxed)
        {
            self.note(format!("the load has ended early: {problem:#}"));
        }
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Two in six do not pay: one order expires, one is cancelled. One is paid and cancelled, the others are delivered.
    async fn visit(&self, client: &mut Client, number: usize) -> Result<()> {
        let key = format!("soak-{number}");
        let order = self.timed("create", client.create(Some(&key))).await?;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (pays, cancels) = match number % 6 {
            0 => (false, false),
            1 => (false, true),
            2 => (true, true),
            _ => (true, false),
        };
        if pays {
            self.timed("pay", client.pay(&order, Some(&key))).await?;
        }
        if cancels {
            self.timed("cancel", client.cancel(&order)).await?;
        }
        self.timed("list", client.list()).await
    }

    async fn timed<T>(&self, what: &'static str, request: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let answer = request.await?;
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.entry(what).or_default().push(began.elapsed());
        Ok(answer)
    }

    /// Something that should have been done, and why it was not.
    pub(crate) fn note(&self, failure: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(failure);
    }

    /// How many things could not be done, and why the first of them.
    pub(crate) fn failures(&self) -> (usize, Vec<String>) {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        (failures.len(), failures.iter().take(EXAMPLES).cloned().collect())
    }

    /// What is under way then is not waited for.
    pub(crate) fn send_home(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn are_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// What was waited for since the last look.
    pub(crate) fn latencies(&self) -> Vec<Reading> {
        let waits = std::mem::take(&mut *self.waits.lock().unwrap_or_else(PoisonError::into_inner));
        let mut readings = Vec::new();
        for (what, times) in waits {
            let latencies = Latencies::of(times);
            for percent in [50, 99] {
                let value = latencies.percentile(percent);
                let curve = format!("{what} p{percent}");
                readings.extend(value.map(|value| Reading { chart: Chart::Latency, curve, value }));
            }
        }
        readings
    }

    pub(crate) fn progress(&self, passed: Duration) -> String {
        let (accepted, retired) = (self.accepted.load(Ordering::Relaxed), self.retired.load(Ordering::Relaxed));
        let failures = self.failures().0;
        let minutes = passed.as_secs_f32() / 60.0;
        format!("{minutes:>7.2} min  {accepted:>8} orders accepted  {retired:>8} retired  {failures:>4} failures")
    }
}
