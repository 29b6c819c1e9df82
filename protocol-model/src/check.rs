//! The services' rules hold in every state there is, and how many states that are.

use std::env;
use std::io::{self, Write};
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::model::{Action, Bounds, Protocol, Ways};
use crate::payments::Card;
use crate::rules::Rules;
use crate::saga::Pace;

/// Set to anything, it widens bounds: there are thirty times as many states of one order's messages, and sixteen times as
/// many of two orders.
const WIDE: &str = "PROTOCOL_WIDE";

/// One order, whose events are followed message by message and receipt by receipt.
pub const EVERY_MESSAGE: Bounds = Bounds {
    orders: 1,
    pays: 1,
    cards: &[Card::Good, Card::Bad],
    paces: &[Pace::AtOnce, Pace::Held],
    ways: Ways::Long,
};
/// One order, for which other cards may be tried.
pub const MANY_CARDS: Bounds = Bounds { pays: 3, ways: Ways::Short, ..EVERY_MESSAGE };
/// Two orders, whose changes are stored together and lost together.
pub const TWO_ORDERS: Bounds = Bounds { orders: 2, ways: Ways::Shortest, ..EVERY_MESSAGE };

#[test]
fn an_order_ends_well_whatever_happens_to_its_messages() {
    let pays = if is_wide() { 2 } else { EVERY_MESSAGE.pays };
    assert_holds(Bounds { pays, ..EVERY_MESSAGE });
}

#[test]
fn an_order_ends_well_whatever_happens_to_its_charges() {
    assert_holds(MANY_CARDS);
}

#[test]
fn two_orders_end_well_together() {
    let ways = if is_wide() { Ways::Short } else { TWO_ORDERS.ways };
    assert_holds(Bounds { ways, ..TWO_ORDERS });
}

fn is_wide() -> bool {
    env::var_os(WIDE).is_some()
}

/// Visits every state within the bounds and says how many there are.
fn assert_holds(bounds: Bounds) {
    let started = Instant::now();
    let protocol = Protocol::new(Rules::PRODUCTION, bounds);
    let checker = protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    // Not with a macro, whose output would be seen only when the test fails.
    let told = writeln!(
        io::stderr(),
        "{bounds:?}: {} states, reached by {} steps, at most {} deep, in {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed(),
    );
    told.expect("standard error is open");
    for property in checker.model().properties() {
        match checker.discovery(property.name) {
            Some(path) if property.expectation.discovery_is_failure() => {
                panic!("it is not so that {}:\n{}", property.name, story(&path.into_actions()));
            }
            None if !property.expectation.discovery_is_failure() => panic!("it never happens that {}", property.name),
            _ => {}
        }
    }
}

/// One step a line.
pub fn story(actions: &[Action]) -> String {
    let steps: Vec<String> = actions.iter().map(|action| format!("  {action:?}")).collect();
    steps.join("\n")
}
