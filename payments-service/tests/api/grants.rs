//! What has been granted to anybody in the database, in full: a grant that is made or lost shows here, to be looked at.

use sqlx::PgPool;

use crate::privileges::migrate;

/// A line for each table, to whom and what; of single columns in parentheses.
const COMMITTED: &str = include_str!("grants.txt");

/// Nothing of the owners, whose tables they are. Nobody is `-`.
const GRANTED: &str = "
    with granted as (
        select grantee, relnamespace, relname, lower(privilege_type) as what, null as columns
        from pg_class, aclexplode(relacl)
        where grantee <> relowner
        union all
        select grantee, relnamespace, relname, lower(privilege_type), string_agg(attname, ', ' order by attname)
        from pg_class join pg_attribute on attrelid = pg_class.oid, aclexplode(attacl)
        where grantee <> relowner
        group by 1, 2, 3, 4
    )
    select format('%s: %s to %s', relnamespace::regnamespace || '.' || relname,
        string_agg(what || coalesce(' (' || columns || ')', ''), ', ' order by what), grantee::regrole)
    from granted
    where relnamespace::regnamespace::text in ('orders', 'payments', 'sandbox')
    group by relnamespace, relname, grantee
    union all
    select format('%s: %s to %s', nspname, string_agg(lower(privilege_type), ', ' order by privilege_type), grantee::regrole)
    from pg_namespace, aclexplode(nspacl)
    where nspname in ('orders', 'payments', 'sandbox') and grantee <> nspowner
    group by nspname, grantee
    order by 1";

#[sqlx::test(migrations = false)]
async fn nobody_has_been_granted_more_or_less_than_is_listed(superuser: PgPool) {
    migrate(&superuser).await;
    let granted: Vec<String> = sqlx::query_scalar(GRANTED).fetch_all(&superuser).await.expect("the catalogue is read");
    let committed: Vec<&str> = COMMITTED.lines().collect();
    assert_eq!(granted, committed, "grants.txt, line by line:\n{}", granted.join("\n"));
}
