//! Whether what the clients remember and what the system has agree: every promise was kept.

use std::collections::{HashMap, HashSet};

use super::books::Placed;
use super::memory::{Creation, Memory};
use super::report::Check;

/// The checks that need both sides.
pub(crate) fn promises(memories: &[Memory], placed: &[Placed]) -> Vec<Check> {
    let wishes: Vec<&Creation> = memories.iter().flat_map(|memory| &memory.creations).collect();
    let mut found: HashMap<&str, Vec<&Placed>> = HashMap::new();
    for order in placed {
        found.entry(&order.reference).or_default().push(order);
    }
    let by_id: HashMap<&str, &Placed> = placed.iter().map(|order| (order.id.as_str(), order)).collect();
    vec![
        accepted_exist_once(&wishes, &found),
        unanswered_exist_at_most_once(&wishes, &found),
        nothing_else_exists(&wishes, placed),
        paid_are_charged(memories, &by_id),
        cancelled_stay_cancelled(memories, &by_id),
    ]
}

fn accepted_exist_once(wishes: &[&Creation], found: &HashMap<&str, Vec<&Placed>>) -> Check {
    let accepted = wishes.iter().filter(|wish| wish.accepted.is_some());
    let broken = accepted.clone().filter_map(|wish| match found.get(wish.reference.as_str()).map(Vec::as_slice) {
        Some([order]) if is_as_wished(order, wish) => None,
        orders => Some(format!("{} was accepted as {:?}, there are {}", wish.reference, wish.accepted, ids(orders))),
    });
    Check::of(
        "what was answered 201 exists exactly once, as it was wished",
        accepted.clone().count() as u64,
        broken.collect(),
    )
}

/// Also where the same key was sent several times.
fn unanswered_exist_at_most_once(wishes: &[&Creation], found: &HashMap<&str, Vec<&Placed>>) -> Check {
    let lost = wishes.iter().filter(|wish| wish.accepted.is_none());
    let broken = lost.clone().filter_map(|wish| match found.get(wish.reference.as_str()).map(Vec::as_slice) {
        Some(orders) if orders.len() > 1 => Some(format!("{}: there are {}", wish.reference, ids(Some(orders)))),
        _ => None,
    });
    Check::of("what had no answer or a refusal exists at most once", lost.clone().count() as u64, broken.collect())
}

fn nothing_else_exists(wishes: &[&Creation], placed: &[Placed]) -> Check {
    let wished: HashSet<&str> = wishes.iter().map(|wish| wish.reference.as_str()).collect();
    let others = placed.iter().filter(|order| !wished.contains(order.reference.as_str()));
    Check::of(
        "nothing exists that nobody wished for",
        placed.len() as u64,
        others.map(|order| order.id.clone()).collect(),
    )
}

fn paid_are_charged(memories: &[Memory], placed: &HashMap<&str, &Placed>) -> Check {
    let paid = memories.iter().flat_map(|memory| &memory.paid);
    let is_broken = |id: &&String| placed.get(id.as_str()).is_none_or(|order| order.charges != 1);
    let broken = paid.clone().filter(is_broken).cloned().collect();
    Check::of("what was answered as paid was charged once", paid.count() as u64, broken)
}

fn cancelled_stay_cancelled(memories: &[Memory], placed: &HashMap<&str, &Placed>) -> Check {
    let cancelled = memories.iter().flat_map(|memory| &memory.cancelled);
    let is_broken = |id: &&String| placed.get(id.as_str()).is_none_or(|order| order.status != "cancelled");
    let broken = cancelled.clone().filter(is_broken).cloned().collect();
    Check::of("what was answered as cancelled stays cancelled", cancelled.count() as u64, broken)
}

fn is_as_wished(order: &Placed, wish: &Creation) -> bool {
    (Some(&order.id), order.created_by.as_str(), order.bill) == (wish.accepted.as_ref(), wish.user, wish.bill)
}

fn ids(orders: Option<&[&Placed]>) -> String {
    let ids: Vec<_> = orders.unwrap_or_default().iter().map(|order| order.id.as_str()).collect();
    format!("{} of it: {}", ids.len(), ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let creation = |reference: &str, accepted: Option<&str>| Creation {
            reference: reference.to_owned(),
            user: "alice",
            bill: 100,
            accepted: accepted.map(str::to_owned),
        };
        Memory {
            creations: vec![creation("answered", Some("a")), creation("lost", None)],
            paid: vec!["a".to_owned()],
            cancelled: vec!["a".to_owned()],
            ..Memory::default()
        }
    }

    fn placed(id: &str, reference: &str) -> Placed {
        let (created_by, status) = ("alice".to_owned(), "cancelled".to_owned());
        Placed { id: id.to_owned(), reference: reference.to_owned(), created_by, bill: 100, status, charges: 1 }
    }

    #[track_caller]
    fn check(placed: &[Placed], broken: &[&str]) {
        let checks = promises(&[memory()], placed);
        let found: Vec<_> = checks.iter().filter(|check| check.broken > 0).map(|check| check.name.as_str()).collect();
        assert_eq!(found, broken);
    }

    #[test]
    fn a_promise_that_is_kept_is_no_news() {
        check(&[placed("a", "answered")], &[]);
        check(&[placed("a", "answered"), placed("b", "lost")], &[]);
    }

    #[test]
    fn every_broken_promise_is_found() {
        check(
            &[placed("b", "answered"), placed("a", "lost")],
            &["what was answered 201 exists exactly once, as it was wished"],
        );
        check(
            &[placed("a", "answered"), placed("c", "answered")],
            &["what was answered 201 exists exactly once, as it was wished"],
        );
        check(
            &[Placed { bill: 1, ..placed("a", "answered") }],
            &["what was answered 201 exists exactly once, as it was wished"],
        );
        check(
            &[placed("a", "answered"), placed("b", "lost"), placed("c", "lost")],
            &["what had no answer or a refusal exists at most once"],
        );
        check(&[placed("a", "answered"), placed("b", "nobody's")], &["nothing exists that nobody wished for"]);
        check(&[Placed { charges: 0, ..placed("a", "answered") }], &["what was answered as paid was charged once"]);
        check(
            &[Placed { status: "delivered".to_owned(), ..placed("a", "answered") }],
            &["what was answered as cancelled stays cancelled"],
        );
        check(
            &[],
            &[
                "what was answered 201 exists exactly once, as it was wished",
                "what was answered as paid was charged once",
                "what was answered as cancelled stays cancelled",
            ],
        );
    }
}
