//! The SQL of the payments: each verb is one statement, and so one transaction.

use std::collections::HashMap;
use std::time::Duration;

use service_kit::composite_type;
use service_kit::message::{Message, ids_for};
use service_kit::outbox::Outbox;
use service_kit::page::PageRequest;
use service_kit::partitions::span;
use service_kit::pool::Database;
use shared_events::events::{Event, PaymentProcessed};
use shared_events::ids::{OrderId, PaymentId, UserId};
use shared_events::money::{Currency, MinorUnits};
use sqlx::types::Json;
use uuid::Uuid;

use crate::payment::{Change, Payment, PaymentStatus};

/// `query_as!` with all columns of the table, by name: a `select *` would break the prepared statements of a running
/// service when a migration adds a column. `$before` goes before the `select`, `$after` behind its columns.
macro_rules! query_payments {
    ($before:tt, $after:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Payment,
            $before
                + "select id, order_id, created_by, bill, currency, status, cancel_requested, attempt_id, attempts, card_brand, card_last4, card_exp_month, card_exp_year, decline_code, traceparent, version, created_at, updated_at "
                + $after
            $(, $argument)*
        )
    };
}

pub(crate) use query_payments;

/// How many unanswered charges and refunds a worker takes at a time.
const UNSETTLED: i64 = 50;

/// A payment that is to be held for an order.
#[derive(Clone, Debug, sqlx::Encode)]
#[expect(missing_docs, reason = "the fields are described with the columns in migrations/payments")]
pub struct NewPayment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub created_by: UserId,
    pub bill: MinorUnits,
    pub currency: Currency,
    pub traceparent: Option<String>,
}

composite_type!(NewPayment, "payments.new_payment");

/// Holds a payment for each order that has none and no tombstone. `new` must name each order once. Answers the payments
/// that are new.
pub async fn create(database: &Database, new: &[NewPayment]) -> Result<HashMap<OrderId, Payment>, sqlx::Error> {
    query_payments!(
        r#"
        with created as (
            insert into payments.payments (id, order_id, created_by, bill, currency, status, traceparent)
            select id, order_id, created_by, bill, currency, 'pending', traceparent
            from unnest($1::payments.new_payment[])
            -- In one order, so that two batches cannot wait for each other.
            order by order_id
            on conflict (order_id) do nothing
            returning *
        )
        "#,
        "from created",
        new as _,
    )
    .fetch_all(database)
    .await
    .map(by_order)
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
    let event_ids = ids_for(changes);
    let changed = query_payments!(
        r#"
        with change as (
            select * from unnest($1::uuid[], $2::payments.change[]) as change (event_id)
        ), current as (
            -- Locked in one order, so that two batches cannot wait for each other.
            select change.*
            from payments.payments
            join change on change.order_id = payments.order_id and change.expected_version = payments.version
            order by payments.order_id
            for update of payments
        ), changed as (
            update payments.payments
            set status = current.status,
                cancel_requested = current.cancel_requested,
                attempt_id = current.attempt_id,
                attempts = current.attempts,
                card_brand = current.card_brand,
                card_last4 = current.card_last4,
                card_exp_month = current.card_exp_month,
                card_exp_year = current.card_exp_year,
                decline_code = current.decline_code,
                settle_at = case current.status
                    when 'refunding' then now()
                    -- The release before this one keeps here when it looks at a charge.
                    when 'processing' then payments.settle_at
                end,
                traceparent = current.traceparent,
                version = payments.version + 1,
                updated_at = now()
            from current
            where payments.order_id = current.order_id and payments.version = current.expected_version
            returning payments.*, current.attempt_outcome, current.posting, current.claim,
                current.event_id, current.event
        ), attempted as (
            insert into payments.attempts as attempt
                (id, order_id, number, outcome, decline_code, card_brand, card_last4, card_exp_month, card_exp_year,
                    settle_at)
            select attempt_id, order_id, attempts, attempt_outcome, decline_code,
                card_brand, card_last4, card_exp_month, card_exp_year,
                case attempt_outcome when 'started' then now() + make_interval(secs => $3) end
            from changed
            where attempt_outcome is not null
            on conflict (order_id, number) do update
                -- Should it be another attempt, there is no outcome, which is refused.
                set outcome = case attempt.id when excluded.id then excluded.outcome end,
                    decline_code = excluded.decline_code, settle_at = null, settled_at = now()
        ), claimed as (
            insert into payments.idempotency_keys (scope, fingerprint, request_id, attempt_id)
            select claim.*, changed.attempt_id
            from changed
            cross join jsonb_to_record(changed.claim) as claim (scope bytea, fingerprint bytea, request_id text)
            where changed.claim is not null
        ), answered as (
            update payments.idempotency_keys as key
            set answer = to_jsonb(payment)
            from changed
            cross join lateral (select changed.*) as payment
            where changed.attempt_outcome in ('approved', 'declined')
                and key.attempt_id = changed.attempt_id
                and key.answer is null
        ), given_back as (
            -- Nothing was charged and nobody was told otherwise: the key may be used again.
            delete from payments.idempotency_keys as key
            using changed
            where changed.attempt_outcome = 'voided'
                and key.attempt_id = changed.attempt_id
                and key.answer is null
        ), posted as (
            insert into payments.ledger (tx_id, account, amount, currency, order_id)
            select (posting).tx_id, account, sign * (posting).amount, (posting).currency, order_id
            from changed
            cross join (values ('card_processor', 1), ('revenue', -1)) as entry (account, sign)
            where posting is not null
        ), announced as (
            insert into payments.outbox (id, event, order_id, data, traceparent)
            select event_id, $4, order_id, event, traceparent from changed where event is not null
        )
        "#,
        "from changed",
        &event_ids,
        changes as _,
        settle_after.as_secs_f64(),
        PaymentProcessed::NAME,
    )
    .fetch_all(database)
    .await?;
    let changed = by_order(changed);
    let committed = changes.iter().zip(event_ids).filter(|(change, _)| changed.contains_key(&change.order_id));
    outbox.hand_over(committed.filter_map(message).collect());
    Ok(changed)
}

