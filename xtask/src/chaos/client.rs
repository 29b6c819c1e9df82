//! A client that orders, pays, cancels, looks, asks again and hangs up as its random numbers say.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::cards;
use super::judge::Action;
use super::memory::{Creation, Memory, Promise, Rule};
use super::random::Random;
use super::requests::{HangUp, Line, Request, USERS, User};

/// Streams of random numbers from here on are those of the clients.
const FIRST_STREAM: u64 = 1000;
/// Clients deal mostly with what is new.
const RECENT: usize = 30;
/// How long the pay for a new order waits at least until it is told that there is nothing to pay.
const WAITED: Duration = Duration::from_millis(1500);

/// The orders of each user, known to all clients: two of them may want to pay or cancel the same.
pub(crate) type Pool = [Mutex<Vec<String>>; USERS.len()];

/// One thing that a client does.
type Act<'a> = fn(&mut Client<'a>);

/// Who does one thing after the other, and remembers what he was told.
pub(crate) struct Client<'a> {
    pub(super) number: usize,
    user: &'static User,
    pub(super) pool: &'a Pool,
    pub(super) line: Line,
    pub(crate) random: Random,
    pub(super) promises: Vec<Promise>,
    /// The versions that were shown last.
    pub(super) seen: HashMap<String, i64>,
    pub(crate) memory: Memory,
}

impl<'a> Client<'a> {
    pub(crate) fn new(seed: u64, number: usize, gateway: &str, pool: &'a Pool) -> Self {
        let user = &USERS[number % USERS.len()];
        // Some keep their connection, others open one for each request.
        let line = Line::new(user, gateway, usize::from(!number.is_multiple_of(3)));
        let random = Random::new(seed, FIRST_STREAM + number as u64);
        Self { number, user, pool, line, random, promises: Vec::new(), seen: HashMap::new(), memory: Memory::default() }
    }

