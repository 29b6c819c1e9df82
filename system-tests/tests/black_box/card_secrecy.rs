//! What is paid with is known to nobody but the processor: no log has a card.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use uuid::Uuid;

use crate::client::{EMPTY_CARD, GOOD_CARD, SAMPLE_CARD, User, card_details};
use crate::polling::eventually;
use crate::stack;

/// Names and values of a payment body that a log would have if it had the body. A card that is read has a number that
/// is a secret; one that is refused has texts that are easily put into a complaint.
const NEVER_LOGGED: [&str; 10] = [
    GOOD_CARD,
    SAMPLE_CARD,
    EMPTY_CARD,
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "987654321098765432109876",
    "code-of-the-card",
    "end-of-the-card",
    // As JSON, and as JSON within a text.
    "creditCardDetails\":",
    "creditCardDetails\\\":",
];

#[test]
fn no_log_of_any_process_has_a_card() {
    let (_stack, user) = (stack::shared(), User::demo());
    let id = user.place_order();
    let path = format!("/api/payments/pay/{id}");
    for (status, body) in refused_bodies() {
        let answer = user.try_send_text("POST", &path, Some(body.clone()), &[]).expect("an answer");
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        let told = answer.body.to_string();
        assert!(NEVER_LOGGED.iter().all(|secret| !told.contains(secret)), "the answer to {body} repeats it: {told}");
    }
    assert_eq!(user.pay(&id, EMPTY_CARD).status, 402);
    assert_eq!(user.pay(&id, "4242 4242 4242 4242").status, 200);
    assert_eq!(user.pay(&user.place_order(), SAMPLE_CARD).status, 200);
    assert_eq!(user.send("POST", "/api/payments/pay/nothing", &card_details(GOOD_CARD)).status, 404);
    assert_eq!(user.send("POST", "/api/pay", &card_details(GOOD_CARD)).status, 404);
    assert_eq!(user.send("PUT", &path, &card_details(GOOD_CARD)).status, 405);
    assert_eq!(User::nobody().send("POST", &path, &card_details(GOOD_CARD)).status, 401);
    user.order_becomes(&id, "delivered", "paid");

    // The last request is in the log of the gateway, so those before it are in the logs that they belong in.
    let last = Uuid::new_v4().to_string();
    let answer =
        user.try_send_text("POST", &path, Some(card_details(GOOD_CARD).to_string()), &[("X-Request-Id", &last)]);
    answer.expect("an answer").assert_problem(409, "payment_already_paid");
    eventually("the last request is logged by the gateway", || {
        let is_logged = logs().iter().any(|(_, text)| text.contains(&last));
        if is_logged { Ok(()) } else { Err("it is not") }
    });
    for (path, text) in logs() {
        for line in text.lines() {
            let leaked = NEVER_LOGGED.iter().find(|secret| line.contains(**secret));
            assert!(leaked.is_none(), "{} has {leaked:?}: {line}", path.display());
        }
    }
}

/// Bodies with a card that cannot be read or accepted, and how they are answered.
fn refused_bodies() -> Vec<(u16, String)> {
    let changed = |pointer: &str, value: &str| {
        let mut body = card_details(GOOD_CARD);
        *body.pointer_mut(pointer).expect("a field of the card") = value.into();
        body.to_string()
    };
    let mut unknown_field = card_details(GOOD_CARD);
    unknown_field["creditCardDetails"]["4242-4242-4242-4242"] = Value::Null;
    let complete = card_details(GOOD_CARD).to_string();
    vec![
        (400, complete[..complete.len() - 1].to_owned()),
        (422, unknown_field.to_string()),
        (422, changed("/creditCardDetails/number", "987654321098765432109876")),
        (422, changed("/creditCardDetails/cvt", "code-of-the-card")),
        (422, changed("/creditCardDetails/expiry", "end-of-the-card")),
        (422, changed("/creditCardDetails", GOOD_CARD)),
        (413, complete + &" ".repeat(65 * 1024)),
    ]
}

/// Every log below the stack's folder, with its text.
fn logs() -> Vec<(PathBuf, String)> {
    let mut logs = Vec::new();
    collect(&stack::dir(), &mut logs);
    assert!(!logs.is_empty(), "the stack has no logs");
    logs
}

fn collect(folder: &Path, logs: &mut Vec<(PathBuf, String)>) {
    // A folder or file may vanish while the others are read.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, logs);
        } else if path.extension().is_some_and(|extension| extension == "log")
            && let Ok(bytes) = fs::read(&path)
        {
            logs.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}
