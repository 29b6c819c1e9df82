//! What must hold once everything has come to rest, whatever happened before. By SQL and without the model.

use crate::system::System;

/// What must not be, and how to find it.
const NEVER: [(&str, &str); 12] = [
    (
        "an order without its payment, or the other way round",
        "select coalesce(orders.id, payments.order_id) from orders.orders
         full join payments.payments on payments.order_id = orders.id
         where (orders.bill, orders.currency, orders.created_by)
            is distinct from (payments.bill, payments.currency, payments.created_by)",
    ),
    (
        "an order that knows another end of its payment",
        "select orders.id from orders.orders join payments.payments on order_id = orders.id
         where payment_status <> payments.status and payments.status <> 'pending'
            or payment_version > payments.version
            or (orders.status = 'cancelled') <> (payments.status in ('cancelled', 'refunded'))
            or (orders.status in ('confirmed', 'delivered')) <> (payments.status = 'paid')
            or (orders.status = 'declined' and payments.status <> 'declined' and payments.status <> 'pending')",
    ),
    (
        "a payment without an end",
        "select order_id from payments.payments where status in ('processing', 'refunding') or settle_at is not null
         union all select order_id from payments.attempts where settle_at is not null",
    ),
    (
        "a cancelled order that keeps money",
        "select orders.id from orders.orders join sandbox.charges on order_id = orders.id
         where orders.status = 'cancelled' and charges.status = 'approved'",
    ),
    (
        "a confirmed order that is not charged exactly once",
        "select orders.id from orders.orders where status in ('confirmed', 'delivered') and 1 <>
            (select count(*) from sandbox.charges where charges.order_id = orders.id and charges.status = 'approved')",
    ),
    (
        "an order that is charged and not confirmed",
        "select orders.id from orders.orders join sandbox.charges on order_id = orders.id
         where orders.status in ('created', 'declined') and charges.status in ('approved', 'refunded')",
    ),
    (
        "an order that was charged twice",
        "select order_id from sandbox.charges where status in ('approved', 'refunded')
         group by order_id having count(*) > 1",
    ),
    (
        "a transaction of the ledger that does not sum to zero",
        "select tx_id from payments.ledger group by tx_id having sum(amount) <> 0 or count(*) <> 2",
    ),
    (
        "a ledger that differs from the processor's book",
        "select orders.id from orders.orders where
            (select coalesce(sum(amount), 0) from payments.ledger
             where ledger.order_id = orders.id and account = 'card_processor')
            <> (select coalesce(sum(amount), 0) from sandbox.charges
                where charges.order_id = orders.id and charges.status = 'approved')",
    ),
    (
        "an attempt without an end, or that the processor's book has otherwise",
        "select attempts.id from payments.attempts left join sandbox.charges on attempt_id = attempts.id
         where outcome is distinct from case status when 'refunded' then 'approved' else status end",
    ),
    (
        "a gap between attempts",
        "select payments.order_id from payments.payments
         left join payments.attempts on attempts.order_id = payments.order_id
         group by payments.order_id, payments.attempts
         having count(number) <> payments.attempts or coalesce(max(number), 0) <> payments.attempts",
    ),
    ("an event that is left over", "select id from orders.outbox union all select id from payments.outbox"),
];

/// Answers the first that is broken, with the ids of what breaks it.
pub async fn check(system: &System) -> Result<(), String> {
    for (what, query) in NEVER {
        let found: Vec<uuid::Uuid> =
            sqlx::query_scalar(query).fetch_all(&system.database).await.expect("the invariant can be checked");
        if !found.is_empty() {
            return Err(format!("at rest there is {what}: {found:?}"));
        }
    }
    Ok(())
}
