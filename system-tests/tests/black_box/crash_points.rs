//! Every crash point of the services, and what becomes of the request whose service dies there: each is carried out
//! once, whoever repeats it, and in the end all books agree and nothing is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use uuid::Uuid;

use crate::client::{Answer, GOOD_CARD, User};
use crate::crash::{Point, Request, once_settled};
use crate::database::Books;
use crate::money::{books_become, is_charged_once, is_given_back, is_not_charged};
use crate::stack::{self, Stack};

const ORDERS: &str = "orders-service";
const PAYMENTS: &str = "payments-service";
/// Charged, and the answer is lost.
const CHARGED_IN_SILENCE: &str = "4000000000006108";
/// Not charged, and the answer is lost.
const LOST_CARD: &str = "4000000000006207";

/// A test for each line: the process dies at the point of what the client does.
macro_rules! crash_points {
    ($($test:ident: $process:ident, $name:literal, $does:expr;)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                let _alone = stack::alone();
                ($does)(&User::demo(), Point { process: $process, name: $name });
                once_settled();
            }
        )*
    };
}

crash_points! {
    an_order_dies_unpublished: ORDERS, "event committed, not handed over", places_in_vain;
    an_order_dies_unanswered: ORDERS, "order placed, client not answered", places_in_vain;
    an_order_dies_unconfirmed: ORDERS, "event published, not confirmed", places;
    an_order_dies_without_receipt: ORDERS, "event confirmed, without receipt", places;
    an_order_dies_at_its_receipt: ORDERS, "receipt consumed, event not forgotten", places;
    an_order_dies_before_it_is_a_payment: PAYMENTS, "event consumed, not applied", places;
    an_order_dies_as_a_payment: PAYMENTS, "event applied, receipt not made", places;
    an_order_dies_as_a_payment_with_receipt: PAYMENTS, "receipt made, event not acknowledged", places;
    an_order_dies_before_its_receipt_is_sent: PAYMENTS, "receipt made, not sent", places;

    a_cancel_dies_unpublished: ORDERS, "event committed, not handed over", cancels_in_vain;
    a_cancel_dies_unanswered: ORDERS, "order cancelled, client not answered", cancels_in_vain;
    a_cancel_dies_before_it_is_applied: PAYMENTS, "event consumed, not applied", cancels;
    a_cancel_dies_with_its_refund: PAYMENTS, "card refunded, not recorded", is_refunded;

    a_pay_dies_before_the_card_is_charged: PAYMENTS, "attempt committed, processor not asked", |user, point| {
        pays_in_vain(user, point, &["voided", "approved"]);
    };
    a_pay_dies_before_the_charge_is_recorded: PAYMENTS, "card charged, not recorded", |user, point| {
        pays_in_vain(user, point, &["approved"]);
    };
    a_pay_dies_unpublished: PAYMENTS, "event committed, not handed over", |user, point| {
        pays_in_vain(user, point, &["approved"]);
    };
    a_pay_dies_unanswered: PAYMENTS, "outcome recorded, client not answered", |user, point| {
        pays_in_vain(user, point, &["approved"]);
    };
    a_pay_dies_unconfirmed: PAYMENTS, "event published, not confirmed", pays;
    a_pay_dies_without_receipt: PAYMENTS, "event confirmed, without receipt", pays;
    a_pay_dies_at_its_receipt: PAYMENTS, "receipt consumed, event not forgotten", pays;
    a_pay_dies_before_its_order_hears_of_it: ORDERS, "event consumed, not applied", pays;
    a_pay_dies_when_its_order_has_heard_of_it: ORDERS, "event applied, receipt not made", pays;
    a_pay_dies_when_its_receipt_is_made: ORDERS, "receipt made, event not acknowledged", pays;
    a_pay_dies_before_its_receipt_is_sent: ORDERS, "receipt made, not sent", pays;
    a_delivery_dies: ORDERS, "order delivered, timer not done", pays;

    a_charge_in_doubt_dies_once_it_is_known: PAYMENTS, "charge looked up, not recorded", |user, point| {
        is_charged_once(pays_in_doubt(user, point, CHARGED_IN_SILENCE), &["approved"]);
    };
    a_charge_in_doubt_dies_once_it_is_void: PAYMENTS, "attempt voided, not recorded", |user, point| {
        is_not_charged(pays_in_doubt(user, point, LOST_CARD), &["voided"]);
    };
}

