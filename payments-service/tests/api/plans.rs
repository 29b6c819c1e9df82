//! What every statement costs however many rows there are, those of the sandbox too.

use payments_service::{SCHEMA, sandbox};
use service_kit::testing::plans::{Exception, OF_THE_KIT, Statements, expect_flat_but_for};
use service_kit::testing::{Login, url_of};
use sqlx::PgPool;

use crate::helpers::TestApp;

/// The fewest that PostgreSQL gathers statistics of by itself: where the planner is most inclined to read a whole table.
const A_FEW: i32 = 50;
const MANY: i32 = 50_000;

const TOMBSTONES: Exception = Exception {
    statement: "with entombed as (",
    read: "using payments_by_owner_and_time",
    why: "it reads the payments without an owner: the few that wait for a create which their cancel has overtaken",
};

#[sqlx::test(migrations = false)]
async fn every_statement_finds_its_rows_by_an_index_however_many_there_are(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let url = url_of(&superuser, SCHEMA, Login::Service);
    let book_url = url_of(&superuser, sandbox::SCHEMA, Login::Service);
    let ours = Statements::checked(&url, SCHEMA).await.with_the_kits().await;
    let of_the_sandbox = Statements::checked(&book_url, sandbox::SCHEMA).await;
    let mut reads = ours.reads().await;
    reads.extend(of_the_sandbox.reads().await);
    for rows in [A_FEW, MANY] {
        sqlx::query(include_str!("plans.sql")).bind(rows).execute(&superuser).await.expect("the tables are filled");
        sqlx::raw_sql("analyze").execute(&superuser).await.expect("the planner knows how they are filled");
        reads.extend(ours.reads().await);
        reads.extend(of_the_sandbox.reads().await);
    }
    expect_flat_but_for(&[&OF_THE_KIT[..], &[TOMBSTONES]].concat(), &reads);
}
