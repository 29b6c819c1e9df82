//! What an operator types: `cargo xtask overview`, `story`, `outbox` and `in-doubt`, on the running system.

use std::process::Command;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{EMPTY_CARD, GOOD_CARD, User};
use crate::polling::eventually;
use crate::reconciliation::{Printed, Reconciliation};
use crate::stack;

#[test]
fn the_story_of_an_order_is_told_across_both_services_in_the_order_of_time() {
    let (_stack, user) = (stack::shared(), User::demo());
    let id = user.place_order();
    assert_eq!(user.pay(&id, EMPTY_CARD).status, 402);
    // The second pay must not overtake the first one's event: both orders of time would be true.
    user.order_becomes(&id, "declined", "declined");
    assert_eq!(user.pay(&id, GOOD_CARD).status, 200);
    user.order_becomes(&id, "delivered", "paid");
    // Events leave the outbox with their receipts.
    let expected = [
        "the order was placed",
        "a payment was held",
        "attempt 1 began",
        "attempt 1: declined",
        "the order: declined",
        "attempt 2 began",
        "attempt 2: approved",
        "the ledger: card_processor",
        "the ledger: revenue",
        "the order: confirmed",
        "the order: delivered",
    ];
    let story = eventually("the whole story is told", || {
        let story = asked(&["story", &id.to_string(), "--json"]);
        let told: Vec<_> = story["entries"].as_array().expect("a list").iter().map(what).collect();
        // What is written by one statement has one time.
        let alike = |entry: &str| {
            if entry.starts_with("the ledger") { "attempt 2: approved".to_owned() } else { entry.to_owned() }
        };
        let (told, expected) = (told.iter().map(|entry| alike(entry)), expected.iter().map(|entry| alike(entry)));
        if told.eq(expected) { Ok(story) } else { Err(format!("{story:#}")) }
    });
    assert_eq!(
        (&story["rows"]["orders"]["status"], &story["rows"]["payments"]["status"]),
        (&"delivered".into(), &"paid".into())
    );
    assert!(story["traceId"].as_str().is_some_and(|trace| trace.len() == 32), "{story:#}");

    let told = xtask(&["story", &id.to_string()]);
    assert!(
        told.success && told.out.contains("attempt 1: declined") && told.out.contains("declineCode=insufficient_funds"),
        "{told:?}"
    );
    let unknown = xtask(&["story", &Uuid::now_v7().to_string()]);
    assert!(!unknown.success && unknown.err.contains("no service knows an order"), "{unknown:?}");
}

#[test]
fn an_operator_sees_how_both_services_stand() {
    let _alone = stack::alone();
    User::demo().place_order();
    let settled = Reconciliation::once_settled();
    assert!(xtask(&["reconcile"]).success);
    let overviews = asked(&["overview", "--json"]);
    let [orders, payments] = [&overviews[0], &overviews[1]];
    assert_eq!((&orders["service"], &payments["service"]), (&"orders".into(), &"payments".into()));
    let last = &payments["lastReconciliation"];
    assert_eq!((&last["differences"], &last["compared"]["orders"]), (&0.into(), &settled.compared["orders"]));
    assert!(xtask(&["overview"]).out.contains("deliveriesOverdue "), "{overviews:#}");

    for outbox in asked(&["outbox", "list", "--json"]).as_array().expect("a list") {
        assert_eq!((&outbox["events"], &outbox["oldest"]), (&0.into(), &Value::Array(Vec::new())));
    }
    let republished = xtask(&["outbox", "republish", "--service", "orders"]);
    assert_eq!(republished.out, "orders: 0 events are to be published again\n");
    let republished = asked(&["outbox", "republish", "--json"]);
    assert_eq!(republished, json!([{"service": "orders", "events": 0}, {"service": "payments", "events": 0}]));
    assert_eq!(xtask(&["in-doubt", "list"]).out, "nothing is in doubt\n");
    assert_eq!(xtask(&["in-doubt", "settle", "--all"]).out, "nothing is in doubt\n");
    assert_eq!(asked(&["in-doubt", "settle", "--all", "--json"]), json!([]));
    let nobody = Uuid::now_v7();
    let nothing = xtask(&["in-doubt", "settle", &nobody.to_string(), "--json"]);
    assert_eq!((&nothing.json()[0]["orderId"], nothing.success), (&nobody.to_string().into(), false), "{nothing:?}");
    let nothing = xtask(&["in-doubt", "settle", &Uuid::now_v7().to_string()]);
    assert!(!nothing.success && nothing.err.contains("Nothing about the payment is in doubt"), "{nothing:?}");
}

fn what(entry: &Value) -> String {
    entry["what"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn asked(arguments: &[&str]) -> Value {
    xtask(arguments).json()
}

#[track_caller]
fn xtask(arguments: &[&str]) -> Printed {
    let mut command = Command::new(stack::xtask());
    let output = command.args(arguments).arg("--dir").arg(stack::dir()).output().expect("xtask can be run");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Printed { success: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}
