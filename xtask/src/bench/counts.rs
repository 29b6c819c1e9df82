//! Whether every accepted order is there, with its payment, and every paid one confirmed.

use std::fmt::Write;

use super::books::Left;
use super::wrk::{Outcome, Script};

/// One kind of load, summed over its repeats.
#[derive(Default)]
struct Count {
    load: String,
    accepted: u64,
    orders: u64,
    payments: u64,
    paid: u64,
    confirmed: u64,
    refusals: u64,
    failures: u64,
    /// Requests that were under way when the load stopped: carried out, but not answered any more.
    cut_off: u64,
}

/// What a generator was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) accepted: u64,
    pub(crate) paid: u64,
    pub(crate) refusals: u64,
    pub(crate) failures: u64,
    pub(crate) cut_off: u64,
}

impl Told {
    /// What `wrk` was told on so many connections.
    pub(crate) fn by(outcome: &Outcome, script: Script, connections: u32) -> Self {
        Self {
            accepted: if matches!(script, Script::Saga) { outcome.created } else { outcome.granted() },
            paid: outcome.paid,
            refusals: outcome.refusals,
            failures: outcome.failures,
            cut_off: connections.into(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Counts(Vec<Count>);

impl Counts {
    pub(crate) fn add(&mut self, load: &str, told: &Told, left: &Left) {
        if !self.0.iter().any(|count| count.load == load) {
            self.0.push(Count { load: load.to_owned(), ..Count::default() });
        }
        for count in self.0.iter_mut().filter(|count| count.load == load) {
            count.accepted += told.accepted;
            count.orders += left.orders;
            count.payments += left.payments;
            count.paid += told.paid;
            count.confirmed += left.confirmed;
            count.refusals += told.refusals;
            count.failures += told.failures;
            count.cut_off += told.cut_off;
        }
    }

    pub(crate) fn are_sound(&self) -> bool {
        self.0.iter().all(Count::is_sound)
    }

    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| load | answered 201 | orders | payments | answered paid | confirmed | refused | failed | agree |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|---|\n",
        );
        for count in &self.0 {
            let Count { load, accepted, orders, payments, paid, confirmed, refusals, failures, .. } = count;
            let verdict = if count.is_sound() { "yes" } else { "NO" };
            let _ = writeln!(
                table,
                "| {load} | {accepted} | {orders} | {payments} | {paid} | {confirmed} | {refusals} | {failures} | {verdict} |"
            );
        }
        table
    }
}

impl Count {
    fn is_sound(&self) -> bool {
        let covers = |told: u64, found: u64| (told..=told + self.cut_off + self.failures).contains(&found);
        covers(self.accepted, self.orders) && self.orders == self.payments && covers(self.paid, self.confirmed)
    }
}
