//! What should have happened to orders, and been told of them, by now: what operators watch of the tables.

use serde::Serialize;
use service_kit::metrics::{Figure, Figures, figures_of};
use service_kit::pool::Database;
use service_kit::stored::COUNTED;

/// What is late. A timer looks every quarter of a second, so that a few are late at any moment; what is more than
/// [`COUNTED`] is counted as that.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Orders that should be delivered.
    pub deliveries_overdue: i64,
    /// How long the first of them has been late.
    pub deliveries_overdue_age_seconds: f64,
    /// Orders that nobody paid in time and that should be cancelled.
    pub expiries_overdue: i64,
    /// How long the first of them has been late.
    pub expiries_overdue_age_seconds: f64,
    /// Webhooks to whom something should be sent, and to whom no replica sends yet.
    pub webhooks_due: i64,
    /// How long the first of them has waited.
    pub webhooks_due_age_seconds: f64,
    /// Up to how long ago what has happened was made into messages of webhooks. While nothing happens that is only
    /// remembered every ten seconds.
    pub webhook_changes_age_seconds: f64,
}

impl Backlog {
    /// As it is at this moment.
    pub async fn read(database: &Database) -> Result<Self, sqlx::Error> {
        sqlx::query_as!(
            Self,
            r#"
            select
                delivery.number as "deliveries_overdue!",
                delivery.age as "deliveries_overdue_age_seconds!",
                expiry.number as "expiries_overdue!",
                expiry.age as "expiries_overdue_age_seconds!",
                webhook.number as "webhooks_due!",
                webhook.age as "webhooks_due_age_seconds!",
                coalesce((
                    select extract(epoch from now()) - split_part(seen, '@', 1)::bigint from orders.webhook_cursor where id
                ), 0)::float8 as "webhook_changes_age_seconds!"
            from (
                select count(*) as number, coalesce(extract(epoch from now() - min(deliver_at)), 0)::float8 as age
                from (
                    select deliver_at from orders.orders
                    where status = 'confirmed' and deliver_at <= now()
                    order by deliver_at
                    limit $1
                ) as due
            ) as delivery
            cross join (
                select count(*) as number, coalesce(extract(epoch from now() - min(expires_at)), 0)::float8 as age
                from (
                    select expires_at from orders.orders
                    where status in ('created', 'declined') and expires_at <= now()
                    order by expires_at
                    limit $1
                ) as due
            ) as expiry
            cross join (
                select count(*) as number, coalesce(extract(epoch from now() - min(due_at)), 0)::float8 as age
                from (
                    select due_at from orders.webhooks
                    where due_at <= now()
                    order by due_at
                    limit $1
                ) as due
            ) as webhook
            "#,
            i64::from(COUNTED),
        )
        .fetch_one(database)
        .await
    }

    fn figures(&self) -> Vec<Figure> {
        let (deliveries_age, expiries_age) = ("deliveries_overdue_age_seconds", "expiries_overdue_age_seconds");
        let age = "How long the first of them has been late";
        let changes = "Up to how long ago what has happened was made into messages of webhooks";
        vec![
            Figure::count("deliveries_overdue", "Orders that should be delivered by now", self.deliveries_overdue),
            Figure::seconds(deliveries_age, age, self.deliveries_overdue_age_seconds),
            Figure::count("expiries_overdue", "Unpaid orders that should be cancelled by now", self.expiries_overdue),
            Figure::seconds(expiries_age, age, self.expiries_overdue_age_seconds),
            Figure::count("webhooks_due", "Webhooks to whom something should be sent by now", self.webhooks_due),
            Figure::seconds("webhooks_due_age_seconds", age, self.webhooks_due_age_seconds),
            Figure::seconds("webhook_changes_age_seconds", changes, self.webhook_changes_age_seconds),
        ]
    }
}

/// The same as metrics.
pub fn figures(database: Database) -> Figures {
    figures_of(move || {
        let database = database.clone();
        async move { Ok(Backlog::read(&database).await?.figures()) }
    })
}
