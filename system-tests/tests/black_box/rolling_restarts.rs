//! Replicas are restarted one after the other while clients are busy, as in an update.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use uuid::Uuid;

use crate::client::{Answer, GOOD_CARD, User};
use crate::crash::Request;
use crate::database::Books;
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::reconciliation::Reconciliation;
use crate::stack::Stack;

const CLIENTS: usize = 8;
const REPLICAS: [&str; 4] = ["orders-service", "payments-service", "orders-service-2", "payments-service-2"];

#[test]
fn rolling_restarts_lose_no_request_that_was_answered() {
    let stack = OwnStack::start("rolling-restart-stack", 2);
    let Stack { gateway, postgres, .. } = stack.now();
    let (user, load) = (User::demo().at(&gateway), Uuid::new_v4());
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let told = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut told = Told::default();
                    while !stop.load(Ordering::Relaxed) {
                        told.place_and_pay(&user, load);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    told
                })
            })
            .collect();
        let goes_on = || {
            let before = done.load(Ordering::Relaxed);
            eventually("further orders are placed and paid", || match done.load(Ordering::Relaxed) {
                now if now >= before + 5 * CLIENTS => Ok(()),
                now => Err(format!("{before} before, {now} now")),
            });
        };
        for name in REPLICAS {
            goes_on();
            restart(&stack, name);
        }
        goes_on();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no panic")).fold(Told::default(), Told::and)
    });
    // Slowness is no fault here; but whoever met a replica that was away was sent to the other one.
    let turned_away: Vec<_> = told.refused.iter().filter(|(refusal, _)| refusal.contains("bad_gateway")).collect();
    assert!(turned_away.is_empty(), "{} orders were paid, and {turned_away:?}", told.paid.len());
    let books = Books::new(&postgres, load);
    books.have_once(&told.paid);
    books.have_delivered(&told.paid);
    books.are_settled();
    Reconciliation::once_settled_in(&postgres);
}

#[track_caller]
fn restart(stack: &OwnStack, name: &str) {
    let before = stack.now();
    let restarts = before.process(name).restarts;
    before.process(name).stop();
    eventually(format_args!("{name} is started again"), || {
        let stack = stack.now();
        let process = stack.process(name);
        if process.restarts > restarts && process.state == "running" { Ok(()) } else { Err(format!("{stack:?}")) }
    });
}

/// What a client was told.
#[derive(Default)]
struct Told {
    paid: Vec<Uuid>,
    /// How often which request was refused with what, and had to be sent again.
    refused: BTreeMap<String, usize>,
}

impl Told {
    fn place_and_pay(&mut self, user: &User, load: Uuid) {
        let place = Request::place(user, &format!("{load}/{}", Uuid::new_v4()));
        let placed = self.insist("place", &place);
        assert_eq!(placed.status, 201, "{placed:?}");
        let order = placed.id().expect("an order has an id");
        let paid = self.insist("pay", &Request::pay(user, order, GOOD_CARD));
        assert_eq!(paid.status, 200, "{paid:?}");
        self.paid.push(order);
    }

    /// An order whose payment is not there yet, because the machine is busy with the restarts, is paid later.
    fn insist(&mut self, what: &str, request: &Request) -> Answer {
        eventually(format_args!("{what} is accepted"), || {
            let answer = request.insist_and(|refusal| self.note(what, refusal));
            if !answer.is_problem("payment_not_found") {
                return Ok(answer);
            }
            self.note(what, &answer);
            Err(format!("{answer:?}"))
        })
    }

    fn note(&mut self, what: &str, refusal: &Answer) {
        *self.refused.entry(format!("{what}: {}", refusal.body["code"])).or_default() += 1;
    }

    fn and(mut self, other: Self) -> Self {
        self.paid.extend(other.paid);
        for (refusal, count) in other.refused {
            *self.refused.entry(refusal).or_default() += count;
        }
        self
    }
}
