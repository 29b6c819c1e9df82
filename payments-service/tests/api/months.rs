//! Tables that are partitioned by months are migrated as plain ones are.

use std::collections::BTreeSet;

use payments_service::{MIGRATOR, SCHEMA};
use service_kit::testing::{bootstrap, migrate, partition};
use sqlx::PgPool;
use sqlx::migrate::Migrator;

/// The last migration before tables could be partitioned and still had other guards.
const PARTITIONED_AT: i64 = 12;

/// Of each table that holds rows: its indexes, checks and settings, without the names of the months.
const GUARDS: &str = "
    with place as (
        select oid, regexp_replace(relname, '_(default|[0-9]{4}_[0-9]{2})$', '') as table
        from pg_class
        where relnamespace = 'payments'::regnamespace and relkind = 'r'
            and relname ~ '^(payments|attempts|ledger)(_default|_[0-9]{4}_[0-9]{2})?$'
    ), guard as (
        select place.oid, place.table, regexp_replace(pg_get_indexdef(indexrelid), 'INDEX .* USING', 'INDEX') as definition
        from place join pg_index on indrelid = place.oid
        union all
        select place.oid, place.table, regexp_replace(pg_get_constraintdef(pg_constraint.oid), ' NOT VALID', '')
        from place join pg_constraint on conrelid = place.oid and contype = 'c' and conname !~ '^outside_'
        union all
        select oid, place.table, unnest(reloptions) from place join pg_class using (oid)
    )
    select guard.table || ': ' || string_agg(definition, '; ' order by definition) from guard group by guard.table, oid";

#[sqlx::test(migrations = false)]
async fn tables_of_months_are_brought_up_to_date_as_plain_ones_are(superuser: PgPool) {
    bootstrap(&superuser).await;
    let earlier: Vec<_> = MIGRATOR.iter().filter(|migration| migration.version <= PARTITIONED_AT).cloned().collect();
    migrate(&superuser, SCHEMA, &Migrator { migrations: earlier.into(), ..Migrator::DEFAULT }).await;
    partition(&superuser, SCHEMA, 1).await;
    migrate(&superuser, SCHEMA, &MIGRATOR).await;
    let of_months = guards(&superuser).await;

    sqlx::raw_sql("drop schema payments cascade").execute(&superuser).await.expect("the tables go");
    bootstrap(&superuser).await;
    migrate(&superuser, SCHEMA, &MIGRATOR).await;
    assert_eq!(of_months, guards(&superuser).await);
}

async fn guards(superuser: &PgPool) -> BTreeSet<String> {
    let guards: Vec<String> = sqlx::query_scalar(GUARDS).fetch_all(superuser).await.expect("the guards can be read");
    assert!(guards.len() >= 3, "{guards:?}");
    guards.into_iter().collect()
}
