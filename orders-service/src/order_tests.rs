//! What an order may become, and what it refuses.

use chrono::DateTime;
use shared_events::events::{CancelReason, PaymentProcessed, ProcessedStatus};
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use uuid::Uuid;

use crate::order::{Change, NotCancellable, Order, OrderStatus, PaymentStatus};

const TRANSITIONS: [(OrderStatus, OrderStatus); 7] = [
    (OrderStatus::Created, OrderStatus::Confirmed),
    (OrderStatus::Declined, OrderStatus::Confirmed),
    (OrderStatus::Created, OrderStatus::Declined),
    (OrderStatus::Created, OrderStatus::Cancelled),
    (OrderStatus::Declined, OrderStatus::Cancelled),
    (OrderStatus::Confirmed, OrderStatus::Cancelled),
    (OrderStatus::Confirmed, OrderStatus::Delivered),
];

fn order(status: OrderStatus) -> Order {
    Order {
        id: OrderId(Uuid::nil()),
        status,
        bill: MinorUnits(62243),
        currency: Currency::DEFAULT,
        items: None,
        reference: None,
        created_by: UserId("alice".to_owned()),
        payment_status: PaymentStatus::Pending,
        payment_version: 4,
        deliver_at: None,
        expires_at: DateTime::UNIX_EPOCH,
        cancel_reason: (status == OrderStatus::Cancelled).then_some(CancelReason::User),
        traceparent: None,
        version: 7,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

fn news(status: ProcessedStatus, version: i32) -> PaymentProcessed {
    PaymentProcessed {
        order_id: OrderId(Uuid::nil()),
        payment_id: PaymentId(Uuid::nil()),
        status,
        version,
        bill: MinorUnits(62243),
        currency: Currency::DEFAULT,
        decline_code: None,
    }
}

/// Every decision there is, on an order with this status.
fn decisions(status: OrderStatus) -> Vec<Change> {
    let order = order(status);
    let learned =
        [ProcessedStatus::Paid, ProcessedStatus::Declined, ProcessedStatus::Cancelled, ProcessedStatus::Refunded]
            .map(|status| order.learn(&news(status, 5)));
    let mut decisions = vec![order.cancel(CancelReason::User).ok().flatten(), order.expire(), order.deliver()];
    decisions.extend(learned);
    decisions.into_iter().flatten().collect()
}

#[test]
fn the_transition_table_is_this_and_no_more() {
    for from in OrderStatus::ALL {
        for to in OrderStatus::ALL {
            assert_eq!(from.may_become(to), TRANSITIONS.contains(&(from, to)), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn every_decision_keeps_to_the_table_and_to_the_version_it_was_made_on() {
    for from in OrderStatus::ALL {
        for change in decisions(from) {
            assert!(change.status == from || from.may_become(change.status), "{from:?} to {:?}", change.status);
            assert_eq!(change.expected_version, 7);
            let is_cancelled = change.status == OrderStatus::Cancelled;
            assert_eq!(change.cancel_reason.is_some(), is_cancelled, "{from:?} to {:?}", change.status);
        }
    }
}

#[test]
fn every_row_of_the_table_has_a_decision_that_takes_it() {
    for (from, to) in TRANSITIONS {
        assert!(decisions(from).iter().any(|change| change.status == to), "{from:?} to {to:?}");
    }
}

#[test]
fn old_news_is_no_news() {
    for from in OrderStatus::ALL {
        for version in 0..=4 {
            assert!(order(from).learn(&news(ProcessedStatus::Paid, version)).is_none(), "{from:?} at {version}");
        }
    }
}

#[test]
fn only_unpaid_orders_expire() {
    for from in OrderStatus::ALL {
        let expires = matches!(from, OrderStatus::Created | OrderStatus::Declined);
        assert_eq!(order(from).expire().is_some(), expires, "{from:?}");
    }
}

#[test]
fn a_cancel_is_told_once_and_again_when_money_comes_in_after_it() {
    let told = |change: Change| change.event.is_some();
    assert!(order(OrderStatus::Created).cancel(CancelReason::User).expect("may be cancelled").is_some_and(told));
    assert_eq!(order(OrderStatus::Cancelled).cancel(CancelReason::User).map(|change| change.is_none()), Ok(true));
    assert!(order(OrderStatus::Cancelled).learn(&news(ProcessedStatus::Paid, 5)).is_some_and(told));
    assert!(!order(OrderStatus::Cancelled).learn(&news(ProcessedStatus::Refunded, 5)).is_some_and(told));
    assert_eq!(order(OrderStatus::Delivered).cancel(CancelReason::User).err(), Some(NotCancellable));
}
