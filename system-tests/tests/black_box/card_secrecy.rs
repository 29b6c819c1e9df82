//! What is paid with is known to nobody but the processor: nothing that the system keeps has a card.
//!
//! Cards are used up in every way: charged, declined, in doubt, refunded, refused. Then everything is searched: each log,
//! each row of each table, each message of each queue and a copy of every event, and the files of PostgreSQL, RabbitMQ
//! and nginx as they are on the disk, where rows and messages that were deleted long ago can still be seen.
//!
//! So are the tokens, keys and passwords that the system runs with. Passwords are looked for in logs only: what hands them
//! to PostgreSQL and RabbitMQ has them in files of its own.
//!
//! Numbers are looked for everywhere. A security code has four digits, which occur anywhere by chance: it counts only
//! where there is text (logs, rows, messages), as a word of its own, and if the three codes that went the same way are
//! all in the same place. In files of other kinds a code would have to be seen by the name that it has in a body.
//!
//! So that a search in the wrong place fails, a number and a code that are nobody's are planted where things are kept,
//! and the same search has to find them there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker::{Copies, read_messages};
use crate::client::{GOOD_CARD, SAMPLE_CARD, User, card_details};
use crate::polling::eventually;
use crate::secrets::{Search, Secret};
use crate::stack;
use crate::storage::{flush_database, read_files, read_rows};
use crate::tokens;