    pub(crate) fn act(&mut self) {
        let actions: [(u64, Act<'a>); 8] = [
            (30, Self::create),
            (30, Self::pay),
            (7, Self::cancel),
            (12, Self::look),
            (3, Self::list),
            (2, Self::trespass),
            (10, Self::repeat),
            (6, Self::hang_up),
        ];
        if let Some(action) = self.random.weigh(&actions) {
            action(self);
        }
    }

    fn create(&mut self) {
        let (request, creation) = self.new_order();
        let answer = self.send(Action::Create, &request);
        self.remember(Action::Create, request, answer, Some(creation), None);
    }

    pub(crate) fn order_and_pay(&mut self, deadline: Instant) {
        self.create();
        let accepted = self.memory.creations.last().and_then(|creation| creation.accepted.clone());
        let Some(order) = accepted else { return self.complain(Rule::Life, "an order was not accepted") };
        let (path, body) = (format!("/api/payments/pay/{order}"), cards::body(cards::APPROVED));
        let pay = Request { method: "POST", path, body: Some(body), key: None };
        loop {
            let asked = Instant::now();
            let status = self.send(Action::Pay, &pay).map(|answer| answer.status);
            match status {
                Some(200) => return self.memory.paid.push(order),
                Some(404) if asked.elapsed() > WAITED && asked < deadline => {}
                _ => {
                    let (took, status) =
                        (asked.elapsed(), status.map_or("nothing".to_owned(), |status| status.to_string()));
                    return self
                        .complain(Rule::Life, &format!("the pay for {order} was answered {status} after {took:.1?}"));
                }
            }
        }
    }

    fn pay(&mut self) {
        let Some(order) = self.recent_order(self.user) else { return };
        let request = self.new_pay(&order);
        let answer = self.send(Action::Pay, &request);
        self.remember(Action::Pay, request, answer, None, Some(order));
    }

    fn cancel(&mut self) {
        let Some(order) = self.recent_order(self.user) else { return };
        let request = Request { method: "DELETE", path: format!("/api/orders/{order}"), body: None, key: None };
        if self.send(Action::Cancel, &request).is_some_and(|answer| answer.status == 200) {
            self.memory.cancelled.push(order);
        }
    }

    fn look(&mut self) {
        let Some(order) = self.recent_order(self.user) else { return };
        let looks = [
            (3, (Action::ReadOrder, format!("/api/orders/{order}"))),
            (1, (Action::ReadHistory, format!("/api/orders/{order}/events"))),
            (2, (Action::ReadPayment, format!("/api/payments/{order}"))),
        ];
        let weights = looks.each_ref().map(|(weight, look)| (*weight, look));
        if let Some((action, path)) = self.random.weigh(&weights) {
            self.send(*action, &Request::get(path.clone()));
        }
    }

    fn list(&mut self) {
        let what = if self.random.happens(50) { "orders" } else { "payments" };
        let limit = self.random.between(1, 30);
        self.send(Action::List, &Request::get(format!("/api/{what}?limit={limit}")));
    }

    fn trespass(&mut self) {
        let other = &USERS[(self.number + 1) % USERS.len()];
        let Some(order) = self.recent_order(other) else { return };
        self.send(Action::Trespass, &Request::get(format!("/api/orders/{order}")));
    }

    /// Sends a request with a key once more. Nobody else uses the key, so the answer has to be that of the first time.
    fn repeat(&mut self) {
        let Some(index) = recent(&mut self.random, self.promises.len()) else { return };
        let (action, request) = (self.promises[index].action, self.promises[index].request.clone());
        let Some(answer) = self.send(action, &request) else { return };
        let first = self.promises[index].first.clone();
        match first {
            None => self.keep(index, &answer),
            // Somebody on the way does not reach the one who knows.
            Some(_) if answer.status == 429 || answer.status > 500 => {}
            Some(first) => {
                self.memory.compared += 1;
                if (first.status, &first.body) != (answer.status, &answer.body) || !answer.is_replayed {
                    let what = format!("{} {} with key {:?}", request.method, request.path, request.key);
                    self.complain(
                        Rule::Repetition,
                        &format!(
                            "{what} was answered {} {} and then {} {} (replayed: {})",
                            first.status, first.body, answer.status, answer.body, answer.is_replayed
                        ),
                    );
                }
            }
        }
    }

    fn hang_up(&mut self) {
        let when = match self.random.below(3) {
            0 => HangUp::HalfWay,
            1 => HangUp::AtOnce,
            _ => HangUp::Later(self.random.millis(0, 20)),
        };
        let order = self.recent_order(self.user).filter(|_| self.random.happens(50));
        let (action, request, creation) = if let Some(order) = &order {
            (Action::Pay, self.new_pay(order), None)
        } else {
            let (request, creation) = self.new_order();
            (Action::Create, request, Some(creation))
        };
        let outcome = if self.line.hang_up(&request, when).is_ok() { "on purpose" } else { "no connection" };
        self.count(Action::HangUp, outcome.to_owned());
        self.remember(action, request, None, creation, order);
    }

    fn new_order(&mut self) -> (Request, usize) {
        let index = self.memory.creations.len();
        let reference = format!("client {} order {index}", self.number);
        let (mut bill, mut body) = (self.random.between(1, 1_000_000), json!({"reference": reference}));
        if self.random.happens(20) {
            let (quantity, price) = (self.random.between(1, 9), self.random.between(1, 9_999));
            bill = quantity * price;
            body["items"] = json!([{"sku": "chaos", "quantity": quantity, "unitPrice": price}]);
        } else {
            body["bill"] = json!(bill);
        }
        let key = self.random.happens(60).then(|| format!("create {} {index}", self.number));
        self.memory.creations.push(Creation { reference, user: self.user.id, bill, accepted: None });
        (Request { method: "POST", path: "/api/orders".to_owned(), body: Some(body.to_string()), key }, index)
    }

    fn new_pay(&mut self, order: &str) -> Request {
        let card = self.random.weigh(&cards::CARDS).unwrap_or(cards::APPROVED);
        let key = self.random.happens(60).then(|| format!("pay {} {}", self.number, self.promises.len()));
        let path = format!("/api/payments/pay/{order}");
        Request { method: "POST", path, body: Some(cards::body(card)), key }
    }

    fn recent_order(&mut self, owner: &User) -> Option<String> {
        let orders = lock(&self.pool[usize::from(owner.id != USERS[0].id)]);
        recent(&mut self.random, orders.len()).map(|index| orders[index].clone())
    }
}

/// One of the last of so many, mostly.
fn recent(random: &mut Random, length: usize) -> Option<usize> {
    let window = if random.happens(90) { length.min(RECENT) } else { length };
    (length > 0).then(|| length - 1 - random.below(window))
}

pub(super) fn lock(orders: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}
