//! What the customers of the demo ask the API for.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

use crate::progress;

/// Longer than the gateway waits for a service.
const TIMEOUT: Duration = Duration::from_secs(40);
/// How long a customer tries while a service is away.
const PATIENCE: Duration = Duration::from_mins(1);
const TRY_AGAIN: Duration = Duration::from_millis(300);

pub(super) struct Shop {
    gateway: String,
    agent: Agent,
}

struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    /// What was asked for may be carried out and was not answered.
    fn is_none_yet(&self) -> bool {
        [502, 503, 504].contains(&self.status) || self.body["code"] == "idempotency_key_in_use"
    }
}

impl Shop {
    pub(super) fn new(gateway: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).proxy(None);
        Self { gateway: gateway.to_owned(), agent: config.build().into() }
    }

    /// Returns the order's id.
    pub(super) fn place(&self, order: &Value) -> Result<String> {
        let answer = self.until_answered("POST", "/api/orders", Some(order))?;
        let id = answer.body["data"]["id"].as_str().filter(|_| answer.status == 201);
        Ok(id.with_context(|| format!("no order was placed: {}", answer.body))?.to_owned())
    }

    /// Whatever the card does: that it is declined, or in doubt, is an answer too.
    pub(super) fn pay(&self, order: &str, card: &str) -> Result<()> {
        self.wait_for_payment(order)?;
        let answer = self.until_answered("POST", &pay_path(order), Some(&details(card)))?;
        ensure!([200, 202, 402].contains(&answer.status), "{order} was not paid: {}", answer.body);
        Ok(())
    }

    /// Whatever becomes of it.
    pub(super) fn pay_once(&self, order: &str, card: &str) {
        // The service is killed meanwhile, so there is no answer to look at.
        let _ = self.send("POST", &pay_path(order), Some(&details(card)), &new_key());
    }

    /// Until the payments service has heard of the order.
    pub(super) fn wait_for_payment(&self, order: &str) -> Result<()> {
        let began = Instant::now();
        while self.until_answered("GET", &format!("/api/payments/{order}"), None)?.status != 200 {
            ensure!(began.elapsed() < PATIENCE, "the payment of {order} is missing");
            thread::sleep(TRY_AGAIN);
        }
        Ok(())
    }

    /// Once it is known whether the card was charged.
    pub(super) fn is_still_unpaid(&self, order: &str) -> Result<bool> {
        let began = Instant::now();
        loop {
            let payment = self.until_answered("GET", &format!("/api/payments/{order}"), None)?;
            match payment.body["data"]["status"].as_str() {
                Some("processing") => ensure!(began.elapsed() < PATIENCE, "{order} stays in doubt"),
                status => return Ok(status == Some("pending")),
            }
            thread::sleep(TRY_AGAIN);
        }
    }

    pub(super) fn cancel(&self, order: &str) -> Result<()> {
        let answer = self.until_answered("DELETE", &format!("/api/orders/{order}"), None)?;
        ensure!(answer.status == 200, "{order} was not cancelled: {}", answer.body);
        Ok(())
    }

    /// The orders as they are now.
    pub(super) fn read(&self, ids: &[String]) -> Result<Vec<Value>> {
        let read =
            |id: &String| Ok(self.until_answered("GET", &format!("/api/orders/{id}"), None)?.body["data"].clone());
        ids.iter().map(read).collect()
    }

    /// Sends it again while nobody answers it, with the same key, so that it is carried out once.
    fn until_answered(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let (key, began) = (new_key(), Instant::now());
        loop {
            match self.send(method, path, body, &key) {
                Ok(answer) if !answer.is_none_yet() => return Ok(answer),
                Ok(answer) if began.elapsed() > PATIENCE => bail!("{method} {path}: {}", answer.body),
                Err(problem) if began.elapsed() > PATIENCE => return Err(problem),
                _ => thread::sleep(TRY_AGAIN),
            }
        }
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>, key: &str) -> Result<Answer> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.gateway));
        let request = request.header("Authorization", progress::token()).header("Idempotency-Key", key);
        let mut answer = match body {
            Some(body) => self.agent.run(request.header("Content-Type", "application/json").body(body.to_string())?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let status = answer.status().as_u16();
        Ok(Answer { status, body: answer.body_mut().read_json().unwrap_or_default() })
    }
}

/// One customer does one thing after the other.
fn new_key() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("demo-{}", now.as_nanos())
}

fn pay_path(order: &str) -> String {
    format!("/api/payments/pay/{order}")
}

fn details(card: &str) -> Value {
    json!({"creditCardDetails": {"number": card, "cvt": "123", "expiry": "12/40"}})
}