/// A card, three codes that it is paid with, and what comes of it.
struct Way {
    card: &'static str,
    codes: [&'static str; 3],
    expiry: &'static str,
    status: u16,
    payment_becomes: &'static str,
}

const WAYS: [Way; 6] = [
    Way {
        card: "4539578763621486",
        codes: ["8264", "3917", "6058"],
        expiry: "12/2099",
        status: 200,
        payment_becomes: "paid",
    },
    Way {
        card: "4000000000009987",
        codes: ["7182", "4693", "9570"],
        expiry: "12/2099",
        status: 402,
        payment_becomes: "declined",
    },
    // In doubt: charged, and not charged.
    Way {
        card: "4000000000006108",
        codes: ["5829", "1746", "8403"],
        expiry: "12/2099",
        status: 202,
        payment_becomes: "paid",
    },
    Way {
        card: "4000000000006207",
        codes: ["6391", "2857", "7604"],
        expiry: "12/2099",
        status: 202,
        payment_becomes: "pending",
    },
    // Its first refund fails.
    Way {
        card: "4000000000006405",
        codes: ["9148", "3562", "4079"],
        expiry: "12/2099",
        status: 200,
        payment_becomes: "refunded",
    },
    // Refused, for the expiry.
    Way {
        card: "6011773902158464",
        codes: ["2683", "5917", "8340"],
        expiry: "13/2099",
        status: 422,
        payment_becomes: "pending",
    },
];

/// Names and values of a payment body that something would have if it had the body. A card that is read has a number
/// that is a secret; one that is refused has texts that are easily put into a complaint.
const TEXTS: [&str; 9] = [
    "987654321098765432109876",
    "code-of-the-card",
    "end-of-the-card",
    // As JSON, as JSON within a text, as a struct, and as the keys of a jsonb.
    "creditCardDetails\":",
    "creditCardDetails\\\":",
    "\"cvt\":",
    "\\\"cvt\\\":",
    "cvt: \"",
    "cvtexpirynumber",
];

const PLANTED_NUMBER: &str = "4916840273951164";
const PLANTED_CODE: &str = "7463";

#[test]
fn nothing_that_the_system_keeps_has_a_card_or_a_secret() {
    let (_stack, user, copies) = (stack::shared(), User::demo(), Copies::begin());
    let orders = pay_in_every_way(&user);
    send_what_is_refused(&user);
    tokens::show_where_they_are_refused(&user);
    let signing = tokens::of_a_webhook();
    let planted_order = plant(&user, &copies).to_string();
    flush_database();

    let planted = [Secret::Number(PLANTED_NUMBER), Secret::Text(&planted_order)];
    let numbers = WAYS.iter().map(|way| way.card).chain([GOOD_CARD, SAMPLE_CARD]).map(Secret::Number);
    let tokens = tokens::TOKENS_AND_KEYS.into_iter().chain(signing.iter().map(String::as_str)).map(Secret::Text);
    let texts = TEXTS.into_iter().map(Secret::Text).chain(tokens);
    let secrets: Vec<_> = planted.into_iter().chain(numbers).chain(texts).collect();
    let codes: Vec<_> = WAYS.iter().flat_map(|way| way.codes).chain([PLANTED_CODE]).map(Secret::Code).collect();
    let of_servers = tokens::passwords_of_servers();
    let passwords = tokens::PASSWORDS.into_iter().chain(of_servers.iter().map(String::as_str)).map(Secret::Text);
    let everywhere = || secrets.iter().copied();
    let searches = Searches {
        logs: Search::new(everywhere().chain(codes.iter().copied()).chain(passwords)),
        text: Search::new(everywhere().chain(codes.iter().copied())),
        bytes: Search::new(everywhere()),
    };
    let finds = eventually("what was planted is found wherever it has to be", || {
        let finds = Finds::of(&searches);
        let missing = finds.missing(&planted_order);
        if missing.is_empty() { Ok(finds) } else { Err(format!("{missing:?} in {finds:#?}")) }
    });
    let copied = copies.read();
    copies.end();
    for order in orders {
        assert!(copied.iter().any(|event| event.contains(&order.to_string())), "no event of {order} was searched");
    }
    let leaks = finds.leaks(&planted_order);
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// Pays three orders in each way and waits until they are settled.
fn pay_in_every_way(user: &User) -> Vec<Uuid> {
    let mut ends = Vec::new();
    for way in &WAYS {
        // However it is typed.
        for (code, separator) in way.codes.iter().zip(["", " ", "-"]) {
            let order = user.place_order();
            // With a key, so that what is kept of repeatable requests is searched too.
            let (body, key) = (way.body(code, separator).to_string(), [("Idempotency-Key", "a-key")]);
            let answer = user.try_send_text("POST", &path_to_pay(&order), Some(body), &key).expect("an answer");
            assert_eq!(answer.status, way.status, "{}: {answer:?}", way.card);
            if way.payment_becomes == "refunded" {
                assert_eq!(user.cancel(&order).status, 200);
            }
            ends.push((order, way.payment_becomes));
        }
    }
    for (order, status) in &ends {
        user.payment_becomes(order, status);
    }
    ends.into_iter().map(|(order, _)| order).collect()
}

impl Way {
    fn body(&self, code: &str, separator: &str) -> Value {
        let groups: Vec<_> = self.card.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        json!({"creditCardDetails": {"number": groups.join(separator), "cvt": code, "expiry": self.expiry}})
    }
}

/// Sends cards that no answer repeats, to where they are not accepted.
fn send_what_is_refused(user: &User) {
    let id = user.place_order();
    let path = path_to_pay(&id);
    for (status, body) in refused_bodies() {
        let answer = user.try_send_text("POST", &path, Some(body.clone()), &[]).expect("an answer");
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        let told = answer.body.to_string();
        let is_told = [GOOD_CARD, "4242-4242-4242-4242"].iter().chain(&TEXTS[..3]).any(|secret| told.contains(secret));
        assert!(!is_told, "the answer to {body} repeats it: {told}");
    }
    assert_eq!(user.pay(&id, SAMPLE_CARD).status, 200);
    assert_eq!(user.pay(&id, GOOD_CARD).status, 409);
    assert_eq!(user.send("POST", "/api/payments/pay/nothing", &card_details(GOOD_CARD)).status, 404);
    assert_eq!(user.send("POST", "/api/pay", &card_details(GOOD_CARD)).status, 404);
    assert_eq!(user.send("PUT", &path, &card_details(GOOD_CARD)).status, 405);
    assert_eq!(User::nobody().send("POST", &path, &card_details(GOOD_CARD)).status, 401);
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

fn path_to_pay(order: &Uuid) -> String {
    format!("/api/payments/pay/{order}")
}

/// Puts the planted number and code into a row, a message and a log; answers an order that was paid, whose id is to be
/// found wherever something is kept of an order.
fn plant(user: &User, copies: &Copies) -> Uuid {
    let planted = format!("{PLANTED_NUMBER} {PLANTED_CODE}");
    let answer = user.send("POST", "/api/orders", &json!({"bill": 62243, "reference": planted}));
    let order = answer.id().expect("the order is accepted");
    assert_eq!(user.pay(&order, GOOD_CARD).status, 200);
    user.order_becomes(&order, "delivered", "paid");
    copies.add(&planted);
    let path = format!("/api/orders/{PLANTED_NUMBER}/{PLANTED_CODE}");
    user.get(&path).assert_problem(404, "route_not_found");
    order
}

/// What to look for, by the kind of place.
struct Searches<'a> {
    logs: Search<'a>,
    text: Search<'a>,
    bytes: Search<'a>,
}

/// What was found, by the place where it was.
#[derive(Debug, Default)]
struct Finds<'a>(BTreeMap<String, BTreeSet<&'a str>>);

impl<'a> Finds<'a> {
    fn of(searches: &Searches<'a>) -> Self {
        let mut finds = Self::default();
        let mut read = |place: &str, bytes: &[u8]| {
            let is_log = Path::new(place).extension().is_some_and(|extension| extension == "log");
            let search = match place.strip_prefix('/') {
                Some(_) if is_log => &searches.logs,
                Some(_) => &searches.bytes,
                None => &searches.text,
            };
            finds.0.entry(place.to_owned()).or_default().extend(search.find(bytes));
        };
        read_files(&mut read);
        read_rows(&mut read);
        read_messages(&mut read);
        finds
    }

