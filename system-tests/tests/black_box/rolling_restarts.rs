//! Replicas are restarted one after the other while clients are busy, as in an update.

use crate::customers::Customers;
use crate::own_stack::OwnStack;
use crate::stack::Stack;

const CLIENTS: usize = 8;
const REPLICAS: [&str; 4] = ["orders-service", "payments-service", "orders-service-2", "payments-service-2"];

#[test]
fn rolling_restarts_lose_no_request_that_was_answered() {
    let stack = OwnStack::start("rolling-restart-stack", 2);
    let Stack { gateway, postgres, .. } = stack.now();
    let customers = Customers::begin(&gateway, CLIENTS);
    for name in REPLICAS {
        customers.go_on();
        let before = stack.now();
        before.process(name).stop();
        stack.once_restarted(name, &before);
    }
    customers.go_on();
    let told = customers.finish(&postgres);
    // Slowness is no fault here; but whoever met a replica that was away was sent to the other one.
    let turned_away: Vec<_> = told.refused.iter().filter(|(refusal, _)| refusal.contains("bad_gateway")).collect();
    assert!(turned_away.is_empty(), "{} orders were paid, and {turned_away:?}", told.paid.len());
}
