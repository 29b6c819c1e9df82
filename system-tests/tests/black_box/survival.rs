//! Every process is killed once, under load, and the database is stopped; the system heals by itself.

use crate::client::{GOOD_CARD, User};
use crate::load::Load;
use crate::reconciliation::Reconciliation;
use crate::stack::{self, Process, Stack};

#[test]
fn the_system_survives_the_death_of_the_orders_service() {
    let _alone = stack::alone();
    let fault = Fault::strike("orders-service", Process::kill);
    let bad_gateways = fault.heal();
    assert!(bad_gateways > 0, "no client noticed that the service was down");
}

#[test]
fn the_system_survives_the_death_of_the_payments_service() {
    let _alone = stack::alone();
    Fault::strike("payments-service", Process::kill).heal();
}

#[test]
fn the_system_survives_the_death_of_the_database() {
    let _alone = stack::alone();
    Fault::strike("postgres", Process::kill).heal();
}

/// PostgreSQL then waits until everybody has gone.
#[test]
fn a_database_that_is_asked_to_stop_is_let_go() {
    let _alone = stack::alone();
    Fault::strike("postgres", Process::stop).heal();
}

#[test]
fn the_system_survives_the_death_of_the_gateway() {
    let _alone = stack::alone();
    Fault::strike("gateway", Process::kill).heal();
}

#[test]
fn orders_are_accepted_while_the_broker_is_dead_and_go_on_when_it_is_back() {
    let _alone = stack::alone();
    let fault = Fault::strike("rabbitmq", Process::kill);
    let user = User::demo();
    let placed: Vec<_> = (0..10).map(|_| user.place_order()).collect();
    assert!(!Stack::now().process("rabbitmq").listens(), "the broker was back before the orders were placed");
    fault.heal();
    for id in &placed {
        user.payment_becomes(id, "pending");
        assert_eq!(user.pay(id, GOOD_CARD).status, 200);
    }
    for id in &placed {
        user.order_becomes(id, "delivered", "paid");
    }
}

/// A process that was killed or stopped while clients were busy.
struct Fault {
    name: &'static str,
    before: Stack,
    load: Load,
}

impl Fault {
    #[track_caller]
    fn strike(name: &'static str, how: fn(&Process)) -> Self {
        let before = Stack::once_all_run();
        let load = Load::start();
        load.goes_on();
        how(before.process(name));
        Self { name, before, load }
    }

    /// Waits until everything is as it should be; the number of requests for which the gateway reached no service.
    #[track_caller]
    fn heal(self) -> usize {
        let Self { name, before, load } = self;
        let after = Stack::once_restarted(name, before.process(name).restarts);
        let user = User::demo();
        let placed: Vec<_> = (0..10)
            .map(|_| {
                let id = user.place_order();
                let answer = user.pay(&id, GOOD_CARD);
                assert_eq!(answer.status, 200, "an order is not payable at once: {answer:?}");
                id
            })
            .collect();
        for id in &placed {
            user.order_becomes(id, "delivered", "paid");
        }
        load.goes_on();
        let told = load.finish_and_compare(&after.postgres);
        Reconciliation::once_settled();
        let expected = before.restarts().into_iter().map(|(process, restarts)| {
            let restarts = restarts + u32::from(process == name);
            (process, restarts)
        });
        assert_eq!(Stack::once_all_run().restarts(), expected.collect::<Vec<_>>(), "what was started again");
        told.bad_gateways
    }
}
