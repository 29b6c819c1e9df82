//! The SQL of the tombstones: payments of orders that were cancelled before they were heard of.

use std::collections::HashMap;

use service_kit::message::{Message, ids_for};
use service_kit::outbox::Outbox;
use service_kit::pool::Database;
use shared_events::events::{Event, PaymentProcessed};
use shared_events::ids::{OrderId, PaymentId};
use sqlx::types::Json;
use uuid::Uuid;

use crate::payment::Payment;
use crate::payments::{NewPayment, by_order, query_payments};

/// Leaves a tombstone for each order that has no payment yet: when it is created, it is cancelled already.
pub async fn leave(database: &Database, orders: &[OrderId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into payments.payments (id, order_id, status)
        select * from unnest($1::uuid[], $2::uuid[], array_fill('cancelled'::text, array[cardinality($1::uuid[])]))
        order by 2
        on conflict (order_id) do nothing
        "#,
        &orders.iter().map(|_| PaymentId::generate().0).collect::<Vec<Uuid>>(),
        orders as &[OrderId],
    )
    .execute(database)
    .await
    .map(drop)
}

/// A payment whose order was cancelled before it was heard of.
#[derive(Clone, Debug)]
pub struct Entombed {
    /// What the tombstone learns it was for.
    pub new: NewPayment,
    /// What the orders service is told with it.
    pub event: PaymentProcessed,
}

/// Tells tombstones what they were for: those payments stay cancelled. Answers the payments that were tombstones.
pub async fn name(
    database: &Database,
    outbox: &Outbox,
    entombed: &[Entombed],
) -> Result<HashMap<OrderId, Payment>, sqlx::Error> {
    let event_ids = ids_for(entombed);
    let named = query_payments!(
        r#"
        with entombed as (
            select * from unnest($1::uuid[], $2::jsonb[], $3::payments.new_payment[]) as entombed (event_id, event)
        ), tombstone as (
            -- Locked in one order, so that two batches cannot wait for each other.
            select payments.order_id
            from payments.payments
            join entombed using (order_id)
            where payments.created_by is null
            order by payments.order_id
            for update of payments
        ), named as (
            update payments.payments
            set id = entombed.id,
                created_by = entombed.created_by,
                bill = entombed.bill,
                currency = entombed.currency,
                version = payments.version + 1,
                updated_at = now()
            from entombed
            join tombstone using (order_id)
            where payments.order_id = entombed.order_id and payments.created_by is null
            returning payments.*
        ), announced as (
            insert into payments.outbox (id, event, order_id, data, traceparent)
            select event_id, $4, order_id, event, entombed.traceparent
            from named
            join entombed using (order_id)
        )
        "#,
        "from named",
        &event_ids,
        entombed.iter().map(|payment| Json(&payment.event)).collect::<Vec<_>>() as _,
        entombed.iter().map(|payment| payment.new.clone()).collect::<Vec<_>>() as _,
        PaymentProcessed::NAME,
    )
    .fetch_all(database)
    .await
    .map(by_order)?;
    let committed = entombed.iter().zip(event_ids).filter(|(payment, _)| named.contains_key(&payment.new.order_id));
    let message = |(Entombed { new, event }, id): (&Entombed, Uuid)| Message::of(id, event, new.traceparent.clone());
    outbox.hand_over(committed.map(message).collect());
    Ok(named)
}
