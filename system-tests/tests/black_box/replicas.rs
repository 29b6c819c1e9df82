//! Three replicas of each service: they share the work, and are restarted, or die, one after the other under load.

use std::process::Command;
use std::thread;

use serde_json::Value;
use uuid::Uuid;

use crate::client::User;
use crate::crash::Request;
use crate::customers::Customers;
use crate::database;
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::stack::{self, Process, Stack};

const CLIENTS: usize = 8;
const REPLICAS: [&str; 6] = [
    "orders-service",
    "payments-service",
    "orders-service-2",
    "payments-service-2",
    "orders-service-3",
    "payments-service-3",
];

#[test]
fn replicas_share_the_work_and_none_is_missed() {
    let stack = OwnStack::start("replicated-stack", 3);
    let Stack { gateway, postgres, .. } = stack.now();

    let customers = Customers::begin(&gateway, CLIENTS);
    customers.go_on();
    eventually("each replica has a part in all that its service does", || {
        let shares = shares(&stack);
        let idle = |replica: &str| {
            let parts = ["requests", "eventsPublished", "eventsApplied"];
            let of_service = if replica.starts_with("orders") { "deliveries" } else { "processorCalls" };
            parts.into_iter().chain([of_service]).any(|part| shares[replica][part].as_u64().unwrap_or_default() == 0)
        };
        if REPLICAS.into_iter().any(idle) { Err(shares.to_string()) } else { Ok(()) }
    });
    customers.finish(&postgres);
    let delivered = database::text(&postgres, "select count(*)::text from orders.orders where status = 'delivered'");
    let shares = shares(&stack);
    let parts = REPLICAS.iter().filter_map(|replica| shares[*replica]["deliveries"].as_u64());
    assert_eq!(parts.sum::<u64>().to_string(), delivered, "each order is delivered by one of them: {shares}");

    let customers = Customers::begin(&gateway, CLIENTS);
    each_one(&stack, &customers, Process::stop);
    let told = customers.finish(&postgres);
    // Slowness is no fault here; but whoever met a replica that was away was sent to another one.
    let turned_away: Vec<_> = told.refused.iter().filter(|(refusal, _)| refusal.contains("bad_gateway")).collect();
    assert!(turned_away.is_empty(), "{} orders were paid, and {turned_away:?}", told.paid.len());

    let customers = Customers::begin(&gateway, CLIENTS);
    each_one(&stack, &customers, Process::kill);
    customers.finish(&postgres);

    another_one_does_what_a_replica_dies_over(&stack, &User::demo().at(&gateway));
}

/// For clients that use a key: of a dozen, some are with the replica that has them and dies.
#[track_caller]
fn another_one_does_what_a_replica_dies_over(stack: &OwnStack, user: &User) {
    let stack = stack.now();
    let dying = stack.process("orders-service-2");
    dying.freeze();
    let place = |_| {
        let user = user.clone();
        thread::spawn(move || Request::place(&user, &Uuid::new_v4().to_string()).send().status)
    };
    let clients: Vec<_> = (0..12).map(place).collect();
    eventually("the other replicas answer", || match clients.iter().filter(|client| client.is_finished()).count() {
        0..6 => Err("too few yet"),
        _ => Ok(()),
    });
    let waiting = clients.iter().filter(|client| !client.is_finished()).count();
    assert!(waiting > 0, "none is with the one that is frozen");
    dying.kill();
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().expect("no panic")).collect();
    assert_eq!(answers, [201; 12]);
}

/// Ends one replica after the other, each when the one before is back and customers are served.
#[track_caller]
fn each_one(stack: &OwnStack, customers: &Customers, end: fn(&Process)) {
    for name in REPLICAS {
        customers.go_on();
        let before = stack.now();
        end(before.process(name));
        stack.once_restarted(name, &before);
    }
    customers.go_on();
}

/// What each replica has done since its start, as operators see it.
fn shares(stack: &OwnStack) -> Value {
    let overview = Command::new(stack::xtask()).args(["overview", "--json", "--dir"]).arg(stack.dir()).output();
    let overview = overview.expect("xtask can be run").stdout;
    let services: Vec<Value> = serde_json::from_slice(&overview).expect("an overview");
    let replicas = services.iter().filter_map(|service| service["replicas"].as_object()).flatten();
    replicas.map(|(name, share)| (name.clone(), share.clone())).collect::<serde_json::Map<_, _>>().into()
}
