//! `cargo xtask soak`: that a short run of it follows everything and loses nothing. What grows is not looked at: a few seconds
//! do not tell.

use std::fs;
use std::process::Command;

use crate::stack;

/// One curve of each chart.
const CURVES: &[&str] = &[
    "orders.outbox",
    "payments.payments",
    "payments.idempotency_keys",
    "parked",
    "postgres",
    "payments-service",
    "create p50",
    "cancel p99",
    "payments.ledger",
];

#[test]
fn a_short_run_follows_everything_and_does_not_call_it_flat() {
    let _alone = stack::alone();
    let dir = stack::dir().with_file_name("soak-test");
    let mut soak = Command::new(stack::xtask());
    soak.args(["soak", "--minutes", "0.15", "--binaries"]).arg(stack::binaries()).arg("--dir").arg(&dir);
    let output = soak.output().expect("xtask can be run");
    let told = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !told.contains("  flat "), "{told}{complaints}");
    let picture = fs::read_to_string(dir.join("soak.svg")).expect("the picture is drawn");
    for curve in CURVES {
        assert!(told.contains(&format!("  {curve} ")), "nothing is told of {curve}:\n{told}{complaints}");
        assert!(picture.contains(&format!("{curve}: ")), "nothing is drawn of {curve}");
    }
    let (_, counted) = told.split_once(" orders accepted, ").expect("orders are counted");
    assert!(!told.contains("\n0 orders accepted"), "{told}");
    assert!(counted.contains("\n0 differences between the books, 0 "), "{told}");
}
