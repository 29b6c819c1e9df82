//! What PostgreSQL keeps for those who copy all that it writes: an archive, or a standby.

use crate::metrics::Figure;
use crate::pool::Database;

/// How many do not come for it, and how much waits for the last of them. Nothing of both where nobody copies.
pub(crate) async fn figures(database: &Database) -> Result<[Figure; 2], sqlx::Error> {
    let statement = "select
             count(*) filter (where not active),
             coalesce(max(case when not pg_is_in_recovery() then pg_current_wal_lsn() - restart_lsn end), 0)::bigint
         from pg_replication_slots";
    let (inactive, kept): (i64, i64) = sqlx::query_as(statement).fetch_one(database).await?;
    Ok([
        Figure::count("replication_slots_inactive", "Copies of what is written that nobody takes now", inactive),
        Figure::count("replication_kept_bytes", "What PostgreSQL keeps for the last of those who copy it", kept),
    ])
}