    /// What was planted in a place and has not been found there.
    fn missing<'b>(&self, order: &'b str) -> Vec<(&'static str, &'b str)> {
        let planted: [(&str, &[&'b str]); 19] = [
            ("/log/gateway-access.log", &[PLANTED_NUMBER, PLANTED_CODE, order]),
            ("/log/orders-service.log", &[order]),
            ("/log/payments-service.log", &[order]),
            ("orders.orders", &[PLANTED_NUMBER, PLANTED_CODE, order]),
            ("orders.order_events", &[order]),
            ("payments.payments", &[order]),
            ("payments.attempts", &[order]),
            ("payments.ledger", &[order]),
            ("sandbox.charges", &[order]),
            ("/data/base/", &[PLANTED_NUMBER]),
            // The order's id stands as text only in the events of the outboxes, which are deleted from the tables.
            ("/data/pg_wal/", &[PLANTED_NUMBER, order]),
            ("queue copies-", &[PLANTED_NUMBER, PLANTED_CODE, order]),
            ("/rabbitmq/data/", &[PLANTED_NUMBER, order]),
            // Looked at, and most likely empty.
            ("orders.outbox", &[]),
            ("payments.outbox", &[]),
            ("payments.parked", &[]),
            ("queue payment-create-event", &[]),
            ("queue payment-processed-event.dead", &[]),
            ("/gateway/", &[]),
        ];
        let mut missing = Vec::new();
        for (place, secrets) in planted {
            let here = || self.0.iter().filter(|(name, _)| name.contains(place)).map(|(_, found)| found);
            let is_missing = |secret: &&&str| !here().any(|found| found.contains(**secret));
            missing.extend(secrets.iter().filter(is_missing).map(|secret| (place, *secret)));
            missing.extend(here().next().is_none().then_some((place, "anything")));
        }
        missing
    }

    /// The cards that were found, with the places.
    fn leaks(&self, planted_order: &str) -> Vec<(&str, Vec<&str>)> {
        let of_one_place = |found: &BTreeSet<&'a str>| -> Vec<&'a str> {
            let is_leak = |secret: &&'a str| {
                let same_way = WAYS.iter().find(|way| way.codes.contains(secret));
                same_way.is_none_or(|way| way.codes.iter().all(|code| found.contains(code)))
                    && ![PLANTED_NUMBER, PLANTED_CODE, planted_order].contains(secret)
            };
            found.iter().copied().filter(is_leak).collect()
        };
        let leaks = self.0.iter().map(|(place, found)| (place.as_str(), of_one_place(found)));
        leaks.filter(|(_, leaked)| !leaked.is_empty()).collect()
    }
}
