//! What became of the money of one order, in every book there is.

use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::polling::eventually;
use crate::stack::Stack;
use crate::storage::waiting;

/// The bill of the sample order.
pub const BILL: i64 = 62243;

const BOOKS: &str = "
    select jsonb_build_object(
        'order', (select status || ' ' || payment_status from orders.orders where id = $1),
        'payment', (select status || case when cancel_requested then ', to be cancelled' else '' end
            from payments.payments where order_id = $1),
        'attempts', (select jsonb_agg(outcome order by number) from payments.attempts where order_id = $1),
        'charges', (select jsonb_agg(status order by attempt_id) from sandbox.charges where order_id = $1),
        'ledger', (select jsonb_agg(amount order by posted_at) from payments.ledger
            where order_id = $1 and account = 'card_processor'),
        'unbalanced', (select sum(amount) from payments.ledger where order_id = $1 having sum(amount) <> 0),
        'failuresOfTheRefund', (select max(refund_failures_left) from sandbox.charges where order_id = $1)
    )";

/// What the books say of the order, by name. A book that has nothing says null.
pub fn books(order: Uuid) -> Value {
    waiting().block_on(async {
        let mut database = PgConnection::connect(&Stack::now().postgres).await.expect("the database answers");
        sqlx::query_scalar(BOOKS).bind(order).fetch_one(&mut database).await.expect("the books are read")
    })
}

/// Waits until the books say what is expected, at least of what is expected.
#[track_caller]
pub fn books_become(order: Uuid, expected: &Value) {
    eventually(format_args!("the books of {order} become {expected}"), || {
        let books = books(order);
        let says = |(name, value): (&String, &Value)| books[name] == *value;
        if expected.as_object().is_some_and(|expected| expected.iter().all(says)) { Ok(()) } else { Err(books) }
    });
}

/// Waits until the order is delivered and charged once; `attempts` is how each of them ended.
#[track_caller]
pub fn is_charged_once(order: Uuid, attempts: &[&str]) {
    books_become(
        order,
        &json!({
            "order": "delivered paid", "payment": "paid", "attempts": attempts, "charges": attempts,
            "ledger": [BILL], "unbalanced": null,
        }),
    );
}

/// Waits until the order can be paid and nothing was charged for it, by the attempts that were voided.
#[track_caller]
pub fn is_not_charged(order: Uuid, voided: &[&str]) {
    books_become(
        order,
        &json!({
            "order": "created pending", "payment": "pending", "attempts": voided, "charges": voided,
            "ledger": null, "unbalanced": null,
        }),
    );
}

/// Waits until the order is cancelled and what was charged for it is given back.
#[track_caller]
pub fn is_given_back(order: Uuid) {
    books_become(
        order,
        &json!({
            "order": "cancelled refunded", "attempts": ["approved"], "charges": ["refunded"],
            "ledger": [BILL, -BILL], "unbalanced": null,
        }),
    );
}

/// Waits until the order is cancelled and its only attempt has charged nothing.
#[track_caller]
pub fn is_cancelled_uncharged(order: Uuid) {
    books_become(
        order,
        &json!({
            "order": "cancelled cancelled", "attempts": ["voided"], "charges": ["voided"],
            "ledger": null, "unbalanced": null,
        }),
    );
}
