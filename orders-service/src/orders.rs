//! The SQL of the orders: each verb is one statement, and so one transaction.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::message::{Message, ids_for};
use service_kit::outbox::Outbox;
use service_kit::page::PageRequest;
use service_kit::partitions::span;
use service_kit::pool::Database;
use shared_events::events::{Event, PaymentCancel};
use shared_events::ids::{OrderId, UserId};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::order::{Cause, Change, Order, OrderStatus, Past};

/// `query_as!` with all columns of the table, by name: a `select *` would break the prepared statements of a running
/// service when a migration adds a column. `$before` goes before the `select`, `$after` behind its columns.
macro_rules! query_orders {
    ($before:tt, $after:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Order,
            $before
                + "select id, created_by, status, payment_status, payment_version, bill, currency, items, reference, deliver_at, expires_at, cancel_reason, traceparent, version, created_at, updated_at "
                + $after
            $(, $argument)*
        )
    };
}
pub(crate) use query_orders;

/// How many due orders a timer takes at a time.
const DUE: i64 = 500;

/// Makes every change whose order still has the version that it was decided on, each with its history and its event.
/// Answers the changed orders; a change that is not among them was decided on something outdated.
pub async fn apply(
    database: &Database,
    outbox: &Outbox,
    delivery_delay: Duration,
    changes: &[Change],
) -> Result<HashMap<OrderId, Order>, sqlx::Error> {
    let event_ids = ids_for(changes);
    let changed = query_orders!(
        r#"
        with change as (
            select * from unnest($1::uuid[], $2::orders.change[]) as change (event_id)
        ), current as (
            -- Locked in one order, so that two batches cannot wait for each other.
            select change.*
            from orders.orders
            join change on change.order_id = orders.id and change.expected_version = orders.version
            order by orders.id
            for update of orders
        ), changed as (
            update orders.orders
            set status = current.status,
                payment_status = current.payment_status,
                payment_version = current.payment_version,
                cancel_reason = current.cancel_reason,
                deliver_at = case
                    when current.status = 'cancelled' then null
                    when current.status = 'confirmed' and orders.status <> 'confirmed'
                        then now() + make_interval(secs => $3)
                    else orders.deliver_at
                end,
                version = orders.version + 1,
                updated_at = now()
            from current
            where orders.id = current.order_id and orders.version = current.expected_version
            returning orders.*, current.cause, current.event_id, current.event,
                current.traceparent as event_traceparent
        ), remembered as (
            insert into orders.order_events (order_id, version, status, cause, deliver_at)
            select id, version, status, cause, deliver_at from changed
        ), told as (
            insert into orders.changes (order_ids, versions, owners)
            select array_agg(id), array_agg(version), array_agg(created_by) from changed having count(*) > 0
        ), announced as (
            insert into orders.outbox (id, event, order_id, data, traceparent)
            select event_id, $4, id, event, event_traceparent from changed where event is not null
        )
        "#,
        "from changed",
        &event_ids,
        changes as _,
        delivery_delay.as_secs_f64(),
        PaymentCancel::NAME,
    )
    .fetch_all(database)
    .await?;
    let changed = by_id(changed);
    let committed = changes.iter().zip(event_ids).filter(|(change, _)| changed.contains_key(&change.order_id));
    outbox.hand_over(committed.filter_map(message).collect());
    Ok(changed)
}

fn message((change, id): (&Change, Uuid)) -> Option<Message> {
    change.event.as_ref().map(|Json(event)| Message::of(id, event, change.traceparent.clone()))
}

/// Those of the orders that exist, whoever they belong to.
pub async fn find_many(database: &Database, ids: &[OrderId]) -> Result<HashMap<OrderId, Order>, sqlx::Error> {
    let (first, last) = span(ids);
    query_orders!(
        "",
        r#"from unnest($1::uuid[]) as wanted
        cross join lateral (
            select * from orders.orders where id = wanted and id between $2 and $3
            -- So that they are looked up one by one.
            offset 0
        ) as found
        "#,
        ids as &[OrderId],
        first as _,
        last as _,
    )
    .fetch_all(database)
    .await
    .map(by_id)
}

