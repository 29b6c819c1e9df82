//! What the tables say: every figure is counted there, whatever the generator was told.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{postgres, probe};

const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// The database, as a superuser sees it.
pub(crate) struct Books {
    pub(crate) url: String,
}

/// What a load has left in the tables.
#[derive(Deserialize)]
pub(crate) struct Left {
    pub(crate) orders: u64,
    pub(crate) payments: u64,
    pub(crate) confirmed: u64,
    /// Payments that were made after the last order.
    pub(crate) payments_behind: f64,
    /// Seconds from the last order to the last payment.
    pub(crate) payments_lag: f64,
    /// Seconds from the last payment that was paid to the last order that was confirmed.
    pub(crate) confirmed_lag: f64,
}

/// Whether something is under way, and the order that was placed last.
#[derive(Deserialize)]
struct Look {
    busy: bool,
    newest: Option<String>,
}

/// What the tables and the log of PostgreSQL hold.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Disk {
    pub(crate) tables: f64,
    pub(crate) log: f64,
}

impl Books {
    pub(crate) fn execute(&self, statements: &str) -> Result<()> {
        probe::psql_output(&postgres::psql()?, &self.url, &["-c", statements]).map(drop)
    }

    /// The database's own clock.
    pub(crate) fn now(&self) -> Result<String> {
        self.row("select clock_timestamp()::text")
    }

    /// What has come of a load that began then. Times of rows are those at which their transactions began.
    pub(crate) fn left_since(&self, began: &str) -> Result<Left> {
        self.row(&format!(
            "select found from (
                with placed as (
                    select count(*) as orders, max(created_at) as last from orders.orders where created_at >= '{began}'
                ), held as (
                    select count(*) as payments, max(created_at) as last,
                        count(*) filter (where created_at > (select last from placed)) as behind,
                        max(updated_at) filter (where status = 'paid') as paid
                    from payments.payments where created_at >= '{began}'
                ), confirmed as (
                    select count(*) as confirmed, max(at) as last
                    from orders.order_events where status = 'confirmed' and at >= '{began}'
                )
                select orders, payments, confirmed, behind as payments_behind,
                    coalesce(extract(epoch from held.last - placed.last), 0)::float as payments_lag,
                    coalesce(extract(epoch from confirmed.last - held.paid), 0)::float as confirmed_lag
                from placed, held, confirmed
            ) as found"
        ))
    }

    pub(crate) fn disk(&self) -> Result<Disk> {
        self.row(
            "select found from (
                select sum(pg_total_relation_size(oid))::float as tables,
                    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float as log
                from pg_class
                where relkind = 'r' and relnamespace in ('orders'::regnamespace, 'payments'::regnamespace,
                    'sandbox'::regnamespace)
            ) as found",
        )
    }

    /// Waits until nothing is under way and every event has its receipt, and answers how long that took. Clients that have
    /// hung up leave requests behind, which are carried out all the same, so it takes two looks that see the same.
    pub(crate) fn wait_for_quiet(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut before = None;
        loop {
            let Look { busy, newest } = self.look()?;
            if !busy && before.as_ref() == Some(&newest) {
                return Ok(began.elapsed());
            }
            if began.elapsed() > PATIENCE {
                bail!("events are still on their way {} s after the load", PATIENCE.as_secs());
            }
            before = (!busy).then_some(newest);
            thread::sleep(POLL);
        }
    }

    fn look(&self) -> Result<Look> {
        self.row(
            "select look from (
                select
                    exists (select from orders.outbox) or exists (select from payments.outbox) or exists (
                        select from pg_stat_activity
                        where usename in ('orders_service', 'payments_service') and state <> 'idle'
                    ) as busy,
                    (select id from orders.orders order by id desc limit 1) as newest
            ) as look",
        )
    }

    /// Has what was written so far on disk, so that the next measurement does not pay for it.
    pub(crate) fn settle(&self) -> Result<()> {
        self.wait_for_quiet()?;
        self.execute("checkpoint")
    }

    /// The only value of the only row, which PostgreSQL writes as JSON.
    pub(crate) fn row<T: DeserializeOwned>(&self, statement: &str) -> Result<T> {
        let statement = format!("select to_json(value) from ({statement}) as answer (value)");
        let text = probe::psql_output(&postgres::psql()?, &self.url, &["-tA", "-c", &statement])?;
        serde_json::from_str(text.trim()).with_context(|| format!("the database answers {text}"))
    }
}
