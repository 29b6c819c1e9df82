//! What every statement costs however many rows there are, in plain tables and in partitioned ones, those of the sandbox too.

use payments_service::{SCHEMA, sandbox};
use service_kit::testing::plans::{Exception, OF_THE_KIT, Read, Statements, analyze, expect_flat_but_for, fill};
use service_kit::testing::{Login, partition, url_of};
use shared_events::ids::OrderId;
use sqlx::PgPool;

use crate::helpers::TestApp;

/// The fewest that PostgreSQL gathers statistics of by itself: where the planner is most inclined to read a whole table.
const A_FEW: i32 = 50;
const MANY: i32 = 50_000;
const MONTHS: i32 = 24;

const TOMBSTONES: Exception = Exception {
    statement: "with entombed as (",
    read: "using payments_by_owner_and_time",
    why: "it reads the payments without an owner: the few that wait for a create which their cancel has overtaken",
};

const UNSETTLED: Exception = Exception {
    statement: "where settle_at is not null",
    read: "using payments_to_settle",
    why: "in a partition that is nearly empty the index is read whole: it holds only what has no answer yet",
};
/// Those of partitions.
const OF_PARTITIONS: [Exception; 3] = [
    Exception { read: "created_by_created_at_id_idx", ..TOMBSTONES },
    Exception { read: "settle_at_idx", ..UNSETTLED },
    UNSETTLED,
];

#[sqlx::test(migrations = false)]
async fn every_statement_finds_its_rows_by_an_index_however_many_there_are(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    expect_flat(&superuser, 1, &[TOMBSTONES]).await;
}

#[sqlx::test(migrations = false)]
async fn so_it_does_in_each_partition(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    partition(&superuser, SCHEMA, MONTHS).await;
    expect_flat(&superuser, MONTHS, &[&[TOMBSTONES][..], &OF_PARTITIONS].concat()).await;
}

/// As in the first minute of a new system, into which orders are poured.
#[sqlx::test(migrations = false)]
async fn so_it_does_while_nothing_is_known_of_what_the_tables_hold(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let statements = all_statements(&superuser).await;
    fill(&superuser, include_str!("plans.sql"), MANY, 1).await;
    expect_flat_but_for(&OF_THE_KIT, &reads_of_all(&statements).await);
}

/// With orders of so many months, of each of which there are a few at first. What is known is outdated for a while then.
async fn expect_flat(superuser: &PgPool, months: i32, exceptions: &[Exception]) {
    let statements = all_statements(superuser).await;
    let mut reads = reads_of_all(&statements).await;
    for rows in [A_FEW * months, MANY] {
        fill(superuser, include_str!("plans.sql"), rows, months).await;
        reads.extend(reads_of_all(&statements).await);
        analyze(superuser).await;
        reads.extend(reads_of_all(&statements).await);
    }
    expect_flat_but_for(&[&OF_THE_KIT[..], exceptions].concat(), &reads);
}

/// Of the service, and of the sandbox.
async fn all_statements(superuser: &PgPool) -> [Statements; 2] {
    let url = |schema| url_of(superuser, schema, Login::Service);
    let ours = Statements::checked(&url(SCHEMA), SCHEMA).await.with_the_kits().await;
    [ours, Statements::checked(&url(sandbox::SCHEMA), sandbox::SCHEMA).await]
}

async fn reads_of_all(statements: &[Statements; 2]) -> Vec<Read> {
    let [ours, of_the_sandbox] = statements;
    ours.reads().await.into_iter().chain(of_the_sandbox.reads().await).collect()
}

#[sqlx::test(migrations = false)]
async fn what_names_an_order_looks_into_its_partition_only(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    partition(&superuser, SCHEMA, MONTHS).await;
    let statements = Statements::checked(&url_of(&superuser, SCHEMA, Login::Service), SCHEMA).await;
    let [first, last] = [OrderId::generate(), OrderId::generate()];
    let many = format!("'{{{first},{last}}}', '{first}', '{last}'");
    for (statement, arguments, tables) in [
        ("from payments.payments where order_id = wanted", many, 1),
        ("select exists (select from charge", format!("'{first}', 1"), 2),
        // And among those that were retired.
        ("to_jsonb(payments) as", format!("'{first}'"), 2),
        // The payment, its attempts, what was posted, and whether it was retired.
        ("'the ledger: '", format!("'{first}'"), 4),
    ] {
        let reads = statements.reads_for(statement, &arguments).await;
        let is_pruned = reads.len() == tables && reads.iter().all(|read| !read.contains("_default_"));
        assert!(is_pruned, "{statement}: {reads:?}");
    }
}
