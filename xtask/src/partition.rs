//! `cargo xtask partition`: turns the tables that grow with every order into tables of months, and makes the months that
//! come next. What that means is said in the two statements, which can also be run by hand.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::any_database::AnyDatabase;
use crate::{postgres, print, probe};

const TURN: &str = include_str!("partition.sql");
const MAKE_AHEAD: &str = include_str!("../../service-kit/src/partitions.sql");

/// To be run once, while the system works and all of its services know of partitions; again, it makes the months that are
/// missing, as the services' own `migrate` does. It waits for locks for two seconds at most and then fails: run it again.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    database: AnyDatabase,
    /// The first month, for tables in which nothing is, such as 2025-01; otherwise the next one is
    #[arg(long, value_name = "MONTH")]
    first: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let first = options.first.as_deref().map_or_else(String::new, |month| format!("{month}-01"));
    partition(&options.database.url()?, &first)?;
    Ok(ExitCode::SUCCESS)
}

/// The tables of a system that has only begun: what comes next has a month of its own.
pub(crate) fn into_months(url: &str) -> Result<()> {
    let month = "select to_char(date_trunc('month', now() at time zone 'UTC'), 'YYYY-MM-DD')";
    partition(url, probe::psql_output(&postgres::psql()?, url, &["-tAc", month])?.trim())
}

/// From this month on, if one is named.
fn partition(url: &str, first: &str) -> Result<()> {
    let (psql, first) = (postgres::psql()?, first.replace('\'', "''"));
    for schema in ["orders", "payments"] {
        let settings =
            format!("set role {schema}_owner; set partitions.schema = '{schema}'; set partitions.first = '{first}'");
        let partitions = format!(
            "select string_agg(relname, ' ' order by relname) from pg_inherits join pg_class on pg_class.oid = inhrelid
             where inhparent = '{schema}.{schema}'::regclass"
        );
        let statements = ["-tA", "-c", &settings, "-c", TURN, "-c", MAKE_AHEAD, "-c", &partitions];
        let made = probe::psql_output(&psql, url, &statements);
        print::out(made.with_context(|| format!("the tables of {schema} cannot be partitioned"))?.trim());
    }
    Ok(())
}
