//! `cargo xtask retire`, run as an operator would, on books that agree.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use service_kit::testing::partition;
use service_kit::testing::plans::{Exception, analyze, expect_flat_but_for, fill, reads_of};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};

use crate::differences::Books;
use crate::stack;

const STATEMENT: &str = include_str!("../../../xtask/src/retire.sql");
const OUTBOX: Exception = Exception {
    statement: "on_its_way",
    read: "on outbox",
    why: "it holds only what has no receipt yet; an index by order would be paid for by every order",
};
/// Fills every table that is looked at.
const FILL: &str = "
    insert into orders.orders (id, created_by, status, payment_status, bill, currency, deliver_at, expires_at)
    select id, 'alice', 'delivered', 'paid', 1, 'USD', now(), now() from n;
    insert into orders.order_events (order_id, version, status, cause) select id, 1, 'confirmed', 'payment_paid' from n;
    insert into orders.outbox (id, event, order_id, data) select id, 'payment-create-event', id, '{}' from n;
    insert into orders.idempotency_keys (scope, fingerprint, order_id) select id::text::bytea, '', id from n;
    insert into payments.payments (id, order_id, created_by, bill, currency, status, attempt_id)
    select id, id, 'alice', 1, 'USD', 'paid', id from n;
    insert into payments.attempts (id, order_id, number, card_brand, card_last4, card_exp_month, card_exp_year)
    select id, id, 1, 'visa', '4242', 12, 2030 from n;
    insert into payments.outbox (id, event, order_id, data) select id, 'payment-processed-event', id, '{}' from n;
    insert into payments.idempotency_keys (scope, fingerprint, attempt_id) select id::text::bytea, '', id from n";
const ORDERS: i32 = 50_000;
const MONTHS: i32 = 12;
/// Of the oldest batch.
const SETTINGS: &str = "set retire.closed_for = '90 days'; set retire.batch = 1000;
    set retire.after = '00000000-0000-0000-0000-000000000000'";

#[sqlx::test(migrations = false)]
async fn closed_orders_go_to_the_archive_and_the_books_still_agree(superuser: PgPool) {
    let books = Books::new(superuser.clone()).await;
    let before = books.after("select", "10s").await;
    assert_eq!(before.kinds(), [""; 0], "{before:?}");

    // One of three that are closed, in batches that are smaller than the books.
    assert_eq!(retire(books.url(), &["--closed-for", "2h"])["retired"], 0, "they have been closed for an hour");
    let report = retire(books.url(), &["--closed-for", "30m", "--batch", "2"]);
    assert_eq!((&report["looked_at"], &report["retired"]), (&7.into(), &3.into()), "{report}");
    let found = books.now("10s");
    assert_eq!(found.kinds(), [""; 0], "{found:?}");
    assert_eq!(found.compared, before.compared, "all of it is compared still");
    assert_eq!(counts(&superuser).await, [4, 3, 4, 3]);
    assert_eq!(retire(books.url(), &["--closed-for", "30m"])["retired"], 0, "what is left is open");
}

#[sqlx::test(migrations = false)]
async fn an_order_waits_for_its_key_to_be_forgotten_and_its_events_to_arrive(superuser: PgPool) {
    let books = Books::new(superuser.clone()).await;
    for reason in [
        "insert into orders.idempotency_keys (scope, fingerprint, order_id, created_at)
         select id::text::bytea, '', id, created_at from orders.orders",
        "insert into payments.idempotency_keys (scope, fingerprint, attempt_id, created_at)
         select id::text::bytea, '', id, now() - interval '1 hour' from payments.attempts",
        "insert into orders.outbox (id, event, order_id, data)
         select gen_random_uuid(), 'payment-cancel-event', id, '{}' from orders.orders",
        "insert into payments.outbox (id, event, order_id, data)
         select gen_random_uuid(), 'payment-processed-event', id, '{}' from orders.orders",
        "update orders.orders set payment_version = payment_version - 1 where status in ('delivered', 'cancelled')",
    ] {
        books.after(reason, "10s").await;
        assert_eq!(retire(books.url(), &["--closed-for", "30m"])["retired"], 0, "{reason}");
        let emptied = "truncate orders.outbox, payments.outbox";
        sqlx::raw_sql(emptied).execute(&superuser).await.expect("the outboxes are emptied");
    }
    books.after("select", "10s").await;
    assert_eq!(retire(books.url(), &["--closed-for", "30m"])["retired"], 3);
}

#[sqlx::test(migrations = false)]
async fn what_is_looked_at_is_found_by_indexes_however_much_there_is(superuser: PgPool) {
    Books::new(superuser.clone()).await;
    fill(&superuser, FILL, ORDERS, MONTHS).await;
    analyze(&superuser).await;
    let mut connection = superuser.acquire().await.expect("a connection");
    execute(&mut connection, SETTINGS).await;
    expect_flat_but_for(&[OUTBOX], &reads_of(&mut connection, statement()).await);
}

#[sqlx::test(migrations = false)]
async fn so_it_is_in_each_of_many_months_and_those_of_others_are_left_alone(superuser: PgPool) {
    Books::new(superuser.clone()).await;
    for schema in ["orders", "payments"] {
        partition(&superuser, schema, MONTHS).await;
    }
    fill(&superuser, FILL, ORDERS, MONTHS).await;
    analyze(&superuser).await;
    let mut connection = superuser.acquire().await.expect("a connection");
    execute(&mut connection, SETTINGS).await;
    execute(&mut connection, "set enable_partition_pruning = off").await;
    expect_flat_but_for(&[OUTBOX], &reads_of(&mut connection, statement()).await);

    execute(&mut connection, "set enable_partition_pruning = on").await;
    let explain = AssertSqlSafe(format!("explain (analyze, format json) {}", statement()));
    let plan: Value = sqlx::raw_sql(explain).fetch_one(&mut *connection).await.expect("a plan").get(0);
    let mut read = BTreeSet::new();
    find_read(&plan[0]["Plan"], &mut read);
    for table in ["order_events", "payments", "attempts"] {
        // The month of the batch and the next one, if it goes over its end, and what is outside of all months.
        let parts = read.iter().filter(|part| part.starts_with(&format!("{table}_"))).count();
        assert!((1..=3).contains(&parts), "{parts} parts of {table} were looked into: {read:?}");
    }
}

/// The tables that were looked into.
fn find_read(node: &Value, read: &mut BTreeSet<String>) {
    if let (Some(table), true) = (node["Relation Name"].as_str(), node["Actual Loops"].as_f64() > Some(0.0)) {
        read.insert(table.to_owned());
    }
    node["Plans"].as_array().into_iter().flatten().for_each(|below| find_read(below, read));
}

fn statement() -> &'static str {
    STATEMENT.trim_end().trim_end_matches(';')
}

/// Orders and payments, where the services see them and in the archive.
async fn counts(superuser: &PgPool) -> [i64; 4] {
    let counts = "select array[(select count(*) from orders.orders), (select count(*) from orders.archived_orders),
        (select count(*) from payments.payments), (select count(*) from payments.archived_payments)]";
    let counts: Vec<i64> = sqlx::query_scalar(counts).fetch_one(superuser).await.expect("counts");
    counts.try_into().expect("four counts")
}

#[track_caller]
fn retire(database: &str, arguments: &[&str]) -> Value {
    let mut command = Command::new(stack::xtask());
    command.args(["retire", "--json", "--database-url", database]).args(arguments);
    let output = command.output().expect("xtask can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

async fn execute(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await.expect("it can be done");
}
