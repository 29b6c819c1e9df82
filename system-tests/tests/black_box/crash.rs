//! A process that dies at a point of its own code, which a test has chosen: see `service_kit::crash_point`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker;
use crate::client::{Answer, User, card_details};
use crate::polling::eventually;
use crate::reconciliation::Reconciliation;
use crate::stack::{self, Stack};
use crate::storage;

/// A process and one of its points.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub process: &'static str,
    pub name: &'static str,
}

/// A death that is prepared. A test that fails before it takes it back.
pub struct Crash {
    point: Point,
    before: Stack,
    file: PathBuf,
}

impl Point {
    /// From now on the process dies when it comes here.
    #[track_caller]
    pub fn arm(self) -> Crash {
        // What another test has left under way could come here first.
        once_settled();
        let before = Stack::once_all_run();
        let folder = stack::dir().join(self.process).join("crash-points");
        fs::create_dir_all(&folder).expect("the folder of the points can be made");
        let file = folder.join(self.name);
        fs::write(&file, "").expect("a point can be armed");
        Crash { point: self, before, file }
    }
}

impl Crash {
    /// Waits until the process has died of it and is back; it has died once, and no other has died.
    #[track_caller]
    pub fn strikes(self) {
        let Point { process, name } = self.point;
        eventually(format_args!("{process} comes to `{name}`"), || {
            if self.file.exists() { Err("it is still armed") } else { Ok(()) }
        });
        Stack::once_restarted(process, self.before.process(process).restarts);
        let expected = self.before.restarts().into_iter().map(|(other, restarts)| {
            let restarts = restarts + u32::from(other == process);
            (other, restarts)
        });
        assert_eq!(Stack::once_all_run().restarts(), expected.collect::<Vec<_>>(), "who died of `{name}`");
    }
}

impl Drop for Crash {
    fn drop(&mut self) {
        // It is gone if all went well.
        drop(fs::remove_file(&self.file));
    }
}

/// Waits until nothing is under way and nothing is left behind, and all books agree.
#[track_caller]
pub fn once_settled() {
    const LEFT: &str = "
        select jsonb_strip_nulls(jsonb_build_object(
            'undelivered orders', (select nullif(count(*), 0) from orders.orders where status = 'confirmed'),
            'open charges', (select nullif(count(*), 0) from payments.payments where status in ('processing', 'refunding')),
            'orders.outbox', (select nullif(count(*), 0) from orders.outbox),
            'payments.outbox', (select nullif(count(*), 0) from payments.outbox),
            'orders.parked', (select nullif(count(*), 0) from orders.parked),
            'payments.parked', (select nullif(count(*), 0) from payments.parked)))";
    eventually("nothing is left behind", || {
        let left = storage::read_value(LEFT).map_err(|problem| problem.to_string())?;
        if left == json!({}) { Ok(()) } else { Err(left.to_string()) }
    });
    eventually("no message is left behind", || match broker::waiting_messages() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    Reconciliation::once_settled();
}

/// A request that its client sends again until it is answered; a POST with the same key each time.
pub struct Request {
    user: User,
    method: &'static str,
    path: String,
    body: Option<String>,
    key: String,
}

impl Request {
    /// To place an order with this reference.
    pub fn place(user: &User, reference: &str) -> Self {
        Self::new(user, "POST", "/api/orders".to_owned(), &json!({"bill": 62243, "reference": reference}))
    }

    pub fn pay(user: &User, order: Uuid, card: &str) -> Self {
        Self::new(user, "POST", format!("/api/payments/pay/{order}"), &card_details(card))
    }

    pub fn cancel(user: &User, order: Uuid) -> Self {
        Self::new(user, "DELETE", format!("/api/orders/{order}"), &Value::Null)
    }

    fn new(user: &User, method: &'static str, path: String, body: &Value) -> Self {
        let body = if body.is_null() { None } else { Some(body.to_string()) };
        Self { user: user.clone(), method, path, body, key: Uuid::new_v4().to_string() }
    }

    /// Sends it once, for whatever answer.
    #[track_caller]
    pub fn send(&self) -> Answer {
        let key = [("Idempotency-Key", self.key.as_str())];
        let headers = if self.method == "POST" { &key[..] } else { &[] };
        let answer = self.user.try_send_text(self.method, &self.path, self.body.clone(), headers);
        answer.unwrap_or_else(|problem| panic!("{} {} was not answered: {problem}", self.method, self.path))
    }

    /// Sends it while its service dies of it.
    #[track_caller]
    pub fn send_in_vain(&self) {
        self.send().assert_problem(502, "bad_gateway");
    }

    /// Sends it until it is answered, also if its service dies meanwhile.
    #[track_caller]
    pub fn insist(&self) -> Answer {
        self.insist_and(|_| {})
    }

    /// The same; what it was refused with is told.
    #[track_caller]
    pub fn insist_and(&self, mut tell: impl FnMut(&Answer)) -> Answer {
        eventually(format_args!("{} {} is answered", self.method, self.path), || {
            let answer = self.send();
            let is_to_be_repeated = answer.is_problem("bad_gateway")
                || answer.is_problem("service_unavailable")
                || answer.is_problem("idempotency_key_in_use");
            if !is_to_be_repeated {
                return Ok(answer);
            }
            tell(&answer);
            Err(format!("{answer:?}"))
        })
    }
}
