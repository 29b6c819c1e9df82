//! What each login of the bootstrap may do in the database, by trying. What the services need of it is seen by all other
//! tests, since they run with these logins.

use payments_service::{MIGRATOR, SCHEMA, sandbox};
use service_kit::testing::plans::Statements;
use service_kit::testing::{self, Login};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};

static ORDERS: Migrator = sqlx::migrate!("../migrations/orders");

/// Each schema, its migrations and one of its tables.
const SCHEMAS: [(&str, &Migrator, &str); 3] = [
    ("orders", &ORDERS, "orders.orders"),
    (SCHEMA, &MIGRATOR, "payments.payments"),
    (sandbox::SCHEMA, &sandbox::MIGRATOR, "sandbox.charges"),
];

/// What no login of a service may do; `{schema}` and `{table}` are its own.
const NEVER: [&str; 18] = [
    "create table {schema}.planted ()",
    "create function {schema}.planted() returns void language sql as ''",
    "create temporary table planted ()",
    "create schema planted",
    "create role planted",
    "alter table {table} add column planted text",
    "alter table {table} disable trigger all",
    "drop table {table}",
    "truncate {table}",
    "delete from {table}",
    "update {schema}._sqlx_migrations set success = false",
    "insert into {schema}._sqlx_migrations select * from {schema}._sqlx_migrations",
    "set session_replication_role = replica",
    "select rolpassword from pg_authid",
    "select pg_read_file('/etc/passwd')",
    "copy {table} to program 'true'",
    "alter system set ssl = off",
    "set role pg_read_all_data",
];

/// What no login may do to become another, or to make it its own.
const NEVER_TO_ROLES: [&str; 5] = [
    "set role {other}",
    "set session authorization {other}",
    "grant {other} to {itself}",
    "alter role {other} password 'planted'",
    "alter role {itself} superuser",
];

/// And what they may not do to single tables.
const NOT_TO_ROWS: [(&str, &[&str]); 3] = [
    (
        "orders",
        &[
            "update orders.orders set bill = 1",
            "update orders.orders set created_by = 'mallory'",
            "update orders.order_events set cause = ''",
            "delete from orders.order_events",
            "update orders.outbox set data = '{}'",
            "update orders.parked set body = ''",
            "update orders.idempotency_keys set order_id = gen_random_uuid()",
        ],
    ),
    (
        "payments",
        &[
            "update payments.payments set order_id = gen_random_uuid()",
            "update payments.attempts set number = 1",
            "delete from payments.attempts",
            "update payments.ledger set amount = 2 * amount",
            "delete from payments.ledger",
            "truncate payments.ledger",
            "drop trigger ledger_is_append_only on payments.ledger",
            "update payments.outbox set data = '{}'",
            "update payments.parked set body = ''",
            "update payments.idempotency_keys set fingerprint = ''",
        ],
    ),
    ("sandbox", &["update sandbox.charges set amount = 1", "update sandbox.charges set order_id = gen_random_uuid()"]),
];

#[sqlx::test(migrations = false)]
async fn a_login_sees_its_own_schema_and_no_other(superuser: PgPool) {
    migrate(&superuser).await;
    for login in [Login::Owner, Login::Service] {
        for (own_schema, ..) in SCHEMAS {
            let mut connection = connect(&superuser, own_schema, login).await;
            for (schema, _, table) in SCHEMAS {
                let refusal = refusal(&mut connection, &format!("select count(*) from {table}")).await;
                assert_eq!(refusal.is_some(), schema != own_schema, "{login:?} of {own_schema}, {table}: {refusal:?}");
            }
        }
    }
}

