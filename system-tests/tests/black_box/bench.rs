//! `cargo xtask bench`: that a short run of it measures everything and counts every order. How fast anything was is not
//! looked at.

use std::fs;
use std::process::Command;

use crate::stack;

/// One figure of each kind.
const ROWS: &[&str] = &[
    "pgbench at 1 client",
    "pgbench at 4 clients",
    "pgbench at 16 clients, p99",
    "pgbench at 64 clients",
    "pgbench, best",
    "nginx at 64 connections",
    "create at 1 connection",
    "create at 16 connections, p99",
    "create at 64 connections",
    "create at 256 connections, p50",
    "create at 256 connections, last payment after the last order",
    "orders accepted, best",
    "sagas at 64 connections",
    "sagas, best",
    "create at half load, p99",
    "from 201 to the visible payment, p99",
    "from paid to the confirmed order, p99",
    "order lookup at 64 connections, hardly any orders",
    "order lookup at half load, 10 thousand orders, p99",
    "page of 20 orders at 64 connections, 10 thousand orders",
    "create at 64 connections, 10 thousand orders",
    "CPU per placed order, postgres",
    "CPU per placed order, load generator",
    "CPU per saga, payments-service",
    "tables and indexes per placed order",
    "write-ahead log per saga",
    "orders-service, most memory resident",
    "payments-service, start to ready",
];

#[test]
fn a_quick_run_measures_everything_and_counts_every_order() {
    let _alone = stack::alone();
    let dir = stack::dir().with_file_name("bench-test");
    let results = dir.with_extension("md");
    let mut bench = Command::new(stack::xtask());
    bench.args(["bench", "--quick", "--binaries"]).arg(stack::binaries());
    let output = bench.arg("--dir").arg(&dir).arg("--results").arg(&results).output().expect("xtask can be run");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let results = fs::read_to_string(results).expect("the results are written");
    for row in ROWS {
        assert!(results.contains(&format!("\n| {row} | ")), "nothing is told of {row}:\n{results}");
    }
    assert!(results.contains(", 1 replica, foretold | "), "nothing is told of cores and replicas:\n{results}");
    assert_every_order_is_counted(&results);
}

/// Every kind of load has left an order and a payment for each 201, and a confirmed order for each pay.
fn assert_every_order_is_counted(results: &str) {
    let (_, counted) = results.split_once("## Every order counted").expect("the counts are told");
    let loads: Vec<Vec<&str>> =
        counted.lines().filter(|line| line.ends_with(" |")).skip(1).map(|line| line.split('|').collect()).collect();
    assert!(loads.len() > 10, "too few kinds of load:\n{counted}");
    for load in loads {
        let count = |column: usize| load[column].trim().parse::<u64>().expect("a count");
        let (accepted, orders, payments, paid, confirmed) = (count(2), count(3), count(4), count(5), count(6));
        assert!(accepted > 0 && accepted <= orders && orders == payments && paid <= confirmed, "{load:?}");
        assert_eq!(load[9].trim(), "yes", "{load:?}");
    }
}
