//! A system that is lost with all its disks, and restored from its archive on an empty folder, with an empty broker.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::client::{EMPTY_CARD, GOOD_CARD, User};
use crate::database::{self, Books};
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::reconciliation::Reconciliation;
use crate::stack;

#[test]
fn a_lost_system_comes_back_as_it_was_at_the_moment_that_is_asked_for() {
    let archive = Path::new("/var/tmp").join(format!("order-processing-archive-{}", Uuid::new_v4()));
    let folder = archive.to_str().expect("a path");
    let lost = OwnStack::start_with("lost-stack", 1, &[("STACK_ARCHIVE", folder)]);
    let postgres = lost.now().postgres;
    let user = User::demo().at(&lost.now().gateway);
    let load = Uuid::new_v4();
    let place = |number: usize| {
        let order = json!({"bill": 62243, "reference": format!("{load} {number}")});
        user.send("POST", "/api/orders", &order).id().expect("an order has an id")
    };

    let before: Vec<_> = (0..5).map(place).collect();
    xtask(&["backup", "--dir", OwnStack::folder("lost-stack").to_str().expect("a path")]);
    let after: Vec<_> = (5..10).map(place).collect();
    let paid = [before[0], after[0]];
    for order in &paid {
        assert_eq!(user.pay(order, GOOD_CARD).status, 200);
    }
    assert_eq!(user.pay(&after[1], EMPTY_CARD).status, 402);
    assert_eq!(user.cancel(&before[1]).status, 200);
    // Some of this is on its way still: as far as the database has it, it will arrive.
    let moment = moment_after(&postgres);
    database::execute(&postgres, "delete from orders.order_events; update orders.orders set bill = 1");
    let too_late = place(10);
    drop(lost);
    OwnStack::erase("lost-stack");

    OwnStack::erase("restored-stack");
    let dir = OwnStack::folder("restored-stack");
    let dir = dir.to_str().expect("a path");
    xtask(&["restore", "--archive", folder, "--dir", dir, "--time", &moment]);
    let restored = OwnStack::resume("restored-stack");
    let found = Reconciliation::once_settled_in(&restored.now().postgres);
    assert_eq!(found.compared["orders"], 10, "{found:?}");
    let books = Books::new(&restored.now().postgres, load);
    books.have_once(&[before.clone(), after.clone()].concat());
    books.have_delivered(&paid);
    let user = User::demo().at(&restored.now().gateway);
    assert_eq!(user.get(&format!("/api/orders/{too_late}")).status, 404);
    // It is a system like any other.
    assert_eq!(user.pay(&after[2], GOOD_CARD).status, 200);
    Reconciliation::once_settled_in(&restored.now().postgres);
    drop(restored);
    OwnStack::erase("restored-stack");
    fs::remove_dir_all(archive).expect("the archive is removed");
}

#[test]
fn what_was_answered_before_and_after_a_failover_is_restored_from_one_archive() {
    let archive = Path::new("/var/tmp").join(format!("order-processing-archive-{}", Uuid::new_v4()));
    let folder = archive.to_str().expect("a path");
    let name = "archived-failover-stack";
    let lost = OwnStack::start_from(name, &["--fresh", "--standby", "--archive", folder], &[]);
    let dir = lost.dir().to_str().expect("a path").to_owned();
    let user = User::demo().at(&lost.now().gateway);
    xtask(&["partition", "--dir", &dir]);
    xtask(&["backup", "--dir", &dir]);
    let before = user.place_order();
    lost.now().process("postgres").kill();
    xtask(&["promote", "--dir", &dir]);
    let after = eventually("an order is placed", || {
        let answer = user.send("POST", "/api/orders", &json!({"bill": 62243}));
        answer.id().filter(|_| answer.status == 201).ok_or_else(|| format!("{answer:?}"))
    });
    let moment = moment_after(&lost.once_all_run().postgres);
    let too_late = user.place_order();
    drop(lost);
    OwnStack::erase(name);

    let name = "restored-failover-stack";
    OwnStack::erase(name);
    let dir = OwnStack::folder(name);
    xtask(&["restore", "--archive", folder, "--dir", dir.to_str().expect("a path"), "--time", &moment]);
    let restored = OwnStack::resume(name);
    let user = User::demo().at(&restored.now().gateway);
    for (order, status) in [(before, 200), (after, 200), (too_late, 404)] {
        assert_eq!(user.get(&format!("/api/orders/{order}")).status, status, "{order}");
    }
    Reconciliation::once_settled_in(&restored.now().postgres);
    drop(restored);
    OwnStack::erase(name);
    fs::remove_dir_all(archive).expect("the archive is removed");
}

/// The beginning of a second, by the database's clock, before which everything was written that has been answered.
pub fn moment_after(postgres: &str) -> String {
    let now = || database::text(postgres, "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let begun = now();
    loop {
        thread::sleep(Duration::from_millis(50));
        let next = now();
        if next != begun {
            return next;
        }
    }
}

#[track_caller]
fn xtask(arguments: &[&str]) {
    let output = Command::new(stack::xtask()).args(arguments).output().expect("xtask can be run");
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{arguments:?}: {told:?}");
}
