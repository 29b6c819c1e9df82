//! The tables and the service need not be of the same age.

use std::borrow::Cow;

use clap::Parser;
use orders_service::config::Config;
use orders_service::{MIGRATOR, SCHEMA};
use service_kit::database::prepare;
use service_kit::process::Command;
use service_kit::testing::plans::Statements;
use service_kit::testing::{self, Login};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr};
use tokio_util::sync::CancellationToken;

use crate::helpers::TestApp;

fn config(url: &str) -> Config {
    let arguments = ["orders-service", "--database-url", url, "--amqp-url", "amqp://localhost"];
    Config::parse_from(arguments.into_iter().chain(["--database-durability", "ignored"]))
}

async fn prepared(superuser: &PgPool, login: Login) -> bool {
    let url = testing::url_of(superuser, SCHEMA, login);
    let prepared = prepare(&url, SCHEMA, &MIGRATOR, &config(&url).settings, &CancellationToken::new()).await;
    prepared.expect("the tables fit")
}

#[sqlx::test(migrations = false)]
async fn a_service_waits_until_the_owner_has_made_its_tables(superuser: PgPool) {
    testing::bootstrap(&superuser).await;
    let (is_prepared, _url) =
        tokio::join!(prepared(&superuser, Login::Service), testing::migrate(&superuser, SCHEMA, &MIGRATOR));
    assert!(is_prepared);
    let applied: i64 = sqlx::query_scalar("select max(version) from orders._sqlx_migrations")
        .fetch_one(&superuser)
        .await
        .expect("the tables are there");
    assert_eq!(Some(applied), MIGRATOR.iter().map(|migration| migration.version).max());
}

#[sqlx::test(migrations = false)]
async fn a_service_that_is_told_to_stop_waits_no_longer(superuser: PgPool) {
    testing::bootstrap(&superuser).await;
    let url = testing::url_of(&superuser, SCHEMA, Login::Service);
    let stop = CancellationToken::new();
    stop.cancel();
    let prepared = prepare(&url, SCHEMA, &MIGRATOR, &config(&url).settings, &stop).await;
    assert!(!prepared.expect("no failure"));
}

#[sqlx::test(migrations = false)]
async fn a_service_starts_and_works_on_tables_that_are_newer(superuser: PgPool) {
    let service = TestApp::start(superuser.clone()).await;
    let before = service.placed_order().await;
    let statement = AssertSqlSafe("alter table orders.orders add column later text").into_sql_str();
    let later = Migration::new(999, Cow::Borrowed("later"), MigrationType::Simple, statement, false);
    let migrations: Vec<_> = MIGRATOR.iter().cloned().chain([later]).collect();
    testing::migrate(&superuser, SCHEMA, &Migrator { migrations: migrations.into(), ..Migrator::DEFAULT }).await;

    assert!(prepared(&superuser, Login::Service).await, "it starts");
    assert!(prepared(&superuser, Login::Owner).await, "and so does one that migrates by itself");
    let after = service.placed_order().await;
    for id in [before, after] {
        assert_eq!(service.get_order(id).await["status"], "created");
    }
}

#[sqlx::test(migrations = false)]
async fn migrating_makes_the_months_that_come_next(superuser: PgPool) {
    let _service = TestApp::start(superuser.clone()).await;
    testing::partition(&superuser, SCHEMA, 0).await;
    let months = "select relname::text from pg_class
         where relname ~ '^(orders|order_events)_[0-9]{4}_' and relkind = 'r' order by relname";
    let made: Vec<String> = sqlx::query_scalar(months).fetch_all(&superuser).await.expect("months");
    assert_eq!(made.len(), 2 * 3, "this month and the next two of both tables: {made:?}");
    for late in [&made[2], &made[5]] {
        sqlx::query(AssertSqlSafe(format!("drop table orders.{late}"))).execute(&superuser).await.expect("it goes");
    }

    let mut config = config(&testing::url_of(&superuser, SCHEMA, Login::Owner));
    config.command = Some(Command::Migrate);
    for _ in 0..2 {
        orders_service::run(config.clone(), CancellationToken::new()).await.expect("the tables are up to date");
        let again: Vec<String> = sqlx::query_scalar(months).fetch_all(&superuser).await.expect("months");
        assert_eq!(again, made);
    }
}

#[sqlx::test(migrations = false)]
async fn what_the_last_release_asks_of_the_tables_they_still_answer(superuser: PgPool) {
    TestApp::start(superuser.clone()).await;
    let statements = Statements::released(&testing::url_of(&superuser, SCHEMA, Login::Service), SCHEMA).await;
    assert!(!statements.reads().await.is_empty());
}

#[test]
fn every_migration_leaves_the_program_before_it_working() {
    testing::assert_additive(&MIGRATOR);
}

#[test]
#[should_panic(expected = "breaks the program before it")]
fn a_migration_that_does_not_is_found() {
    let statement = AssertSqlSafe("create table a (); alter table a\n rename column b to c").into_sql_str();
    let breaking = Migration::new(1, Cow::Borrowed("breaking"), MigrationType::Simple, statement, false);
    testing::assert_additive(&Migrator { migrations: vec![breaking].into(), ..Migrator::DEFAULT });
}
