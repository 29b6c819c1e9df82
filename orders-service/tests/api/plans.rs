//! What every statement costs however many rows there are, in plain tables and in partitioned ones.

use orders_service::SCHEMA;
use service_kit::testing::plans::{Exception, OF_THE_KIT, Statements, analyze, expect_flat_but_for, fill};
use service_kit::testing::{Login, partition, url_of};
use shared_events::ids::OrderId;
use sqlx::PgPool;

use crate::helpers::TestApp;

/// The fewest that PostgreSQL gathers statistics of by itself: where the planner is most inclined to read a whole table.
const A_FEW: i32 = 50;
const MANY: i32 = 50_000;
const MONTHS: i32 = 24;

/// The exception among the statements of this service.
const OF_WEBHOOKS: Exception = Exception {
    statement: "for update skip locked",
    read: "using webhooks_due",
    why: "it ends at the limit, and passes over those webhooks only that are being sent to at this moment",
};

#[sqlx::test(migrations = false)]
async fn every_statement_finds_its_rows_by_an_index_however_many_there_are(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    expect_flat(&superuser, 1).await;
}

#[sqlx::test(migrations = false)]
async fn so_it_does_in_each_partition(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    partition(&superuser, SCHEMA, MONTHS).await;
    expect_flat(&superuser, MONTHS).await;
}

/// As in the first minute of a new system, into which orders are poured.
#[sqlx::test(migrations = false)]
async fn so_it_does_while_nothing_is_known_of_what_the_tables_hold(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let statements = all_statements(&superuser).await;
    fill(&superuser, include_str!("plans.sql"), MANY, 1).await;
    expect_flat_but_for(&[&OF_THE_KIT[..], &[OF_WEBHOOKS]].concat(), &statements.reads().await);
}

/// With orders of so many months, of each of which there are a few at first. What is known is outdated for a while then.
async fn expect_flat(superuser: &PgPool, months: i32) {
    let statements = all_statements(superuser).await;
    let mut reads = statements.reads().await;
    for rows in [A_FEW * months, MANY] {
        fill(superuser, include_str!("plans.sql"), rows, months).await;
        reads.extend(statements.reads().await);
        analyze(superuser).await;
        reads.extend(statements.reads().await);
    }
    expect_flat_but_for(&[&OF_THE_KIT[..], &[OF_WEBHOOKS]].concat(), &reads);
}

async fn all_statements(superuser: &PgPool) -> Statements {
    // A user has more of them here than there may be.
    let unlimited = "alter table orders.webhooks disable trigger ten_webhooks_at_most";
    sqlx::raw_sql(unlimited).execute(superuser).await.expect("a superuser may do that");
    Statements::checked(&url_of(superuser, SCHEMA, Login::Service), SCHEMA).await.with_the_kits().await
}

#[sqlx::test(migrations = false)]
async fn what_names_an_order_looks_into_its_partition_only(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    partition(&superuser, SCHEMA, MONTHS).await;
    let statements = Statements::checked(&url_of(&superuser, SCHEMA, Login::Service), SCHEMA).await;
    let [first, last] = [OrderId::generate(), OrderId::generate()];
    let many = format!("'{{{first},{last}}}', '{first}', '{last}'");
    for (statement, arguments) in [
        ("from orders.orders where id = wanted", many.clone()),
        ("from orders.order_events where order_id = $1 and version", format!("'{first}', 1")),
        ("from orders.order_events where order_id = wanted", many),
    ] {
        let reads = statements.reads_for(statement, &arguments).await;
        assert!(matches!(&reads[..], [only] if !only.contains("_default_")), "{statement}: {reads:?}");
    }
}
