//! `cargo xtask chaos`: a short run of it, and that it notices what it is there to notice.

use std::collections::BTreeSet;
use std::process::Command;

use sqlx::{AssertSqlSafe, PgPool, Row};

use crate::differences::Books;
use crate::stack;

const INVARIANTS: &str = include_str!("../../../xtask/src/chaos/invariants.sql");

/// What is done to books of which everything is over, and the invariants that it breaks.
const TAMPERING: &[(&str, &[&str])] = &[
    ("select", &[]),
    (
        "update payments.payments set bill = 1 where status = 'paid'",
        &["orders and payments pair one to one, with equal bill and owner"],
    ),
    (
        "delete from orders.orders where status = 'delivered'; delete from orders.order_events where version = 1",
        &[
            "orders and payments pair one to one, with equal bill and owner",
            "the ledger sums to zero, and its revenue to what was delivered",
        ],
    ),
    (
        "insert into sandbox.charges select gen_random_uuid(), order_id, amount, currency, 'refunded'
         from sandbox.charges where status = 'approved'",
        &["every order is charged at most once"],
    ),
    (
        "update sandbox.charges set status = 'approved'",
        &["charged and not refunded exactly when delivered, and with the bill"],
    ),
    (
        "update sandbox.charges set amount = amount + 1 where status = 'approved'",
        &["charged and not refunded exactly when delivered, and with the bill"],
    ),
    ("update payments.payments set status = 'paid' where status = 'refunded'", &["cancelled orders keep no money"]),
    (
        "update orders.order_events set status = 'cancelled' where status = 'delivered'",
        &["versions go up one by one, and the last is the order's"],
    ),
    (
        "insert into orders.order_events select order_id, 4, 'cancelled', 'cancelled_by_user', at
         from orders.order_events where status = 'delivered';
         update orders.orders set version = 4, status = 'cancelled', cancel_reason = 'user', payment_status = 'refunded'
         where status = 'delivered';
         update sandbox.charges set status = 'refunded';
         update payments.payments set status = 'refunded' where status = 'paid';
         delete from payments.ledger",
        &["the history goes along allowed edges and leaves no final state"],
    ),
    (
        "update orders.order_events set version = version + 1; update orders.orders set version = version + 1",
        &["versions go up one by one, and the last is the order's"],
    ),
    ("update orders.orders set version = version + 1", &["versions go up one by one, and the last is the order's"]),
    (
        "update orders.order_events set at = at - interval '2 s' where status = 'delivered'",
        &["none is delivered early"],
    ),
    (
        "update orders.order_events set at = at + interval '1 hour' where status = 'delivered'",
        &["none is delivered more than 2 s late once all is well"],
    ),
    ("update orders.order_events set at = at - interval '5 s' where cause = 'expired'", &["none expires early"]),
    ("update orders.orders set expires_at = expires_at - interval '10 minutes'", &["none expires early"]),
    (
        "delete from payments.ledger where account = 'revenue'",
        &["the ledger sums to zero, and its revenue to what was delivered"],
    ),
    (
        "delete from payments.ledger where amount < 0 and account = 'card_processor' or amount > 0 and account = 'revenue'",
        &["the ledger sums to zero, and its revenue to what was delivered"],
    ),
    ("insert into payments.parked (queue, body, reason) values ('q', '', 'r')", &["nothing is parked"]),
    (
        "insert into orders.outbox (id, event, order_id, data)
         select gen_random_uuid(), 'payment-create-event', id, '{}' from orders.orders",
        &["the outboxes are empty"],
    ),
    (
        "update payments.payments set status = 'refunding', settle_at = now() where status = 'refunded'",
        &["cancelled orders keep no money", "nothing is left on its way"],
    ),
];

/// The seed is fixed, since a test should fail because of what was changed: this one has every kind of fault within
/// twenty seconds, the wiping of the broker's disk first. Other seeds are for longer runs.
#[test]
fn a_short_run_breaks_no_promise() {
    run("chaos-test", &["--seed", "376", "--minutes", "0.33"]);
}