/// The same, when whoever asks acts on it without writing anything: only what a standby has too, if there is one.
///
/// A primary that dies lets go of commits that wait for the standby, and shows for a moment what that one never had; one
/// that starts again shows it until the standby has come back. A commit waits for all that was written before it, so
/// this has something to commit.
pub async fn find_replicated(database: &Database, ids: &[OrderId]) -> Result<HashMap<OrderId, Order>, sqlx::Error> {
    query_orders!(
        "with written as materialized (select pg_logical_emit_message(true, '', ''))",
        "from written cross join orders.orders where id = any($1)",
        ids as &[OrderId],
    )
    .fetch_all(database)
    .await
    .map(by_id)
}

/// A page of the user's orders, newest first, and one more if there is one.
pub async fn list(
    database: &Database,
    owner: &UserId,
    page: &PageRequest<OrderStatus>,
) -> Result<Vec<Order>, sqlx::Error> {
    query_orders!(
        "",
        r#"from orders.orders
        where created_by = $1
            -- One bound from above and one from below, which an index can follow whatever is asked for.
            and (created_at, id) < (
                coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
            )
            and created_at > coalesce($4, '-infinity'::timestamptz)
            and ($5::text is null or status = $5)
        order by created_at desc, id desc
        limit $6
        "#,
        owner as &UserId,
        page.before.map(|place| place.created_at),
        page.before.map(|place| place.id),
        page.created_after,
        page.status.map(OrderStatus::name),
        page.rows_to_read(),
    )
    .fetch_all(database)
    .await
}

/// Orders whose time of delivery has come.
pub async fn due_for_delivery(database: &Database) -> Result<Vec<Order>, sqlx::Error> {
    query_orders!(
        "",
        "from orders.orders where status = 'confirmed' and deliver_at <= now() order by deliver_at limit $1",
        DUE,
    )
    .fetch_all(database)
    .await
}

/// Orders that nobody paid in time.
pub async fn due_for_expiry(database: &Database) -> Result<Vec<Order>, sqlx::Error> {
    query_orders!(
        "",
        r#"from orders.orders
        where status in ('created', 'declined') and expires_at <= now()
        order by expires_at
        limit $1
        "#,
        DUE,
    )
    .fetch_all(database)
    .await
}

/// One entry of an order's history.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryEntry {
    /// The order's status from then on.
    pub status: OrderStatus,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What made it happen.
    pub cause: Cause,
}

/// Everything that has happened to the order, oldest first.
pub async fn history(database: &Database, order: &Order) -> Result<Vec<HistoryEntry>, sqlx::Error> {
    let changes = sqlx::query_as!(
        HistoryEntry,
        "select status, at, cause from orders.order_events where order_id = $1 and version <= $2 order by version",
        order.id as OrderId,
        order.version,
    )
    .fetch_all(database)
    .await?;
    let placed = HistoryEntry { status: OrderStatus::Created, at: order.created_at, cause: Cause::OrderPlaced };
    Ok(std::iter::once(placed).chain(changes).collect())
}

/// The histories of these orders, oldest first, by the order.
pub async fn past(database: &Database, ids: &[OrderId]) -> Result<HashMap<OrderId, Vec<Past>>, sqlx::Error> {
    let (first, last) = span(ids);
    let changes = sqlx::query_as!(
        Past,
        r#"select order_id, version, status, cause, deliver_at, at
        from unnest($1::uuid[]) as wanted
        cross join lateral (
            select * from orders.order_events where order_id = wanted and order_id between $2 and $3
            offset 0
        ) as found
        order by order_id, version
        "#,
        ids as &[OrderId],
        first as _,
        last as _,
    )
    .fetch_all(database)
    .await?;
    let mut past: HashMap<OrderId, Vec<Past>> = HashMap::new();
    for change in changes {
        past.entry(change.order_id).or_default().push(change);
    }
    Ok(past)
}

pub(crate) fn by_id(orders: Vec<Order>) -> HashMap<OrderId, Order> {
    orders.into_iter().map(|order| (order.id, order)).collect()
}
