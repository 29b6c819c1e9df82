//! `cargo xtask demo`, which kills a service and has to come out with books that agree.

use std::process::Command;

use crate::stack::{self, Stack};

#[test]
fn the_demo_ends_with_every_order_settled() {
    let _alone = stack::alone();
    let before = Stack::once_all_run().process("payments-service").restarts;
    let mut demo = Command::new(stack::xtask());
    let output = demo.args(["demo", "--pace", "20ms", "--dir"]).arg(stack::dir()).output().expect("xtask can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 declined, 11 delivered, 2 refunded") && text.ends_with("0 differences\n"), "{text}");
    assert_eq!(Stack::once_all_run().process("payments-service").restarts, before + 1);
}