#[sqlx::test(migrations = false)]
async fn a_service_cannot_change_tables_nor_what_is_not_to_be_changed_in_them(superuser: PgPool) {
    migrate(&superuser).await;
    for ((schema, _, table), (_, of_the_schema)) in SCHEMAS.into_iter().zip(NOT_TO_ROWS) {
        let mut connection = connect(&superuser, schema, Login::Service).await;
        for statement in NEVER.iter().chain(of_the_schema) {
            let statement = statement.replace("{schema}", schema).replace("{table}", table);
            let refusal = refusal(&mut connection, &statement).await;
            // insufficient_privilege
            assert_eq!(refusal.as_deref(), Some("42501"), "{schema}: {statement}");
        }
    }
}

#[sqlx::test(migrations = false)]
async fn no_login_becomes_another_role(superuser: PgPool) {
    migrate(&superuser).await;
    let roles = "select rolname::text from pg_roles where rolsuper or rolname ~ '^(orders|payments|sandbox)_'";
    let roles: Vec<String> = sqlx::query_scalar(roles).fetch_all(&superuser).await.expect("the roles are listed");
    assert!(roles.len() >= 7, "{roles:?}");
    for (schema, ..) in SCHEMAS {
        for login in [Login::Owner, Login::Service] {
            let mut connection = connect(&superuser, schema, login).await;
            let itself: String =
                sqlx::query_scalar("select current_user::text").fetch_one(&mut connection).await.expect("a name");
            for (other, statement) in
                roles.iter().filter(|role| **role != itself).flat_map(|role| NEVER_TO_ROLES.map(|to| (role, to)))
            {
                let statement = statement.replace("{other}", other).replace("{itself}", &itself);
                let refusal = refusal(&mut connection, &statement).await;
                // insufficient_privilege
                assert_eq!(refusal.as_deref(), Some("42501"), "{itself}: {statement}");
            }
        }
    }
}

#[sqlx::test(migrations = false)]
async fn a_schema_that_a_service_owned_itself_passes_to_its_owner_while_the_service_goes_on(superuser: PgPool) {
    testing::bootstrap(&superuser).await;
    let as_it_was = "alter schema payments owner to payments_service;
        create table payments.older (id integer); alter table payments.older owner to payments_service";
    sqlx::raw_sql(as_it_was).execute(&superuser).await.expect("the schema is as it was");
    testing::bootstrap(&superuser).await;
    let mut service = connect(&superuser, SCHEMA, Login::Service).await;
    for (statement, expected) in [
        ("insert into payments.older values (1)", None),
        ("drop table payments.older", Some("42501")),
        ("create table payments.planted ()", Some("42501")),
    ] {
        assert_eq!(refusal(&mut service, statement).await.as_deref(), expected, "{statement}");
    }
    testing::migrate(&superuser, SCHEMA, &MIGRATOR).await;
}

pub async fn migrate(superuser: &PgPool) {
    testing::bootstrap(superuser).await;
    for (schema, migrator, _) in SCHEMAS {
        testing::migrate(superuser, schema, migrator).await;
    }
}

async fn connect(superuser: &PgPool, schema: &str, login: Login) -> PgConnection {
    let options: PgConnectOptions = testing::url_of(superuser, schema, login).parse().expect("a URL");
    options.connect().await.expect("the login is let in")
}

/// The code with which PostgreSQL refuses a statement; `None` if it does not.
async fn refusal(connection: &mut PgConnection, statement: &str) -> Option<String> {
    let tried = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await;
    tried.err().and_then(|problem| Some(problem.as_database_error()?.code()?.into_owned()))
}

#[sqlx::test(migrations = false)]
async fn what_the_last_release_asks_of_the_tables_they_still_answer(superuser: PgPool) {
    migrate(&superuser).await;
    for schema in [SCHEMA, sandbox::SCHEMA] {
        let statements = Statements::released(&testing::url_of(&superuser, schema, Login::Service), schema).await;
        assert!(!statements.reads().await.is_empty(), "{schema}");
    }
}

#[test]
fn every_migration_leaves_the_program_before_it_working() {
    testing::assert_additive(&MIGRATOR);
    testing::assert_additive(&sandbox::MIGRATOR);
}
