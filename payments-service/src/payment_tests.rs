//! What a payment may become, and what it refuses.

use chrono::DateTime;
use serde_json::{Value, json};
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};

use crate::card::{CardSummary, Expiry};
use crate::payment::PaymentStatus::{Cancelled, Declined, Paid, Pending, Processing, Refunded, Refunding};
use crate::payment::{AttemptOutcome, Change, NotPayable, Payment, PaymentStatus};
use crate::processor::{AttemptId, Verdict};

const BILL: MinorUnits = MinorUnits(62243);

fn payment(status: PaymentStatus, cancel_requested: bool) -> Payment {
    Payment {
        id: PaymentId::generate(),
        order_id: OrderId::generate(),
        created_by: Some(UserId("somerandomuserid".to_owned())),
        bill: Some(BILL),
        currency: Some(Currency::DEFAULT),
        status,
        cancel_requested,
        attempt_id: Some(AttemptId::generate()),
        attempts: 1,
        card_brand: None,
        card_last4: None,
        card_exp_month: None,
        card_exp_year: None,
        decline_code: None,
        traceparent: None,
        version: 7,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

fn begin(payment: &Payment) -> Result<Change, NotPayable> {
    let expiry = Expiry { year: 2030, month: 12 };
    let card = CardSummary { brand: "visa".to_owned(), last4: "4242".to_owned(), expiry };
    payment.begin(AttemptId::generate(), &card)
}

fn settle(payment: &Payment, verdict: &Verdict) -> Option<Change> {
    payment.settle(payment.attempt_id.expect("has one"), verdict)
}

fn approved() -> Verdict {
    Verdict::Approved
}

fn declined() -> Verdict {
    Verdict::Declined("lost_card".to_owned())
}

/// Everything that can be decided on a payment.
fn decisions(payment: &Payment) -> Vec<Change> {
    let settled = [approved(), declined(), Verdict::Voided].map(|outcome| settle(payment, &outcome));
    settled.into_iter().chain([begin(payment).ok(), payment.cancel(), payment.refund()]).flatten().collect()
}

fn every_payment() -> impl Iterator<Item = Payment> {
    PaymentStatus::ALL.into_iter().flat_map(|status| [false, true].map(|requested| payment(status, requested)))
}

/// The status that the orders service is told with the change.
fn told(change: &Change) -> Value {
    json!(change.event)["status"].clone()
}

#[test]
fn the_transition_table_is_the_one_of_the_design() {
    let transitions = [
        (Pending, Processing),
        (Pending, Cancelled),
        (Processing, Pending),
        (Processing, Paid),
        (Processing, Declined),
        (Processing, Cancelled),
        (Processing, Refunding),
        (Paid, Refunding),
        (Declined, Processing),
        (Declined, Cancelled),
        (Refunding, Refunded),
    ];
    for from in PaymentStatus::ALL {
        for to in PaymentStatus::ALL {
            assert_eq!(from.may_become(to), transitions.contains(&(from, to)), "{from:?} -> {to:?}");
        }
    }
}

#[test]
fn every_decision_obeys_the_transition_table() {
    for payment in every_payment() {
        for change in decisions(&payment) {
            let waits_for_the_answer = (payment.status, change.status) == (Processing, Processing)
                && change.cancel_requested
                && !payment.cancel_requested;
            let (from, to) = (payment.status, change.status);
            assert!(from.may_become(to) || waits_for_the_answer, "{from:?} -> {to:?}");
            assert_eq!((change.order_id, change.expected_version), (payment.order_id, 7));
        }
    }
}

#[test]
fn every_transition_of_the_table_is_decided_somewhere() {
    for from in PaymentStatus::ALL {
        for to in PaymentStatus::ALL.into_iter().filter(|to| from.may_become(*to)) {
            let decided = [false, true].map(|requested| decisions(&payment(from, requested))).concat();
            assert!(decided.iter().any(|change| change.status == to), "{from:?} -> {to:?}");
        }
    }
}

#[test]
fn an_attempt_begins_only_when_nothing_is_charged_or_cancelled() {
    for (status, expected) in [
        (Pending, Ok(Processing)),
        (Declined, Ok(Processing)),
        (Processing, Err(NotPayable::InProgress)),
        (Paid, Err(NotPayable::AlreadyPaid)),
        (Cancelled, Err(NotPayable::Cancelled)),
        (Refunding, Err(NotPayable::Cancelled)),
        (Refunded, Err(NotPayable::Cancelled)),
    ] {
        assert_eq!(begin(&payment(status, false)).map(|change| change.status), expected, "{status:?}");
    }
}

#[test]
fn the_end_of_an_attempt_carries_out_a_cancel_that_came_meanwhile() {
    for (outcome, next, next_if_cancelled) in
        [(approved(), Paid, Refunding), (declined(), Declined, Cancelled), (Verdict::Voided, Pending, Cancelled)]
    {
        for (cancel_requested, expected) in [(false, next), (true, next_if_cancelled)] {
            let change = settle(&payment(Processing, cancel_requested), &outcome).expect("ends the attempt");
            assert_eq!(change.status, expected, "{outcome:?}");
        }
    }
}

#[test]
fn only_the_running_attempt_can_end() {
    for payment in every_payment() {
        for outcome in [approved(), declined(), Verdict::Voided] {
            assert_eq!(settle(&payment, &outcome).is_some(), payment.status == Processing);
            assert!(payment.settle(AttemptId::generate(), &outcome).is_none(), "another attempt");
        }
    }
}

#[test]
fn a_cancel_is_decided_once() {
    for (status, next) in [
        (Pending, Some(Cancelled)),
        (Declined, Some(Cancelled)),
        (Processing, Some(Processing)),
        (Paid, Some(Refunding)),
        (Cancelled, None),
        (Refunding, None),
        (Refunded, None),
    ] {
        assert_eq!(payment(status, false).cancel().map(|change| change.status), next, "{status:?}");
    }
    assert!(payment(Processing, true).cancel().is_none());
}

#[test]
fn every_charge_and_every_refund_is_posted_and_nothing_else() {
    for payment in every_payment() {
        for change in decisions(&payment) {
            let amount = change.posting.map(|posting| posting.amount);
            let expected = match (change.attempt_outcome, change.status) {
                (Some(AttemptOutcome::Approved), _) => Some(BILL),
                (None, Refunded) => Some(MinorUnits(-BILL.0)),
                _ => None,
            };
            assert_eq!(amount, expected, "{:?} -> {:?}", payment.status, change.status);
        }
    }
}

#[test]
fn a_refund_has_an_id_of_its_own_that_is_always_the_same() {
    let refunding = payment(Refunding, false);
    let posting = || refunding.refund().and_then(|change| change.posting).expect("is posted");
    assert_eq!(posting(), posting());
    assert_ne!(Some(posting().tx_id), refunding.attempt_id.map(|attempt| attempt.0));
}

#[test]
fn the_orders_service_is_told_of_every_end_and_of_nothing_in_between() {
    for payment in every_payment() {
        for change in decisions(&payment) {
            let is_told = [Paid, Declined, Cancelled, Refunded].contains(&change.status);
            let expected = if is_told { json!(change.status) } else { Value::Null };
            assert_eq!(told(&change), expected, "{:?} -> {:?}", payment.status, change.status);
            if is_told {
                assert_eq!(json!(change.event)["version"], 8, "the version that it becomes");
            }
        }
    }
}

#[test]
fn a_status_has_one_name() {
    for status in PaymentStatus::ALL {
        assert_eq!(PaymentStatus::try_from(status.name()), Ok(status));
        assert_eq!(json!(status), status.name());
    }
    assert!(PaymentStatus::try_from("created").is_err_and(|detail| detail.contains("pending, processing, paid")));
}