#[test]
fn no_promise_is_broken_by_failovers_where_tables_are_partitioned() {
    let faults = ["--seed", "1", "--minutes", "0.33", "--faults", "kill,fail-over"];
    let told = run("chaos-failover-test", &[&faults[..], &["--standby", "--partitioned"]].concat());
    assert!(struck("fail-over", &told) > Some(0), "there was no failover: {told}");
}

/// A node loses its disk first; of what follows, that finds nothing to hit which comes while another node is away.
#[test]
fn no_promise_is_broken_by_nodes_of_a_cluster_that_fall_out() {
    let _turn = stack::turn_of_clusters();
    let faults = ["--seed", "12", "--minutes", "0.5", "--faults", "kill,freeze,cut-off,wipe-broker"];
    let told = run("chaos-cluster-test", &[&faults[..], &["--brokers", "3"]].concat());
    assert!(struck("wipe-broker", &told) > Some(0), "no node has lost its disk: {told}");
}

/// How often a fault was there, as a run tells.
fn struck(fault: &str, told: &str) -> Option<u64> {
    told.lines().find_map(|line| line.trim().strip_prefix(fault)?.split_whitespace().next()?.parse().ok())
}

/// What a run tells in which no promise is broken.
#[track_caller]
fn run(name: &str, arguments: &[&str]) -> String {
    let _alone = stack::alone();
    let dir = stack::dir().with_file_name(name);
    let mut chaos = Command::new(stack::xtask());
    chaos.arg("chaos").args(arguments).arg("--binaries").arg(stack::binaries()).arg("--dir").arg(dir);
    let output = chaos.output().expect("xtask can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[sqlx::test(migrations = false)]
async fn each_broken_invariant_is_found(database: PgPool) {
    let _books = Books::new(database.clone()).await;
    for (tampering, expected) in TAMPERING {
        let found = broken_by(&database, tampering).await;
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        assert_eq!(found, *expected, "{tampering}");
    }
}

#[test]
fn every_invariant_has_its_tampering() {
    let covered: BTreeSet<_> = TAMPERING.iter().flat_map(|(_, broken)| broken.iter().copied()).collect();
    let (_, counted) = INVARIANTS.split_once("), looked_at as (").expect("the counts follow the invariants");
    let invariant = |line: &'static str| line.trim().strip_prefix("select ")?.split('\'').nth(1);
    let known = counted.lines().filter(|line| line.trim().starts_with("select ") && line.contains(", '"));
    let known: BTreeSet<_> = known.filter_map(invariant).collect();
    let cut = |name: &'static str| name.split('\'').next();
    assert_eq!(covered.into_iter().filter_map(cut).collect::<BTreeSet<_>>(), known);
}

/// Quiet books, what no guard of the database hinders is done to them, and what is found then.
async fn broken_by(database: &PgPool, tampering: &str) -> Vec<String> {
    let quiet = include_str!("quiet_books.sql");
    let statements = format!(
        "set local session_replication_role = replica;
         truncate orders.orders, orders.order_events, orders.outbox, orders.parked, payments.payments,
             payments.ledger, payments.outbox, payments.parked, sandbox.charges cascade;
         {quiet};
         {tampering};
         set chaos.healed_at = '2026-11-01T12:00:00Z';
         set chaos.delivery_delay = '2 s';
         set chaos.unpaid_expiry = '20 s'"
    );
    let mut connection = database.acquire().await.expect("a connection");
    let written = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *connection).await;
    written.unwrap_or_else(|error| panic!("{tampering}: {error}"));
    let found = sqlx::raw_sql(INVARIANTS).fetch_all(&mut *connection).await.expect("the statement runs");
    let broken = found.iter().filter(|row| row.get::<i64, _>("broken") > 0);
    broken.map(|row| row.get("invariant")).collect()
}
