//! The payments service dies while a statement of it is under way: nobody hears whether it was carried out.
//!
//! The statement is stopped at a lock, the service is killed, and then the statement is either carried out or lost.

use std::thread;

use serde_json::json;

use crate::client::{GOOD_CARD, User};
use crate::money::{books_become, is_charged_once, is_given_back, is_not_charged};
use crate::payment_deaths::Dead;
use crate::stack;
use crate::table_lock::{Fate, TableLock};

#[test]
fn a_charge_that_does_not_reach_the_processor_before_the_service_dies_is_voided() {
    let (_alone, user) = (stack::alone(), User::demo());
    let (order, client) = (user.place_order(), user.clone());
    user.payment_becomes(&order, "pending");
    let mut book = TableLock::of_the_processor();
    let paying = thread::spawn(move || client.pay(&order, GOOD_CARD));
    book.is_waited_for();
    let dead = Dead::kill_payments();
    book.let_go(Fate::Lost);
    paying.join().expect("no panic").assert_problem(502, "bad_gateway");
    dead.rise();
    is_not_charged(order, &["voided"]);
    assert_eq!(user.pay(&order, GOOD_CARD).status, 200);
    is_charged_once(order, &["voided", "approved"]);
}

#[test]
fn a_service_that_dies_while_it_records_a_charge_has_charged_once() {
    let (_alone, user) = (stack::alone(), User::demo());
    for fate in [Fate::Finished, Fate::Lost] {
        let (order, client) = (user.place_order(), user.clone());
        user.payment_becomes(&order, "pending");
        let mut book = TableLock::of_the_processor();
        let paying = thread::spawn(move || client.pay(&order, GOOD_CARD));
        book.is_waited_for();
        let mut payment = TableLock::of_the_payment(order);
        // The service lives, so its charge goes on.
        book.let_go(Fate::Finished);
        books_become(order, &json!({"charges": ["approved"]}));
        payment.is_waited_for();
        let dead = Dead::kill_payments();
        payment.let_go(fate);
        paying.join().expect("no panic").assert_problem(502, "bad_gateway");
        dead.rise();
        is_charged_once(order, &["approved"]);
        user.pay(&order, GOOD_CARD).assert_problem(409, "payment_already_paid");
    }
}

#[test]
fn a_service_that_dies_while_it_gives_money_back_gives_it_back_once() {
    let (_alone, user) = (stack::alone(), User::demo());
    for fate in [Fate::Finished, Fate::Lost] {
        let order = user.place_order();
        assert_eq!(user.pay(&order, GOOD_CARD).status, 200);
        let mut charge = TableLock::of_the_charge(order);
        assert_eq!(user.cancel(&order).status, 200);
        charge.is_waited_for();
        let dead = Dead::kill_payments();
        charge.let_go(fate);
        dead.rise();
        is_given_back(order);
    }
}
