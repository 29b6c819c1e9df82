//! The payments service is killed in the middle of a charge or a refund; the money comes right by itself.
//!
//! The sandbox's slow card keeps a charge running for three seconds, its silent cards leave a charge in doubt for
//! seven, and a refund that failed is asked for again after eleven: time enough to die at a chosen point.

use std::thread::{self, JoinHandle};

use serde_json::json;
use uuid::Uuid;

use crate::client::{Answer, GOOD_CARD, SLOW_CARD, User};
use crate::money::{books_become, is_cancelled_uncharged, is_charged_once, is_given_back, is_not_charged};
use crate::stack::{self, Stack};

/// Charged, and the answer is lost.
const CHARGED_IN_SILENCE: &str = "4000000000006108";
/// Not charged, and the answer is lost.
const LOST_CARD: &str = "4000000000006207";
/// Its first refund fails.
const STUMBLING_CARD: &str = "4000000000006405";

#[test]
fn a_charge_that_dies_with_the_service_is_voided_and_the_order_can_be_paid_again() {
    let (_alone, user) = (stack::alone(), User::demo());
    let (order, paying) = slow_charge(&user);
    let dead = Dead::kill_payments();
    paying.join().expect("no panic").assert_problem(502, "bad_gateway");
    dead.rise();
    is_not_charged(order, &["voided"]);
    assert_eq!(user.pay(&order, GOOD_CARD).status, 200);
    is_charged_once(order, &["voided", "approved"]);
}

#[test]
fn a_charge_in_doubt_is_settled_although_the_service_dies() {
    let (_alone, user) = (stack::alone(), User::demo());
    let (charged, lost) = (user.place_order(), user.place_order());
    assert_eq!(user.pay(&charged, CHARGED_IN_SILENCE).status, 202);
    assert_eq!(user.pay(&lost, LOST_CARD).status, 202);
    Dead::kill_payments().rise();
    is_charged_once(charged, &["approved"]);
    is_not_charged(lost, &["voided"]);
    user.pay(&charged, GOOD_CARD).assert_problem(409, "payment_already_paid");
    assert_eq!(user.pay(&lost, GOOD_CARD).status, 200);
    is_charged_once(lost, &["voided", "approved"]);
}

#[test]
fn a_refund_that_failed_is_made_although_the_service_dies_before_the_next_try() {
    let (_alone, user) = (stack::alone(), User::demo());
    let order = user.place_order();
    assert_eq!(user.pay(&order, STUMBLING_CARD).status, 200);
    assert_eq!(user.cancel(&order).status, 200);
    books_become(order, &json!({"payment": "refunding", "charges": ["approved"], "failuresOfTheRefund": 0}));
    Dead::kill_payments().rise();
    is_given_back(order);
}

#[test]
fn an_order_that_is_cancelled_while_the_service_is_dead_gets_its_money_back() {
    let (_alone, user) = (stack::alone(), User::demo());
    let (paid, in_doubt) = (user.place_order(), user.place_order());
    assert_eq!(user.pay(&in_doubt, CHARGED_IN_SILENCE).status, 202);
    assert_eq!(user.pay(&paid, GOOD_CARD).status, 200);
    let dead = Dead::kill_payments();
    for order in [paid, in_doubt] {
        assert_eq!(user.cancel(&order).status, 200);
    }
    dead.rise();
    is_given_back(paid);
    is_given_back(in_doubt);
}

#[test]
fn a_charge_that_is_cancelled_and_then_dies_with_the_service_takes_no_money() {
    let (_alone, user) = (stack::alone(), User::demo());
    let (order, paying) = slow_charge(&user);
    assert_eq!(user.cancel(&order).status, 200);
    books_become(order, &json!({"payment": "processing, to be cancelled", "charges": null}));
    let dead = Dead::kill_payments();
    paying.join().expect("no panic").assert_problem(502, "bad_gateway");
    dead.rise();
    is_cancelled_uncharged(order);
    user.pay(&order, GOOD_CARD).assert_problem(409, "payment_cancelled");
}

#[test]
fn a_service_that_dies_again_before_it_has_settled_settles_all_the_same() {
    let (_alone, user) = (stack::alone(), User::demo());
    let (order, paying) = slow_charge(&user);
    let charged = user.place_order();
    assert_eq!(user.pay(&charged, CHARGED_IN_SILENCE).status, 202);
    let dead = Dead::kill_payments();
    paying.join().expect("no panic").assert_problem(502, "bad_gateway");
    dead.rise();
    Dead::kill_payments().rise();
    is_not_charged(order, &["voided"]);
    is_charged_once(charged, &["approved"]);
}

/// Begins a pay that takes three seconds; comes back while it is being charged.
fn slow_charge(user: &User) -> (Uuid, JoinHandle<Answer>) {
    let (order, client) = (user.place_order(), user.clone());
    let paying = thread::spawn(move || client.pay(&order, SLOW_CARD));
    books_become(order, &json!({"payment": "processing", "attempts": ["started"], "charges": null}));
    (order, paying)
}

/// The payments service between its death and its next life.
pub struct Dead {
    restarts_before: u32,
}

impl Dead {
    #[track_caller]
    pub fn kill_payments() -> Self {
        let stack = Stack::once_all_run();
        let service = stack.process("payments-service");
        service.kill();
        Self { restarts_before: service.restarts }
    }

    #[track_caller]
    pub fn rise(self) {
        Stack::once_restarted("payments-service", self.restarts_before);
    }
}
