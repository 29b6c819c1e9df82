//! A service that is told to stop while clients are busy.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{SLOW_CARD, User};
use crate::crash::{Point, once_settled};
use crate::load::Load;
use crate::money::{books_become, is_charged_once};
use crate::polling::eventually;
use crate::stack::{self, Stack};

/// Where a service dies that is told to stop.
pub const CRASH_POINT: &str = "connections closed, not stopped";
/// The longest that a stop may take: what runs services in containers kills after ten seconds.
const STOP_DEADLINE: Duration = Duration::from_secs(9);

#[test]
fn the_orders_service_stops_in_order_and_in_time() {
    let _alone = stack::alone();
    Stopping::begin("orders-service").ends_well();
}

#[test]
fn the_payments_service_answers_a_pay_that_it_has_begun_before_it_stops() {
    let (_alone, user) = (stack::alone(), User::demo());
    let order = user.place_order();
    let client = user.clone();
    let paying = thread::spawn(move || client.pay(&order, SLOW_CARD));
    books_become(order, &json!({"payment": "processing", "charges": null}));
    Stopping::begin("payments-service").ends_well();
    let answer = paying.join().expect("no panic");
    assert_eq!((answer.status, &answer.body["data"]["status"]), (200, &json!("paid")), "{answer:?}");
    is_charged_once(order, &["approved"]);
}

#[test]
fn the_orders_service_may_die_while_it_stops() {
    let _alone = stack::alone();
    let crash = Point { process: "orders-service", name: CRASH_POINT }.arm();
    let stopping = Stopping::begin("orders-service");
    crash.strikes();
    stopping.has_lost_nothing();
}

#[test]
fn the_payments_service_may_die_while_it_stops() {
    let _alone = stack::alone();
    let crash = Point { process: "payments-service", name: CRASH_POINT }.arm();
    let stopping = Stopping::begin("payments-service");
    crash.strikes();
    stopping.has_lost_nothing();
}

/// A service that was told to stop, and its clients.
struct Stopping {
    name: &'static str,
    before: Stack,
    ends_before: usize,
    load: Load,
    asked: Instant,
}

impl Stopping {
    #[track_caller]
    fn begin(name: &'static str) -> Self {
        let (before, ends_before) = (Stack::once_all_run(), orderly_ends(name));
        let load = Load::start();
        load.goes_on();
        before.process(name).stop();
        Self { name, before, ends_before, load, asked: Instant::now() }
    }

    /// The service ends by itself in time, says that all is well, and has lost nothing.
    #[track_caller]
    fn ends_well(self) {
        let pid = self.before.process(self.name).pid;
        eventually(format_args!("{} ends", self.name), || match Stack::now().process(self.name).pid {
            now if now == pid => Err("it still runs"),
            _ => Ok(()),
        });
        let took = self.asked.elapsed();
        assert!(took < STOP_DEADLINE, "{} took {took:?} to stop", self.name);
        assert_eq!(orderly_ends(self.name), self.ends_before + 1, "it did not end with the exit status 0");
        Stack::once_restarted(self.name, self.before.process(self.name).restarts);
        self.has_lost_nothing();
    }

    /// What was answered is in the tables, what was not is there at most once, and all of it is brought to its end.
    #[track_caller]
    fn has_lost_nothing(self) {
        self.load.goes_on();
        self.load.finish_and_compare(&self.before.postgres);
        once_settled();
    }
}

/// How often the process has ended with the exit status 0, as whoever has started it saw.
fn orderly_ends(name: &str) -> usize {
    let log = fs::read_to_string(stack::dir().join("supervisor.log")).expect("the supervisor has a log");
    log.lines().filter(|line| line.starts_with(&format!("{name} ended (exit status: 0)"))).count()
}
