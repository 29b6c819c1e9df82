//! What has no answer from the card processor yet: what operators watch of the tables.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::metrics::{Figure, Figures, figures_of};
use service_kit::pool::Database;
use service_kit::stored::COUNTED;
use shared_events::ids::OrderId;
use shared_events::money::{Currency, MinorUnits};
use uuid::Uuid;

use crate::payment::PaymentStatus;
use crate::processor::AttemptId;

/// `query_as!` over what is without an answer, so many of the charges and of the refunds that come up first, and since when
/// that is so: `$select` goes before it, `$after` behind it.
macro_rules! query_unsettled {
    ($row:ident, $select:tt, $after:tt, $settle_after:expr, $limit:expr $(,)?) => {
        sqlx::query_as!(
            $row,
            $select
                + r#"
        from (
            select payment.order_id, status, payment.attempt_id, bill, currency, cancel_requested, traceparent,
                coalesce(payment.settle_at, attempt.settle_at) as settle_at,
                case status when 'processing' then attempt.started_at else updated_at end as since
            from (
                (select order_id from payments.attempts where settle_at is not null order by settle_at limit $2)
                union all
                (select order_id from payments.payments where settle_at is not null order by settle_at limit $2)
            ) as unsettled
            cross join lateral (
                select * from payments.payments where order_id = unsettled.order_id
                -- So that they are looked up one by one.
                offset 0
            ) as payment
            cross join lateral (
                select * from payments.attempts where order_id = payment.order_id and number = payment.attempts
                offset 0
            ) as attempt
        ) as unsettled
        "# + $after,
            $settle_after.as_secs_f64(),
            $limit,
        )
    };
}

/// What is without an answer. What is more than [`COUNTED`] is counted as that.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Payments whose charge should have been answered by now.
    pub in_doubt: i64,
    /// How long ago the charge of the first of them began.
    pub in_doubt_age_seconds: f64,
    /// Payments whose money is on its way back.
    pub refunding: i64,
    /// How long the first of them has been so.
    pub refunding_age_seconds: f64,
}

impl Backlog {
    /// As it is at this moment; a charge is in doubt when it has no answer after `settle_after`.
    pub async fn read(database: &Database, settle_after: Duration) -> Result<Self, sqlx::Error> {
        query_unsettled!(
            Self,
            r#"
            select
                count(*) filter (where status = 'processing' and now() - since > make_interval(secs => $1)) as "in_doubt!",
                coalesce(extract(epoch from max(now() - since) filter (
                    where status = 'processing' and now() - since > make_interval(secs => $1)
                )), 0)::float8 as "in_doubt_age_seconds!",
                count(*) filter (where status = 'refunding') as "refunding!",
                coalesce(extract(epoch from max(now() - since) filter (where status = 'refunding')), 0)::float8
                    as "refunding_age_seconds!"
            "#,
            "",
            settle_after,
            i64::from(COUNTED),
        )
        .fetch_one(database)
        .await
    }

    fn figures(&self) -> Vec<Figure> {
        let in_doubt = "Payments whose charge should have been answered by now";
        let in_doubt_age = "How long ago the charge of the first of them began";
        let refunding_age = "How long the first of them has been so";
        vec![
            Figure::count("payments_in_doubt", in_doubt, self.in_doubt),
            Figure::seconds("payments_in_doubt_age_seconds", in_doubt_age, self.in_doubt_age_seconds),
            Figure::count("payments_refunding", "Payments whose money is on its way back", self.refunding),
            Figure::seconds("payments_refunding_age_seconds", refunding_age, self.refunding_age_seconds),
        ]
    }
}

/// The same as metrics.
pub fn figures(database: Database, settle_after: Duration) -> Figures {
    figures_of(move || {
        let database = database.clone();
        async move {
            let mut figures = Backlog::read(&database, settle_after).await?.figures();
            figures.extend(of_reconciliation(&database).await?);
            Ok(figures)
        }
    })
}

/// What the last comparison of all books has found; nothing, at the beginning of time, if there was none.
async fn of_reconciliation(database: &Database) -> Result<[Figure; 2], sqlx::Error> {
    let last = sqlx::query!(
        r#"
        select differences, extract(epoch from finished_at)::float8 as "finished_at!"
        from payments.reconciliations
        order by id desc
        limit 1
        "#
    )
    .fetch_optional(database)
    .await?;
    let (differences, finished_at) = last.map_or((0, 0.0), |last| (last.differences, last.finished_at));
    let help = "When all books were compared for the last time, in Unix time";
    Ok([
        Figure::count("reconciliation_differences", "Differences that were found then", differences.into()),
        Figure::seconds("reconciliation_time_seconds", help, finished_at),
    ])
}

/// A charge that is in doubt, or a refund that is not done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are described with the columns in migrations/payments")]
pub struct Unsettled {
    pub order_id: OrderId,
    pub status: PaymentStatus,
    pub attempt_id: AttemptId,
    pub bill: Option<MinorUnits>,
    pub currency: Option<Currency>,
    pub cancel_requested: bool,
    pub age_seconds: f64,
    pub settle_at: Option<DateTime<Utc>>,
    pub traceparent: Option<String>,
}

/// How many of them are listed.
const LISTED: i64 = 1000;

/// Those that come up next, the first of them first. What may still be running is not among them.
pub async fn unsettled(database: &Database, settle_after: Duration) -> Result<Vec<Unsettled>, sqlx::Error> {
    query_unsettled!(
        Unsettled,
        r#"
        select order_id as "order_id!: OrderId", status as "status!", attempt_id as "attempt_id!", bill, currency,
            cancel_requested as "cancel_requested!", extract(epoch from now() - since)::float8 as "age_seconds!", settle_at, traceparent
        "#,
        r#"
        where status = 'refunding' or since < now() - make_interval(secs => $1)
        order by settle_at
        "#,
        settle_after,
        LISTED,
    )
    .fetch_all(database)
    .await
}

/// Has the settlement look at the payment of this order at once; false if nothing about it is in doubt.
pub async fn make_due(database: &Database, settle_after: Duration, order: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        with charge as (
            update payments.attempts set settle_at = now()
            where order_id = $1 and outcome = 'started' and started_at < now() - make_interval(secs => $2)
            returning order_id
        ), refund as (
            update payments.payments set settle_at = now()
            where order_id = $1 and status = 'refunding'
            returning order_id
        )
        select exists (select from charge union all select from refund) as "made!"
        "#,
        order,
        settle_after.as_secs_f64(),
    )
    .fetch_one(database)
    .await
}
