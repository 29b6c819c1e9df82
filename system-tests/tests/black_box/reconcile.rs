//! `cargo xtask reconcile` on the running system: whatever has happened, the books agree.

use serde_json::json;
use uuid::Uuid;

use crate::client::{EMPTY_CARD, GOOD_CARD, User};
use crate::database;
use crate::load::Load;
use crate::polling::eventually;
use crate::reconciliation::{Reconciliation, print};
use crate::stack::{self, Stack};

/// Charged, and the answer is lost.
const CHARGED_IN_SILENCE: &str = "4000000000006108";
/// Not charged, and the answer is lost.
const LOST: &str = "4000000000006207";
/// Its first refund fails.
const STUMBLES_ON_REFUND: &str = "4000000000006405";

#[test]
fn nothing_differs_after_orders_of_every_fate() {
    let (_alone, user) = (stack::alone(), User::demo());
    let paid_with = |cards: &[(&str, u16)]| {
        let id = user.place_order();
        for (card, status) in cards {
            assert_eq!(user.pay(&id, card).status, *status, "paying with {card}");
        }
        id
    };
    let cancelled = |id: Uuid| {
        assert_eq!(user.cancel(&id).status, 200);
        id
    };
    let fates = [
        (paid_with(&[]), "created", "pending"),
        (paid_with(&[(EMPTY_CARD, 402)]), "declined", "declined"),
        (paid_with(&[(GOOD_CARD, 200)]), "delivered", "paid"),
        (paid_with(&[(EMPTY_CARD, 402), (EMPTY_CARD, 402), (GOOD_CARD, 200)]), "delivered", "paid"),
        (paid_with(&[(CHARGED_IN_SILENCE, 202)]), "delivered", "paid"),
        (paid_with(&[(EMPTY_CARD, 402), (LOST, 202)]), "declined", "declined"),
        (cancelled(paid_with(&[])), "cancelled", "cancelled"),
        (cancelled(paid_with(&[(EMPTY_CARD, 402)])), "cancelled", "cancelled"),
        (cancelled(paid_with(&[(LOST, 202)])), "cancelled", "cancelled"),
        (cancelled(paid_with(&[(GOOD_CARD, 200)])), "cancelled", "refunded"),
        (cancelled(paid_with(&[(CHARGED_IN_SILENCE, 202)])), "cancelled", "refunded"),
        (cancelled(paid_with(&[(STUMBLES_ON_REFUND, 200)])), "cancelled", "refunded"),
        (order_whose_cancel_was_quicker(), "cancelled", "cancelled"),
    ];
    for (id, status, payment_status) in &fates {
        user.order_becomes(id, status, payment_status);
    }

    let settled = Reconciliation::once_settled();
    for what in ["orders", "payments", "attempts", "ledger_transactions", "charges_in_book"] {
        assert!(settled.compared[what].as_u64() >= Some(7), "{what} in {settled:?}");
    }
    let dir = stack::dir();
    let printed = print(&["--dir", dir.to_str().expect("a path in UTF-8")]);
    assert!(printed.success && printed.out.ends_with("\n0 differences\n"), "{printed:?}");
}

/// Events take their time, so that a long grace is given; what is written together has none at any time.
#[test]
fn nothing_differs_while_orders_are_placed_and_paid() {
    let _stack = stack::shared();
    let load = Load::start();
    for _ in 0..5 {
        load.goes_on();
        let found = Reconciliation::of_stack("1m");
        assert!(found.differences.is_empty(), "{found:#?}");
    }
    load.finish();
}

#[test]
fn an_operator_is_told_that_nothing_runs() {
    let dir = std::env::temp_dir().join(format!("no-stack-{}", Uuid::new_v4()));
    let printed = print(&["--dir", dir.to_str().expect("a path in UTF-8")]);
    assert!(!printed.success && printed.err.starts_with("error: nothing runs in "), "{printed:?}");
    assert!(printed.err.contains("cargo xtask up") && printed.err.contains("--database-url"), "{printed:?}");
    std::fs::remove_dir_all(dir).expect("the folder was created and can be removed");
}

#[test]
fn an_operator_is_told_that_a_database_is_another_one() {
    let url = database::sibling(&Stack::now().postgres, "postgres");
    let printed = print(&["--database-url", &url]);
    assert!(!printed.success && printed.out.is_empty(), "{printed:?}");
    assert!(printed.err.starts_with("error: the database cannot be compared: "), "{printed:?}");
    assert!(printed.err.contains("does not exist"), "{printed:?}");
}

/// The events go out in the wrong order, so that the payment is a tombstone first.
fn order_whose_cancel_was_quicker() -> Uuid {
    let (id, postgres) = (Uuid::now_v7(), Stack::now().postgres);
    let cancel = json!({"orderId": id, "reason": "user"});
    database::execute(&postgres, &announcement("payment-cancel-event", id, &cancel));
    eventually("a tombstone is found", || {
        let found = Reconciliation::of_stack("0s");
        let mut ours = found.differences.iter().filter(|difference| difference.order_id == id.to_string());
        let seen = ours.next().map(|difference| (difference.kind.as_str(), difference.found.as_str()));
        if seen == Some(("payment_without_order", "a tombstone")) { Ok(()) } else { Err(format!("{found:#?}")) }
    });
    let create = json!({"orderId": id, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD"});
    database::execute(
        &postgres,
        &format!(
            "insert into orders.orders (id, created_by, status, bill, currency, expires_at, cancel_reason)
             values ('{id}', 'somerandomuserid', 'cancelled', 62243, 'USD', now(), 'user');
             {}",
            announcement("payment-create-event", id, &create)
        ),
    );
    id
}

fn announcement(event: &str, order: Uuid, data: &serde_json::Value) -> String {
    let id = Uuid::now_v7();
    format!("insert into orders.outbox (id, event, order_id, data) values ('{id}', '{event}', '{order}', '{data}')")
}
