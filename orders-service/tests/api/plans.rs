//! What every statement costs however many rows there are.

use orders_service::SCHEMA;
use service_kit::testing::plans::{Exception, OF_THE_KIT, Statements, expect_flat_but_for};
use service_kit::testing::{Login, url_of};
use sqlx::PgPool;

use crate::helpers::TestApp;

/// The fewest that PostgreSQL gathers statistics of by itself: where the planner is most inclined to read a whole table.
const A_FEW: i32 = 50;
const MANY: i32 = 50_000;

/// The exception among the statements of this service.
const OF_WEBHOOKS: Exception = Exception {
    statement: "for update skip locked",
    read: "using webhooks_due",
    why: "it ends at the limit, and passes over those webhooks only that are being sent to at this moment",
};

#[sqlx::test(migrations = false)]
async fn every_statement_finds_its_rows_by_an_index_however_many_there_are(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let url = url_of(&superuser, SCHEMA, Login::Service);
    let statements = Statements::checked(&url, SCHEMA).await.with_the_kits().await;
    let mut reads = statements.reads().await;
    // A user has more of them here than there may be.
    let unlimited = "alter table orders.webhooks disable trigger ten_webhooks_at_most";
    sqlx::raw_sql(unlimited).execute(&superuser).await.expect("a superuser may do that");
    for rows in [A_FEW, MANY] {
        sqlx::query(include_str!("plans.sql")).bind(rows).execute(&superuser).await.expect("the tables are filled");
        sqlx::raw_sql("analyze").execute(&superuser).await.expect("the planner knows how they are filled");
        reads.extend(statements.reads().await);
    }
    expect_flat_but_for(&[&OF_THE_KIT[..], &[OF_WEBHOOKS]].concat(), &reads);
}