#[test]
fn every_point_in_the_sources_has_a_test_and_every_test_its_point() {
    let mut found = BTreeSet::new();
    for package in ["service-kit", "orders-service", "payments-service"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src");
        for file in files_below(&folder) {
            let source = fs::read_to_string(file).expect("a source is read");
            let calls = source.split("crash_point(\"").skip(1).filter_map(|rest| rest.split_once('"'));
            found.extend(calls.map(|(name, _)| name.to_owned()));
        }
    }
    let listed =
        NAMES.iter().copied().chain([crate::shutdown::CRASH_POINT, crate::webhooks::CRASH_POINT]).map(str::to_owned);
    assert_eq!(found, listed.collect::<BTreeSet<_>>());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder is listed").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The answer may have been on its way already when the service died.
fn places(user: &User, point: Point) {
    order_dies(user, point, |place| {
        let first = place.send();
        let is_answered = first.status == 201 || first.is_problem("bad_gateway");
        assert!(is_answered, "{first:?}");
        first.id()
    });
}

fn places_in_vain(user: &User, point: Point) {
    order_dies(user, point, |place| {
        place.send_in_vain();
        None
    });
}

fn order_dies(user: &User, point: Point, place_first: fn(&Request) -> Option<Uuid>) {
    let reference = Uuid::new_v4();
    let place = Request::place(user, &reference.to_string());
    let crash = point.arm();
    let first = place_first(&place);
    crash.strikes();
    let again = place.insist();
    assert_is_repeated(&again, 201);
    let order = again.id().expect("an order has an id");
    assert!(first.is_none_or(|first| first == order), "the order changed from {first:?} to {order}");
    user.order_becomes(&order, "created", "pending");
    user.payment_becomes(&order, "pending");
    Books::new(&Stack::now().postgres, reference).have_once(&[order]);
}

fn cancels(user: &User, point: Point) {
    cancel_dies(user, point, |cancel| {
        let first = cancel.send();
        assert!(first.status == 200 || first.is_problem("bad_gateway"), "{first:?}");
    });
}

fn cancels_in_vain(user: &User, point: Point) {
    cancel_dies(user, point, Request::send_in_vain);
}

fn cancel_dies(user: &User, point: Point, cancel_first: fn(&Request)) {
    let order = new_order(user);
    let cancel = Request::cancel(user, order);
    let crash = point.arm();
    cancel_first(&cancel);
    crash.strikes();
    let again = cancel.insist();
    assert_eq!((again.status, &again.body["data"]["status"]), (200, &json!("cancelled")), "{again:?}");
    books_become(order, &json!({"order": "cancelled cancelled", "payment": "cancelled", "charges": null}));
}

fn is_refunded(user: &User, point: Point) {
    let order = new_order(user);
    let crash = point.arm();
    assert_eq!(user.pay(&order, GOOD_CARD).status, 200);
    assert_eq!(Request::cancel(user, order).insist().status, 200);
    crash.strikes();
    is_given_back(order);
}

fn pays(user: &User, point: Point) {
    let order = new_order(user);
    let pay = Request::pay(user, order, GOOD_CARD);
    let crash = point.arm();
    let first = pay.send();
    assert!(first.status == 200 || first.is_problem("bad_gateway"), "{first:?}");
    crash.strikes();
    assert_is_repeated(&pay.insist(), 200);
    is_charged_once(order, &["approved"]);
}

/// `attempts` is how each of them ended.
fn pays_in_vain(user: &User, point: Point, attempts: &[&str]) {
    let order = new_order(user);
    let pay = Request::pay(user, order, GOOD_CARD);
    let crash = point.arm();
    pay.send_in_vain();
    crash.strikes();
    assert_eq!(pay.insist().status, 200);
    is_charged_once(order, attempts);
}

fn pays_in_doubt(user: &User, point: Point, card: &str) -> Uuid {
    let order = new_order(user);
    let pay = Request::pay(user, order, card);
    let crash = point.arm();
    assert_eq!(pay.send().status, 202);
    crash.strikes();
    assert_is_repeated(&pay.insist(), 202);
    order
}

/// An order that can be paid at once.
fn new_order(user: &User) -> Uuid {
    let order = user.place_order();
    user.payment_becomes(&order, "pending");
    order
}

#[track_caller]
fn assert_is_repeated(answer: &Answer, status: u16) {
    let says = (answer.status, answer.header("Idempotent-Replayed"));
    assert_eq!(says, (status, Some("true")), "{answer:?}");
}
