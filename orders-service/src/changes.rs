//! What has changed, in the order in which it can be followed: by this replica, by the others, and after any crash.
//!
//! Each statement that places or changes orders leaves one row that says which. Who follows keeps the [`Snapshot`] of what
//! it has read; what a later snapshot has beyond that is new.

use std::collections::HashMap;
use std::time::Duration;

use service_kit::pool::Database;
use service_kit::process::repeat;
use shared_events::ids::{OrderId, UserId};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::order::Order;
use crate::orders;
use crate::snapshot::Snapshot;

/// How long what has changed can be read again.
pub const RETENTION: Duration = Duration::from_hours(1);
/// How many rows are best read at a time. Each has the changes of one statement.
pub const ROWS: i64 = 100;
/// How many old rows are forgotten at a time.
const FORGOTTEN: i64 = 1000;
const FORGET_PERIOD: Duration = Duration::from_secs(30);

/// An order has got this version.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the first two say where it is among all changes, the others what it is")]
pub struct Change {
    pub transaction: i64,
    /// Counted from 1 within the transaction.
    pub number: u32,
    pub order_id: OrderId,
    pub version: i32,
    pub owner: UserId,
}

/// Changes that follow each other, in the order of their transactions; those of one order in that of its versions.
#[derive(Clone, Debug)]
pub struct Page {
    /// What was seen before.
    pub begin: Snapshot,
    /// What is seen now.
    pub end: Snapshot,
    /// What lies between.
    pub changes: Vec<Change>,
    /// Whether there is nothing more yet.
    pub is_last: bool,
    read_at: i64,
}

/// A change, and the order as the change has left it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as above")]
pub struct Shown {
    pub change: Change,
    pub order: Order,
}

/// Where the changes end that have been made so far.
pub async fn now(database: &Database) -> Result<Snapshot, sqlx::Error> {
    let now = "select extract(epoch from now())::bigint, pg_current_snapshot()::text";
    let (taken_at, text): (i64, String) = sqlx::query_as(now).fetch_one(database).await?;
    snapshot(taken_at, &text)
}

/// What so many statements have changed since. `None` if that cannot be known: it was seen in another database, of which
/// this is a copy.
pub async fn after(database: &Database, seen: &Snapshot, rows: i64) -> Result<Option<Page>, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        select now.taken_at as "taken_at!", now.snapshot as "snapshot!",
            unseen.transaction_id as "transaction_id?", order_ids as "order_ids?", versions as "versions?",
            owners as "owners?"
        from (
            select extract(epoch from now())::bigint as taken_at, pg_current_snapshot()::text as snapshot
        ) as now
        left join (
            (
                select transaction_id, order_ids, versions, owners from orders.changes
                where transaction_id = any($1) order by transaction_id limit $3
            )
            union all
            (
                select transaction_id, order_ids, versions, owners from orders.changes
                where transaction_id >= $2 order by transaction_id limit $3
            )
            order by transaction_id
            limit $3
        ) as unseen on true
        "#,
        seen.missing(),
        seen.end(),
        rows,
    )
    .fetch_all(database)
    .await?;
    let first = found.first().ok_or(sqlx::Error::RowNotFound)?;
    let now = snapshot(first.taken_at, &first.snapshot)?;
    if now.end() < seen.end() {
        return Ok(None);
    }
    let is_last = i64::try_from(found.len()).is_ok_and(|found| found < rows);
    let mut changes = Vec::new();
    for row in found {
        let (Some(transaction), Some(ids), Some(versions), Some(owners)) =
            (row.transaction_id, row.order_ids, row.versions, row.owners)
        else {
            continue;
        };
        for (((number, id), version), owner) in (1..).zip(ids).zip(versions).zip(owners) {
            changes.push(Change { transaction, number, order_id: OrderId(id), version, owner: UserId(owner) });
        }
    }
    let read_at = now.taken_at;
    let end = match changes.last() {
        Some(last) if !is_last => seen.advanced(last.transaction, &now),
        _ => now,
    };
    Ok(Some(Page { begin: seen.clone(), end, changes, is_last, read_at }))
}

fn snapshot(taken_at: i64, text: &str) -> Result<Snapshot, sqlx::Error> {
    Snapshot::taken(taken_at, text).ok_or_else(|| sqlx::Error::Decode(format!("{text} is no snapshot").into()))
}

impl Page {
    /// Whether nothing that belongs here can have been forgotten.
    pub fn is_whole(&self) -> bool {
        // A statement that makes changes takes seconds at most, and what it has made is kept from its beginning on.
        const MARGIN: Duration = Duration::from_mins(1);
        let age = u64::try_from(self.read_at - self.begin.taken_at).unwrap_or_default();
        Duration::from_secs(age) + MARGIN < RETENTION
    }
}

/// The orders as these changes have left them, whatever has happened since.
pub async fn shown(database: &Database, changes: Vec<Change>) -> Result<Vec<Shown>, sqlx::Error> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<OrderId> = changes.iter().map(|change| change.order_id).collect();
    let orders = orders::find_many(database, &ids).await?;
    let has_changed_since =
        |change: &&Change| orders.get(&change.order_id).is_some_and(|order| order.version != change.version);
    let older: Vec<OrderId> = changes.iter().filter(has_changed_since).map(|change| change.order_id).collect();
    let past = if older.is_empty() { HashMap::new() } else { orders::past(database, &older).await? };
    let shown = changes.into_iter().filter_map(|change| {
        let order = orders.get(&change.order_id)?;
        let order = match past.get(&change.order_id) {
            Some(past) if order.version != change.version => order.as_of(change.version, past),
            _ => order.clone(),
        };
        Some(Shown { change, order })
    });
    Ok(shown.collect())
}

/// Forgets changes that are older than [`RETENTION`], until `stop`.
pub async fn forget_old(database: Database, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(FORGET_PERIOD, stop, async || {
        if let Err(problem) = forget(&database).await {
            warn!(%problem, "old changes cannot be forgotten");
        }
    })
    .await
}

/// Forgets changes that are older than [`RETENTION`], but none that webhooks have not been told of.
pub async fn forget(database: &Database) -> Result<(), sqlx::Error> {
    loop {
        let forgotten = sqlx::query!(
            r#"
            delete from orders.changes
            where transaction_id = any(array(
                select transaction_id
                from (select transaction_id, at from orders.changes order by transaction_id limit $2) as oldest
                where at < now() - make_interval(secs => $1)
                    -- What webhooks have not been told of is kept.
                    and transaction_id < (select seen_below from orders.webhook_cursor where id)
            ))
            "#,
            RETENTION.as_secs_f64(),
            FORGOTTEN,
        )
        .execute(database)
        .await?
        .rows_affected();
        if i64::try_from(forgotten).is_ok_and(|forgotten| forgotten < FORGOTTEN) {
            return Ok(());
        }
    }
}
