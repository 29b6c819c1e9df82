//! Tables that are partitioned by the time in an order's id, where an operator has made them so.
//!
//! Every statement does the same on plain tables and on partitioned ones, and names the order, so that PostgreSQL looks into
//! one partition only. Where many are looked up, it also says which are the first and the last.

use std::time::Duration;

use anyhow::Context;
use sqlx::Connection;

use crate::database::retry;
use crate::metrics::Figure;
use crate::pool::Database;
use crate::servers::Servers;

const MAKE_AHEAD: &str = include_str!("partitions.sql");
/// How long the tables are asked for, two seconds at a time, so that nobody waits longer than that for us.
const PATIENCE: Duration = Duration::from_mins(1);

/// The first and the last of the ids that are looked up one by one: PostgreSQL then leaves all other partitions out before
/// it begins. Nothing else may be told so: it might read all that is between them instead.
pub fn span<Id: Copy + Ord>(ids: &[Id]) -> (Option<Id>, Option<Id>) {
    (ids.iter().min().copied(), ids.iter().max().copied())
}

/// Makes the partitions of the coming months, if the tables of `schema` are partitioned. The URL is that of its owner.
pub async fn make_ahead(url: &str, schema: &'static str) -> anyhow::Result<()> {
    let servers: Servers = url.parse()?;
    let make = async || {
        let mut connection = servers.connect().await?;
        let name = "select set_config('partitions.schema', $1, false)";
        sqlx::query(name).bind(schema).execute(&mut connection).await?;
        sqlx::raw_sql(MAKE_AHEAD).execute(&mut connection).await?;
        connection.close().await
    };
    retry(PATIENCE, make).await.with_context(|| format!("the partitions of {schema} cannot be made"))
}

/// Until when there are partitions: the beginning of time for plain tables, and now if no month is left.
pub(crate) async fn figure(database: &Database, schema: &'static str) -> Result<Figure, sqlx::Error> {
    // The table that is called as the schema stands for all of them.
    let end = "select coalesce(
             extract(epoch from max(to_date(substring(relname from '_([0-9]{4}_[0-9]{2})$'), 'YYYY_MM') + interval '1 month')),
             case when count(*) > 0 then extract(epoch from now()) end,
             0
         )::float8
         from pg_inherits
         join pg_class on pg_class.oid = inhrelid
         where inhparent = to_regclass($1 || '.' || $1)";
    let end = sqlx::query_scalar(end).bind(schema).fetch_one(database).await?;
    Ok(Figure::seconds("partitions_end_seconds", "Until when there are partitions, in Unix time", end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_goes_from_the_first_to_the_last() {
        assert_eq!(span(&[3, 1, 2]), (Some(1), Some(3)));
        assert_eq!(span(&[3]), (Some(3), Some(3)));
        assert_eq!(span::<u8>(&[]), (None, None));
    }
}
