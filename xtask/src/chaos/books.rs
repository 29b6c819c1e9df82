//! The database as a superuser sees it, past all proxies.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::report::Check;
use crate::{postgres, probe, reconcile};

const UNFINISHED: &str = include_str!("unfinished.sql");
const LIVING: &str = include_str!("living.sql");
const INVARIANTS: &str = include_str!("invariants.sql");

pub(crate) struct Books {
    pub(crate) url: String,
}

/// A kind of thing that is still on its way.
#[derive(Deserialize)]
struct Remaining {
    what: String,
    count: u64,
}

/// A row of `invariants.sql`.
#[derive(Deserialize)]
struct Finding {
    invariant: String,
    rows: u64,
    broken: u64,
    examples: Vec<String>,
}

/// An order as far as the one who wished for it knows it.
#[derive(Deserialize)]
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) reference: String,
    pub(crate) created_by: String,
    pub(crate) bill: u64,
    pub(crate) status: String,
    /// How often the processor has charged a card for it, refunded or not.
    pub(crate) charges: u64,
}

#[derive(Deserialize)]
pub(crate) struct Sessions {
    pub(crate) role: String,
    pub(crate) sessions: u64,
}

impl Books {
    /// What keeps the system from being settled, in words; none if nothing does.
    pub(crate) fn unfinished(&self) -> Result<Option<String>> {
        self.remaining(UNFINISHED)
    }

    /// What may still change, in words.
    pub(crate) fn living(&self) -> Result<Option<String>> {
        self.remaining(LIVING)
    }

    fn remaining(&self, statement: &str) -> Result<Option<String>> {
        let rows: Vec<Remaining> = self.rows(&[], statement)?;
        let left = rows.iter().filter(|row| row.count > 0).map(|row| format!("{} {}", row.count, row.what));
        let left = left.collect::<Vec<_>>().join(", ");
        Ok(if left.is_empty() { None } else { Some(left) })
    }

    /// The database's own clock, which alone decides when something is due.
    pub(crate) fn now(&self) -> Result<String> {
        let rows: Vec<Map<String, Value>> = self.rows(&[], "select now() as now")?;
        let now = rows.first().and_then(|row| row["now"].as_str());
        now.map(str::to_owned).context("the database has no time")
    }

    pub(crate) fn invariants(&self, settings: &[(&str, &str)]) -> Result<Vec<Check>> {
        let findings: Vec<Finding> = self.rows(settings, INVARIANTS)?;
        let check = |Finding { invariant, rows, broken, examples }| Check {
            name: invariant,
            looked_at: rows,
            broken,
            examples,
        };
        Ok(findings.into_iter().map(check).collect())
    }

    /// Without any grace: nothing is in flight any more.
    pub(crate) fn reconciled(&self) -> Result<Check> {
        let found = reconcile::compare(&self.url, std::time::Duration::ZERO)?;
        let differences = found.differences.iter();
        let differences = differences.map(|difference| {
            let reconcile::Difference { kind, order_id, expected, found } = difference;
            format!("{kind} {order_id}: expected {expected}, found {found}")
        });
        let looked_at = found.compared.get("orders").and_then(Value::as_u64).unwrap_or_default();
        Ok(Check::of("`cargo xtask reconcile` finds no difference", looked_at, differences.collect()))
    }

    pub(crate) fn placed(&self) -> Result<Vec<Placed>> {
        let statement = "select id, reference, created_by, bill, status, (select count(*) from sandbox.charges \
             where order_id = orders.id and charges.status in ('approved', 'refunded')) as charges from orders.orders";
        self.rows(&[], statement)
    }

    /// The connections that each role has to this database.
    pub(crate) fn sessions(&self) -> Result<Vec<Sessions>> {
        self.rows(
            &[],
            "select usename as role, count(*) as sessions from pg_stat_activity \
             where usename in ('orders_service', 'payments_service', 'sandbox_processor') group by usename",
        )
    }

    fn rows<T: DeserializeOwned>(&self, settings: &[(&str, &str)], statement: &str) -> Result<Vec<T>> {
        let statement = statement.trim_end().trim_end_matches(';');
        let statement = format!("select to_json(found) from ({statement}) as found");
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("set {name} = '{value}'")).collect();
        let statements = settings.iter().chain([&statement]);
        let mut arguments = vec!["-tA"];
        arguments.extend(statements.flat_map(|statement| ["-c", statement.as_str()]));
        let output = probe::psql_output(&postgres::psql()?, &self.url, &arguments)?;
        Ok(output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }
}
