//! The SQL of sending. A replica takes a lease on a webhook, not on its deliveries: so a receiver that is slow keeps nobody
//! else waiting, and what a dead replica has begun is sent again once its lease has run out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use service_kit::pool::Database;
use uuid::Uuid;

use crate::webhooks::schedule::Verdict;

/// How many deliveries are taken at a time.
const DUE: i64 = 8;
/// Longer than a replica goes on sending, with what it has taken last.
const LEASE_SECONDS: f64 = 90.0;
/// How many old deliveries are forgotten at a time, and after how many days.
const FORGOTTEN: i64 = 1000;
const RETENTION_DAYS: i32 = 30;
/// How many attempts are remembered of a delivery: twice as many as are made unless it is replayed.
const REMEMBERED: i32 = 20;

/// A webhook that this replica sends to.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns")]
pub struct Leased {
    pub id: Uuid,
    pub url: String,
    pub secret: Vec<u8>,
    /// Also to be signed with.
    pub previous_secret: Option<Vec<u8>>,
    pub lease_until: Option<DateTime<Utc>>,
}

/// A message to be sent now.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns")]
pub struct Due {
    pub id: Uuid,
    pub message_id: String,
    pub payload: String,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// Takes webhooks to whom something is due, those first who have waited longest; other replicas take others.
pub async fn take(database: &Database, limit: i64) -> Result<Vec<Leased>, sqlx::Error> {
    sqlx::query_as!(
        Leased,
        r#"
        update orders.webhooks
        -- Also due again then, if nobody lives to say otherwise.
        set lease_until = now() + make_interval(secs => $2), due_at = now() + make_interval(secs => $2)
        where id = any(array(
            select id from orders.webhooks
            where due_at <= now() and (lease_until is null or lease_until <= now())
            order by due_at
            limit $1
            for update skip locked
        ))
        returning id, url, secret, lease_until,
            case when previous_secret_until > now() then previous_secret end as previous_secret
        "#,
        limit,
        LEASE_SECONDS,
    )
    .fetch_all(database)
    .await
}

/// What is to be sent to the webhook now, unless it was disabled meanwhile.
pub async fn due(database: &Database, webhook_id: Uuid) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"
        select id, message_id, payload, attempts, created_at, now() as "now!" from orders.webhook_deliveries
        where webhook_id = $1 and status = 'pending' and next_attempt_at <= now()
            and exists (select from orders.webhooks where id = $1 and enabled)
        order by next_attempt_at
        limit $2
        "#,
        webhook_id,
        DUE,
    )
    .fetch_all(database)
    .await
}

/// Remembers what an attempt has led to, unless the message is to be sent anew since.
pub async fn record(
    database: &Database,
    delivery: &Due,
    verdict: Verdict,
    response_status: Option<i32>,
    error: Option<String>,
    took: Duration,
) -> Result<(), sqlx::Error> {
    let (status, pause) = match verdict {
        Verdict::Delivered => ("delivered", None),
        Verdict::Again(pause) => ("pending", Some(pause.as_secs_f64())),
        Verdict::GivenUp | Verdict::Gone => ("failed", None),
    };
    sqlx::query!(
        r#"
        update orders.webhook_deliveries
        set status = $3, attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $4),
            last_attempt_at = now(), response_status = $5, error = $6,
            history = case when jsonb_array_length(history) < $8 then history else history - 0 end || jsonb_build_object(
                'at', now() - make_interval(secs => $7), 'milliseconds', round($7 * 1000),
                'responseStatus', $5::integer, 'error', $6::text
            )
        where id = $1 and next_attempt_at is not null and attempts = $2
        "#,
        delivery.id,
        delivery.attempts,
        status,
        pause,
        response_status,
        error,
        took.as_secs_f64(),
        REMEMBERED,
    )
    .execute(database)
    .await
    .map(drop)
}

/// Ends the lease; it is due again when the first of what is left is, or at once if there is something new. It then waits
/// behind those that wait already: one that fails all day does not come first each time.
pub async fn release(
    database: &Database,
    leased: &Leased,
    succeeded: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update orders.webhooks
        set lease_until = null,
            last_success_at = coalesce($3, last_success_at),
            due_at = (
                select greatest(next.at, now())
                from (
                    -- If it is no longer what `take` has made it, something new has come, which may not be seen here yet.
                    select least(nullif(due_at, lease_until), (
                        select next_attempt_at from orders.webhook_deliveries
                        where webhook_id = $1 and status = 'pending' order by next_attempt_at limit 1
                    )) as at
                ) as next
                where enabled and next.at is not null
            )
        where id = $1 and lease_until = $2
        "#,
        leased.id,
        leased.lease_until,
        succeeded,
    )
    .execute(database)
    .await
    .map(drop)
}

/// Tells the webhook of nothing more, unless it has taken something since; whether that was done.
pub async fn give_up(
    database: &Database,
    id: Uuid,
    reason: &str,
    unless_success_since: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let given_up = sqlx::query!(
        r#"
        update orders.webhooks set enabled = false, disabled_reason = $2, due_at = null
        where id = $1 and (last_success_at is null or last_success_at < $3)
        "#,
        id,
        reason,
        unless_success_since,
    )
    .execute(database)
    .await?;
    Ok(given_up.rows_affected() > 0)
}

/// Forgets old deliveries; whether there may be more.
pub async fn forget_old(database: &Database) -> Result<bool, sqlx::Error> {
    let forgotten = sqlx::query!(
        r#"
        delete from orders.webhook_deliveries
        where id = any(array(
            select id from (select id, created_at from orders.webhook_deliveries order by id limit $2) as oldest
            where created_at < now() - make_interval(days => $1)
        ))
        "#,
        RETENTION_DAYS,
        FORGOTTEN,
    )
    .execute(database)
    .await?;
    Ok(i64::try_from(forgotten.rows_affected()).is_ok_and(|forgotten| forgotten == FORGOTTEN))
}
