//! Clients that place orders and pay them, each with a key, and ask again until they are answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use uuid::Uuid;

use crate::client::{Answer, GOOD_CARD, User};
use crate::crash::Request;
use crate::database::Books;
use crate::polling::eventually;
use crate::reconciliation::Reconciliation;

/// All at the same time, until they are told to finish.
pub struct Customers {
    load: Uuid,
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Told>>,
}

/// What they were told.
#[derive(Default)]
pub struct Told {
    pub paid: Vec<Uuid>,
    /// How often which request was refused with what, and had to be sent again.
    pub refused: BTreeMap<String, usize>,
}

impl Customers {
    /// Of the system behind this gateway.
    pub fn begin(gateway: &str, clients: usize) -> Self {
        let (load, done, stop) = (Uuid::new_v4(), Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let user = User::demo().at(gateway);
        let client = |_| {
            let (user, done, stop) = (user.clone(), Arc::clone(&done), Arc::clone(&stop));
            thread::spawn(move || {
                let mut told = Told::default();
                while !stop.load(Ordering::Relaxed) {
                    told.place_and_pay(&user, load);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                told
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { load, done, stop, clients }
    }

    /// Waits until each of them, more or less, has placed and paid some further orders.
    #[track_caller]
    pub fn go_on(&self) {
        let before = self.done.load(Ordering::Relaxed);
        eventually("further orders are placed and paid", || match self.done.load(Ordering::Relaxed) {
            now if now >= before + 5 * self.clients.len() => Ok(()),
            now => Err(format!("{before} before, {now} now")),
        });
    }

    /// Lets them finish what they are at, and holds the books of this database against what they were told.
    #[track_caller]
    pub fn finish(self, postgres: &str) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        let clients = self.clients.into_iter().map(|client| client.join().expect("no panic"));
        let told = clients.fold(Told::default(), Told::and);
        let books = Books::new(postgres, self.load);
        books.have_once(&told.paid);
        books.have_delivered(&told.paid);
        books.are_settled();
        Reconciliation::once_settled_in(postgres);
        told
    }
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

    /// An order whose payment is not there yet, because the machine is busy with what is done to it, is paid later.
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
