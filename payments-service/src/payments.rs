//! The SQL of the payments: each verb is one statement, and so one transaction.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use service_kit::message::{Announced, Message};
use service_kit::outbox::Outbox;
use service_kit::page::PageRequest;
use service_kit::pool::Database;
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use uuid::Uuid;

use crate::payment::{Change, Payment, PaymentStatus};

/// `query_as!` with all columns of the table, by name: a `select *` would break the prepared statements of a running
/// service when a migration adds a column. `$before` goes before the `select`, `$after` behind its columns.
macro_rules! query_payments {
    ($before:tt, $after:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Payment,
            $before
                + "select id, order_id, created_by, bill, currency, status, cancel_requested, attempt_id, attempts, card_brand, card_last4, card_exp_month, card_exp_year, decline_code, settle_at, version, created_at, updated_at "
                + $after
            $(, $argument)*
        )
    };
}

/// How many unanswered charges and refunds a worker takes at a time.
const UNSETTLED: i64 = 50;

/// A payment that is to be held for an order.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are described with the columns in migrations/payments")]
pub struct NewPayment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub created_by: UserId,
    pub bill: MinorUnits,
    pub currency: Currency,
    /// The event that is committed if the order was cancelled before it was heard of.
    pub message_if_cancelled: Message,
}

/// Holds a payment for each order that has none. Where a cancel came first and left a tombstone, the payment stays
/// cancelled and learns what it was for. `new` must name each order once. Answers the payments that are new.
pub async fn create(
    database: &Database,
    outbox: &Outbox,
    new: &[NewPayment],
) -> Result<HashMap<OrderId, Payment>, sqlx::Error> {
    let created = query_payments!(
        r#"
        with new as (
            select * from jsonb_to_recordset($1) as new (
                id uuid, order_id uuid, created_by text, bill bigint, currency text, message_if_cancelled jsonb
            )
        ), created as (
            insert into payments.payments as payment (id, order_id, created_by, bill, currency, status)
            -- In one order, so that two batches cannot wait for each other.
            select id, order_id, created_by, bill, currency, 'pending' from new order by order_id
            on conflict (order_id) do update
                set id = excluded.id,
                    created_by = excluded.created_by,
                    bill = excluded.bill,
                    currency = excluded.currency,
                    version = payment.version + 1,
                    updated_at = now()
                where payment.created_by is null
            returning *
        ), announced as (
            insert into payments.outbox (id, event, order_id, data, traceparent)
            select message.*
            from created
            join new using (order_id)
            cross join jsonb_to_record(new.message_if_cancelled)
                as message (id uuid, event text, order_id uuid, data jsonb, traceparent text)
            where created.status = 'cancelled'
        )
        "#,
        "from created",
        json!(new),
    )
    .fetch_all(database)
    .await?;
    let created = by_order(created);
    let is_cancelled =
        |new: &&NewPayment| created.get(&new.order_id).is_some_and(|held| held.status == PaymentStatus::Cancelled);
    outbox.hand_over(new.iter().filter(is_cancelled).map(|new| new.message_if_cancelled.clone()).collect());
    Ok(created)
}

