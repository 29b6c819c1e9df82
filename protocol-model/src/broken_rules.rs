//! What the model is worth: with any one rule broken, it finds a way to go wrong.

use orders_service::order::{self, NotCancellable, Order, OrderStatus};
use payments_service::card::CardSummary;
use payments_service::doubt::{self, Finding};
use payments_service::payment::{self, NotPayable, Payment, PaymentStatus};
use payments_service::processor::{AttemptId, Record, Verdict};
use shared_events::events::{CancelReason, PaymentProcessed, ProcessedStatus};
use stateright::{Checker, HasDiscoveries, Model};

use crate::check::{EVERY_MESSAGE, MANY_CARDS, story};
use crate::mail::Way;
use crate::model::{Action, Bounds, Protocol};
use crate::rows::PaymentRow;
use crate::rules::Rules;

/// Enough for every rule but that of the outbox.
const TWO_CARDS: Bounds = Bounds { pays: 2, ..MANY_CARDS };

#[test]
fn a_cancel_must_wait_for_the_end_of_a_running_charge() {
    let cancel_payment = |payment: &Payment| {
        let change = payment.cancel()?;
        let is_running = payment.status == PaymentStatus::Processing;
        Some(if is_running { payment::Change { status: PaymentStatus::Cancelled, ..change } } else { change })
    };
    assert_goes_wrong(&Rules { cancel_payment, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn the_end_of_a_charge_must_carry_out_a_cancel_that_came_meanwhile() {
    let settle: Settle = |payment, attempt, verdict| forgetful(payment).settle(attempt, verdict);
    assert_goes_wrong(&Rules { settle, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn the_end_of_one_attempt_must_not_end_another() {
    let settle: Settle = |payment, _, verdict| payment.settle(payment.attempt_id?, verdict);
    assert_goes_wrong(&Rules { settle, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn every_end_of_a_charge_must_be_told() {
    let settle: Settle = |payment, attempt, verdict| {
        payment.settle(attempt, verdict).map(|change| payment::Change { event: None, ..change })
    };
    assert_goes_wrong(&Rules { settle, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn an_attempt_must_not_begin_while_another_runs() {
    let begin: Begin = |payment, attempt, card| match payment.status {
        PaymentStatus::Processing => Payment { status: PaymentStatus::Pending, ..payment.clone() }.begin(attempt, card),
        _ => payment.begin(attempt, card),
    };
    assert_goes_wrong(&Rules { begin, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn a_refund_must_be_posted() {
    let refund = |payment: &Payment| payment.refund().map(|change| payment::Change { posting: None, ..change });
    assert_goes_wrong(&Rules { refund, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn news_must_be_newer_than_what_is_known() {
    let learn: Learn = |order, news| Order { payment_version: news.version - 1, ..order.clone() }.learn(news);
    assert_goes_wrong(&Rules { learn, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn a_late_payment_must_not_confirm_a_cancelled_order() {
    let learn: Learn = |order, news| {
        let change = order.learn(news)?;
        let is_paid = news.status == ProcessedStatus::Paid;
        let (status, cancel_reason) =
            if is_paid { (OrderStatus::Confirmed, None) } else { (change.status, change.cancel_reason) };
        Some(order::Change { status, cancel_reason, ..change })
    };
    assert_goes_wrong(&Rules { learn, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn a_paid_order_must_not_expire() {
    let expire = |order: &Order| order.cancel(CancelReason::Expired).ok().flatten();
    assert_goes_wrong(&Rules { expire, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn a_cancel_must_be_told() {
    let cancel_order: CancelOrder =
        |order, reason| Ok(order.cancel(reason)?.map(|change| order::Change { event: None, ..change }));
    assert_goes_wrong(&Rules { cancel_order, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn a_charge_that_is_not_found_must_be_voided_first() {
    let find = |record: Record| match record {
        Record::NotFound => Finding::Over { verdict: Verdict::Voided, is_cancelled: false },
        _ => doubt::finding(record),
    };
    assert_goes_wrong(&Rules { find, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn a_create_must_not_revive_a_tombstone() {
    let create =
        |held: Option<PaymentRow>| Some(PaymentRow { status: PaymentStatus::Pending, ..PaymentRow::create(held)? });
    assert_goes_wrong(&Rules { create, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn a_change_must_not_be_stored_over_a_newer_one() {
    assert_goes_wrong(&Rules { is_current: |_, _| true, ..Rules::PRODUCTION }, TWO_CARDS);
}

#[test]
fn an_event_must_stay_in_the_outbox_when_the_broker_confirms_it() {
    let publish = |way: Way| Way { in_outbox: false, in_network: true, ..way };
    assert_goes_wrong(&Rules { publish, ..Rules::PRODUCTION }, EVERY_MESSAGE);
}

/// The one rule without which nothing goes wrong yet: a cancelled order that hears of a payment cancels it again. No
/// cancel gets lost on its way, but should the payments service forget or park one, this gives the money back.
#[test]
fn a_cancel_that_is_told_again_makes_up_for_one_that_was_forgotten() {
    let learn: Learn = |order, news| order.learn(news).map(|change| order::Change { event: None, ..change });
    let settle: Settle = |payment, attempt, verdict| match verdict {
        Verdict::Approved => forgetful(payment).settle(attempt, verdict),
        _ => payment.settle(attempt, verdict),
    };
    assert_eq!(counterexample(&Rules { learn, ..Rules::PRODUCTION }, TWO_CARDS), None);
    assert_eq!(counterexample(&Rules { settle, ..Rules::PRODUCTION }, TWO_CARDS), None);
    assert_goes_wrong(&Rules { learn, settle, ..Rules::PRODUCTION }, TWO_CARDS);
}

type Settle = fn(&Payment, AttemptId, &Verdict) -> Option<payment::Change>;
type Begin = fn(&Payment, AttemptId, &CardSummary) -> Result<payment::Change, NotPayable>;
type Learn = fn(&Order, &PaymentProcessed) -> Option<order::Change>;
type CancelOrder = fn(&Order, CancelReason) -> Result<Option<order::Change>, NotCancellable>;

/// The payment as if no cancel had come.
fn forgetful(payment: &Payment) -> Payment {
    Payment { cancel_requested: false, ..payment.clone() }
}

fn assert_goes_wrong(rules: &Rules, bounds: Bounds) {
    let found = counterexample(rules, bounds).expect("a broken rule breaks a property");
    println!("{found}");
}

/// What does not always hold under these rules, and the shortest way there.
fn counterexample(rules: &Rules, bounds: Bounds) -> Option<String> {
    let mut shortest = None;
    // The search does not stop at the first one that it finds, so it is sent again for a shorter one.
    while let Some((property, actions)) = shorter_counterexample(rules, bounds, shortest.as_ref()) {
        shortest = Some((property, actions));
    }
    shortest.map(|(property, actions)| format!("it is not so that {property}:\n{}", story(&actions)))
}

type Counterexample = (&'static str, Vec<Action>);

fn shorter_counterexample(rules: &Rules, bounds: Bounds, known: Option<&Counterexample>) -> Option<Counterexample> {
    // To stateright, nothing is no limit, and the initial state is one deep.
    let depth = known.map_or(0, |(_, actions)| actions.len() + 1);
    let search = Protocol::new(*rules, bounds).checker().target_max_depth(depth);
    let checker = search.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let properties = checker.model().properties();
    let failures = properties.iter().filter(|property| property.expectation.discovery_is_failure());
    let found = failures.filter_map(|property| Some((property.name, checker.discovery(property.name)?.into_actions())));
    found.min_by_key(|(_, actions)| actions.len())
}
