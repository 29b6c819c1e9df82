//! Requests with an Idempotency-Key, sent again by clients that lost the answer: because there are many of them at
//! once, or because a process died.

use std::thread;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Answer, GOOD_CARD, SLOW_CARD, User, card_details};
use crate::money::{books_become, is_charged_once};
use crate::payment_deaths::Dead;
use crate::polling::eventually;
use crate::stack::{self, Stack};

const AT_ONCE: usize = 50;

#[test]
fn fifty_equal_requests_at_once_do_one_thing_and_are_answered_alike() {
    let (_stack, user) = (stack::shared(), User::demo());
    let order = all_answer_alike(&user, "/api/orders", &json!({"bill": 62243}), 201);
    let order = order.id().expect("an order has an id");
    all_answer_alike(&user, &path_to_pay(&order), &card_details(GOOD_CARD), 200);
    is_charged_once(order, &["approved"]);
}

#[test]
fn a_pay_that_died_with_its_service_is_sent_again_with_its_key_until_it_is_answered() {
    let (_alone, user) = (stack::alone(), User::demo());
    let (order, key) = (user.place_order(), new_key());
    let (client, first_key) = (user.clone(), key.clone());
    let paying = thread::spawn(move || {
        client.try_send_with_key(&path_to_pay(&order), &first_key, &card_details(SLOW_CARD)).expect("an answer")
    });
    books_become(order, &json!({"payment": "processing", "attempts": ["started"], "charges": null}));
    let dead = Dead::kill_payments();
    paying.join().expect("no panic").assert_problem(502, "bad_gateway");
    dead.rise();
    let answer = user.insist(&path_to_pay(&order), &key, &card_details(SLOW_CARD));
    assert_eq!((answer.status, &answer.body["data"]["status"]), (200, &json!("paid")), "{answer:?}");
    is_charged_once(order, &["voided", "approved"]);
}

#[test]
fn orders_that_are_sent_again_while_their_service_dies_are_placed_once() {
    let (_alone, user) = (stack::alone(), User::demo());
    let stack = Stack::once_all_run();
    let service = stack.process("orders-service");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let user = user.clone();
            thread::spawn(move || {
                let orders = (0..10).map(|_| {
                    let (key, body) = (new_key(), json!({"bill": 62243, "reference": new_key()}));
                    let placed = user.insist("/api/orders", &key, &body);
                    let again = user.insist("/api/orders", &key, &body);
                    assert_eq!((placed.status, &placed.body), (again.status, &again.body));
                    (placed.id().expect("an order has an id"), body["reference"].clone())
                });
                orders.collect::<Vec<_>>()
            })
        })
        .collect();
    service.kill();
    let placed: Vec<_> = clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect();
    Stack::once_restarted("orders-service", service.restarts);
    let mine = user.get("/api/orders?limit=1000").body["data"].as_array().expect("a list").clone();
    for (id, reference) in placed {
        let found: Vec<_> = mine.iter().filter(|order| order["reference"] == reference).collect();
        assert_eq!(found.iter().map(|order| order["id"].clone()).collect::<Vec<_>>(), [json!(id)]);
        user.payment_becomes(&id, "pending");
    }
}

impl User {
    fn try_send_with_key(&self, path: &str, key: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.try_send_text("POST", path, Some(body.to_string()), &[("Idempotency-Key", key)])
    }

    /// Does what the answers advise: sends the same again while there is none, or the service is away, or still at it.
    #[track_caller]
    fn insist(&self, path: &str, key: &str, body: &Value) -> Answer {
        eventually(format_args!("{path} is answered"), || match self.try_send_with_key(path, key, body) {
            Ok(answer) if answer.status < 500 && answer.body["code"] != "idempotency_key_in_use" => Ok(answer),
            other => Err(format!("{other:?}")),
        })
    }
}

#[track_caller]
fn all_answer_alike(user: &User, path: &str, body: &Value, status: u16) -> Answer {
    let key = new_key();
    let mut answers: Vec<Answer> = thread::scope(|scope| {
        let send = || user.insist(path, &key, body);
        let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(send)).collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    let first_times = answers.iter().filter(|answer| answer.header("Idempotent-Replayed").is_none()).count();
    assert_eq!(first_times, 1, "{answers:?}");
    let one = answers.pop().expect("there are fifty");
    for answer in answers {
        assert_eq!((answer.status, &answer.body), (status, &one.body));
    }
    one
}

fn path_to_pay(order: &Uuid) -> String {
    format!("/api/payments/pay/{order}")
}

fn new_key() -> String {
    Uuid::new_v4().to_string()
}
