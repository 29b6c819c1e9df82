//! Clients that go on placing and paying orders while something is down, and remember what they were told.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::client::{Answer, GOOD_CARD, User, card_details};
use crate::database::Books;
use crate::polling::eventually;

/// Between two orders of a client, so that what piles up during an outage is soon worked off.
const PACE: Duration = Duration::from_millis(20);

/// What the clients were told so far.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The orders answered with 201.
    pub accepted: Vec<Uuid>,
    /// Those whose payment was answered with 200.
    pub paid: Vec<Uuid>,
    /// The requests for which the gateway reached no service.
    pub bad_gateways: usize,
    /// What no client may ever see.
    pub wrong: Vec<String>,
}

/// One client that only orders, so that it never has to wait, and one that also pays at once.
pub struct Load {
    id: Uuid,
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start() -> Self {
        Self::of(&User::demo())
    }

    /// The same by somebody else.
    pub fn of(user: &User) -> Self {
        let mut load = Self { id: Uuid::new_v4(), told: Arc::default(), stop: Arc::default(), clients: Vec::new() };
        for pays in [false, true] {
            let client = Client { load: load.id, user: user.clone(), told: Arc::clone(&load.told) };
            let stop = Arc::clone(&load.stop);
            load.clients.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client.order(pays);
                    thread::sleep(PACE);
                }
            }));
        }
        load
    }

    /// What the references of its orders begin with.
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn told(&self) -> Told {
        lock(&self.told).clone()
    }

    /// Waits until the clients have been told that some more orders were accepted and paid.
    #[track_caller]
    pub fn goes_on(&self) {
        let before = self.told();
        eventually("further orders are accepted and paid", || {
            let now = self.told();
            let goes_on = now.accepted.len() >= before.accepted.len() + 5 && now.paid.len() >= before.paid.len() + 2;
            if goes_on { Ok(()) } else { Err(format!("before: {before:?}, now: {now:?}")) }
        });
    }

    /// Lets the clients finish what they are at.
    #[track_caller]
    pub fn finish(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        lock(&self.told).clone()
    }

    /// The same, and holds what they were told against what is in the database.
    #[track_caller]
    pub fn finish_and_compare(self, postgres: &str) -> Told {
        let load = self.id();
        let told = self.finish();
        assert!(told.wrong.is_empty(), "{:#?}", told.wrong);
        let books = Books::new(postgres, load);
        books.have_once(&told.accepted);
        books.have_delivered(&told.paid);
        books.are_settled();
        told
    }
}

struct Client {
    load: Uuid,
    user: User,
    told: Arc<Mutex<Told>>,
}

impl Client {
    fn order(&self, pays: bool) {
        let body = json!({"bill": 62243, "reference": format!("{}/{}", self.load, Uuid::now_v7().simple())});
        let answer = self.user.try_send("POST", "/api/orders", &body);
        let ControlFlow::Continue(order) = self.note(answer, |answer, told| {
            let id = answer.id().filter(|_| answer.status == 201)?;
            told.accepted.push(id);
            Some(id)
        }) else {
            return;
        };
        if pays {
            let answer = self.user.try_send("POST", &format!("/api/payments/pay/{order}"), &card_details(GOOD_CARD));
            let _ = self.note(answer, |answer, told| match answer.status {
                200 => {
                    told.paid.push(order);
                    Some(())
                }
                // The charge is in doubt, or the order is still on its way to the payments.
                202 | 404 => Some(()),
                _ => None,
            });
        }
    }

    /// Takes note of an answer; goes on with what `accept` makes of it. No answer and a refusal because something is
    /// down are what a client has to live with; anything else that is not accepted is wrong.
    fn note<T>(
        &self,
        answer: Result<Answer, ureq::Error>,
        accept: impl FnOnce(&Answer, &mut Told) -> Option<T>,
    ) -> ControlFlow<(), T> {
        let Ok(answer) = answer else { return ControlFlow::Break(()) };
        let mut told = lock(&self.told);
        if let Some(accepted) = accept(&answer, &mut told) {
            return ControlFlow::Continue(accepted);
        }
        let refusal = match answer.status {
            502 => answer.is_problem("bad_gateway"),
            503 => answer.is_problem("service_unavailable"),
            _ => false,
        };
        told.bad_gateways += usize::from(answer.status == 502);
        if !refusal {
            told.wrong.push(format!("{answer:?}"));
        }
        ControlFlow::Break(())
    }
}

fn lock(told: &Mutex<Told>) -> std::sync::MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}
