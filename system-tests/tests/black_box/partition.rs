//! `cargo xtask partition`, run as an operator would: while customers are served, and months later.

use std::process::Command;

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};

use crate::customers::Customers;
use crate::database;
use crate::differences::Books;
use crate::own_stack::OwnStack;
use crate::stack::{self, Stack};

const CLIENTS: usize = 8;
/// The tables that are partitioned, and how many partitions each has.
const PARTITIONS: &str =
    "select string_agg(inhparent::regclass || ' ' || count, ', ' order by inhparent::regclass::text)
     from (select inhparent, count(*) from pg_inherits join pg_class on pg_class.oid = inhparent and relkind = 'p'
           group by inhparent) as parents";
const THREE_OF_EACH: &str =
    "orders.order_events 3, orders.orders 3, payments.attempts 3, payments.ledger 3, payments.payments 3";

#[test]
fn tables_are_partitioned_while_customers_are_served_and_the_books_agree() {
    let stack = OwnStack::start("partitioned-stack", 2);
    let Stack { gateway, postgres, .. } = stack.now();
    let customers = Customers::begin(&gateway, CLIENTS);
    customers.go_on();
    partition(&postgres, &[]);
    customers.go_on();
    // What is there already stays as it is.
    partition(&postgres, &[]);
    customers.go_on();
    customers.finish(&postgres);
    // Nobody begins with a month that begins within a day.
    let partitions = database::text(&postgres, PARTITIONS);
    assert!([THREE_OF_EACH, &THREE_OF_EACH.replace('3', "2")].contains(&&*partitions), "{partitions}");
    let elsewhere = "select count(*)::text from orders.orders where tableoid <> 'orders.orders_default'::regclass";
    assert_eq!(database::text(&postgres, elsewhere), "0", "what was there stays where it is");
}

#[sqlx::test(migrations = false)]
async fn a_month_of_which_nothing_is_left_is_dropped_and_no_other(superuser: PgPool) {
    let books = Books::new(superuser.clone()).await;
    let [older, old]: [String; 2] = [3, 2].map(|ago| format!("to_char(now() - interval '{ago} months', 'YYYY_MM')"));
    let names = format!("select {older} || ' ' || {old}");
    let names: String = sqlx::query_scalar(AssertSqlSafe(names)).fetch_one(&superuser).await.expect("two months");
    let (older, old) = names.split_once(' ').expect("two names");
    partition(books.url(), &["--first", &older.replace('_', "-")]);
    partition(books.url(), &[]);

    // An order of the older month is open; what is closed has ids that tell no time.
    let placed = format!(
        "create temporary table placed as
             select split_part(pg_get_expr(relpartbound, oid), '''', 2)::uuid as id
             from pg_class where oid = 'orders.orders_{older}'::regclass;
         insert into orders.orders (id, created_by, bill, currency, expires_at)
         select id, 'alice', 100, 'USD', now() from placed;
         insert into payments.payments (id, order_id, created_by, bill, currency, status)
         select id, id, 'alice', 100, 'USD', 'pending' from placed"
    );
    let before = books.after(&placed, "10s").await;
    assert_eq!(before.kinds(), [""; 0], "{before:?}");

    let dropped = retire(books.url());
    let gone = ["order_events", "orders", "attempts", "payments"].map(|table| format!("{table}_{old}"));
    let is_old = |name: &&Value| name.as_str().is_some_and(|name| name.ends_with(old));
    assert_eq!(dropped.iter().filter(is_old).collect::<Vec<_>>(), gone.each_ref(), "{dropped:?}");
    assert!(dropped.iter().all(|name| !name.as_str().unwrap_or_default().ends_with(older)), "{dropped:?}");
    let found = books.now("10s");
    assert_eq!((found.kinds(), &found.compared), (vec![""; 0], &before.compared), "all of it is compared still");
    let kept = format!("select count(*) from payments.ledger_{old}");
    assert_eq!(sqlx::query_scalar::<_, i64>(AssertSqlSafe(kept)).fetch_one(&superuser).await.expect("the ledger's"), 0);
}

#[track_caller]
fn partition(database: &str, arguments: &[&str]) {
    let mut command = Command::new(stack::xtask());
    let output = command.args(["partition", "--database-url", database]).args(arguments).output();
    let output = output.expect("xtask can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What was dropped.
#[track_caller]
fn retire(database: &str) -> Vec<Value> {
    let arguments = ["retire", "--json", "--closed-for", "30m", "--database-url", database];
    let output = Command::new(stack::xtask()).args(arguments).output().expect("xtask can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    report["dropped"].as_array().expect("a list").clone()
}
