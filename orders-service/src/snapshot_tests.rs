//! Whoever follows changes sees each of them once, in whatever order they are committed and wherever the connection breaks.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::snapshot::{Place, Snapshot, Unreadable};

/// How many changes a transaction makes.
const CHANGES: u32 = 3;
const PAGE: usize = 2;

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A transaction gets its number.
    Begin,
    /// One of those that are under way ends, with its changes or without.
    End { which: usize, commits: bool },
    /// The follower reads a page, and passes so many of its changes on before the connection breaks.
    Read { passed_on: usize },
    /// Or all of them.
    ReadAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Begin),
        4 => (0..8_usize, prop::bool::weighted(0.8)).prop_map(|(which, commits)| Step::End { which, commits }),
        2 => (0..8_usize).prop_map(|passed_on| Step::Read { passed_on }),
        2 => Just(Step::ReadAll),
    ]
}

/// A database with nothing but transactions.
#[derive(Default)]
struct Transactions {
    next: i64,
    under_way: Vec<i64>,
    committed: Vec<i64>,
}

impl Transactions {
    fn snapshot(&self) -> Snapshot {
        let missing: Vec<_> = self.under_way.iter().map(i64::to_string).collect();
        let begin = self.under_way.first().unwrap_or(&self.next);
        Snapshot::taken(0, &format!("{begin}:{}:{}", self.next, missing.join(","))).expect("a snapshot")
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begin => {
                self.under_way.push(self.next);
                self.next += 1;
            }
            Step::End { which, commits } if !self.under_way.is_empty() => {
                let ended = self.under_way.remove(which % self.under_way.len());
                if commits {
                    self.committed.push(ended);
                }
            }
            Step::End { .. } | Step::Read { .. } | Step::ReadAll => {}
        }
    }

    /// As `changes::after` reads it: the page's transactions and where it ends.
    fn page_after(&self, seen: &Snapshot) -> (Vec<i64>, Snapshot) {
        let now = self.snapshot();
        let mut unseen: Vec<i64> = self.committed.iter().copied().filter(|committed| !seen.has(*committed)).collect();
        unseen.sort_unstable();
        if unseen.len() <= PAGE {
            return (unseen, now);
        }
        unseen.truncate(PAGE);
        let end = seen.advanced(unseen[PAGE - 1], &now);
        (unseen, end)
    }
}

/// Whoever reads pages, is cut off, and resumes with what it was told last.
struct Follower {
    place: Place,
    times_seen: HashMap<(i64, u32), u32>,
}

impl Follower {
    /// Reads one page and sees so many changes of it.
    fn read(&mut self, transactions: &Transactions, passed_on: usize) {
        let (page, end) = transactions.page_after(&self.place.seen);
        let changes = page.into_iter().flat_map(|transaction| (1..=CHANGES).map(move |number| (transaction, number)));
        let mut place = self.place.clone().entering(&self.place.seen);
        let unseen: Vec<_> = changes.filter(|(transaction, number)| !place.has(*transaction, *number)).collect();
        let is_all = unseen.len() <= passed_on;
        for (transaction, number) in unseen.into_iter().take(passed_on) {
            place = place.advanced(transaction, number, &end);
            *self.times_seen.entry((transaction, number)).or_default() += 1;
        }
        if is_all {
            place = place.entering(&end);
        }
        self.place = place.to_string().parse().expect("what is written can be read");
    }
}

proptest! {
    #[test]
    fn every_change_is_seen_once(steps in prop::collection::vec(step(), 1..80)) {
        let mut transactions = Transactions::default();
        let mut follower = Follower { place: Place::after(transactions.snapshot()), times_seen: HashMap::new() };
        for step in steps {
            transactions.take(step);
            match step {
                Step::Read { passed_on } => follower.read(&transactions, passed_on),
                Step::ReadAll => follower.read(&transactions, usize::MAX),
                Step::Begin | Step::End { .. } => {}
            }
        }
        // What is still under way does not keep anything else from being seen.
        for _ in 0..=transactions.committed.len() {
            follower.read(&transactions, usize::MAX);
        }
        for transaction in &transactions.committed {
            for number in 1..=CHANGES {
                prop_assert_eq!(follower.times_seen.remove(&(*transaction, number)), Some(1), "{}.{}", transaction, number);
            }
        }
        prop_assert_eq!(follower.times_seen, HashMap::new());
    }

    #[test]
    fn no_text_breaks_anything(text in "[0-9@:,.+]{0,40}") {
        if let Ok(place) = text.parse::<Place>() {
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }
    }
}

#[test]
fn a_place_is_written_as_it_is_read() {
    for text in ["1764087000@120:125:120,123", "1764087000@125:125:", "1764087000@120:125:120+120.3", "0@1:1:+7.1+8.2"]
    {
        assert_eq!(text.parse::<Place>().map(|place| place.to_string()).as_deref(), Ok(text));
    }
    for text in
        ["", "3", "120:125:", "0@120:125", "0@120:125:130", "0@1:9:4,3", "0@1:9:-1", "0@1:9:+", "0@1:9:+4", "0@1:9:x"]
    {
        assert_eq!(text.parse::<Place>(), Err(Unreadable), "{text:?}");
    }
}