fn message((change, id): (&Change, Uuid)) -> Option<Message> {
    change.event.as_ref().map(|Json(event)| Message::of(id, event, change.traceparent.clone()))
}

/// Those of the payments that exist, tombstones included, whoever they belong to.
pub async fn find_many(database: &Database, orders: &[OrderId]) -> Result<HashMap<OrderId, Payment>, sqlx::Error> {
    let (first, last) = span(orders);
    query_payments!(
        "",
        r#"from unnest($1::uuid[]) as wanted
        cross join lateral (
            select * from payments.payments where order_id = wanted and order_id between $2 and $3
            -- So that they are looked up one by one.
            offset 0
        ) as found
        "#,
        orders as &[OrderId],
        first as _,
        last as _,
    )
    .fetch_all(database)
    .await
    .map(by_order)
}

/// The same, when whoever asks acts on it without writing anything: only what a standby has too, if there is one.
///
/// A primary that dies lets go of commits that wait for the standby, and shows for a moment what that one never had; one
/// that starts again shows it until the standby has come back. A commit waits for all that was written before it, so
/// this has something to commit.
pub async fn find_replicated(
    database: &Database,
    orders: &[OrderId],
) -> Result<HashMap<OrderId, Payment>, sqlx::Error> {
    query_payments!(
        "with written as materialized (select pg_logical_emit_message(true, '', ''))",
        "from written cross join payments.payments where order_id = any($1)",
        orders as &[OrderId],
    )
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
        with charge as (
            update payments.attempts set settle_at = now() + make_interval(secs => $1)
            -- An array, so that they are looked up by it: a join may be planned to read all of them.
            where id = any(array(
                select id from payments.attempts where settle_at <= now() order by settle_at limit $2
                for update skip locked
            ))
            returning order_id
        ), refund as (
            update payments.payments set settle_at = now() + make_interval(secs => $1)
            where order_id = any(array(
                select order_id from payments.payments where settle_at <= now() order by settle_at limit $2
                for update skip locked
            ))
            returning order_id
        )
        "#,
        r#"from payments.payments
        where order_id = any(array(select order_id from charge union all select order_id from refund))
        "#,
        again_after.as_secs_f64(),
        UNSETTLED,
    )
    .fetch_all(database)
    .await
}

pub(crate) fn by_order(payments: Vec<Payment>) -> HashMap<OrderId, Payment> {
    payments.into_iter().map(|payment| (payment.order_id, payment)).collect()
}