/// Leaves a tombstone for each order that has no payment yet: when it is created, it is cancelled already.
pub async fn entomb(database: &Database, orders: &[OrderId]) -> Result<(), sqlx::Error> {
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

/// Makes every change whose payment still has the version that it was decided on, each with its attempt, its ledger
/// entries and its event. Answers the changed payments; a change that is not among them was decided on something
/// outdated. `settle_after` is when the settlement worker looks at a charge that has not been answered.
pub async fn apply(
    database: &Database,
    outbox: &Outbox,
    settle_after: Duration,
    changes: &[Change],
) -> Result<HashMap<OrderId, Payment>, sqlx::Error> {
    let rows: Vec<_> = changes.iter().map(announced).collect();
    let changed = query_payments!(
        r#"
        with change as (
            select * from jsonb_to_recordset($1) as change (
                order_id uuid, expected_version integer, status text, cancel_requested boolean,
                attempt_id uuid, attempts integer, card_brand text, card_last4 text, card_exp_month smallint,
                card_exp_year smallint, decline_code text, attempt_outcome text, posting jsonb, message jsonb,
                claim jsonb
            )
        ), current as (
            -- Locked in one order, so that two batches cannot wait for each other.
            select payments.order_id
            from payments.payments
            join change on change.order_id = payments.order_id and change.expected_version = payments.version
            order by payments.order_id
            for update of payments
        ), changed as (
            update payments.payments
            set status = change.status,
                cancel_requested = change.cancel_requested,
                attempt_id = change.attempt_id,
                attempts = change.attempts,
                card_brand = change.card_brand,
                card_last4 = change.card_last4,
                card_exp_month = change.card_exp_month,
                card_exp_year = change.card_exp_year,
                decline_code = change.decline_code,
                settle_at = case
                    when change.status = 'refunding' then now()
                    when change.status <> 'processing' then null
                    when payments.status = 'processing' then payments.settle_at
                    else now() + make_interval(secs => $2)
                end,
                version = payments.version + 1,
                updated_at = now()
            from change
            join current using (order_id)
            where payments.order_id = change.order_id and payments.version = change.expected_version
            returning payments.*
        ), attempted as (
            insert into payments.attempts as attempt
                (id, order_id, number, outcome, decline_code, card_brand, card_last4, card_exp_month, card_exp_year)
            select change.attempt_id, change.order_id, change.attempts, change.attempt_outcome, change.decline_code,
                change.card_brand, change.card_last4, change.card_exp_month, change.card_exp_year
            from changed
            join change using (order_id)
            where change.attempt_outcome is not null
            on conflict (id) do update
                set outcome = excluded.outcome, decline_code = excluded.decline_code, settled_at = now()
        ), claimed as (
            insert into payments.idempotency_keys (scope, fingerprint, request_id, attempt_id)
            select claim.*, change.attempt_id
            from changed
            join change on change.order_id = changed.order_id and jsonb_typeof(change.claim) = 'object'
            cross join jsonb_to_record(change.claim) as claim (scope bytea, fingerprint bytea, request_id text)
        ), answered as (
            update payments.idempotency_keys as key
            set answer = to_jsonb(changed)
            from changed
            join change using (order_id)
            where change.attempt_outcome in ('approved', 'declined')
                and key.attempt_id = change.attempt_id
                and key.answer is null
        ), given_back as (
            -- Nothing was charged and nobody was told otherwise: the key may be used again.
            delete from payments.idempotency_keys as key
            using changed
            join change using (order_id)
            where change.attempt_outcome = 'voided'
                and key.attempt_id = change.attempt_id
                and key.answer is null
        ), posted as (
            insert into payments.ledger (tx_id, account, amount, currency, order_id)
            select posting.tx_id, entry.account, entry.sign * posting.amount, posting.currency, change.order_id
            from changed
            join change on change.order_id = changed.order_id and jsonb_typeof(change.posting) = 'object'
            cross join jsonb_to_record(change.posting) as posting (tx_id uuid, amount bigint, currency text)
            cross join (values ('card_processor', 1), ('revenue', -1)) as entry (account, sign)
        ), announced as (
            insert into payments.outbox (id, event, order_id, data, traceparent)
            select message.*
            from changed
            join change on change.order_id = changed.order_id and jsonb_typeof(change.message) = 'object'
            cross join jsonb_to_record(change.message)
                as message (id uuid, event text, order_id uuid, data jsonb, traceparent text)
        )
        "#,
        "from changed",
        json!(rows),
        settle_after.as_secs_f64(),
    )
    .fetch_all(database)
    .await?;
    let changed = by_order(changed);
    let committed = rows.into_iter().filter(|row| changed.contains_key(&row.change.order_id));
    outbox.hand_over(committed.filter_map(|row| row.message).collect());
    Ok(changed)
}

fn announced(change: &Change) -> Announced<'_, Change> {
    Announced::new(change, change.event.as_ref(), change.traceparent.clone())
}

/// The payment of the order, if it is this user's.
pub async fn find(database: &Database, order_id: OrderId, owner: &UserId) -> Result<Option<Payment>, sqlx::Error> {
    query_payments!(
        "",
        "from payments.payments where order_id = $1 and created_by = $2",
        order_id as OrderId,
        owner as &UserId
    )
    .fetch_optional(database)
    .await
}

/// Those of the payments that exist, tombstones included, whoever they belong to.
pub async fn find_many(database: &Database, orders: &[OrderId]) -> Result<HashMap<OrderId, Payment>, sqlx::Error> {
    query_payments!("", "from payments.payments where order_id = any($1)", orders as &[OrderId])
        .fetch_all(database)
        .await
        .map(by_order)
}

/// A page of the user's payments, newest first, and one more if there is one.
pub async fn list(
    database: &Database,
    owner: &UserId,
    page: &PageRequest<PaymentStatus>,
) -> Result<Vec<Payment>, sqlx::Error> {
    query_payments!(
        "",
        r#"from payments.payments
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
        page.status.map(PaymentStatus::name),
        page.rows_to_read(),
    )
    .fetch_all(database)
    .await
}

/// Takes charges and refunds that were not answered in time, and leaves the others to other replicas. Those that are
/// taken and not settled come up again after `again_after`.
pub async fn claim_unsettled(database: &Database, again_after: Duration) -> Result<Vec<Payment>, sqlx::Error> {
    query_payments!(
        r#"
        with claimed as (
        update payments.payments set settle_at = now() + make_interval(secs => $1)
        where id in (
            select id from payments.payments where settle_at <= now() order by settle_at limit $2 for update skip locked
        ) returning *
        )
        "#,
        "from claimed",
        again_after.as_secs_f64(),
        UNSETTLED,
    )
    .fetch_all(database)
    .await
}

fn by_order(payments: Vec<Payment>) -> HashMap<OrderId, Payment> {
    payments.into_iter().map(|payment| (payment.order_id, payment)).collect()
}
