//! `cargo xtask parked`, run on the running system as an operator would.

use std::process::Command;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker;
use crate::client::User;
use crate::database;
use crate::polling::eventually;
use crate::reconciliation::Printed;
use crate::stack::{self, Stack};

pub const QUEUE: &str = "payment-create-event";

#[test]
fn parked_messages_are_listed_shown_replayed_and_discarded() {
    let _alone = stack::alone();
    Stack::once_all_run();
    assert_eq!(xtask(&["list"]).out, "nothing is parked\n");
    assert_eq!(xtask(&["replay", "--all"]).out, "nothing is parked\n");

    broker::publish(QUEUE, "nonsense");
    let nonsense = listed_alone();
    let list = xtask(&["list", "--service", "payments"]).out;
    assert!(list.starts_with("ID ") && list.contains(&nonsense) && list.contains("malformed: "), "{list}");
    assert_eq!(xtask(&["list", "--service", "orders"]).out, "nothing is parked\n");
    let shown = xtask(&["show", &nonsense]).out;
    assert!(
        shown.contains(&format!("queue       {QUEUE}\n")) && shown.ends_with("8 bytes, text\n\nnonsense\n"),
        "{shown}"
    );

    let shown = xtask(&["show", &nonsense, "--json"]).json();
    assert_eq!((&shown["id"], &shown["body"]), (&json!(nonsense), &json!("nonsense")), "{shown}");

    let replayed = xtask(&["replay", &nonsense]);
    let again = listed_alone();
    let expected = format!("{nonsense} still cannot be applied and is parked again as {again}: malformed: ");
    assert!(!replayed.success && replayed.out.starts_with(&expected), "{replayed:?}");
    let gone = xtask(&["show", &nonsense]);
    assert!(
        !gone.success && gone.err.starts_with(&format!("error: there is no parked message {nonsense}: ")),
        "{gone:?}"
    );

    let replayed = xtask(&["replay", &again, "--json"]);
    let deeds = replayed.json();
    let (before, again) = (again, listed_alone());
    assert!(!replayed.success, "{replayed:?}");
    assert_eq!(
        (&deeds[0]["id"], &deeds[0]["outcome"], &deeds[0]["parkedAs"]),
        (&json!(before), &json!("parked_again"), &json!(again)),
        "{deeds}"
    );

    let discarded = xtask(&["discard", &again, "orders/999999"]);
    assert!(!discarded.success && discarded.out == format!("{again} is discarded\n"), "{discarded:?}");
    assert!(discarded.err.contains("there is no parked message orders/999999"), "{discarded:?}");
    assert_eq!(xtask(&["list", "--json"]).out, "[]\n");
    let unknown = xtask(&["discard", "orders/999999", "--json"]);
    let deed = &unknown.json()[0];
    assert!(!unknown.success && deed["id"] == "orders/999999" && deed["outcome"] == "failed", "{unknown:?}");
}

#[test]
fn an_order_whose_event_was_given_up_goes_on_after_a_replay() {
    let _alone = stack::alone();
    Stack::once_all_run();
    let (id, user) = (Uuid::now_v7(), User::demo());
    give_up_event_of(id);
    let parked = listed_alone();
    assert!(xtask(&["show", &parked]).out.contains(&format!("\"subject\": \"{id}\"")));

    let replayed = xtask(&["replay", "--all"]);
    assert!(replayed.success && replayed.out == format!("{parked} is applied\n"), "{replayed:?}");
    assert_eq!(user.pay(&id, crate::client::GOOD_CARD).status, 200);
    user.order_becomes(&id, "delivered", "paid");
    assert_eq!(xtask(&["list"]).out, "nothing is parked\n");
}

#[test]
fn an_operator_is_told_what_is_wrong() {
    let (_stack, dir) = (stack::shared(), std::env::temp_dir().join(format!("no-stack-{}", Uuid::new_v4())));
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(stack::xtask());
        printed(command.arg("parked").args(arguments).envs(variables.iter().copied()))
    };
    let folder = dir.to_str().expect("a path in UTF-8");
    let nothing = run(&["list", "--dir", folder], &[]);
    assert!(!nothing.success && nothing.err.starts_with("error: nothing runs in "), "{nothing:?}");
    std::fs::remove_dir_all(&dir).expect("the folder was created and can be removed");

    let of_stack = stack::dir();
    let of_stack = of_stack.to_str().expect("a path in UTF-8");
    let stranger = run(&["list", "--dir", of_stack], &[("ADMIN_TOKEN", "another-admin-token")]);
    assert!(!stranger.success && stranger.err.contains("has another ADMIN_TOKEN"), "{stranger:?}");
    let file = std::env::temp_dir().join(format!("a-token-{}", Uuid::new_v4()));
    for (token, is_theirs) in [("admin-demo-token\n", true), ("another-admin-token\n", false)] {
        std::fs::write(&file, token).expect("the file can be written");
        let named = run(&["list", "--dir", of_stack], &[("ADMIN_TOKEN_FILE", file.to_str().expect("a path in UTF-8"))]);
        assert_eq!(named.success, is_theirs, "{named:?}");
    }
    std::fs::remove_file(&file).expect("the file can be removed");
    let unnamed = run(&["show", "17", "--dir", of_stack], &[]);
    assert!(!unnamed.success && unnamed.err.contains("like orders/17"), "{unnamed:?}");
    assert!(!run(&["discard", "--dir", of_stack], &[]).success, "what to discard has to be said");
}

/// The name of the one message that is parked, now or soon.
#[track_caller]
fn listed_alone() -> String {
    eventually("one message is parked", || {
        let listed = xtask(&["list", "--json"]).out;
        let parked: Vec<Value> = serde_json::from_str(&listed).map_err(|error| format!("{error}: {listed}"))?;
        match parked.as_slice() {
            [one] => Ok(one["id"].as_str().expect("an id").to_owned()),
            _ => Err(listed),
        }
    })
}

#[track_caller]
fn xtask(arguments: &[&str]) -> Printed {
    printed(Command::new(stack::xtask()).arg("parked").args(arguments).arg("--dir").arg(stack::dir()))
}

#[track_caller]
fn printed(command: &mut Command) -> Printed {
    let output = command.output().expect("xtask can be run");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
    Printed { success: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

/// There is such an order then, and its event was given up.
pub fn give_up_event_of(id: Uuid) {
    let statement = format!(
        "insert into orders.orders (id, created_by, status, bill, currency, expires_at)
         values ('{id}', 'somerandomuserid', 'created', 62243, 'USD', now() + interval '1 day')"
    );
    database::execute(&Stack::now().postgres, &statement);
    broker::publish(&format!("{QUEUE}.dead"), &create_event(id));
}

/// What the orders service would send of an order of the demo user.
pub fn create_event(id: Uuid) -> String {
    json!({
        "specversion": "1.0",
        "id": Uuid::now_v7(),
        "source": "/tests",
        "type": QUEUE,
        "subject": id,
        "time": "2026-01-01T10:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": format!("/schemas/{QUEUE}/1"),
        "data": {"orderId": id, "createdBy": "somerandomuserid", "bill": 62243, "currency": "USD"},
    })
    .to_string()
}
